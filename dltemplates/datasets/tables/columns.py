"""From the columns of a table to numbers and ids: read as raw values, fitted on the training split, then encoded.

Raw are a number as float64, a date as days since 1970, a category as its text; what is missing is NaN.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from dltemplates.datasets.features import MAX_FLOAT32, is_held
from dltemplates.datasets.tables.dates import DAY, days_of, example_of, is_dates, read_dates
from dltemplates.features import Category, Column, Feature, Number, columns_of
from dltemplates.features.column import DATE_PARTS

YEAR, WEEK = 365.2425, 7.0  # days
MISSING = ("", "?", "NA", "NaN", "nan")  # what stands in a cell where nothing is known
NO_NUMBER = ("N/A", "n/a", "#N/A", "null", "NULL", "None", "none", "-")  # and among numbers; else these are categories


def kind_of(values: pd.Series) -> str:
    """Tell what a column of text holds: `number`, `date`, or else `category`."""
    is_number, is_none = numbers_of(values).notna(), values.isin(NO_NUMBER)
    if (is_number | is_none).equals(values.notna()) and (is_number.any() or not is_none.any()):
        return "number"
    return "date" if is_dates(values, DAY) else "category"


def numbers_of(values: pd.Series) -> pd.Series:
    """A column of text as numbers; NaN where one is missing, or is something else."""
    return pd.to_numeric(values, errors="coerce")


def are_numbers(texts: Sequence[str]) -> bool:
    """Whether all texts are finite numbers, as those of a column must be that is read as numbers."""
    return bool(is_held(numbers_of(pd.Series(texts, dtype=object)).to_numpy(np.float64)).all())


def raw_rows(columns: Sequence[Column], table: pd.DataFrame, *, to_learn: bool = False) -> pd.DataFrame:
    """Read the columns of a table that are learned from.

    Args:
        columns: Those.
        table: The table, as text.
        to_learn: Whether it is to be learned from, so that a column could be of another kind.

    Returns:
        The raw values: a column of float64 for numbers and dates, of texts for categories.

    Raises:
        ValueError: If a column is missing, or does not hold what it must.
    """
    missing = [column.name for column in columns if column.name not in table]
    if missing:
        raise ValueError(
            f"A table must have the columns that were learned from. Received: none called {', '.join(missing)}. "
            f"There are: {', '.join(map(str, table.columns))}."
        )
    raw: dict[str, Any] = {}
    for column in columns:
        values = table[column.name]
        if column.kind == "category":
            raw[column.name] = values.astype("category")  # each text is kept once
        else:
            raw[column.name] = read_numbers(column.name, column.kind, values, format=column.format, to_learn=to_learn)
    return pd.DataFrame(raw, index=table.index)


def fit_column(column: Column, train: pd.Series) -> Column:
    """Learn how a column is made numbers, or ids, from its raw values in the training split.

    Raises:
        ValueError: If there is none.
    """
    if not train.notna().any():
        raise ValueError(
            f"A column must hold something to learn from. Received: nothing in `{column.name}` of the training split. "
            f"Leave it out: --set dataset.table.columns.{column.name}=skip."
        )
    if column.kind == "category":
        return column.model_copy(update={"vocabulary": tuple(sorted(train.dropna().unique()))})
    update = {"median": float(np.nanmedian(train)), "may_be_missing": bool(train.isna().any())}
    return column.model_copy(update=update)


def features_value(columns: Sequence[Column]) -> Number:
    """The input of the numbers of a table's rows, whose statistics are not fitted yet."""
    parts = sum(len(column.parts) for column in columns)
    return Number(name="features", dtype="float32", shape=(parts,), columns=tuple(columns))


def categories_value(columns: Sequence[Column]) -> Category:
    """The input of the categories of a table's rows: an id for each column."""
    return Category(name="categories", dtype="int32", shape=(len(columns),), columns=tuple(columns))


def encode_rows(value: Feature, raw: pd.DataFrame) -> np.ndarray:
    """Make an input of the raw rows of a table.

    Args:
        value: The input, of kind `number` or `category`; its columns are fitted.
        raw: The rows, as `raw_rows` reads them.

    Returns:
        (rows, *value.shape): float32 numbers, or int32 ids, or the text of the categories where the input takes that.
    """
    encode = _parts
    if isinstance(value, Category):
        encode = _texts if value.dtype == "string" else _ids
    return np.concatenate([encode(column, raw[column.name]) for column in columns_of(value)], axis=1)


def places_of(texts: pd.Series, known: Sequence[str]) -> np.ndarray:
    """The place of each text among those that are known: float64 (n,), NaN where it is not one of them.

    A whole number is the same with and without a point: who writes a table with pandas gets `1.0` for every 1 of a
    column in which one is missing.
    """
    places = {without_point(text): place for place, text in enumerate(known)}
    places |= {text: place for place, text in enumerate(known)}
    texts = texts.astype("category")
    of_each = [places.get(text, places.get(without_point(text))) for text in texts.cat.categories]
    return np.array([*of_each, None], np.float64)[texts.cat.codes]  # the code of a missing one is -1


def without_point(text: str) -> str:
    """A whole number such as `1.0` as `1`; other text as it is."""
    return re.sub(r"^(-?\d+)\.0+$", r"\1", text)


def find_unknown(value: Feature, raw: pd.DataFrame) -> dict[str, np.ndarray]:
    """Whether each row holds a category that is not known, booleans (rows,) by column of categories."""
    return {
        column.name: raw[column.name].notna().to_numpy() & (_ids(column, raw[column.name])[:, 0] == 0)
        for column in columns_of(value)
        if column.kind == "category"
    }


def _ids(column: Column, values: pd.Series) -> np.ndarray:
    return np.nan_to_num(places_of(values, column.vocabulary) + 1).astype(np.int32)[:, None]


def _texts(column: Column, values: pd.Series) -> np.ndarray:
    return np.array(("", *column.vocabulary))[_ids(column, values)]


def _parts(column: Column, values: pd.Series) -> np.ndarray:
    given = values.to_numpy(np.float64)
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


def read_numbers(
    name: str, kind: str, values: pd.Series, *, format: str | None = None, to_learn: bool = False
) -> np.ndarray:
    """Read a column of numbers or dates.

    Args:
        name: The column's.
        kind: `number` or `date`.
        values: It, as text; of a number, or as numbers.
        format: Of dates that are not of ISO 8601.
        to_learn: Whether the table is to be learned from, so that the column could be of another kind.

    Returns:
        Float64 (rows,), NaN where one is missing; a date as days since 1970.

    Raises:
        ValueError: If one is something else, or more than float32 holds.
    """
    numbers = days_of(read_dates(values, format)) if kind == "date" else numbers_of(values).to_numpy(np.float64)
    given = values.notna() & ~(values.isin(NO_NUMBER) & (kind == "number"))
    wrong = given.to_numpy() & ~is_held(numbers)
    if wrong.any():
        found = values.tolist()[np.argmax(wrong)]
        what = f"dates like {example_of(format)}" if kind == "date" else f"finite numbers up to {MAX_FLOAT32:.1e}"
        other = "leave it empty where it is not known"
        if to_learn:
            other = f"take another kind: --set dataset.table.columns.{name}=category"
        raise ValueError(f"Column `{name}` must hold {what}. Received: {found!r}. Correct it, or {other}.")
    return numbers
