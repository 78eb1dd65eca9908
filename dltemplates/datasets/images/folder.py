"""The user's own images: a folder of class folders, or of images with a `labels.csv`.

Each split may have its own folder above them: `train/`, `validation/` and `test/`, or other names that
`split_names.py` knows, such as `Training/` and `dev/`. Images without labels may share one folder.
"""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np

from dltemplates.datasets.features import class_value, labels_value, number_value
from dltemplates.datasets.images.files import Examples, file_dataset, scan_files
from dltemplates.datasets.images.labels_csv import LABELS, read_labels
from dltemplates.datasets.images.layout import check_layout, images_in, is_hidden, split_folders, subfolders
from dltemplates.datasets.names import changes, clean, in_order, look_alikes
from dltemplates.datasets.source import Dataset
from dltemplates.datasets.spec import IOSpec, rules_of
from dltemplates.features import Feature, classes_of
from dltemplates.features.pixels import UNREADABLE
from dltemplates.settings import DatasetSettings

LAYOUT = "Put each class's images in a folder of its own: {path}/cats/1.jpg, {path}/dogs/1.jpg."


def folder(root: Path, settings: DatasetSettings, *, reference: IOSpec | None = None) -> Dataset:
    """Load a folder of images.

    Args:
        root: The folder.
        settings: The size and channels.
        reference: Spec or contract of a trained network, whose reading rules are followed.

    Raises:
        ValueError: If it is empty, or its splits or labels do not match; the message says how to fix it.
    """
    rules = rules_of(reference)
    folders, skipped = split_folders(root, rules=rules, merge=settings.of_images().subfolders == "merge")
    if rules >= 3 and settings.of_images().subfolders == "ask":
        check_layout(
            root, folders, {name for value in reference.targets for name in classes_of(value)} if reference else set()
        )
    if (folders["train"] / LABELS).is_file():
        examples, names, left_out, warnings = read_labels(root, folders, rules=rules)
        target: Feature = number_value(examples["train"].targets.shape[1]) if names is None else labels_value(names)
    else:
        classes = _class_folders(folders, rules)
        examples, left_out = _read_classes(root, folders, classes, rules)
        target = class_value(tuple(classes) if classes else (clean(root.name),))
        warnings = changes("classes", classes) + look_alikes("classes", classes) if rules >= 3 else []
    skipped = {**skipped, **left_out}
    return file_dataset(root, examples, target=target, skipped=skipped, settings=settings, warnings=warnings)


def _class_folders(folders: dict[str, Path], rules: int) -> dict[str, list[str]]:
    """Return the names of each class's folders, in the order of the classes; empty for images without class folders."""
    written = sorted({path.name for split in folders.values() for path in subfolders(split, rules=rules)})
    if rules >= 3 and (unknown := [name for name in written if os.fsencode(name) != name.encode(errors="replace")]):
        raise ValueError(f"A class's folder must have a name in UTF-8. Received: {unknown[0]!a}. Rename it.")
    read = clean if rules >= 3 else str
    classes = {
        name: [folder for folder in written if read(folder) == name]
        for name in in_order(map(read, written), rules=rules)
    }
    train = folders["train"]
    if not classes and not images_in(train):
        is_empty = not any(train.iterdir())
        raise ValueError(
            f"A folder of images must have class folders. Received: {train}, "
            f"{'which is empty' if is_empty else 'without any'}. {LAYOUT.format(path=train)}"
        )
    return classes


def _read_classes(
    root: Path, folders: dict[str, Path], classes: dict[str, list[str]], rules: int
) -> tuple[dict[str, Examples], dict[str, str]]:
    """Return the images of each split in its class folders, and the skipped files.

    Raises:
        ValueError: If a split has no images.
    """
    examples, left_out = {}, {}
    for split, path in folders.items():
        listed = [
            (name, index)
            for index, names in enumerate(classes.values() or [[""]])
            for folder in names
            for name in _files(path / folder, root, rules)
        ]
        targets = np.array([index for _, index in listed], np.int64)
        examples[split], skipped = scan_files(root, [name for name, _ in listed], targets, rules=rules)
        loose = {_name(file, root): "is in no class folder" for file in images_in(path)} if classes else {}
        left_out.update(skipped | loose)
        _check_formats(path, classes, listed, skipped)
        if not examples[split].names:
            if loose and not subfolders(path):
                raise ValueError(
                    f"Every split must have the class folders of train/. Received: {path}, images without any. Add "
                    f"them; or move {path.name}/ elsewhere, to take that split from train/."
                )
            _raise_nothing_left(path, skipped)
    return examples, left_out


def _check_formats(
    path: Path, classes: dict[str, list[str]], listed: list[tuple[str, int]], skipped: dict[str, str]
) -> None:
    """Raise a `ValueError` if all photos of a class have a format that is not read."""
    for index, label in enumerate(classes):
        reasons = {skipped.get(name) for name, place in listed if place == index}
        if len(reasons) == 1 and (reason := reasons.pop()) in UNREADABLE.values():
            raise ValueError(
                f"A class must have images that can be read. Received: {path / label}, where {reason}; or remove it."
            )


def _raise_nothing_left(path: Path, skipped: dict[str, str]) -> None:
    reasons = [f"{name}: {reason}" for name, reason in skipped.items()]
    received = f"{len(reasons)} other files ({reasons[0]})" if reasons else "no images"
    raise ValueError(f"A split must have at least one image. Received: {path}, {received}. Add images, or remove it.")


def _files(path: Path, root: Path, rules: int) -> list[str]:
    """List the files below `path`, except hidden ones, as names below `root`."""
    names = []
    for where, inner, files in os.walk(path):
        inner[:] = sorted(name for name in inner if not is_hidden(name, rules=rules))
        names += [_name(Path(where, name), root) for name in sorted(files) if not is_hidden(name, rules=rules)]
    return names


def _name(path: Path, root: Path) -> str:
    return path.relative_to(root).as_posix()
