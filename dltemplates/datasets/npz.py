"""The user's own images as arrays in a `.npz` file.

Keys: `x_train`, `y_train`, and where there are such splits `x_validation`, `y_validation`, `x_test`, `y_test`; or `x`
and `y` to be split; and `classes`, the class names, if wanted. `x` is (n, height, width) or (n, height, width, 1 or 3),
0..255. `y` says what it is by its dtype and shape: (n,) integers are class ids, (n, k) 0/1 integers or booleans are
labels, floats are numbers.
"""

from __future__ import annotations

import pickle
import zipfile
import zlib
from pathlib import Path

import numpy as np

from dltemplates.datasets.arrays import array_dataset
from dltemplates.datasets.source import SPLITS, Dataset
from dltemplates.datasets.spec import Value
from dltemplates.datasets.splits import divide
from dltemplates.datasets.values import class_value, labels_value, no_label, number_value
from dltemplates.settings import DatasetSettings

ALIASES = {"val": "validation", "valid": "validation"}
KEYS = "`x_train`, `y_train` (also with `_validation` and `_test`), or `x` and `y`; and `classes`"


def npz(path: Path, settings: DatasetSettings, *, labelled: bool = True, told_apart: str | None = None) -> Dataset:
    """Load a `.npz` of images.

    Args:
        path: It.
        settings: The size and channels, the shares of splits that are not given.
        labelled: Whether there must be a `y`.
        told_apart: As in `load_dataset`.

    Raises:
        ValueError: If its keys, shapes or dtypes break a rule; says which.
    """
    arrays = _rename(path, _read(path), labelled=labelled)
    names = arrays.pop("classes", None)
    given = {}
    for split in SPLITS:
        if f"x_{split}" in arrays:
            images, targets = arrays[f"x_{split}"], arrays[f"y_{split}"]
            given[split] = (_check_images(f"x_{split}", images), _check_targets(f"y_{split}", targets, len(images)))
    _check_alike(given)
    kind = _kind(given["train"][1])
    is_each_learned = labelled and told_apart is None
    classes = _classes(given, names, every=is_each_learned) if kind == "class" else None
    splits = _divide(given, classes, settings, to_learn=labelled, told_apart=told_apart)
    if classes and not labelled and len(classes) == 1:
        return array_dataset(settings, splits, no_label(path.stem))
    return array_dataset(settings, splits, class_value(classes) if classes else _target(kind, splits, names))


def _read(path: Path) -> dict[str, np.ndarray]:
    try:
        loaded = np.load(path, allow_pickle=False)  # a pickle can run any code
        if isinstance(loaded, np.ndarray):
            raise ValueError("one array without a key")
        with loaded:
            return {key: loaded[key] for key in loaded.files}
    except (ValueError, OSError, EOFError, zipfile.BadZipFile, zlib.error, pickle.UnpicklingError) as error:
        found = "it holds Python objects, which are never unpickled" if "allow_pickle" in str(error) else str(error)
        raise ValueError(
            f"A .npz must hold arrays of numbers or text. Received: {path} ({' '.join(found.split())}). "
            "Write it with `numpy.savez_compressed`, object arrays converted to numbers."
        ) from error


def _rename(path: Path, arrays: dict[str, np.ndarray], *, labelled: bool) -> dict[str, np.ndarray]:
    """The arrays with every key in its one form, such as `x_validation`; with one class for all where none is told."""
    renamed = {}
    for key, array in arrays.items():
        letter, _, split = key.partition("_")
        split = ALIASES.get(split, split) if key not in ("x", "y") else "train"
        name = key if key == "classes" else f"{letter}_{split}"
        if key != "classes" and (letter not in ("x", "y") or split not in SPLITS):
            raise ValueError(f"A .npz of images has the keys {KEYS}. Received: {key!r} in {path}. Rename or remove it.")
        if name in renamed:
            raise ValueError(f"A .npz must hold {name!r} once. Received: it and {key!r} in {path}. Remove one.")
        renamed[name] = array
    if not labelled and not any(key.startswith("y_") for key in renamed):
        lengths = {key[2:]: len(np.atleast_1d(images)) for key, images in renamed.items() if key.startswith("x_")}
        renamed |= {f"y_{split}": np.zeros(length, np.int64) for split, length in lengths.items()}
    for split in SPLITS:
        if (f"x_{split}" in renamed) != (f"y_{split}" in renamed) or "x_train" not in renamed:
            raise ValueError(
                f"A .npz of images has the keys {KEYS}. Received: {', '.join(arrays)} in {path}. Add both."
            )
    return renamed


