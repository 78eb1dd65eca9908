"""From the name in a template to a dataset."""

from __future__ import annotations

import os
from pathlib import Path

from dltemplates import catalog
from dltemplates.datasets.source import Dataset
from dltemplates.datasets.spec import Like
from dltemplates.features import Series
from dltemplates.settings import NO_DATASET, DatasetSettings


def load_dataset(settings: DatasetSettings, *, from_file: bool = False, like: Like | None = None) -> Dataset:
    """Load the splits that the data has, as they are: neither split further nor fitted.

    A name of the catalog is that dataset, one with a colon behind it (`gates:xor`) a variant of it; what exists, or
    looks like a path, is a folder, `.npz` or `.csv` of the user's (a table, or with `settings.window` a series);
    `package.module:function` is called with the settings and returns a `Dataset`.

    Args:
        settings: Which data, and how its images are brought to one size.
        from_file: As in `catalog.load`, for settings that were read from a run or an exported file.
        like: The spec or the contract of a trained network: the columns and classes of a table, or the columns and
            lengths of a series, of the user's are then what they were there.

    Raises:
        ValueError: If there is no such dataset, or its data breaks a rule; says the way out.
    """
    name = settings.name
    path = Path(name).expanduser()
    if is_named(name):
        name = name.partition(":")[0]
    elif path.exists() or _looks_like_a_path(name):
        return _load_path(path, settings, like)
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


def is_named(name: str) -> bool:
    """Whether a name is one of the catalog, a variant of one, or that of no dataset: what needs no path."""
    return name == NO_DATASET or name.partition(":")[0] in catalog.DATASETS


def _looks_like_a_path(name: str) -> bool:
    return "/" in name or os.sep in name or name.startswith((".", "~")) or name.endswith((".npz", ".csv"))


def _load_path(path: Path, settings: DatasetSettings, like: Like | None) -> Dataset:
    is_series = settings.window is not None or (like is not None and isinstance(like.inputs[0], Series))
    if is_series and path.exists() and (path.suffix == ".csv" or (path / "train.csv").is_file()):
        from dltemplates.datasets.series import csv_series

        return csv_series(path, settings, like=like)
    if (path.suffix == ".csv" and path.is_file()) or (path / "train.csv").is_file():
        from dltemplates.datasets.csv_table import csv_table

        return csv_table(path, settings, like=like)
    if path.is_dir():
        from dltemplates.datasets.folder import folder

        return folder(path, settings)
    if path.suffix == ".npz" and path.is_file():
        from dltemplates.datasets.npz import npz

        return npz(path, settings)
    received = "a file of another kind" if path.exists() else "nothing there"
    raise ValueError(
        f"A dataset's path must be a folder of class folders, a .npz, or a .csv. Received: {path} ({received}). "
        "Check the spelling; relative paths start where the command is run."
    )
