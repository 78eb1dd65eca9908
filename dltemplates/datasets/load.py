"""Loading of a dataset by its name in a template."""

from __future__ import annotations

import difflib
import os
from pathlib import Path

from dltemplates import catalog
from dltemplates.datasets.series.sequence_files import hold_sequences, sequence_files
from dltemplates.datasets.series.sequences import are_sequences
from dltemplates.datasets.series.windows import WindowSource
from dltemplates.datasets.source import Dataset, origin
from dltemplates.datasets.spec import READING_RULES, IOSpec, rules_of
from dltemplates.datasets.splitting.split_names import split_files, splits_of
from dltemplates.datasets.tables.source import TableSource
from dltemplates.datasets.text.source import TextSource
from dltemplates.datasets.text.stream import TextStream
from dltemplates.features import Image, Series, Tokens, columns_of
from dltemplates.settings import ARRAYS, NO_DATASET, DatasetSettings, SeriesSettings, SettingsTable


def load_dataset(
    settings: DatasetSettings,
    *,
    from_file: bool = False,
    reference: IOSpec | None = None,
    predicts_number: bool = False,
    predicts_text: bool = False,
) -> Dataset:
    """Load the splits that the data has, without further splitting or fitting.

    A catalog name loads that dataset, optionally a variant after a colon (`gates:xor`). A path loads the user's folder,
    `.npz` or `.csv` (a table, or with `settings.series.window` a series). `package.module:function` is called with the
    settings and returns a `Dataset`. `arrays` is the data that a Python program passed.

    Args:
        settings: The dataset's name, and how to read it.
        from_file: As in `catalog.load`, for settings read from a run or an exported file.
        reference: Spec or contract of a trained network. The user's data then keeps its columns, classes and window
            sizes.
        predicts_number: Whether the task predicts numbers; the target of the user's table is then no class.
        predicts_text: Whether the task predicts texts; the user's table then holds pairs of texts.

    Raises:
        ValueError: If there is no such dataset, or its data breaks a rule; the message says how to fix it.
    """
    name = settings.name
    _check_use(settings.of_series())
    if name == ARRAYS:
        from dltemplates.datasets.in_memory import in_memory

        return in_memory(settings, reference=reference, predicts_number=predicts_number)
    path = Path(name).expanduser()
    if is_named(name):
        name = name.partition(":")[0]
    elif _is_path(name):
        return _load_path(path, settings, reference, predicts_number, predicts_text)
    if name in PLACEHOLDERS:
        own = catalog.OWN_DATA[PLACEHOLDERS[name]]
        raise ValueError(f"This template needs your data. Received: none. {own.summary}. Add --data {own.example}")
    if ":" not in name:
        _check_name(name)
    function = catalog.load("dataset", name, from_file=from_file)
    dataset = function(settings)
    if not isinstance(dataset, Dataset):
        raise ValueError(
            f"A dataset function must return a `Dataset`. Received: {type(dataset).__name__} from {name}. "
            "See dltemplates/datasets/named/digits.py for a short one."
        )
    return dataset


def _check_use(series: SeriesSettings) -> None:
    """Raise a `ValueError` if the settings are for a forecast and for sequences."""
    if series.holds_sequences and series.window is not None:
        setting = "id" if series.id is not None else "sequences"
        raise ValueError(
            "A series is forecast, with `dataset.series.window`; sequences have a class or a number. Received: "
            f"`window` and `{setting}`. Remove one."
        )


PLACEHOLDERS = {  # in ready templates: kind of data
    "folder": "folder",
    "table": ".csv table",
    "series": ".csv series",
    "sequences": ".ts sequences",
    "texts": ".tsv texts",
    "pairs": ".tsv pairs",
    "text": ".txt text",
}


PATH_SUFFIXES = (".npz", ".csv", ".ts", ".tsv", ".txt", ".jsonl")


def _check_name(name: str) -> None:
    """Raise a `ValueError` with the nearest names and paths if a name is no dataset."""
    if name in catalog.DATASETS:
        return
    here = sorted(path.name for path in Path().iterdir() if path.is_dir() or path.suffix in PATH_SUFFIXES)
    if near := difflib.get_close_matches(name, [*catalog.DATASETS, *here], n=2, cutoff=0.5):
        hint = f"Did you mean {' or '.join(near)}?"
    else:
        hint = f"It is no path in {Path().resolve()}, and no name of `dlt list datasets`. Check --data."
    raise ValueError(f"Unknown dataset. Received: {name!r}. {hint}")


USED_BY = {
    "images": "images",
    "table": "a table",
    "series": "a series, a CSV file with `dataset.series.window`, or sequences",
    "text": "texts",
    "target": "a column of a table, a series or texts",
}


