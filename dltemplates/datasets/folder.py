"""The user's own images: a folder of class folders, or of images with a `labels.csv`.

`train/`, `validation/` (or `val/`, `valid/`) and `test/` may stand above them; a split that is missing is set apart
from the training images, the same ones each time. Where nothing is to be said of an image, all may lie in one folder.
"""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np

from dltemplates.datasets.files import Examples, file_dataset, scan_files
from dltemplates.datasets.labels_csv import LABELS, read_labels
from dltemplates.datasets.source import Dataset
from dltemplates.datasets.splits import grouped, three_ways
from dltemplates.datasets.values import class_value, labels_value, no_label, number_value
from dltemplates.settings import DatasetSettings

SPLIT_NAMES = {"train": "train", "validation": "validation", "val": "validation", "valid": "validation", "test": "test"}
SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".gif")
LAYOUT = "Put each class's images in a folder of its own: {path}/cats/1.jpg, {path}/dogs/1.jpg."


def folder(root: Path, settings: DatasetSettings, *, labelled: bool = True, told_apart: str | None = None) -> Dataset:
    """Load a folder of images.

    Args:
        root: It.
        settings: The size and channels, the shares of splits that are not given.
        labelled: Whether each image must be of a class, or have labels.
        told_apart: As in `load_dataset`.

    Raises:
        ValueError: If it is empty, has one class, or its splits or labels do not fit together; says the way out.
    """
    folders, skipped = split_folders(root, labelled=labelled)
    if (folders["train"] / LABELS).is_file():
        given, names, left_out = read_labels(root, folders)
        splits = _divide(given, np.zeros(len(given["train"].names), np.int64), settings)
        target = number_value(splits["train"].targets) if names is None else labels_value(names)
    else:
        is_each_learned = labelled and told_apart is None
        classes = _class_names(folders, labelled=labelled, alike=is_each_learned)
        given, left_out = _read_classes(root, folders, classes, every=is_each_learned)
        target = class_value(classes) if len(classes) > 1 else no_label(classes[0] or root.name)
        splits = _divide(given, grouped(given["train"].targets, classes, told_apart), settings)
        if is_each_learned:
            _check_classes(splits, classes)
    return file_dataset(root, splits, target=target, skipped={**skipped, **left_out}, settings=settings)


def split_folders(root: Path, *, labelled: bool = True) -> tuple[dict[str, Path], dict[str, str]]:
    """The folder of each split, `{"train": root}` if there are none, and what lies beside them.

    Raises:
        ValueError: If a split is given twice, or there are others but no `train/`.
    """
    # A class may be called "train": a split's folder is one that holds class folders (or a table of labels).
    children = _folders(root)
    named = [path for path in children if path.name in SPLIT_NAMES]
    of_splits = [path for path in named if not labelled or _folders(path) or (path / LABELS).exists()]
    if not of_splits:
        return {"train": root}, {}
    folders: dict[str, Path] = {}
    for path in of_splits:
        split = SPLIT_NAMES[path.name]
        if split in folders:
            raise ValueError(
                f"A split must have one folder. Received: {folders[split]} and {path}. Merge them, or remove one."
            )
        folders[split] = path
    if "train" not in folders:
        names = ", ".join(f"{path.name}/" for path in of_splits)
        raise ValueError(f"A folder with splits needs `train/`. Received: {root} with {names} only. Add {root}/train.")
    order = [name for name in ("train", "validation", "test") if name in folders]
    beside = {f"{path.name}/": "lies beside the splits" for path in children if path not in of_splits}
    return {name: folders[name] for name in order}, beside


def _class_names(folders: dict[str, Path], *, labelled: bool, alike: bool) -> tuple[str, ...]:
    """The names of the class folders, to be the same in each split if `alike`; `""` alone where there are none."""
    names = {split: [path.name for path in _folders(path)] for split, path in folders.items()}
    classes = tuple(names["train"]) if alike else tuple(sorted({name for each in names.values() for name in each}))
    train = folders["train"]
    if not classes and (labelled or not _images_in(train)):
        is_empty = not any(train.iterdir())
        raise ValueError(
            f"A folder of images must have class folders. Received: {train}, "
            f"{'which is empty' if is_empty else 'without any'}. {LAYOUT.format(path=train)}"
        )
    if len(classes) == 1 and labelled:
        only = train / classes[0]
        way_out = f"Did you mean {only}?" if _folders(only) else LAYOUT.format(path=train)
        raise ValueError(
            f"Classification needs at least two classes. Received: one, {classes[0]!r}, in {train}. {way_out}"
        )
    for split, others in names.items() if alike else ():
        _check_same(train, classes, folders[split], others)
    return classes or ("",)


