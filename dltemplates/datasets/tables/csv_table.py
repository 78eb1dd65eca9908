"""The user's own table: a CSV file with a header, one example per row; or a folder with a `train.csv`, and perhaps a
`validation.csv` and a `test.csv`.

The kind of a column follows from its values: numbers, dates, or else categories. `dataset.table.columns` sets another
kind, or skips a column. Categories are the text in the file: `02139` is not 2139. The target is the column
`dataset.target`, or else the one called label, target, class or y. Text, or a few different whole numbers, are classes,
except in a task that predicts numbers; other numbers are numbers.
For tasks without a target, such as autoencoders, all columns are inputs except `dataset.target`, if set.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

import numpy as np
import pandas as pd

from dltemplates.datasets.features import class_value, in_column, number_value
from dltemplates.datasets.names import look_alikes
from dltemplates.datasets.source import Dataset, Source
from dltemplates.datasets.spec import DatasetSpec, IOSpec, learned_target, rules_of
from dltemplates.datasets.splitting.split_names import split_files
from dltemplates.datasets.tables.clean_names import WARNINGS, Frames, clean_frames, spelled_as
from dltemplates.datasets.tables.column_kinds import ColumnKind, detect, point_doubt
from dltemplates.datasets.tables.column_warnings import number_warnings, without_names
from dltemplates.datasets.tables.columns import by_older_rules, numbers_of
from dltemplates.datasets.tables.csv_file import CsvFile, read_csv
from dltemplates.datasets.tables.number_forms import share_of_numbers
from dltemplates.datasets.tables.source import TableSource, input_values
from dltemplates.datasets.tables.targets import (
    read_targets,
    target_kind,
    target_name,
    with_target,
    without_words,
)
from dltemplates.features import ClassId, Column, Number, columns_of
from dltemplates.settings import DatasetSettings


def csv_table(
    path: Path, settings: DatasetSettings, *, reference: IOSpec | None = None, predicts_number: bool = False
) -> Dataset:
    """Load a table. All its columns are inputs, except the target that the settings name.

    Args:
        path: A `.csv` file, or a folder of them.
        settings: The target and the kinds of columns.
        reference: Spec or contract of a trained network, whose columns and classes are reused.
        predicts_number: As in `target_kind`.

    Raises:
        ValueError: If a table breaks a rule; names it.
    """
    paths = {"train": path} if path.is_file() else split_files(path, ".csv", rules=rules_of(reference))
    files = {split: read_csv(file, settings.of_table(), reference=reference) for split, file in paths.items()}
    frames = clean_frames({split: file.table for split, file in files.items()}, reference)
    return frame_dataset(frames, settings, reference=reference, files=files, predicts_number=predicts_number)


def frame_dataset(
    frames: Frames,
    settings: DatasetSettings,
    *,
    reference: IOSpec | None = None,
    target: str | None = None,
    files: Mapping[str, CsvFile] = MappingProxyType({}),
    predicts_number: bool = False,
) -> Dataset:
    """Build a dataset from the tables of its splits.

    Args:
        frames: The rows of each split, from `read_csv`.
        settings: As in `csv_table`.
        reference: As in `csv_table`.
        target: The column to predict; None to follow the settings, or for no target.
        files: The files of the splits, if the tables are from files.
        predicts_number: As in `target_kind`.

    Raises:
        ValueError: As in `csv_table`.
    """
    if "train" not in frames:
        raise ValueError("A folder of tables must have a train.csv. Received: none. Add it.")
    frames = {split: by_older_rules(frame, reference) for split, frame in frames.items()}
    first = frames["train"]
    settings = spelled_as(map(str, first), settings)
    learned = [column for value in reference.inputs for column in columns_of(value)] if reference else []
    for split, frame in frames.items():
        if missing := [str(column) for column in first if column not in frame]:
            raise ValueError(f"Every split must have the same columns. Received: no {', '.join(missing)} in {split}.")
    if not learned:
        _check_columns(first, settings)
    if target is None and settings.table_target() and (reference is None or settings.target in first):
        target = target_name(first, settings, reference)
    columns = learned
    warnings: list[str | None] = []
    if not learned:
        columns, doubts = _columns(frames, settings, target, files)
        guessed = [column for column in columns if column.name not in settings.of_table().columns]
        columns, names_warnings = without_names(columns, first, settings.of_table(), doubts)
        warnings += [*doubts.values(), *names_warnings, _header_warning(first)]
        warnings += number_warnings([column for column in guessed if column.kind == "number"], first)
    warnings += first.attrs.get(WARNINGS, ())
    warnings += dict.fromkeys(remark for file in files.values() for remark in file.remarks)
    skipped: dict[str, str] = {}
    if target is None:
        value: ClassId | Number = class_value(("rows",))  # no target: one class for all rows
        targets = {split: np.zeros(len(frame), np.int64) for split, frame in frames.items()}
    else:
        known = learned_target(reference) if reference else None
        rules = rules_of(reference)
        frames, warning = without_words(target, frames, settings, known, predicts_number=predicts_number, rules=rules)
        frames, skipped = with_target(target, frames)
        kind = target_kind(target, frames, settings, known, predicts_number=predicts_number, rules=rules)
        warnings += [kind.doubt, None if learned else warning]
        if not known and _is_detected(target, kind, settings):
            inputs = [ColumnKind(column.kind, column.format) for column in columns]
            values = pd.concat([frame[target] for frame in frames.values()])
            warnings.append(point_doubt(target, values, inputs, [file.separator for file in files.values()]))
        targets, classes = read_targets(target, frames, kind, known, rules=rules)
        warnings += look_alikes("classes", classes) if classes and not known else []
        value = in_column(known or (class_value(classes) if classes else number_value(1)), target, kind.format)
    sources: dict[str, Source] = {
        split: TableSource(frame, columns, value, targets[split], to_learn=not learned, file=files.get(split))
        for split, frame in frames.items()
    }
    spec = DatasetSpec(
        inputs=input_values(columns),
        targets=(value,),
        sizes={split: len(source) for split, source in sources.items()},
        skipped=skipped,
        warnings=tuple(filter(None, warnings)),
        encoding=next((file.encoding for file in files.values() if file.encoding), None),
    )
    return Dataset(spec, sources)


def with_a_target(
    dataset: Dataset, settings: DatasetSettings, *, reference: IOSpec | None = None, predicts_number: bool = False
) -> Dataset:
    """Add a target to a table without one, as `target_name` chooses it.

    Args:
        dataset: The data; another kind than a table stays as it is.
        settings: As in `csv_table`.
        reference: As in `csv_table`.
        predicts_number: As in `target_kind`.

    Raises:
        ValueError: If a table has no such column, or the column breaks a rule; names it.
    """
    sources = {split: source for split, source in dataset.splits.items() if isinstance(source, TableSource)}
    if not sources or any(columns_of(source.target) for source in sources.values()):
        return dataset
    frames = {split: source.table for split, source in sources.items()}
    name = target_name(frames["train"], spelled_as(map(str, frames["train"]), settings), reference)
    files = {split: source.file for split, source in sources.items() if source.file}
    return frame_dataset(
        frames, settings, reference=reference, target=name, files=files, predicts_number=predicts_number
    )


def _columns(
    frames: Frames, settings: DatasetSettings, target: str | None, files: Mapping[str, CsvFile]
) -> tuple[list[Column], dict[str, str]]:
    """Return the input columns with their kinds and formats, and the doubts about them by name.

    Raises:
        ValueError: If there is none, or dates are ambiguous.
    """
    first = frames["train"]
    names = [str(column) for column in first if column != target]
    tables = pd.concat([frame[names] for frame in frames.values()])
    kinds = {name: detect(name, first[name], tables[name], settings.of_table().columns.get(name)) for name in names}
    separators = [file.separator for file in files.values()]
    doubts = {name: kind.doubt for name, kind in kinds.items() if kind.doubt}
    for name, kind in kinds.items():
        if name not in doubts and _is_detected(name, kind, settings):
            doubt = point_doubt(name, tables[name], kinds.values(), separators)
            doubts |= {name: doubt} if doubt else {}
    kinds = {name: kind for name, kind in kinds.items() if kind.kind != "skip"}
    if not kinds:
        raise ValueError("A table must have an input column. Received: none but the target. Add one.")
    columns = [
        Column.model_validate({"name": name, "kind": kind.kind, "format": kind.format, "place": place})
        for place, (name, kind) in enumerate(kinds.items())
    ]
    return columns, doubts


def _is_detected(name: str, kind: ColumnKind, settings: DatasetSettings) -> bool:
    """Return whether a column is detected as numbers such as `1234.5`."""
    return kind.kind == "number" and kind.format is None and name not in settings.of_table().columns


def _check_columns(table: pd.DataFrame, settings: DatasetSettings) -> None:
    if unknown := [name for name in settings.of_table().columns if name not in table]:
        raise ValueError(
            f"`dataset.table.columns` must name columns. Received: {', '.join(unknown)}. "
            f"There are: {', '.join(map(str, table.columns))}."
        )


def _header_warning(table: pd.DataFrame) -> str | None:
    """Warn if a file's first row may be data instead of column names."""
    names = list(map(str, table))
    is_data = [_is_data(name, table[column]) for name, column in zip(names, table, strict=True)]
    numbers = numbers_of(pd.Series(names)).dropna()
    is_counted = len(numbers) > 1 and (numbers.diff().dropna() == 1).all()  # some programs number columns
    if 2 * sum(is_data) <= len(names) or is_counted:
        return None
    return f"the first row is read as column names, but {', '.join(names[:3])} look like data: write names above them"


def _is_data(name: str, values: pd.Series) -> bool:
    """Return whether a column's name may be a cell: a number, or a text that is in the column, too."""
    return share_of_numbers(pd.Series([name], dtype=object)) == 1 or name in set(values.dropna().astype(str))
