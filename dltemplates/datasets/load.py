"""From the name in a template to a dataset."""

from __future__ import annotations

import os
from pathlib import Path

from dltemplates import catalog
from dltemplates.datasets.series.windows import WindowSource
from dltemplates.datasets.source import Dataset, origin
from dltemplates.datasets.spec import IOSpec
from dltemplates.datasets.tables.source import TableSource
from dltemplates.features import Image, Series
from dltemplates.settings import NO_DATASET, DatasetSettings, Part


def load_dataset(settings: DatasetSettings, *, from_file: bool = False, reference: IOSpec | None = None) -> Dataset:
    """Load the splits that the data has, as they are: neither split further nor fitted.

    A name of the catalog is that dataset, one with a colon behind it (`gates:xor`) a variant of it; what exists, or
    looks like a path, is a folder, `.npz` or `.csv` of the user's (a table, or with `settings.series.window` a series);
    `package.module:function` is called with the settings and returns a `Dataset`.

    Args:
        settings: Which data, and how it is read.
        from_file: As in `catalog.load`, for settings that were read from a run or an exported file.
        reference: The spec or the contract of a trained network: the columns and classes of a table, or the columns and
            lengths of a series, of the user's are then what they were there.

    Raises:
        ValueError: If there is no such dataset, or its data breaks a rule; says the way out.
    """
    name = settings.name
    path = Path(name).expanduser()
    if is_named(name):
        name = name.partition(":")[0]
    elif _is_path(name):
        return _load_path(path, settings, reference)
    try:
        function = catalog.load("dataset", name, from_file=from_file)
    except ValueError as error:
        raise ValueError(f"{error} A folder of class folders, a .npz or a .csv can be given too.") from None
    dataset = function(settings)
    if not isinstance(dataset, Dataset):
        raise ValueError(
            f"A dataset function must return a `Dataset`. Received: {type(dataset).__name__} from {name}. "
            "See dltemplates/datasets/named/digits.py for a short one."
        )
    return dataset


USED_BY = {
    "images": "images",
    "table": "a table",
    "series": "a series, as a CSV file is where `dataset.series.window` is given",
    "target": "a column of a table or a series",
}


def check_settings(settings: DatasetSettings, dataset: Dataset) -> None:
    """Check that data uses the settings that are given for one kind of data.

    Args:
        settings: The settings.
        dataset: The data that was loaded by them.

    Raises:
        ValueError: If the data has no use for a setting.
    """
    if not is_named(settings.name) and not _is_path(settings.name):  # the user's own code may use any of them
        return
    kind, used = _kind_of(settings, dataset)
    for name, user in USED_BY.items():
        given = getattr(settings, name)
        if given is not None and name not in used:
            shown = given.model_dump(exclude_unset=True) if isinstance(given, Part) else given
            way_out = f"--set dataset.{name}=none" if isinstance(given, Part) else "leave it out"
            raise ValueError(
                f"`dataset.{name}` is for {user}. Received: {shown!r} for {settings.name}, {kind}. Choose other data, "
                f"or {way_out}."
            )


def _kind_of(settings: DatasetSettings, dataset: Dataset) -> tuple[str, set[str]]:
    """What data is, in words, and which of the settings it uses."""
    base, _ = origin(next(iter(dataset.splits.values())))
    if settings.name == NO_DATASET:
        return "data of the task's own", set()
    if any(isinstance(value, Image) for value in dataset.spec.inputs):
        return "images", {"images"}
    if isinstance(base, TableSource):
        return "a table", {"table", "target"}
    if isinstance(base, WindowSource):
        return "a series", {"series", "target"}
    return "rows of numbers", set()


def is_named(name: str) -> bool:
    """Whether a name is one of the catalog, a variant of one, or that of no dataset: what needs no path."""
    return name == NO_DATASET or name.partition(":")[0] in catalog.DATASETS


def _is_path(name: str) -> bool:
    """Whether a name that is not of the catalog is the path of data, there or not."""
    looks_like_one = "/" in name or os.sep in name or name.startswith((".", "~")) or name.endswith((".npz", ".csv"))
    return looks_like_one or Path(name).expanduser().exists()


def _load_path(path: Path, settings: DatasetSettings, reference: IOSpec | None) -> Dataset:
    is_series = settings.of_series().window is not None or (
        reference is not None and isinstance(reference.inputs[0], Series)
    )
    if is_series and path.exists() and (path.suffix == ".csv" or (path / "train.csv").is_file()):
        from dltemplates.datasets.series.csv_series import csv_series

        return csv_series(path, settings, reference=reference)
    if (path.suffix == ".csv" and path.is_file()) or (path / "train.csv").is_file():
        if reference is not None and isinstance(reference.inputs[0], Image):
            raise ValueError(
                f"The data must have the inputs of the network, images. Received: {path}, a table. Choose other data "
                "by --data."
            )
        from dltemplates.datasets.tables.csv_table import csv_table

        return csv_table(path, settings, reference=reference)
    if path.is_dir():
        from dltemplates.datasets.images.folder import folder

        return folder(path, settings)
    if path.suffix == ".npz" and path.is_file():
        from dltemplates.datasets.images.npz import npz

        return npz(path, settings)
    received = "a file of another kind" if path.exists() else "nothing there"
    raise ValueError(
        f"A dataset's path must be a folder of class folders, a .npz, or a .csv. Received: {path} ({received}). "
        "Check the spelling; relative paths start where the command is run."
    )
