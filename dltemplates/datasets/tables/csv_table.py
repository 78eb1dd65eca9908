"""The user's own table: a CSV file with a header, one example per row; or a folder with a `train.csv`, and perhaps a
`validation.csv` and a `test.csv`.

The kind of a column follows from its values: numbers, dates, or else categories. `dataset.table.columns` sets another
kind, or skips a column. Categories are the text in the file: `02139` is not 2139. The target is the column
`dataset.target`, by default the last. Text, or a few different whole numbers, are classes; other numbers are numbers.
For tasks without a target, such as autoencoders, all columns are inputs except `dataset.target`, if set.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from dltemplates.datasets.features import class_value, in_column, number_value
from dltemplates.datasets.source import SPLITS, Dataset, Source
from dltemplates.datasets.spec import DatasetSpec, IOSpec, learned_target
from dltemplates.datasets.tables.column_warnings import number_warnings, without_names
from dltemplates.datasets.tables.columns import by_older_rules, kind_of, numbers_of, words_to_missing
from dltemplates.datasets.tables.csv_file import read_csv
from dltemplates.datasets.tables.dates import format_of, look_like_dates
from dltemplates.datasets.tables.source import TableSource, input_values
from dltemplates.datasets.tables.targets import (
    Frames,
    read_targets,
    target_name,
    with_target,
    without_words,
)
from dltemplates.features import ClassId, Column, Number, columns_of
from dltemplates.settings import DatasetSettings


def csv_table(path: Path, settings: DatasetSettings, *, reference: IOSpec | None = None) -> Dataset:
    """Load a table. All its columns are inputs, except the target that the settings name.

    Args:
        path: A `.csv` file, or a folder of them.
        settings: The target and the kinds of columns.
        reference: Spec or contract of a trained network, whose columns and classes are reused.

    Raises:
        ValueError: If a table breaks a rule; names it.
    """
    files = {"train": path} if path.is_file() else {split: path / f"{split}.csv" for split in SPLITS}
    frames = {split: read_csv(file) for split, file in files.items() if file.is_file()}
    return frame_dataset(frames, settings, reference=reference)


def frame_dataset(
    frames: Frames, settings: DatasetSettings, *, reference: IOSpec | None = None, target: str | None = None
) -> Dataset:
    """Build a dataset from the tables of its splits.

    Args:
        frames: The rows of each split, from `read_csv`.
        settings: As in `csv_table`.
        reference: As in `csv_table`.
        target: The column to predict; None to follow the settings, or for no target.

    Raises:
        ValueError: As in `csv_table`.
    """
    if "train" not in frames:
        raise ValueError("A folder of tables must have a train.csv. Received: none. Add it.")
    frames = {split: by_older_rules(frame, reference) for split, frame in frames.items()}
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
    doubts = {
        column.name: doubt
        for column in guessed
        if column.kind == "category" and (doubt := _category_warning(column.name, first[column.name]))
    }
    warnings: list[str | None] = [*doubts.values()]
    if not learned:
        columns, names_warnings = without_names(columns, first, settings.of_table(), doubts)
        warnings += [*names_warnings, _header_warning(list(map(str, first)))]
    warnings += number_warnings([column.name for column in guessed if column.kind == "number"], first)
    skipped: dict[str, str] = {}
    if target is None:
        value: ClassId | Number = class_value(("rows",))  # no target: one class for all rows
        targets = {split: np.zeros(len(frame), np.int64) for split, frame in frames.items()}
    else:
        known = learned_target(reference) if reference else None
        frames, warning = without_words(target, frames, settings, known)
        frames, skipped = with_target(target, frames)
        warnings += [] if learned else [warning]
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
    """Add a target to a table without one: its last column that is not an input.

    Raises:
        ValueError: If a table has no such column, or the column breaks a rule; names it.
    """
    sources = {split: source for split, source in dataset.splits.items() if isinstance(source, TableSource)}
    if not sources or any(columns_of(source.target) for source in sources.values()):
        return dataset
    frames = {split: source.table for split, source in sources.items()}
    name = target_name(frames["train"], settings, reference)
    return frame_dataset(frames, settings, reference=reference, target=name)


def _columns(frames: Frames, settings: DatasetSettings, target: str | None) -> list[Column]:
    """Return the input columns with their kinds.

    Raises:
        ValueError: If there is none, or dates are ambiguous.
    """
    first = frames["train"]
    names = [str(column) for column in first if column != target]
    kinds = {name: settings.of_table().columns.get(name) or kind_of(first[name]) for name in names}
    inputs = [Column(name=name, kind=kind, place=0) for name, kind in kinds.items() if kind != "skip"]
    if not inputs:
        raise ValueError("A table must have an input column. Received: none but the target. Add one.")
    return [
        column.model_copy(update={"place": place, "format": _format(column, frames)})
        for place, column in enumerate(inputs)
    ]


def _format(column: Column, frames: Frames) -> str | None:
    """Return the date format of a column in all splits; None for ISO 8601 and for other columns."""
    if column.kind != "date":
        return None
    values = pd.concat([frame[column.name] for frame in frames.values()])
    return format_of(column.name, words_to_missing(values))


def _check_columns(table: pd.DataFrame, settings: DatasetSettings) -> None:
    if unknown := [name for name in settings.of_table().columns if name not in table]:
        raise ValueError(
            f"`dataset.table.columns` must name columns. Received: {', '.join(unknown)}. "
            f"There are: {', '.join(map(str, table.columns))}."
        )


def _header_warning(names: list[str]) -> str | None:
    """Warn if a file's first row may be data instead of column names."""
    numbers = numbers_of(pd.Series(names)).dropna()
    is_counted = (numbers.diff().dropna() == 1).all()  # some programs number columns without names
    if 2 * len(numbers) <= len(names) or is_counted:
        return None
    return f"the first row is read as column names, but {', '.join(names[:3])} look like data: write names above them"


def _category_warning(name: str, values: pd.Series) -> str | None:
    """Warn if a column read as categories may be something else."""
    present = values.dropna()
    numbers = numbers_of(present)
    if 2 * numbers.notna().sum() > len(present):
        return (
            f"column `{name}` is read as categories, because {present[numbers.isna()].iloc[0]!r} is not a number, "
            f"unlike most of it: correct it, or say --set dataset.table.columns.{name}=category"
        )
    if look_like_dates(present):
        return (
            f"column `{name}` is read as categories, but looks like dates, such as {present.iloc[0]!r}: say "
            f"--set dataset.table.columns.{name}=date, or =category"
        )
    return None
