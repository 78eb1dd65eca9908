"""The user's own table: a CSV file with a header, one example a row; or a folder of a `train.csv`, and a
`validation.csv` and a `test.csv` if there are such splits.

What a column is, is told by what it holds: numbers, dates, or else categories; `dataset.table.columns` says otherwise,
or leaves one out. Categories are the text of the file: `02139` is not 2139. What is to be predicted is the column
`dataset.target`, by default the last: text, or few different whole numbers, are classes; other numbers are numbers.
Where nothing is to be predicted, as of an autoencoder, all columns are learned from, but for one that is named there.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from dltemplates.datasets.features import class_value, in_column, number_value
from dltemplates.datasets.source import SPLITS, Dataset, Source
from dltemplates.datasets.spec import DatasetSpec, IOSpec, learned_target
from dltemplates.datasets.tables.columns import kind_of, numbers_of
from dltemplates.datasets.tables.csv_file import read_csv
from dltemplates.datasets.tables.dates import format_of, look_like_dates
from dltemplates.datasets.tables.source import TableSource, input_values
from dltemplates.datasets.tables.targets import MAX_CLASS_NUMBERS, Frames, read_targets, target_name, with_target
from dltemplates.features import ClassId, Column, Number, columns_of
from dltemplates.settings import DatasetSettings


def csv_table(path: Path, settings: DatasetSettings, *, reference: IOSpec | None = None) -> Dataset:
    """Load a table: all its columns are learned from, but for the target that the settings name.

    Args:
        path: A `.csv` file, or a folder of them.
        settings: The target, the kinds of columns.
        reference: The spec or the contract of a trained network: columns and classes are then what they were there.

    Raises:
        ValueError: If a table breaks a rule; says which.
    """
    files = {"train": path} if path.is_file() else {split: path / f"{split}.csv" for split in SPLITS}
    frames = {split: read_csv(file) for split, file in files.items() if file.is_file()}
    return frame_dataset(frames, settings, reference=reference)


def frame_dataset(
    frames: Frames, settings: DatasetSettings, *, reference: IOSpec | None = None, target: str | None = None
) -> Dataset:
    """Make a dataset of tables that were read.

    Args:
        frames: The rows of each split that there is, as `read_csv` reads them.
        settings: As in `csv_table`.
        reference: As in `csv_table`.
        target: The column that is to be predicted; None where the settings say it, or nothing is.

    Raises:
        ValueError: As in `csv_table`.
    """
    if "train" not in frames:
        raise ValueError("A folder of tables must hold a train.csv. Received: none. Add it.")
    first = frames["train"]
    learned = [column for value in reference.inputs for column in columns_of(value)] if reference else []
    for split, frame in frames.items():
        if missing := [str(column) for column in first if column not in frame]:
            raise ValueError(f"Every split must have the same columns. Received: no {', '.join(missing)} in {split}.")
    if not learned:
        _check_columns(first, settings)
    if target is None and settings.target and (reference is None or settings.target in first):
        target = target_name(first, settings, reference)
    columns = learned or _columns(frames, settings, target)
    guessed = [column for column in columns if column.name not in settings.of_table().columns and not learned]
    warnings = [_doubt(column.name, first[column.name]) for column in guessed if column.kind == "category"]
    warnings += [] if learned else [_doubt_names(list(map(str, first)))]
    skipped: dict[str, str] = {}
    if target is None:
        value: ClassId | Number = class_value(("rows",))  # nothing is said of them
        targets = {split: np.zeros(len(frame), np.int64) for split, frame in frames.items()}
    else:
        known = learned_target(reference) if reference else None
        frames, skipped = with_target(target, frames)
        targets, classes = read_targets(target, frames, settings, known)
        value = in_column(known or (class_value(classes) if classes else number_value(1)), target)
    sources: dict[str, Source] = {
        split: TableSource(frame, columns, value, targets[split], to_learn=not learned)
        for split, frame in frames.items()
    }
    spec = DatasetSpec(
        inputs=input_values(columns),
        targets=(value,),
        sizes={split: len(source) for split, source in sources.items()},
        skipped=skipped,
        warnings=tuple(filter(None, warnings)),
    )
    return Dataset(spec, sources)


def with_a_target(dataset: Dataset, settings: DatasetSettings, *, reference: IOSpec | None = None) -> Dataset:
    """Return a dataset with a target: of a table without one, the last column that is not learned from.

    Raises:
        ValueError: If a table has no such column, or that breaks a rule; says which.
    """
    sources = {split: source for split, source in dataset.splits.items() if isinstance(source, TableSource)}
    if not sources or any(columns_of(source.target) for source in sources.values()):
        return dataset
    frames = {split: source.table for split, source in sources.items()}
    name = target_name(frames["train"], settings, reference)
    return frame_dataset(frames, settings, reference=reference, target=name)


def _columns(frames: Frames, settings: DatasetSettings, target: str | None) -> list[Column]:
    """The columns that are learned from, and what each of them holds.

    Raises:
        ValueError: If there is none, or dates can be read in two ways.
    """
    first = frames["train"]
    names = [str(column) for column in first if column != target]
    kinds = {name: settings.of_table().columns.get(name) or kind_of(first[name]) for name in names}
    found = [Column(name=name, kind=kind, place=0) for name, kind in kinds.items() if kind != "skip"]
    if not found:
        raise ValueError("A table must have a column to learn from. Received: none but the target. Add one.")
    return [
        column.model_copy(update={"place": place, "format": _format(column, frames)})
        for place, column in enumerate(found)
    ]


def _format(column: Column, frames: Frames) -> str | None:
    """How the dates of a column are written, in all splits; None for ISO 8601 and what is no dates."""
    if column.kind != "date":
        return None
    return format_of(column.name, pd.concat([frame[column.name] for frame in frames.values()]))


def _check_columns(table: pd.DataFrame, settings: DatasetSettings) -> None:
    if unknown := [name for name in settings.of_table().columns if name not in table]:
        raise ValueError(
            f"`dataset.table.columns` must name columns. Received: {', '.join(unknown)}. "
            f"There are: {', '.join(map(str, table.columns))}."
        )


def _doubt_names(names: list[str]) -> str | None:
    """Why the first row of a file may not be the names of its columns; None where it may well be."""
    numbers = numbers_of(pd.Series(names)).dropna()
    is_counted = (numbers.diff().dropna() == 1).all()  # as programs name columns that have no name
    if 2 * len(numbers) <= len(names) or is_counted:
        return None
    return (
        f"the first row is taken as the names of the columns, but {', '.join(names[:3])} look like data: write names "
        "above them"
    )


def _doubt(name: str, values: pd.Series) -> str | None:
    """Why a column may not be meant as the categories that it is taken for; None where it may well be."""
    given = values.dropna()
    numbers = numbers_of(given)
    if 2 * numbers.notna().sum() > len(given):
        return (
            f"column `{name}` is taken as categories, as {given[numbers.isna()].iloc[0]!r} is no number, unlike "
            f"most of it: correct that, or say --set dataset.table.columns.{name}=category"
        )
    if look_like_dates(given):
        return (
            f"column `{name}` is taken as categories, but all of it looks like dates, as {given.iloc[0]!r} does: say "
            f"--set dataset.table.columns.{name}=date, or =category"
        )
    if given.nunique() > max(MAX_CLASS_NUMBERS, len(given) / 2):
        return (
            f"column `{name}` is taken as categories, {given.nunique()} different ones in {len(given)} rows, "
            f"too many to learn from: leave it out, --set dataset.table.columns.{name}=skip"
        )
    return None
