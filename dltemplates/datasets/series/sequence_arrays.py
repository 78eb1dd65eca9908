"""Sequences as arrays: in a `.npz` file, or passed by a Python program.

Keys of a file: `x_train`, `y_train`, and optionally `x_validation`, `y_validation`, `x_test`, `y_test`; or `x` and `y`,
to be split; optionally `classes`, the class names. `x` is (n, steps, channels) or (n, steps); NaN at the end of a
sequence is padding. `y` holds class ids, class names, or numbers.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from dltemplates.datasets.images.npz import read_npz, standard_keys
from dltemplates.datasets.series.sequences import SequenceFiles, Sequences
from dltemplates.datasets.series.ts_file import without_padding
from dltemplates.datasets.source import SPLITS


def read_arrays(path: Path) -> SequenceFiles:
    """Read a `.npz` file.

    Raises:
        ValueError: If its keys, shapes or dtypes break a rule; names it.
    """
    arrays = read_npz(path)
    has_targets = any(key.lower().startswith("y") for key in arrays)
    arrays = standard_keys(path, arrays, data="sequences")
    classes = arrays.pop("classes", None)
    splits = {
        split: (arrays[f"x_{split}"], arrays[f"y_{split}"] if has_targets else None)
        for split in SPLITS
        if f"x_{split}" in arrays
    }
    return sequences_of(splits, classes, name=str(path))


def sequences_of(
    splits: Mapping[str, tuple[Any, Any]], classes: np.ndarray | None = None, *, name: str = "x"
) -> SequenceFiles:
    """Return the sequences in arrays.

    Args:
        splits: For each split, an array (n, steps, channels) or (n, steps), or a list of arrays (steps, channels) or
            (steps,); and the targets, (n,) or (n, k), or None.
        classes: The name of each class id.
        name: Where the arrays are from, for messages.

    Raises:
        ValueError: As in `read_arrays`.
    """
    return SequenceFiles(
        splits={
            split: Sequences(
                arrays := split_sequences(x, name),
                [f"sequence {place} of {name}" for place in range(len(arrays))],
                None if y is None else _targets(np.asarray(y), classes, len(arrays)),
            )
            for split, (x, y) in splits.items()
        },
        classes=() if classes is None else tuple(map(str, classes)),
    )


def split_sequences(x: Any, name: str) -> list[np.ndarray]:
    """Return each sequence of an array or a list, (steps, channels), without padding."""
    arrays = list(x) if isinstance(x, Sequence) else [*_number_array(x, name, (2, 3))]
    each = [_number_array(array, name, (1, 2)) for array in arrays]
    return [without_padding(array[:, None] if array.ndim == 1 else array) for array in each]


def _number_array(array: Any, name: str, axes: tuple[int, ...]) -> np.ndarray:
    array = np.asarray(array)
    if array.dtype.kind not in "fiu" or array.ndim not in axes or (array.ndim == 3 and 0 in array.shape):
        shape = "(n, steps, channels) or (n, steps)" if 3 in axes else "(steps, channels) or (steps,)"
        raise ValueError(
            f"Sequences must be numbers of shape {shape}. Received: {array.dtype} of shape {array.shape} in {name}. "
            "Convert them."
        )
    return array.astype(np.float64)


def _targets(targets: np.ndarray, classes: np.ndarray | None, count: int) -> np.ndarray:
    """Return classes as text (n,), or numbers (n, k)."""
    if len(targets) != count or targets.ndim not in (1, 2):
        raise ValueError(
            f"`y` must have a target for each sequence: ({count},) or ({count}, k). Received: shape {targets.shape}. "
            "Correct it."
        )
    if targets.dtype.kind == "f":
        return targets.reshape(count, -1).astype(np.float64)
    if targets.ndim == 2 and targets.shape[1] == 1:
        targets = targets[:, 0]
    if targets.ndim == 2:
        raise ValueError(
            f"`y` must hold one class for each sequence, ({count},). Received: {targets.dtype} of shape "
            f"{targets.shape}. For one-hot labels pass `y.argmax(axis=1)`, for numbers floats."
        )
    if classes is None or targets.dtype.kind not in "iu":
        return targets.astype(str).astype(object)
    if targets.min() < 0 or targets.max() >= len(classes):
        raise ValueError(
            f"Class ids must be from 0 to {len(classes) - 1}, one for each of `classes`. Received: {targets.min()} to "
            f"{targets.max()}. Correct `y` or `classes`."
        )
    return np.array([str(name) for name in classes], object)[targets]
