"""Arrays and DataFrames of a Python program, as a dataset.

A run does not keep them: its template names the dataset `arrays`. To read the data again, pass the arrays again.
"""

from __future__ import annotations

import re
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from dltemplates.datasets.series.sequences import are_sequences
from dltemplates.datasets.source import SPLITS, Dataset
from dltemplates.datasets.spec import IOSpec
from dltemplates.datasets.splitting.split_names import split_of
from dltemplates.settings import ARRAYS, DatasetSettings
from dltemplates.template import Template, load_template

TARGET = "target"  # name of a target without one

_passed: ContextVar[Any] = ContextVar("arrays", default=None)


@contextmanager
def passed(data: Any) -> Iterator[None]:
    """Let `in_memory` read this data inside the block; None changes nothing."""
    if data is None:
        yield
        return
    token = _passed.set(data)
    try:
        yield
    finally:
        _passed.reset(token)


def in_memory(settings: DatasetSettings, *, reference: IOSpec | None = None, predicts_number: bool = False) -> Dataset:
    """Load the passed arrays or DataFrames, with the same rules as a `.npz` or `.csv` file of them.

    Args:
        settings: The target and the settings of the data's kind.
        reference: Spec or contract of a trained network, whose columns and classes are reused.
        predicts_number: As in `load_dataset`.

    Raises:
        ValueError: If nothing was passed, or the data breaks a rule.
    """
    data = _passed.get()
    if data is None:
        raise ValueError(
            f"A run on arrays does not keep them. Received: dataset {ARRAYS!r}, and no arrays. Pass them again in "
            "Python, as in export(run, data=(x, y))."
        )
    splits = _splits(data)
    if settings.of_series().holds_sequences or (reference is not None and are_sequences(reference)):
        return _sequences(splits, settings, reference, predicts_number)
    if settings.of_series().window is not None:  # a series of one value
        splits = {split: (x[:, None] if np.ndim(x) == 1 else x, y) for split, (x, y) in splits.items()}
    if all(_is_table(x) for x, _ in splits.values()):
        return _table(splits, settings, reference, predicts_number)
    if any(isinstance(x, list) for x, _ in splits.values()):
        raise ValueError(
            "A list of arrays must hold sequences. Received: a list without `dataset.series.sequences`. Set it, as in "
            'train("sequence_classification", data=(x, y)), or pass one array.'
        )
    from dltemplates.datasets.images.npz import array_images

    return array_images(_as_arrays(splits), settings, source=ARRAYS, reference=reference)


def with_target(settings: DatasetSettings, data: Any) -> DatasetSettings:
    """Return the settings with the name of the target column, if the data is a table and its target is passed as y."""
    (x, y) = next(iter(_splits(data).values()))
    if settings.target is not None or y is None or not _is_table(x):
        return settings
    return settings.model_copy(update={"target": _target_name(x, y)})


def _splits(data: Any) -> dict[str, tuple[Any, Any]]:
    """Return the inputs and targets of each split; all in `train` if the data has no splits."""
    given = data if isinstance(data, Mapping) else {"train": data}
    splits = {}
    for name, part in given.items():
        split = split_of(str(name))
        x, y = part if isinstance(part, tuple) and len(part) == 2 else (part, None)
        is_data = _is_frame(x) or isinstance(x, np.ndarray) or _is_list_of_arrays(x)
        if split not in SPLITS or isinstance(part, str) or not is_data:
            raise ValueError(
                "Arrays must be x, (x, y), or a dictionary of them with the keys train, validation and test; x is an "
                f"array, a DataFrame, or a list of sequences. Received: {type(part).__name__} for {name!r}. "
                "Try data=(x, y)."
            )
        if y is not None and len(x) != len(y):
            raise ValueError(f"x and y must have the same length. Received: {len(x)} and {len(y)} for {name!r}.")
        splits[split] = (x, y)
    if "train" not in splits:
        raise ValueError(f"Arrays must have a split `train`. Received: {', '.join(map(str, given))}. Add it.")
    return splits


def _is_list_of_arrays(x: Any) -> bool:
    """Return whether x is a list of sequences, perhaps of different lengths."""
    return (
        isinstance(x, list) and bool(x) and all(isinstance(array, np.ndarray) and array.ndim in (1, 2) for array in x)
    )


def _is_frame(x: Any) -> bool:
    return isinstance(x, pd.DataFrame)


def _is_table(x: Any) -> bool:
    return _is_frame(x) or (isinstance(x, np.ndarray) and x.ndim == 2)