def _check_images(key: str, images: np.ndarray) -> np.ndarray:
    """The images as uint8 (n, height, width, channels)."""
    if images.ndim == 3:
        images = images[..., None]
    if images.ndim != 4 or images.shape[-1] not in (1, 3) or 0 in images.shape:
        way_out = "Move the channels last."
        if images.ndim == 4 and images.shape[-1] == 4:
            way_out = "Lay them over white, or leave transparency out: x[..., :3]."
        raise ValueError(
            f"`{key}` must be (n, height, width) or (n, height, width, 1 or 3). Received: shape {images.shape}. "
            f"{way_out}"
        )
    if images.dtype == np.uint8:
        return images
    is_integer = np.issubdtype(images.dtype, np.integer)
    if not is_integer or images.min() < 0 or images.max() > 255:
        has_range = np.issubdtype(images.dtype, np.number) and not np.issubdtype(images.dtype, np.complexfloating)
        found = f" from {images.min():g} to {images.max():g}" if has_range else ""
        raise ValueError(
            f"`{key}` must hold integers from 0 to 255. Received: {images.dtype}{found}. "
            "Convert it first: floats from 0 to 1 by `np.round(255 * x).astype(np.uint8)`."
        )
    return images.astype(np.uint8)


def _check_targets(key: str, targets: np.ndarray, length: int) -> np.ndarray:
    """The targets as (n,) or (n, k)."""
    is_number = targets.dtype == bool or np.issubdtype(targets.dtype, np.integer) or targets.dtype.kind == "f"
    if not is_number or targets.ndim not in (1, 2) or len(targets) != length or 0 in targets.shape:
        raise ValueError(
            f"`{key}` must be ({length},) or ({length}, k) numbers, one for each image. "
            f"Received: {targets.dtype} of shape {targets.shape}. Correct it."
        )
    if targets.dtype.kind == "f" and targets.ndim == 1:
        return targets[:, None]  # (n, 1)
    if targets.dtype.kind in "iu" and targets.ndim == 2 and targets.shape[1] == 1:
        return targets[:, 0]  # class ids in a column, as Keras's datasets have them
    return targets


def _check_alike(given: dict[str, tuple[np.ndarray, np.ndarray]]) -> None:
    images, targets = given["train"]
    for split, (others, other_targets) in given.items():
        if others.shape[1:] != images.shape[1:] or other_targets.shape[1:] != targets.shape[1:]:
            raise ValueError(
                "All splits must have one shape. Received: "
                f"train {images.shape[1:]} -> {targets.shape[1:]}, {split} {others.shape[1:]} -> "
                f"{other_targets.shape[1:]}. Bring them to one."
            )


def _kind(targets: np.ndarray) -> str:
    if targets.dtype.kind == "f":
        return "number"
    return "class" if targets.ndim == 1 else "labels"


def _divide(
    given: dict[str, tuple[np.ndarray, np.ndarray]],
    classes: tuple[str, ...] | None,
    settings: DatasetSettings,
    *,
    to_learn: bool,
    told_apart: str | None,
) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Set apart the splits that were not given."""
    images, targets = given["train"]
    shares = dict.fromkeys(given.keys() - {"train"}, 0.0)
    unsplit = settings.model_copy(update=shares)
    parts = divide(targets, unsplit, classes=classes, to_learn=to_learn, told_apart=told_apart)
    splits = given | {name: (images[indices], targets[indices]) for name, indices in parts.items()}
    return {name: splits[name] for name in SPLITS if name in splits}


def _target(kind: str, splits: dict[str, tuple[np.ndarray, np.ndarray]], names: np.ndarray | None) -> Value:
    targets = {split: array for split, (_, array) in splits.items()}
    if kind == "number":
        return number_value(targets["train"])
    values = np.unique(np.concatenate([array.ravel() for array in targets.values()]))
    if not np.isin(values, (0, 1)).all():
        raise ValueError(
            f"Integer `y` of shape (n, k) must be 0 or 1, a flag for each label. Received: {values.min()} to "
            f"{values.max()}. Give class ids as (n,), numbers as floats."
        )
    return labels_value(_names(names, targets["train"].shape[1]))


def _classes(
    given: dict[str, tuple[np.ndarray, np.ndarray]], names: np.ndarray | None, *, every: bool
) -> tuple[str, ...]:
    """The names of the classes, of `every` one of which there must be an example to train on."""
    ids = np.unique(np.concatenate([targets for _, targets in given.values()]))
    count = int(ids.max()) + 1 if names is None else len(names)
    if ids.min() < 0 or ids.max() >= count:
        raise ValueError(
            f"Class ids must be from 0 to {count - 1}, one for each of `classes`. Received: {ids.min()} to "
            f"{ids.max()}. Correct `y` or `classes`."
        )
    present = np.unique(given["train"][1])
    if every and len(present) < count:
        gaps = np.flatnonzero(present != np.arange(len(present)))
        raise ValueError(
            f"Each class needs an example in train. Received: none of class {gaps[0] if len(gaps) else len(present)}. "
            "Number the classes 0, 1, 2, ... without gaps; numbers to predict must be floats."
        )
    return _names(names, count)


def _names(names: np.ndarray | None, count: int) -> tuple[str, ...]:
    if names is None:
        return tuple(str(index) for index in range(count))
    if names.shape != (count,) or names.dtype.kind not in "US":
        raise ValueError(
            f"`classes` must be {count} names. Received: {names.dtype} of shape {names.shape}. "
            "Save it as an array of text."
        )
    return tuple(str(name) for name in names.astype(str))
