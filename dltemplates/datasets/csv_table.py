"""The user's own table: a CSV file with a header, one example a row.

What a column is, is told by what it holds: numbers, dates, or else categories; `dataset.columns` says otherwise. What is
to be predicted is the column `dataset.target`, by default the last: text or whole numbers of few values are classes,
other numbers are numbers.

A missing number becomes the median of the training split, and a column more says that it was missing. A category that
the training split does not hold, or that is missing, has the id 0.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd

from dltemplates.settings import DatasetSettings

Kind = Literal["number", "category", "date"]

DATE_PARTS = ("days", "sin of year", "cos of year")  # days since 1970, and the place in the year on a circle
YEAR = 365.2425
FEW = 20  # as many values, and no more, may be classes where they are whole numbers


@dataclass(frozen=True)
class Column:
    """How a column becomes numbers or an id; fitted on the training split.

    Attributes:
        name: In the header.
        kind: What it holds.
        median: What stands for a missing number.
        may_be_missing: Whether one was missing in the training split.
        vocabulary: The categories; the place of one, counted from 1, is its id.
    """

    name: str
    kind: Kind
    median: float = 0.0
    may_be_missing: bool = False
    vocabulary: tuple[str, ...] = ()

    @classmethod
    def fit(cls, name: str, kind: Kind, train: pd.Series) -> Column:
        """Look at a column of the training split."""
        if kind == "category":
            return cls(name, kind, vocabulary=tuple(sorted(train.dropna().astype(str).unique())))
        numbers = _numbers(train, kind)
        known = numbers[np.isfinite(numbers)]
        if not len(known):
            raise ValueError(f"Column `{name}` must hold something to learn from. Received: nothing. Leave it out.")
        return cls(name, kind, float(np.median(known)), bool(np.isnan(numbers).any()))

    @property
    def names(self) -> tuple[str, ...]:
        """What each number that it becomes is."""
        parts = [f"{self.name} ({part})" for part in DATE_PARTS] if self.kind == "date" else [self.name]
        return (*parts, f"{self.name} is missing") if self.may_be_missing else tuple(parts)

    def numbers(self, values: pd.Series) -> np.ndarray:
        """The numbers that the column of some rows becomes: float32 (rows, len(names))."""
        raw = _numbers(values, self.kind)
        missing = np.isnan(raw)
        filled = np.where(missing, self.median, raw)
        parts = [filled]
        if self.kind == "date":
            angle = 2 * np.pi * filled / YEAR
            parts += [np.sin(angle), np.cos(angle)]
        if self.may_be_missing:
            parts.append(missing)
        return np.stack(parts, axis=1).astype(np.float32)

    def ids(self, values: pd.Series) -> np.ndarray:
        """The ids of the categories of some rows: int32 (rows,); 0 for one that is not known."""
        places = {category: place for place, category in enumerate(self.vocabulary, start=1)}
        return values.astype(str).map(places).fillna(0).to_numpy(np.int32)


def kind_of(values: pd.Series) -> Kind:
    """Tell what a column holds."""
    if pd.api.types.is_bool_dtype(values):
        return "category"
    if pd.api.types.is_numeric_dtype(values):
        return "number"
    text = values.dropna().astype(str)
    if len(text) and text.str.match(r"\d{4}-\d{2}-\d{2}").all():
        return "date"
    return "category"


def read_table(path: Path) -> pd.DataFrame:
    """Read a CSV file with a header.

    Raises:
        ValueError: If it cannot be read, holds no rows, or two columns have one name.
    """
    try:
        table = pd.read_csv(path, skipinitialspace=True)
    except (ValueError, OSError) as error:  # a ParserError is a ValueError
        raise ValueError(
            f"A table must be a CSV file in UTF-8 with a header. Received: {path} ({' '.join(str(error).split())}). "
            "Correct it."
        ) from None
    if not len(table):
        raise ValueError(f"A table must hold rows. Received: {path}, which holds none. Add some.")
    return table


def _numbers(values: pd.Series, kind: Kind) -> np.ndarray:
    """As float64, NaN where one is missing; a date as days since 1970."""
    if kind == "date":
        dates = pd.to_datetime(values, errors="coerce", format="ISO8601")
        return ((dates - pd.Timestamp("1970-01-01")) / pd.Timedelta(days=1)).to_numpy(np.float64)
    return pd.to_numeric(values, errors="coerce").to_numpy(np.float64)


def split_columns(table: pd.DataFrame, settings: DatasetSettings) -> dict[str, Kind]:
    """What each column is that is learned from."""
    raise NotImplementedError
