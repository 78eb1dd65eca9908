"""The user's own table: a CSV file with a header, one example a row; or a folder of a `train.csv`, and a
`validation.csv` and a `test.csv` if there are such splits.

What a column is, is told by what it holds: numbers, dates, or else categories; `dataset.columns` says otherwise, or
leaves one out. Categories are the text of the file: `02139` is not 2139. What is to be predicted is the column
`dataset.target`, by default the last: text, or few different whole numbers, are classes; other numbers are numbers.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from dltemplates.datasets.columns import MISSING, kind_of, numbers_of, places_of, read_numbers, without_point
from dltemplates.datasets.source import SPLITS, Dataset
from dltemplates.datasets.spec import Like, Value, learned_target
from dltemplates.datasets.splits import divide
from dltemplates.datasets.tables import fit_columns, table_dataset
from dltemplates.datasets.values import class_value, number_value
from dltemplates.settings import DatasetSettings

FEW = 20  # as many different whole numbers, and no more, are classes
AS_TEXT: dict[str, Any] = {
    "dtype": str,
    "skipinitialspace": True,
    "keep_default_na": False,
    "na_values": list(MISSING),
}  # how pandas is to read a file
Frames = dict[str, pd.DataFrame]


def csv_table(path: Path, settings: DatasetSettings, *, like: Like | None = None) -> Dataset:
    """Load a table.

    Args:
        path: A `.csv` file, or a folder of them.
        settings: The target, the kinds of columns, the shares of splits that are not given.
        like: The spec or the contract of a trained network: columns and classes are then what they were there.

    Raises:
        ValueError: If a table breaks a rule; says which.
    """
    files = {"": path} if path.is_file() else {s: path / f"{s}.csv" for s in SPLITS if (path / f"{s}.csv").is_file()}
    return frame_dataset({split: read_csv(file) for split, file in files.items()}, settings, like=like)


def frame_dataset(frames: Frames, settings: DatasetSettings, *, like: Like | None = None) -> Dataset:
    """Make a dataset of tables that were read.

    Args:
        frames: The rows of each split that is given, as `read_csv` reads them; those of a table that is yet to be split
            under `""`, or `train`.
        settings: As in `csv_table`.
        like: As in `csv_table`.

    Raises:
        ValueError: As in `csv_table`.
    """
    first = next(iter(frames.values()))
    learned = [column for value in like.inputs for column in value.columns or ()] if like else []
    known = learned_target(like) if like else None
    name = _target_name(first, settings, {column.name for column in learned})
    _check_columns(first, settings)
    for split, frame in frames.items():
        if missing := [str(column) for column in first if column not in frame]:
            raise ValueError(f"Every split must have the same columns. Received: no {', '.join(missing)} in {split}.")
    skipped: dict[str, str] = {}
    for split, frame in frames.items():
        has_target = frame[name].notna()
        skipped |= {f"{split or 'table'} row {row}": f"no {name}" for row in frame.index[~has_target] + 1}
        frames = {**frames, split: frame[has_target]}
    if known:
        kind, classes = ("category", known.classes) if known.classes else ("number", None)
    else:
        kind, classes = _target_kind(name, frames, settings), None
    if kind == "category":
        texts = {text for frame in frames.values() for text in frame[name].unique()}
        classes = classes or tuple(sorted(set(map(without_point, texts))))
        targets = {split: _class_ids(name, frame[name], classes) for split, frame in frames.items()}
    else:
        targets = {split: _target_numbers(name, frame[name]) for split, frame in frames.items()}
    if not known:
        _check_varies(name, targets)
    targets = {split: values.astype(np.int64 if classes else np.float32) for split, values in targets.items()}
    frames, targets = _split(frames, targets, settings, classes, to_learn=like is None)
    target: Value = known or (class_value(classes) if classes else number_value(targets["train"]))
    kinds: dict[str, str] = {column.name: column.kind for column in learned if column.name in first}
    if not learned:
        others = [str(column) for column in first if column != name]
        seen = {column: settings.columns.get(column) or kind_of(first[column]) for column in others}
        kinds = {column: kind for column, kind in seen.items() if kind != "skip"}
    guessed = [column for column in kinds if column not in settings.columns and not learned]
    warnings = [_doubt(column, first[column]) for column in guessed if kinds[column] == "category"]
    frames = {split: _with_numbers(frame, kinds, to_learn=not learned) for split, frame in frames.items()}
    columns = learned or fit_columns(kinds, frames["train"])
    return table_dataset(columns, frames, targets, target, skipped=skipped, warnings=filter(None, warnings))


def read_csv(path: Path) -> pd.DataFrame:
    """Read a CSV file with a header as text; cells that are empty, `?`, `NA`, `NaN` or `nan` are missing.

    Raises:
        ValueError: If it cannot be read, holds no rows or no commas where it should, or two columns have one name.
    """
    try:
        table = pd.read_csv(path, encoding="utf-8-sig", **AS_TEXT)
        header = pd.read_csv(path, encoding="utf-8-sig", header=None, nrows=1, **AS_TEXT)
    except (ValueError, OSError) as error:  # a ParserError and an EmptyDataError are ValueErrors
        raise ValueError(
            f"A table must be a CSV file in UTF-8 with a header. Received: {path} ({' '.join(str(error).split())}). "
            "Save it as such."
        ) from None
    names = header.iloc[0]
    if twice := sorted(set(names[names.duplicated()].astype(str))):
        raise ValueError(
            f"Columns must have different names. Received: {', '.join(twice)} twice in {path}. Rename one."
        )
    if len(names) == 1 and (separator := next((mark for mark in ";\t|" if mark in str(names[0])), None)):
        raise ValueError(
            f"The cells of a table must be separated by commas. Received: {names[0]!r} as the header of {path}, "
            f"separated by {separator!r}. Save it with commas, and numbers with a point."
        )
    if not len(table):
        raise ValueError(f"A table must hold rows. Received: {path}, which holds none. Add some.")
    return table


def _target_name(table: pd.DataFrame, settings: DatasetSettings, learned: set[str]) -> str:
    """The column that is to be predicted: the one that is named, or the last that is not learned from."""
    others = [str(column) for column in table if column not in learned]
    name = settings.target or (others or list(table))[-1]
    if name not in table:
        raise ValueError(
            f"`dataset.target` must be a column. Received: {name}. There are: {', '.join(map(str, table.columns))}."
        )
    return name


def _check_columns(table: pd.DataFrame, settings: DatasetSettings) -> None:
    if unknown := [name for name in settings.columns if name not in table]:
        raise ValueError(
            f"`dataset.columns` must name columns. Received: {', '.join(unknown)}. "
            f"There are: {', '.join(map(str, table.columns))}."
        )


def _target_kind(name: str, frames: Frames, settings: DatasetSettings) -> str:
    given = settings.columns.get(name)
    if given in ("date", "skip"):
        raise ValueError(
            f"What is to be predicted must be a number or a category. Received: {name}={given} in `dataset.columns`. "
            "Leave it out of there, or choose another column: --set dataset.target=NAME."
        )
    if given:
        return given
    values = pd.concat([frame[name] for frame in frames.values()])
    if kind_of(values) != "number":
        return "category"
    numbers = numbers_of(values)
    is_whole = (numbers == numbers.round()).all()
    return "category" if is_whole and numbers.nunique() <= FEW else "number"


def _class_ids(name: str, values: pd.Series, classes: tuple[str, ...]) -> np.ndarray:
    ids = places_of(values, classes)
    if ids.isna().any():
        raise ValueError(
            f"`{name}` must be a class that was learned. Received: {values[ids.isna()].iloc[0]!r}. "
            f"There are: {', '.join(classes)}."
        )
    return ids.to_numpy(np.int64)


def _target_numbers(name: str, values: pd.Series) -> np.ndarray:
    numbers = numbers_of(values).to_numpy(np.float64)
    wrong = ~np.isfinite(numbers)
    if wrong.any():
        raise ValueError(
            f"A number to predict must be finite. Received: {values.tolist()[np.argmax(wrong)]!r} in `{name}`. "
            f"Correct it; for classes, --set dataset.columns.{name}=category."
        )
    return numbers[:, None]


def _check_varies(name: str, targets: Mapping[str, np.ndarray]) -> None:
    values = np.concatenate(list(targets.values()))
    if len(values) and (values == values[0]).all():
        raise ValueError(
            f"What is to be predicted must vary. Received: `{name}`, the same in all {len(values)} rows. "
            "Choose another column: --set dataset.target=NAME."
        )
    numbers = values.astype(np.float32)
    if len(values) and (numbers == numbers[0]).all():
        raise ValueError(
            f"What is to be predicted must vary in float32, which holds seven digits. Received: `{name}`, from "
            f"{values.min():.17g} to {values.max():.17g}. Subtract what all have in common: {values.min():.17g}."
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
    if given.nunique() > max(FEW, len(given) / 2):
        return (
            f"column `{name}` is taken as categories, {given.nunique()} different ones in {len(given)} rows, "
            f"too many to learn from: leave it out, --set dataset.columns.{name}=skip, or if it is dates, =date"
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
) -> tuple[Frames, dict[str, np.ndarray]]:
    """Take the splits that are not given from the table, or from `train`."""
    whole = "" if "" in frames else "train"
    if whole not in frames:
        raise ValueError("A folder of tables must hold a train.csv. Received: none. Add it.")
    given = {split: frame for split, frame in frames.items() if split != whole}
    shares = dict.fromkeys(given, 0.0)
    parts = divide(targets[whole], settings.model_copy(update=shares), classes=classes, to_learn=to_learn)
    divided = {split: frames[whole].iloc[rows] for split, rows in parts.items()}
    divided_targets = {split: targets[whole][rows] for split, rows in parts.items()}
    return divided | given, divided_targets | {split: targets[split] for split in given}
