"""Sequences in a CSV file: one in each row, or each in several rows with a column that names it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd

from dltemplates.datasets.names import same_as
from dltemplates.datasets.series.sequences import SequenceFiles, Sequences
from dltemplates.datasets.series.ts_file import without_padding
from dltemplates.datasets.spec import IOSpec, target_column
from dltemplates.datasets.tables.clean_names import WARNINGS, clean_frames, spelled_as
from dltemplates.datasets.tables.column_kinds import MAX_CLASS_NUMBERS, detect
from dltemplates.datasets.tables.columns import words_to_missing
from dltemplates.datasets.tables.csv_file import read_csv
from dltemplates.datasets.tables.number_forms import parse_numbers
from dltemplates.datasets.target_names import USUAL_TARGETS, usual_target
from dltemplates.features import Series, columns_of
from dltemplates.settings import DatasetSettings

OPTION = "dataset.series.columns"
VALUE = "value"  # the channel of sequences in rows


def read_tables(
    paths: Mapping[str, Path],
    settings: DatasetSettings,
    *,
    reference: IOSpec | None = None,
    needs_target: bool = True,
    predicts_number: bool = False,
) -> SequenceFiles:
    """Read the CSV file of each split.

    Args:
        paths: The files by split.
        settings: The columns of the target and of the sequences' names, and the kinds of columns.
        reference: Spec or contract of a trained network, whose columns are reused.
        needs_target: Whether a file without the target is an error.
        predicts_number: Whether few different whole numbers are numbers to predict, not classes.

    Raises:
        ValueError: If a column is missing, a cell is no number, or a sequence has no target, or several.
    """
    option = "dataset.series" if needs_target else None
    files = {
        split: read_csv(path, settings.of_series(), option=option, reference=reference) for split, path in paths.items()
    }
    frames = clean_frames({split: file.table for split, file in files.items()}, reference)
    first = frames["train"]
    settings = spelled_as(map(str, first), settings)
    id_column, target = _id_column(first, settings, reference), target_column(reference) if reference else None
    others = [str(name) for name in first if name != id_column]
    if target is None:
        target = settings.table_target() or _usual(others, needs_target=needs_target and reference is None)
    if (target is not None and target not in others) and (needs_target or reference is None):
        raise ValueError(f"`dataset.target` must be a column. Received: {target}. There are: {', '.join(others)}.")
    kinds = settings.of_series().columns
    _check_kinds(kinds, others)
    inputs = [name for name in others if name != target and kinds.get(name) != "skip"]
    formats: dict[str, str] = {}
    if id_column:
        inputs, formats = _channels(frames, inputs, kinds, reference)
    elif not inputs:
        raise ValueError(
            "A sequence must have steps. Received: no column but the target. Add the columns of the steps."
        )
    splits = {}
    for split, frame in frames.items():
        path = paths[split]
        if missing := [name for name in inputs if name not in frame]:
            raise ValueError(f"All tables must have the same columns. Received: no `{missing[0]}` in {path}. Add it.")
        part = _long(frame, id_column, inputs, formats, path) if id_column else _wide(frame, inputs, path)
        targets = None
        if target is not None and target in frame:
            targets = _targets(frame, id_column, target, path)
        splits[split] = Sequences(*part, targets)
    splits = _as_numbers(splits, reference, predicts_number=predicts_number)
    remarks = [remark for file in files.values() for remark in file.remarks]
    return SequenceFiles(
        splits,
        tuple(inputs) if id_column else (VALUE,),
        target,
        id_column,
        (*first.attrs.get(WARNINGS, ()), *(remarks if reference is None else ())),
        files["train"].encoding,
        formats,
    )


def _id_column(table: pd.DataFrame, settings: DatasetSettings, reference: IOSpec | None) -> str | None:
    """Return the column with the names of the sequences; None if each row is one."""
    name = settings.of_series().id
    if reference is not None and isinstance(reference.inputs[0], Series):
        name = reference.inputs[0].id_column
    if name is None:
        return None
    columns = list(map(str, table))
    name = same_as(columns, [name]).get(name, name)
    if name not in columns:
        raise ValueError(f"`dataset.series.id` must be a column. Received: {name}. There are: {', '.join(columns)}.")
    return name


def _usual(columns: list[str], *, needs_target: bool) -> str | None:
    """Return the column with a usual name of a target; None if there is none and none is needed."""
    if needs_target:
        return usual_target(columns, data="table of sequences")
    return next((name for name in columns if name.casefold() in USUAL_TARGETS), None)


def _check_kinds(kinds: Mapping[str, str], columns: list[str]) -> None:
    for name, kind in kinds.items():
        if name not in columns or kind == "category":
            raise ValueError(
                f"`{OPTION}` must map columns to number or skip. Received: {name}={kind}. There are: "
                f"{', '.join(columns)}."
            )


def _channels(
    frames: Mapping[str, pd.DataFrame], names: list[str], kinds: Mapping[str, str], reference: IOSpec | None
) -> tuple[list[str], dict[str, str]]:
    """Return the columns that are channels, and the forms of their numbers."""
    if reference is not None and isinstance(reference.inputs[0], Series):
        known = columns_of(reference.inputs[0])
        if missing := [column.name for column in known if column.name not in frames["train"]]:
            raise ValueError(
                f"A table of sequences must have the network's columns. Received: no `{missing[0]}`. There are: "
                f"{', '.join(map(str, frames['train']))}."
            )
        return [column.name for column in known], {column.name: column.format for column in known if column.format}
    found = {
        name: detect(name, frames["train"][name], frames["train"][name], kinds.get(name), option=OPTION)
        for name in names
    }
    channels = [name for name, kind in found.items() if kind.kind != "date"]
    if not channels:
        raise ValueError(f"A sequence must have a column of numbers. Received: {', '.join(names) or 'none'}. Add one.")
    return channels, {name: found[name].format or "" for name in channels if found[name].format}


def _wide(table: pd.DataFrame, columns: list[str], path: Path) -> tuple[list[np.ndarray], list[str]]:
    """Return the sequence in each row, without its empty cells at the end."""
    numbers = np.stack([_numbers(table[name], name, None, path) for name in columns], axis=1)  # (n, steps)
    names = [f"row {row} of {path}" for row in range(1, len(table) + 1)]
    return [without_padding(row[:, None]) for row in numbers], names


def _long(
    table: pd.DataFrame, id_column: str, columns: list[str], formats: Mapping[str, str], path: Path
) -> tuple[list[np.ndarray], list[str]]:
    """Return the rows of each sequence, in the order of the file."""
    if (missing := table[id_column].isna()).any():
        raise ValueError(
            f"Each row must name its sequence in `{id_column}`. Received: nothing in row {int(np.argmax(missing)) + 1} "
            f"of {path}. Fill it in."
        )
    numbers = np.stack([_numbers(table[name], name, formats.get(name), path) for name in columns], axis=1)
    codes, ids = pd.factorize(table[id_column])
    return [numbers[codes == code] for code in range(len(ids))], [f"{id_column} {name} of {path}" for name in ids]


def _numbers(values: pd.Series, name: str, form: str | None, path: Path) -> np.ndarray:
    """Convert a column to float64; missing cells become NaN."""
    values = words_to_missing(values)
    numbers = parse_numbers(values, form)
    wrong = (numbers.isna() & values.notna()).to_numpy()
    if wrong.any():
        row = int(np.argmax(wrong))
        raise ValueError(
            f"A sequence must hold numbers. Received: {values.iloc[row]!r} in row {row + 1} of column `{name}` of "
            f"{path}. Correct it, or leave the column out: --set {OPTION}.{name}=skip."
        )
    return numbers.to_numpy(np.float64)


def _targets(table: pd.DataFrame, id_column: str | None, target: str, path: Path) -> np.ndarray:
    """Return the target of each sequence as text."""
    if id_column is None:
        values, names = table[target], [f"row {row}" for row in range(1, len(table) + 1)]
    else:
        groups = table.groupby(id_column, sort=False)[target]
        if (mixed := groups.nunique() > 1).any():
            raise ValueError(
                f"All rows of a sequence must have one target. Received: several in `{target}` for "
                f"{mixed.idxmax()} of {path}. Correct them."
            )
        values = groups.first()
        names = list(map(str, values.index))
    if (missing := values.isna().to_numpy()).any():
        raise ValueError(
            f"Each sequence must have a target. Received: nothing in `{target}` for {names[int(np.argmax(missing))]} "
            f"of {path}. Fill it in, or remove the sequence."
        )
    return values.to_numpy(object)


def _as_numbers(
    splits: Mapping[str, Sequences], reference: IOSpec | None, *, predicts_number: bool
) -> dict[str, Sequences]:
    """Turn targets of text into numbers where they are no classes: not all are whole, or more than a few differ."""
    parts = [part.targets for part in splits.values() if part.targets is not None]
    if not parts or reference is not None or predicts_number:
        return dict(splits)
    numbers = pd.to_numeric(pd.Series(np.concatenate(parts)), errors="coerce")
    is_few = (numbers == numbers.round()).all() and numbers.nunique() <= MAX_CLASS_NUMBERS
    if numbers.isna().any() or is_few:
        return dict(splits)
    return {
        split: Sequences(
            part.arrays, part.names, None if part.targets is None else part.targets.astype(np.float64)[:, None]
        )
        for split, part in splits.items()
    }
