"""The user's own table: a CSV file with a header, one example a row; or a folder of a `train.csv`, and a
`validation.csv` and a `test.csv` if there are such splits.

What a column is, is told by what it holds: numbers, dates, or else categories; `dataset.columns` says otherwise, or
leaves one out. Categories are the text of the file: `02139` is not 2139. What is to be predicted is the column
`dataset.target`, by default the last: text, or few different whole numbers, are classes; other numbers are numbers.
Where nothing is to be predicted, as of an autoencoder, all columns are learned from, but for one that is named there.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd

from dltemplates.datasets.columns import kind_of, numbers_of, read_numbers
from dltemplates.datasets.csv_file import read_csv
from dltemplates.datasets.dates import look_like_dates
from dltemplates.datasets.source import SPLITS, Dataset
from dltemplates.datasets.spec import Like, learned_target
from dltemplates.datasets.splits import divide
from dltemplates.datasets.table_targets import FEW, Frames, read_targets, target_name, with_target
from dltemplates.datasets.tables import fit_columns, table_dataset
from dltemplates.datasets.values import class_value, in_column, no_label, number_value
from dltemplates.settings import DatasetSettings


def csv_table(
    path: Path,
    settings: DatasetSettings,
    *,
    like: Like | None = None,
    labelled: bool = True,
    told_apart: str | None = None,
) -> Dataset:
    """Load a table.

    Args:
        path: A `.csv` file, or a folder of them.
        settings: The target, the kinds of columns, the shares of splits that are not given.
        like: The spec or the contract of a trained network: columns and classes are then what they were there.
        labelled: Whether something is to be predicted.
        told_apart: As in `load_dataset`.

    Raises:
        ValueError: If a table breaks a rule; says which.
    """
    files = {"": path} if path.is_file() else {s: path / f"{s}.csv" for s in SPLITS if (path / f"{s}.csv").is_file()}
    frames = {split: read_csv(file) for split, file in files.items()}
    return frame_dataset(frames, settings, like=like, labelled=labelled, told_apart=told_apart)


def frame_dataset(
    frames: Frames,
    settings: DatasetSettings,
    *,
    like: Like | None = None,
    labelled: bool = True,
    told_apart: str | None = None,
) -> Dataset:
    """Make a dataset of tables that were read.

    Args:
        frames: The rows of each split that is given, as `read_csv` reads them; those of a table that is yet to be split
            under `""`, or `train`.
        settings: As in `csv_table`.
        like: As in `csv_table`.
        labelled: As in `csv_table`.
        told_apart: As in `csv_table`.

    Raises:
        ValueError: As in `csv_table`.
    """
    first = next(iter(frames.values()))
    learned = [column for value in like.inputs for column in value.columns or ()] if like else []
    for split, frame in frames.items():
        if missing := [str(column) for column in first if column not in frame]:
            raise ValueError(f"Every split must have the same columns. Received: no {', '.join(missing)} in {split}.")
    if not learned:
        _check_columns(first, settings)
    name: str | None = None
    classes: tuple[str, ...] | None = None
    skipped: dict[str, str] = {}
    known = learned_target(like) if like else None
    targets = {split: np.zeros(len(frame), np.int64) for split, frame in frames.items()}
    if labelled or (settings.target and (like is None or settings.target in first)):
        name = target_name(first, settings, like)
        frames, skipped = with_target(name, frames)
        targets, classes = read_targets(name, frames, settings, known)
    frames, targets = _split(frames, targets, settings, classes, to_learn=like is None, told_apart=told_apart)
    if name is None:
        target = no_label("rows")
    else:
        target = known or in_column(class_value(classes) if classes else number_value(targets["train"]), name)
    kinds: dict[str, str] = {column.name: column.kind for column in learned if column.name in first}
    if not learned:
        others = [str(column) for column in first if column != name]
        seen = {column: settings.columns.get(column) or kind_of(first[column]) for column in others}
        kinds = {column: kind for column, kind in seen.items() if kind != "skip"}
    guessed = [column for column in kinds if column not in settings.columns and not learned]
    warnings = [_doubt(column, first[column]) for column in guessed if kinds[column] == "category"]
    warnings += [] if learned else [_doubt_names(list(map(str, first)))]
    frames = {split: _with_numbers(frame, kinds, to_learn=not learned) for split, frame in frames.items()}
    columns = learned or fit_columns(kinds, frames["train"])
    return table_dataset(columns, frames, targets, target, skipped=skipped, warnings=filter(None, warnings))


def _check_columns(table: pd.DataFrame, settings: DatasetSettings) -> None:
    if unknown := [name for name in settings.columns if name not in table]:
        raise ValueError(
            f"`dataset.columns` must name columns. Received: {', '.join(unknown)}. "
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
            f"most of it: correct that, or say --set dataset.columns.{name}=category"
        )
    if look_like_dates(given):
        return (
            f"column `{name}` is taken as categories, but all of it looks like dates, as {given.iloc[0]!r} does: say "
            f"--set dataset.columns.{name}=date, or =category"
        )
    if given.nunique() > max(FEW, len(given) / 2):
        return (
            f"column `{name}` is taken as categories, {given.nunique()} different ones in {len(given)} rows, "
            f"too many to learn from: leave it out, --set dataset.columns.{name}=skip"
        )
    return None


def _with_numbers(frame: pd.DataFrame, kinds: Mapping[str, str], *, to_learn: bool) -> pd.DataFrame:
    """The table with its columns of numbers read, which takes long and so is done once."""
    names = [name for name, kind in kinds.items() if kind == "number"]
    return frame.assign(**{name: read_numbers(name, "number", frame[name], to_learn=to_learn) for name in names})


def _split(
    frames: Frames,
    targets: dict[str, np.ndarray],
    settings: DatasetSettings,
    classes: tuple[str, ...] | None,
    *,
    to_learn: bool,
    told_apart: str | None,
) -> tuple[Frames, dict[str, np.ndarray]]:
    """Take the splits that are not given from the table, or from `train`."""
    whole = "" if "" in frames else "train"
    if whole not in frames:
        raise ValueError("A folder of tables must hold a train.csv. Received: none. Add it.")
    given = {split: frame for split, frame in frames.items() if split != whole}
    shares = dict.fromkeys(given, 0.0)
    unsplit = settings.model_copy(update=shares)
    parts = divide(targets[whole], unsplit, classes=classes, to_learn=to_learn, told_apart=told_apart)
    divided = {split: frames[whole].iloc[rows] for split, rows in parts.items()}
    divided_targets = {split: targets[whole][rows] for split, rows in parts.items()}
    return divided | given, divided_targets | {split: targets[split] for split in given}