def _sequences(
    splits: dict[str, tuple[Any, Any]], settings: DatasetSettings, reference: IOSpec | None, predicts_number: bool
) -> Dataset:
    """Read arrays (n, steps, channels), lists of arrays (steps, channels), or tables."""
    from dltemplates.datasets.series.sequence_arrays import sequences_of
    from dltemplates.datasets.series.sequence_files import sequence_files
    from dltemplates.datasets.series.sequences import sequence_dataset

    if not any(_is_frame(x) for x, _ in splits.values()):
        skip = tuple(settings.of_series().columns)
        return sequence_dataset(sequences_of(splits), reference=reference, predicts_number=predicts_number, skip=skip)
    with tempfile.TemporaryDirectory() as folder:
        for split, (x, y) in splits.items():
            as_frame(x, y).to_csv(Path(folder) / f"{split}.csv", index=False)
        return sequence_files(Path(folder), settings, reference=reference, predicts_number=predicts_number)


def _table(
    splits: dict[str, tuple[Any, Any]], settings: DatasetSettings, reference: IOSpec | None, predicts_number: bool
) -> Dataset:
    """Read tables through CSV files, so that a row has the same meaning as in a file for `predict`."""
    from dltemplates.datasets.series.csv_series import csv_series
    from dltemplates.datasets.tables.csv_table import csv_table

    is_series = settings.of_series().window is not None
    with tempfile.TemporaryDirectory() as folder:
        for split, (x, y) in splits.items():
            as_frame(x, y).to_csv(Path(folder) / f"{split}.csv", index=False)
        path = Path(folder) if len(splits) > 1 else Path(folder) / "train.csv"
        if is_series:
            return csv_series(path, settings, reference=reference)
        return csv_table(path, settings, reference=reference, predicts_number=predicts_number)


def as_frame(x: Any, y: Any = None) -> pd.DataFrame:
    """Return a table of inputs and their targets; the columns of an array are `x0`, `x1`, ...

    Raises:
        ValueError: If the target has several columns, or the name of an input.
    """
    frame = x if _is_frame(x) else pd.DataFrame(x, columns=[f"x{place}" for place in range(x.shape[1])])
    if y is None:
        return frame
    if np.ndim(y) == 2 and np.shape(y)[1] == 1:
        y = y.iloc[:, 0] if _is_frame(y) else np.asarray(y)[:, 0]
    if np.ndim(y) != 1:
        kind, way_out = "", "one column"
        if _is_one_hot(y):
            kind, way_out = ", one-hot labels", f"the classes, `y.{'idxmax' if _is_frame(y) else 'argmax'}(axis=1)`"
        raise ValueError(
            f"The target of a table must be one column. Received: y of shape {np.shape(y)}{kind}. Pass {way_out}."
        )
    name = _target_name(frame, y)
    if name in frame:
        raise ValueError(f"The target must not be an input, too. Received: {name!r} in x and y. Drop it from x.")
    return frame.assign(**{name: np.asarray(y)})


def _is_one_hot(y: Any) -> bool:
    """Return whether each row of y has a single 1, and else 0."""
    array = np.asarray(y)
    is_flag = array.ndim == 2 and array.dtype.kind in "biuf" and np.isin(array, (0, 1)).all()
    return bool(is_flag and (array.sum(axis=1) == 1).all())


def _target_name(x: Any, y: Any) -> str:
    name = y.columns[0] if _is_frame(y) else getattr(y, "name", None)
    return TARGET if name is None else str(name)


def _as_arrays(splits: dict[str, tuple[Any, Any]]) -> dict[str, np.ndarray]:
    """Return images and targets under the keys of a `.npz`; classes of text become numbers and names."""
    arrays = {f"x_{split}": np.asarray(x) for split, (x, _) in splits.items()}
    targets = {f"y_{split}": np.asarray(y) for split, (_, y) in splits.items() if y is not None}
    if targets and all(array.dtype.kind in "OU" for array in targets.values()):
        texts = {name: array.astype(str) for name, array in targets.items()}
        classes = np.unique(np.concatenate(list(texts.values())))
        targets = {name: np.searchsorted(classes, array) for name, array in texts.items()} | {"classes": classes}
    return arrays | targets


def template_on(template: Template | str | Path, data: Any = None) -> tuple[Template, str]:
    """Return a template whose dataset is this data, and a name for its run.

    Args:
        template: A template, its name, or the path of its file.
        data: The name or path of a dataset, or arrays as in `in_memory`; None keeps the template's.
    """
    if not isinstance(template, Template):
        path = Path(template)
        loaded = load_template(template)
        name = path.stem if path.suffix == ".toml" else path.name
    else:
        loaded = template
        name = re.sub(r"\W+", "_", f"{template.model.name}_{Path(template.dataset.name).stem}")
    if data is None:
        return loaded, name
    if isinstance(data, (str, Path)):
        dataset = loaded.dataset.model_copy(update={"name": str(data)})
    else:
        dataset = with_target(loaded.dataset.model_copy(update={"name": ARRAYS}), data)
    return loaded.model_copy(update={"dataset": dataset}), name


def arrays_of(data: Any) -> Any:
    """Return data if it is arrays, and None for the name or path of a dataset."""
    return None if isinstance(data, (str, Path)) else data