def _read_classes(
    root: Path, folders: dict[str, Path], classes: tuple[str, ...], *, every: bool
) -> tuple[dict[str, Examples], dict[str, str]]:
    """The images of each split below class folders, in `every` one of which there must be some; what was left out."""
    given, left_out = {}, {}
    for split, path in folders.items():
        listed = [(name, index) for index, label in enumerate(classes) for name in _files(path / label, root)]
        targets = np.array([index for _, index in listed], np.int64)
        given[split], skipped = scan_files(root, [name for name, _ in listed], targets)
        loose = {_name(file, root): "lies in no class folder" for file in _images_in(path)} if classes != ("",) else {}
        left_out.update(skipped | loose)
        counts = np.bincount(given[split].targets, minlength=len(classes))
        for label, count in zip(classes, counts, strict=True):
            if not count and (every or not counts.any()):
                _raise_nothing_left(path / label, root, skipped)
    return given, left_out


def _divide(given: dict[str, Examples], groups: np.ndarray, settings: DatasetSettings) -> dict[str, Examples]:
    """Set apart the splits that were not given."""
    train = given["train"]
    parts = three_ways(
        groups,
        train.names,
        validation=0 if "validation" in given else settings.validation,
        test=0 if "test" in given else settings.test,
        seed=settings.split_seed,
    )
    splits = given | {name: train.take(indices) for name, indices in parts.items()}
    return {name: splits[name] for name in ("train", "validation", "test") if name in splits}


def _check_classes(splits: dict[str, Examples], classes: tuple[str, ...]) -> None:
    """Every class must have an image in every split."""
    for split, examples in splits.items():
        counts = np.bincount(examples.targets, minlength=len(classes))
        if not counts.all():
            label = int(np.argmin(counts))
            total = sum(int((part.targets == label).sum()) for part in splits.values())
            raise ValueError(
                f"Each class needs an image in each of the {len(splits)} splits. Received: {total} of "
                f"{classes[label]!r}, none of them in {split}. Add images of it."
            )


def _check_same(train: Path, classes: tuple[str, ...], path: Path, names: list[str]) -> None:
    missing, unknown = sorted(set(classes) - set(names)), sorted(set(names) - set(classes))
    if missing or unknown:
        where, name = (path, missing[0]) if missing else (train, unknown[0])
        raise ValueError(
            f"Each split must have the same class folders. Received: {name!r} is in "
            f"{train if missing else path} but not in {where}. Add {where / name}, or remove the other."
        )


def _raise_nothing_left(path: Path, root: Path, skipped: dict[str, str]) -> None:
    below = [f"{name}: {reason}" for name, reason in skipped.items() if (root / name).is_relative_to(path)]
    received = f"{len(below)} other files ({below[0]})" if below else "an empty folder"
    raise ValueError(
        f"A class folder must hold at least one image. Received: {path}, {received}. Add images, or remove the folder."
    )


def _folders(path: Path) -> list[Path]:
    visible = (child for child in path.iterdir() if not child.name.startswith("."))
    return sorted(child for child in visible if child.is_dir())


def _files(path: Path, root: Path) -> list[str]:
    """All files below `path`, hidden ones left out, as names below `root`."""
    names = []
    for where, inner, files in os.walk(path):
        inner[:] = sorted(name for name in inner if not name.startswith("."))
        names += [_name(Path(where, name), root) for name in sorted(files) if not name.startswith(".")]
    return names


def _images_in(path: Path) -> list[Path]:
    return sorted(file for file in path.iterdir() if file.suffix.lower() in SUFFIXES and not file.name.startswith("."))


def _name(path: Path, root: Path) -> str:
    return path.relative_to(root).as_posix()
