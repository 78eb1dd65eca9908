"""The user's own images as arrays in a `.npz` file.

Keys: `x_train`, `y_train`, and optionally `x_validation`, `y_validation`, `x_test`, `y_test`; or `x` and `y`, to be
split; optionally `classes`, the class names. `x` is (n, height, width) or (n, height, width, 1 or 3), 0..255. The dtype
and shape of `y` set the kind of target: (n,) integers are class ids, (n, k) 0/1 integers or booleans are labels, floats
are numbers.
"""

from __future__ import annotations

import pickle
import zipfile
import zlib
from dataclasses import replace
from pathlib import Path

import numpy as np

from dltemplates.datasets.features import class_value, labels_value, number_value
from dltemplates.datasets.images.arrays import array_dataset
from dltemplates.datasets.names import changes, clean, look_alikes
from dltemplates.datasets.source import SPLITS, Dataset
from dltemplates.datasets.spec import IOSpec, rules_of
from dltemplates.datasets.splitting.split_names import split_of
from dltemplates.features import Feature
from dltemplates.settings import DatasetSettings

AS_NUMBERS = "to predict numbers, pass floats, `y.astype(float)`, with the task regression"
KEYS = "`x_train`, `y_train` (also with `_validation` and `_test`), or `x` and `y`; and `classes`"


def npz(path: Path, settings: DatasetSettings, *, reference: IOSpec | None = None) -> Dataset:
    """Load a `.npz` of images.

    Args:
        path: The file.
        settings: The size and channels.
        reference: Spec or contract of a trained network, whose reading rules are followed.

    Raises:
        ValueError: If its keys, shapes or dtypes break a rule; names it.
    """
    return array_images(read_npz(path), settings, source=path, reference=reference)


def array_images(
    arrays: dict[str, np.ndarray], settings: DatasetSettings, *, source: Path | str, reference: IOSpec | None = None
) -> Dataset:
    """Build a dataset from the arrays of a `.npz` of images.

    Args:
        arrays: The arrays by key.
        settings: As in `npz`.
        source: Where the arrays are from, for messages; its stem names a single class.
        reference: As in `npz`.

    Raises:
        ValueError: As in `npz`.
    """
    path = Path(source)
    arrays = standard_keys(path, arrays)
    names = arrays.pop("classes", None)
    written = [str(name) for name in names.ravel()] if names is not None and names.dtype.kind == "U" else []
    is_clean = rules_of(reference) >= 3
    if is_clean and written and names is not None:
        names = np.array([clean(name) for name in written]).reshape(names.shape)
    splits = {}
    for split in SPLITS:
        if f"x_{split}" in arrays:
            images, targets = arrays[f"x_{split}"], arrays[f"y_{split}"]
            splits[split] = (_check_images(f"x_{split}", images), _check_targets(f"y_{split}", targets, len(images)))
    _check_alike(splits)
    target = _target({split: targets for split, (_, targets) in splits.items()}, names, path)
    dataset = array_dataset(settings, splits, target)
    forms = {clean(name): [name] for name in written} if is_clean else {}
    warnings = (*changes("classes", forms), *look_alikes("classes", forms))
    return replace(dataset, spec=dataset.spec.model_copy(update={"warnings": warnings}))


def read_npz(path: Path) -> dict[str, np.ndarray]:
    """Read the arrays of a `.npz` file; objects are never unpickled.

    Raises:
        ValueError: If it is broken, or holds objects.
    """
    try:
        loaded = np.load(path, allow_pickle=False)  # a pickle can run any code
        if isinstance(loaded, np.ndarray):
            raise ValueError("one array without a key")
        with loaded:
            return {key: loaded[key] for key in loaded.files}
    except (ValueError, OSError, EOFError, zipfile.BadZipFile, zlib.error, pickle.UnpicklingError) as error:
        reason = "it holds Python objects, which are never unpickled" if "allow_pickle" in str(error) else str(error)
        raise ValueError(
            f"A .npz must hold arrays of numbers or text. Received: {path} ({' '.join(reason.split())}). "
            "Convert object arrays to numbers, and write it with `numpy.savez_compressed`."
        ) from error


def standard_keys(path: Path, arrays: dict[str, np.ndarray], *, data: str = "images") -> dict[str, np.ndarray]:
    """Rename every key to its standard form, such as `x_validation`; without any `y`, add one class for all.

    Raises:
        ValueError: If a key is unknown, stands for the same array as another, or lacks its `x` or `y`.
    """
    renamed = {}
    for key, array in arrays.items():
        letter, _, split = key.partition("_")
        letter = letter.lower()
        split = (split_of(split) or split) if "_" in key else "train"
        name = key if key == "classes" else f"{letter}_{split}"
        if key != "classes" and (letter not in ("x", "y") or split not in SPLITS):
            raise ValueError(f"A .npz of {data} has the keys {KEYS}. Received: {key!r} in {path}. Rename or remove it.")
        if name in renamed:
            raise ValueError(f"A .npz must hold {name!r} once. Received: {key!r} and an alias in {path}. Remove one.")
        renamed[name] = array
    if not any(key.startswith("y_") for key in renamed):
        lengths = {key[2:]: len(np.atleast_1d(images)) for key, images in renamed.items() if key.startswith("x_")}
        renamed |= {f"y_{split}": np.zeros(length, np.int64) for split, length in lengths.items()}
    for split in SPLITS:
        if (f"x_{split}" in renamed) != (f"y_{split}" in renamed) or "x_train" not in renamed:
            raise ValueError(
                f"A .npz of {data} has the keys {KEYS}. Received: {', '.join(arrays)} in {path}. Add both."
            )
    return renamed


