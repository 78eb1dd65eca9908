"""The user's own images: a folder of class folders, or of images with a `labels.csv`.

Each split may have its own folder above them: `train/`, `validation/` (or `val/`, `valid/`) and `test/`. Images
without labels may share one folder.
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
        root: The folder.
        settings: The size and channels.

    Raises:
        ValueError: If it is empty, or its splits or labels do not match; the message says how to fix it.
    """
    folders, skipped = split_folders(root)
    if (folders["train"] / LABELS).is_file():
        examples, names, left_out = read_labels(root, folders)
        target: Feature = number_value(examples["train"].targets.shape[1]) if names is None else labels_value(names)
    else:
        classes = _class_names(folders)
        examples, left_out = _read_classes(root, folders, classes)
        target = class_value(classes if classes != ("",) else (root.name,))
    return file_dataset(root, examples, target=target, skipped={**skipped, **left_out}, settings=settings)


def split_folders(root: Path) -> tuple[dict[str, Path], dict[str, str]]:
    """Return the folder of each split, `{"train": root}` if there are none, and the other folders beside them.

    Raises:
        ValueError: If a split has two folders, or `train/` is missing.
    """
    # A class may be called "train". So a split's folder has class folders or a table of labels. If its images have no
    # class folders, it lies beside another split's folder, or alone.
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
    beside = {f"{path.name}/": "is beside the splits" for path in children if path not in of_splits}
    return {name: folders[name] for name in order}, beside


def _class_names(folders: dict[str, Path]) -> tuple[str, ...]:
    """Return the class folders' names in all splits; `""` alone for images without class folders."""
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
    """Return the images of each split in its class folders, and the skipped files.

    Raises:
        ValueError: If a split has no images.
    """
    examples, left_out = {}, {}
    for split, path in folders.items():
        listed = [(name, index) for index, label in enumerate(classes) for name in _files(path / label, root)]
        targets = np.array([index for _, index in listed], np.int64)
        examples[split], skipped = scan_files(root, [name for name, _ in listed], targets)
        loose = {_name(file, root): "is in no class folder" for file in _images_in(path)} if classes != ("",) else {}
        left_out.update(skipped | loose)
        if not examples[split].names:
            _raise_nothing_left(path, skipped)
    return examples, left_out


def _raise_nothing_left(path: Path, skipped: dict[str, str]) -> None:
    reasons = [f"{name}: {reason}" for name, reason in skipped.items()]
    received = f"{len(reasons)} other files ({reasons[0]})" if reasons else "empty folders"
    raise ValueError(f"A split must have at least one image. Received: {path}, {received}. Add images, or remove it.")


def _folders(path: Path) -> list[Path]:
    visible = (child for child in path.iterdir() if not child.name.startswith("."))
    return sorted(child for child in visible if child.is_dir())


def _files(path: Path, root: Path) -> list[str]:
    """List the files below `path`, except hidden ones, as names below `root`."""
    names = []
    for where, inner, files in os.walk(path):
        inner[:] = sorted(name for name in inner if not name.startswith("."))
        names += [_name(Path(where, name), root) for name in sorted(files) if not name.startswith(".")]
    return names


def _images_in(path: Path) -> list[Path]:
    return sorted(file for file in path.iterdir() if file.suffix.lower() in SUFFIXES and not file.name.startswith("."))


def _name(path: Path, root: Path) -> str:
    return path.relative_to(root).as_posix()
