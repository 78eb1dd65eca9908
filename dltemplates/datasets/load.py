"""From the name in a template to a dataset."""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path
from typing import Any

from dltemplates import catalog
from dltemplates.datasets.source import ALL, Dataset, Joined
from dltemplates.datasets.spec import Like
from dltemplates.settings import DatasetSettings


def load_dataset(
    settings: DatasetSettings,
    *,
    from_file: bool = False,
    like: Like | None = None,
    whole: bool = False,
    labelled: bool = True,
    told_apart: str | None = None,
) -> Dataset:
    """Load the dataset that `settings.name` stands for.

    A name of the catalog is that dataset, one with a colon behind it (`gates:xor`) a variant of it; what exists, or
    looks like a path, is a folder, `.npz` or `.csv` of the user's (a table, or with `settings.window` a series);
    `package.module:function` is called with the settings and returns a `Dataset`.

    Args:
        settings: Which data, and how its images are brought to one size.
        from_file: As in `catalog.load`, for settings that were read from a run or an exported file.
        like: The spec or the contract of a trained network: the columns and classes of a table, or the columns and
            lengths of a series, of the user's are then what they were there.
        whole: Add a split `all` of all examples. The user's own, where it is not split already, is not split for it.
        labelled: Whether what the data says of its examples is needed: the user's own need not say anything where not,
            images lie in one folder, and all columns of a table are learned from.
        told_apart: The class that is told from all others together, which then need no example each in every split of
            the user's own.

    Raises:
        ValueError: If there is no such dataset, or its data breaks a rule; says the way out.
    """
    labels = {"labelled": labelled, "told_apart": told_apart}
    dataset = _load(settings, from_file, like, whole, labels)
    return _with_all(dataset) if whole else dataset


def _load(
    settings: DatasetSettings, from_file: bool, like: Like | None, whole: bool, labels: dict[str, Any]
) -> Dataset:
    name = settings.name
    family, _, _ = name.partition(":")
    path = Path(name).expanduser()
    if family in catalog.DATASETS:
        name = family
    elif path.exists() or _looks_like_a_path(name):
        unsplit = {"validation": 0.0, "test": 0.0}
        return _load_path(path, settings.model_copy(update=unsplit) if whole else settings, like, labels)
    try:
        function = catalog.load("dataset", name, from_file=from_file)
    except ValueError as error:
        raise ValueError(f"{error} A folder of class folders, a .npz or a .csv can be given too.") from None
    dataset = function(settings)
    if not isinstance(dataset, Dataset):
        raise ValueError(
            f"A dataset function must return a `Dataset`. Received: {type(dataset).__name__} from {name}. "
            "See dltemplates/datasets/digits.py for a short one."
        )
    return dataset


def _with_all(dataset: Dataset) -> Dataset:
    """The dataset with one split more, of the examples of all others."""
    spec = dataset.spec
    unknown: Counter[str] = Counter()
    for counts in spec.unknown.values():
        unknown.update(counts)
    update = {"sizes": spec.sizes | {ALL: sum(spec.sizes.values())}, "unknown": spec.unknown | {ALL: dict(unknown)}}
    return Dataset(spec.model_copy(update=update), dataset.splits | {ALL: Joined(list(dataset.splits.values()))})


def _looks_like_a_path(name: str) -> bool:
    return "/" in name or os.sep in name or name.startswith((".", "~")) or name.endswith((".npz", ".csv"))


def _load_path(path: Path, settings: DatasetSettings, like: Like | None, labels: dict[str, Any]) -> Dataset:
    is_series = settings.window is not None or (like is not None and like.inputs[0].kind == "series")
    if is_series and path.exists() and (path.suffix == ".csv" or (path / "train.csv").is_file()):
        from dltemplates.datasets.series import csv_series

        return csv_series(path, settings, like=like)
    if (path.suffix == ".csv" and path.is_file()) or (path / "train.csv").is_file():
        from dltemplates.datasets.csv_table import csv_table

        return csv_table(path, settings, like=like, **labels)
    if path.is_dir():
        from dltemplates.datasets.folder import folder

        return folder(path, settings, **labels)
    if path.suffix == ".npz" and path.is_file():
        from dltemplates.datasets.npz import npz

        return npz(path, settings, **labels)
    received = "a file of another kind" if path.exists() else "nothing there"
    raise ValueError(
        f"A dataset's path must be a folder of class folders, a .npz, or a .csv. Received: {path} ({received}). "
        "Check the spelling; relative paths start where the command is run."
    )