def check_settings(settings: DatasetSettings, dataset: Dataset) -> None:
    """Check that the data uses the settings for one kind of data.

    Args:
        settings: The settings.
        dataset: The data that they loaded.

    Raises:
        ValueError: If the data does not use a setting.
    """
    is_ours = is_named(settings.name) or settings.name == ARRAYS or _is_path(settings.name)
    if not is_ours:  # the user's own code may use any setting
        return
    kind, used = _kind_of(settings, dataset)
    for name, user in USED_BY.items():
        setting = getattr(settings, name)
        if setting is not None and name not in used:
            received = setting.model_dump(exclude_unset=True) if isinstance(setting, SettingsTable) else setting
            way_out = f"--set dataset.{name}=none" if isinstance(setting, SettingsTable) else "leave it out"
            raise ValueError(
                f"`dataset.{name}` is for {user}. Received: {received!r} for {settings.name}, {kind}. Choose other "
                f"data, or {way_out}."
            )


def _kind_of(settings: DatasetSettings, dataset: Dataset) -> tuple[str, set[str]]:
    """Name the kind of data in words, and the settings that it uses."""
    base, _ = origin(next(iter(dataset.splits.values())))
    if settings.name == NO_DATASET:
        return "data of the task itself", set()
    if any(isinstance(value, Image) for value in dataset.spec.inputs):
        return "images", {"images"}
    if isinstance(base, TableSource):
        return "a table", {"table", "target"}
    if isinstance(base, WindowSource):
        return "a series", {"series", "target"}
    if isinstance(base, TextSource | TextStream):
        return "texts", {"text", "target"}
    if are_sequences(dataset.spec):
        if is_named(settings.name):  # it is known to hold sequences, and has no other setting
            return "sequences", {"series"} if settings.series == SeriesSettings(sequences=True) else set()
        target = dataset.spec.targets[0]
        return "sequences", {"series", *(("target",) if columns_of(target) or settings.name == ARRAYS else ())}
    return "rows of numbers", set()


def is_named(name: str) -> bool:
    """Return whether a name needs no path: a catalog name, a variant of one, or the name for no dataset."""
    return name == NO_DATASET or name.partition(":")[0] in catalog.DATASETS


def _is_path(name: str) -> bool:
    """Return whether a name outside the catalog is a path, existing or not."""
    looks_like_path = "/" in name or os.sep in name or name.startswith((".", "~")) or name.endswith(PATH_SUFFIXES)
    return looks_like_path or Path(name).expanduser().exists()


def _load_path(
    path: Path, settings: DatasetSettings, reference: IOSpec | None, predicts_number: bool, predicts_text: bool
) -> Dataset:
    if settings.text is not None or (reference is not None and isinstance(reference.inputs[0], Tokens)):
        if path.suffix.lower() == ".txt" and path.is_file():
            from dltemplates.datasets.text.stream import text_stream

            return text_stream(path, settings.of_text(), reference=reference)
        if settings.of_text().holds_pairs or (predicts_text and settings.of_text().window is None):
            from dltemplates.datasets.text.pairs import pair_files

            return pair_files(path, settings, reference=reference)
        from dltemplates.datasets.text.text_files import text_files

        return text_files(path, settings, reference=reference, predicts_number=predicts_number)
    if hold_sequences(path, settings, reference):
        return sequence_files(path, settings, reference=reference, predicts_number=predicts_number)
    is_series = settings.of_series().window is not None or (
        reference is not None and isinstance(reference.inputs[0], Series)
    )
    tables = split_files(path, ".csv", rules=rules_of(reference))
    if tables and rules_of(reference) >= 3:
        _check_only_tables(path, tables)
    if is_series and path.exists() and (path.suffix == ".csv" or tables):
        from dltemplates.datasets.series.csv_series import csv_series

        return csv_series(path, settings, reference=reference)
    if (path.suffix == ".csv" and path.is_file()) or tables:
        if reference is not None and isinstance(reference.inputs[0], Image):
            raise ValueError(
                f"The data must have the network's inputs, images. Received: {path}, a table. Choose other data "
                "with --data."
            )
        from dltemplates.datasets.tables.csv_table import csv_table

        return csv_table(path, settings, reference=reference, predicts_number=predicts_number)
    if path.is_dir():
        from dltemplates.datasets.images.folder import folder

        return folder(path, settings, reference=reference)
    if path.suffix == ".npz" and path.is_file():
        from dltemplates.datasets.images.npz import npz

        return npz(path, settings, reference=reference)
    received = "a file of another kind" if path.exists() else "no such path"
    raise ValueError(
        f"A dataset's path must be a folder of class folders, a .npz, a .csv, or a .ts. Received: {path} ({received}). "
        f"Check the spelling; relative paths start at {Path().resolve()}."
    )


def _check_only_tables(path: Path, tables: dict[str, Path]) -> None:
    """Raise a `ValueError` if splits have both tables and folders, so that the data may be images."""
    names = [child.name for child in sorted(path.iterdir()) if child.is_dir()]
    if folders := list(splits_of(names, rules=READING_RULES)):
        raise ValueError(
            f"The splits must be tables or folders of images. Received: {tables['train'].name} and {folders[0]}/ in "
            f"{path}. Move one elsewhere."
        )
