"""The user's own images: a folder of class folders, or of images with a `labels.csv`.

`train/`, `validation/` (or `val/`, `valid/`) and `test/` may stand above them. Where nothing is said of an image, all
may lie in one folder.
"""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np

from dltemplates.datasets.features import class_value, labels_value, number_value
from dltemplates.datasets.images.files import Examples, file_dataset, scan_files
from dltemplates.datasets.images.labels_csv import LABELS, read_labels
from dltemplates.datasets.source import Dataset
from dltemplates.features import Feature
from dltemplates.settings import DatasetSettings

SPLIT_NAMES = {"train": "train", "validation": "validation", "val": "validation", "valid": "validation", "test": "test"}
SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".gif")
LAYOUT = "Put each class's images in a folder of its own: {path}/cats/1.jpg, {path}/dogs/1.jpg."


def folder(root: Path, settings: DatasetSettings) -> Dataset:
    """Load a folder of images.

    Args:
        root: It.
        settings: The size and channels.

    Raises:
        ValueError: If it is empty, or its splits or labels do not fit together; says the way out.
    """
    folders, skipped = split_folders(root)
    if (folders["train"] / LABELS).is_file():
        given, names, left_out = read_labels(root, folders)
        target: Feature = number_value(given["train"].targets.shape[1]) if names is None else labels_value(names)
    else:
        classes = _class_names(folders)
        given, left_out = _read_classes(root, folders, classes)
        target = class_value(classes if classes != ("",) else (root.name,))
    return file_dataset(root, given, target=target, skipped={**skipped, **left_out}, settings=settings)


def split_folders(root: Path) -> tuple[dict[str, Path], dict[str, str]]:
    """The folder of each split, `{"train": root}` if there are none, and what lies beside them.

    Raises:
        ValueError: If a split is given twice, or there are others but no `train/`.
    """
    # A class may be called "train": a split's folder is one that holds class folders or a table of labels. Of images
    # in one folder it is one beside another split's, or alone.
    children = _folders(root)
    named = [path for path in children if path.name in SPLIT_NAMES]
    of_splits = [path for path in named if _folders(path) or (path / LABELS).exists()]
    if not of_splits and "train" in {path.name for path in named} and (len(named) > 1 or len(children) == 1):
        of_splits = named
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


def _class_names(folders: dict[str, Path]) -> tuple[str, ...]:
    """The names of the class folders of all splits; `""` alone where images lie in none."""
    classes = tuple(sorted({path.name for split in folders.values() for path in _folders(split)}))
    train = folders["train"]
    if not classes and not _images_in(train):
        is_empty = not any(train.iterdir())
        raise ValueError(
            f"A folder of images must have class folders. Received: {train}, "
            f"{'which is empty' if is_empty else 'without any'}. {LAYOUT.format(path=train)}"
        )
    return classes or ("",)


def _read_classes(
    root: Path, folders: dict[str, Path], classes: tuple[str, ...]
) -> tuple[dict[str, Examples], dict[str, str]]:
    """The images of each split below class folders, and what was left out.

    Raises:
        ValueError: If a split holds none.
    """
    given, left_out = {}, {}
    for split, path in folders.items():
        listed = [(name, index) for index, label in enumerate(classes) for name in _files(path / label, root)]
        targets = np.array([index for _, index in listed], np.int64)
        given[split], skipped = scan_files(root, [name for name, _ in listed], targets)
        loose = {_name(file, root): "lies in no class folder" for file in _images_in(path)} if classes != ("",) else {}
        left_out.update(skipped | loose)
        if not given[split].names:
            _raise_nothing_left(path, skipped)
    return given, left_out


def _raise_nothing_left(path: Path, skipped: dict[str, str]) -> None:
    reasons = [f"{name}: {reason}" for name, reason in skipped.items()]
    received = f"{len(reasons)} other files ({reasons[0]})" if reasons else "empty folders"
    raise ValueError(f"A split must hold at least one image. Received: {path}, {received}. Add images, or remove it.")


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
