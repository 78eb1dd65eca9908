"""From the columns of a table to numbers and ids: what is learned of them on the training split, and put to use."""

from __future__ import annotations

import numpy as np
import pandas as pd

from dltemplates.datasets.dates import DAY, days_of, is_dates, read_dates
from dltemplates.datasets.spec import DATE_PARTS, Column, Value
from dltemplates.datasets.values import with_statistics

YEAR, WEEK = 365.2425, 7.0  # days


def kind_of(values: pd.Series) -> str:
    """Tell what a column holds: `number`, `date`, or else `category`."""
    if pd.api.types.is_bool_dtype(values):
        return "category"
    if pd.api.types.is_numeric_dtype(values):
        return "number"
    return "date" if is_dates(values, DAY) else "category"


def fit_column(name: str, kind: str, train: pd.Series) -> Column:
    """Learn how a column is made numbers, or ids, from its values in the training split.

    Raises:
        ValueError: If there is none.
    """
    if not train.notna().any():
        raise ValueError(
            f"A column must hold something to learn from. Received: nothing in `{name}` of the training split. "
            f"Leave it out: --set dataset.columns.{name}=skip."
        )
    if kind == "category":
        return Column(name=name, kind="category", vocabulary=tuple(sorted(texts_of(train.dropna()).unique())))
    numbers = _numbers(name, kind, train)
    return Column(
        name=name,
        kind=kind,
        median=float(np.nanmedian(numbers)),
        may_be_missing=bool(np.isnan(numbers).any()),
    )


def features_value(columns: tuple[Column, ...], train: pd.DataFrame) -> Value:
    """The input of the numbers of a table's rows, with the statistics of the training split.

    Raises:
        ValueError: If a column does not hold what it must.
    """
    parts = sum(len(column.parts) for column in columns)
    value = Value(name="features", kind="number", dtype="float32", shape=(parts,), columns=columns)
    return with_statistics(value, encode_rows(value, train))


def categories_value(columns: tuple[Column, ...]) -> Value:
    """The input of the categories of a table's rows: an id for each column."""
    return Value(name="categories", kind="category", dtype="int32", shape=(len(columns),), columns=columns)


def encode_rows(value: Value, rows: pd.DataFrame) -> np.ndarray:
    """Make an input of the rows of a table.

    Args:
        value: The input, of kind `number` or `category`.
        rows: The table, with a column of each name.

    Returns:
        (rows, *value.shape): float32 numbers, or int32 ids, or the text of the categories where the input takes that.

    Raises:
        ValueError: If a column is missing, or does not hold what it must.
    """
    columns = value.columns or ()
    missing = [column.name for column in columns if column.name not in rows]
    if missing:
        raise ValueError(
            f"A table must have the columns that were learned from. Received: none called {', '.join(missing)}. "
            f"There are: {', '.join(map(str, rows.columns))}."
        )
    encode = _parts
    if value.kind == "category":
        encode = _texts if value.dtype == "string" else _ids
    return np.concatenate([encode(column, rows[column.name]) for column in columns], axis=1)


def texts_of(values: pd.Series) -> pd.Series:
    """Categories as text; whole numbers without a point, also where one that is missing made all of them float."""
    if pd.api.types.is_float_dtype(values):
        return values.map(lambda number: str(int(number)) if number.is_integer() else str(number))
    return values.astype(str)


def count_unknown(value: Value, rows: pd.DataFrame) -> dict[str, int]:
    """How many rows hold a category that is not known, by column; those that hold none are not counted."""
    counts = {
        column.name: int((rows[column.name].notna() & (_ids(column, rows[column.name])[:, 0] == 0)).sum())
        for column in value.columns or ()
        if column.kind == "category"
    }
    return {name: count for name, count in counts.items() if count}


def _ids(column: Column, values: pd.Series) -> np.ndarray:
    ids = {category: place for place, category in enumerate(column.vocabulary, start=1)}
    return texts_of(values).map(ids).fillna(0).to_numpy(np.int32)[:, None]


def _texts(column: Column, values: pd.Series) -> np.ndarray:
    return texts_of(values).where(values.notna(), "").to_numpy(str)[:, None]


def _parts(column: Column, values: pd.Series) -> np.ndarray:
    given = _numbers(column.name, column.kind, values)
    missing = np.isnan(given)
    numbers = np.where(missing, column.median, given)
    parts = [numbers]
    if column.kind == "date":
        for period in (YEAR, WEEK):
            angle = 2 * np.pi * numbers / period
            parts += [np.cos(angle), np.sin(angle)]
        assert len(parts) == len(DATE_PARTS)
    if column.may_be_missing:
        parts.append(missing)
    return np.stack(parts, axis=1).astype(np.float32)


def _numbers(name: str, kind: str, values: pd.Series) -> np.ndarray:
    """As float64, NaN where one is missing; a date as days since 1970.

    Raises:
        ValueError: If one is something else, or infinite.
    """
    if kind == "date":
        numbers = days_of(read_dates(values))
    else:
        numbers = pd.to_numeric(values, errors="coerce").to_numpy(np.float64)
    wrong = values.notna().to_numpy() & ~np.isfinite(numbers)
    if wrong.any():
        found = values.tolist()[np.argmax(wrong)]
        what = "dates like 2024-12-31" if kind == "date" else "finite numbers"
        raise ValueError(
            f"Column `{name}` must hold {what}. Received: {found!r}. Correct it, or take another kind: "
            f"--set dataset.columns.{name}=category."
        )
    return numbers