def _check_images(key: str, images: np.ndarray) -> np.ndarray:
    """Check images, and return them as uint8 (n, height, width, channels)."""
    if images.ndim == 3:
        images = images[..., None]
    if images.ndim != 4 or images.shape[-1] not in (1, 3) or 0 in images.shape:
        way_out = "Move the channels last."
        if images.ndim == 4 and images.shape[-1] == 4:
            way_out = "Blend them over white, or drop the transparency: x[..., :3]."
        raise ValueError(
            f"`{key}` must be (n, height, width) or (n, height, width, 1 or 3). Received: shape {images.shape}. "
            f"{way_out}"
        )
    if images.dtype == np.uint8:
        return images
    is_integer = np.issubdtype(images.dtype, np.integer)
    if not is_integer or images.min() < 0 or images.max() > 255:
        has_range = np.issubdtype(images.dtype, np.number) and not np.issubdtype(images.dtype, np.complexfloating)
        value_range = f" from {images.min():g} to {images.max():g}" if has_range else ""
        raise ValueError(
            f"`{key}` must hold integers from 0 to 255. Received: {images.dtype}{value_range}. "
            "Convert it first: floats from 0 to 1 by `np.round(255 * x).astype(np.uint8)`."
        )
    return images.astype(np.uint8)


def _check_targets(key: str, targets: np.ndarray, length: int) -> np.ndarray:
    """Check targets, and return them as (n,) or (n, k)."""
    is_number = targets.dtype == bool or np.issubdtype(targets.dtype, np.integer) or targets.dtype.kind == "f"
    if not is_number or targets.ndim not in (1, 2) or len(targets) != length or 0 in targets.shape:
        raise ValueError(
            f"`{key}` must be ({length},) or ({length}, k) numbers, one for each image. "
            f"Received: {targets.dtype} of shape {targets.shape}. Correct it."
        )
    if targets.dtype.kind == "f" and targets.ndim == 1:
        return targets[:, None]  # (n, 1)
    if targets.dtype.kind in "iu" and targets.ndim == 2 and targets.shape[1] == 1:
        return targets[:, 0]  # class ids in a column, as in Keras's datasets
    return targets


def _check_alike(splits: dict[str, tuple[np.ndarray, np.ndarray]]) -> None:
    images, targets = splits["train"]
    for split, (others, other_targets) in splits.items():
        if others.shape[1:] != images.shape[1:] or other_targets.shape[1:] != targets.shape[1:]:
            raise ValueError(
                "All splits must have the same shape. Received: "
                f"train {images.shape[1:]} -> {targets.shape[1:]}, {split} {others.shape[1:]} -> "
                f"{other_targets.shape[1:]}. Reshape one of them."
            )


def _target(targets: dict[str, np.ndarray], names: np.ndarray | None, path: Path) -> Feature:
    """Return the target in `y`: numbers, classes or labels."""
    train = targets["train"]
    if train.dtype.kind == "f":
        return number_value(train.shape[1])
    values = np.unique(np.concatenate([array.ravel() for array in targets.values()]))
    if train.ndim == 1:
        return class_value(_classes(values, names, sum(map(len, targets.values())), path))
    if not np.isin(values, (0, 1)).all():
        raise ValueError(
            f"Integer `y` of shape (n, k) must be 0 or 1, a flag for each label. Received: {values.min()} to "
            f"{values.max()}. Give class ids as (n,), numbers as floats."
        )
    return labels_value(names_of(names, train.shape[1]))


def _classes(ids: np.ndarray, names: np.ndarray | None, examples: int, path: Path) -> tuple[str, ...]:
    """Return the class names; the file's name if 0 is the only id."""
    count = int(ids.max()) + 1 if names is None else len(names)
    if ids.min() < 0 or ids.max() >= count:
        raise ValueError(
            f"Class ids must be from 0 to {count - 1}, one for each of `classes`. Received: {ids.min()} to "
            f"{ids.max()}. Correct `y` or `classes`; {AS_NUMBERS}."
        )
    if names is None and count > examples:
        raise ValueError(
            f"Class ids must count the classes: 0, 1, 2, ... Received: {ids.max()} among {examples} examples. "
            f"Number them without gaps; {AS_NUMBERS}."
        )
    return (path.stem,) if names is None and count == 1 else names_of(names, count)


def names_of(names: np.ndarray | None, count: int) -> tuple[str, ...]:
    """Return the names in `classes`; without it, the ids as text."""
    if names is None:
        return tuple(str(index) for index in range(count))
    if names.shape != (count,) or names.dtype.kind not in "US":
        raise ValueError(
            f"`classes` must be {count} names. Received: {names.dtype} of shape {names.shape}. "
            "Save it as an array of text."
        )
    return tuple(str(name) for name in names.astype(str))
