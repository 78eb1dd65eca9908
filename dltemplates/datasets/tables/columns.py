"""Table columns to numbers and ids: read as raw values, fitted on the training split, then encoded.

Raw values are numbers as float64, dates as days since 1970, and categories as text. A missing value is NaN.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from dltemplates.datasets.features import MAX_FLOAT32, fits_float32
from dltemplates.datasets.precision import offset_of
from dltemplates.datasets.spec import IOSpec, rules_of
from dltemplates.datasets.tables.dates import DAY, days_of, example_of, have_times, is_dates, read_dates
from dltemplates.datasets.tables.number_forms import number_forms, parse_numbers
from dltemplates.features import Category, Column, Feature, Number, columns_of

YEAR, WEEK, ONE_DAY = 365.2425, 7.0, 1.0  # in days
MISSING = ("", "?")  # cells that count as missing
NOT_AVAILABLE = ("NA", "NaN", "nan")  # missing too among numbers and dates, else categories: NA is Namibia
NO_NUMBER = (*NOT_AVAILABLE, "N/A", "n/a", "#N/A", "null", "NULL", "None", "none", "-")  # likewise


def kind_of(values: pd.Series) -> str:
    """Detect the kind of a text column: `number`, `date`, or else `category`."""
    is_number, is_none = numbers_of(values).notna(), values.isin(NO_NUMBER)
    if (is_number | is_none).equals(values.notna()) and (is_number.any() or not is_none.any()):
        return "number"
    dates = words_to_missing(values)
    return "date" if is_dates(dates, DAY) and read_dates(dates.dropna()).notna().all() else "category"


def words_to_missing(values: pd.Series) -> pd.Series:
    """Set words such as `NA` to missing, in a column of numbers or dates."""
    return values.mask(values.isin(NO_NUMBER))


def by_older_rules(table: pd.DataFrame, reference: IOSpec | None) -> pd.DataFrame:
    """Set `NA`, `NaN` and `nan` to missing in every column, as before version 3 of the reading rules."""
    return table if rules_of(reference) >= 3 else table.mask(table.isin(NOT_AVAILABLE))


def numbers_of(values: pd.Series) -> pd.Series:
    """Convert a text column to numbers; NaN for missing values and other text."""
    return pd.to_numeric(values, errors="coerce")


def are_numbers(texts: Sequence[str]) -> bool:
    """Return whether all texts are finite numbers, as a column of numbers needs."""
    values = pd.Series(texts, dtype=object)
    forms = number_forms(values)
    return bool(forms) and bool(fits_float32(parse_numbers(values, forms[0]).to_numpy(np.float64)).all())


def raw_rows(columns: Sequence[Column], table: pd.DataFrame, *, to_learn: bool = False) -> pd.DataFrame:
    """Read the input columns of a table.

    Args:
        columns: The input columns.
        table: The table, as text.
        to_learn: Whether the table is for training, so that a column could be of another kind.

    Returns:
        The raw values: float64 columns of numbers and dates, text columns of categories.

    Raises:
        ValueError: If a column is missing, or has invalid values.
    """
    missing = [column.name for column in columns if column.name not in table]
    if missing:
        raise ValueError(
            f"A table must have the network's input columns. Received: none called {', '.join(missing)}. "
            f"There are: {', '.join(map(str, table.columns))}."
        )
    raw: dict[str, Any] = {}
    for column in columns:
        values = table[column.name]
        if column.kind == "category":
            raw[column.name] = values.astype("category")  # stores each text once
        else:
            raw[column.name] = read_numbers(column.name, column.kind, values, format=column.format, to_learn=to_learn)
    return pd.DataFrame(raw, index=table.index)


def fit_column(column: Column, train: pd.Series) -> Column:
    """Fit a column on its raw values in the training split.

    Raises:
        ValueError: If it has no value there.
    """
    if not train.notna().any():
        raise ValueError(
            f"An input column must have values. Received: none in `{column.name}` of the training split. "
            f"Leave it out: --set dataset.table.columns.{column.name}=skip."
        )
    if column.kind == "category":
        counts = train.value_counts()
        return column.model_copy(update={"vocabulary": tuple(sorted(counts.index[counts >= column.min_frequency]))})
    numbers = train.to_numpy(np.float64)
    update = {
        "median": float(np.nanmedian(numbers)),
        "offset": offset_of(numbers),
        "has_time": column.kind == "date" and have_times(numbers),
        "may_be_missing": bool(train.isna().any()),
    }
    return column.model_copy(update=update)


def features_value(columns: Sequence[Column]) -> Number:
    """Build the input for a table's numbers, with statistics yet to be fitted."""
    parts = sum(len(column.parts) for column in columns)
    return Number(name="features", dtype="float32", shape=(parts,), columns=tuple(columns))


def categories_value(columns: Sequence[Column]) -> Category:
    """Build the input for a table's categories: one id per column."""
    return Category(name="categories", dtype="int32", shape=(len(columns),), columns=tuple(columns))


def encode_rows(value: Feature, raw: pd.DataFrame) -> np.ndarray:
    """Encode the raw rows of a table as an input.

    Args:
        value: The input, of kind `number` or `category`, with fitted columns.
        raw: The rows, from `raw_rows`.

    Returns:
        (rows, *value.shape): float32 numbers, int32 ids, or for string inputs the text of the categories.
    """
    encode = _parts
    if isinstance(value, Category):
        encode = _texts if value.dtype == "string" else _ids
    return np.concatenate([encode(column, raw[column.name]) for column in columns_of(value)], axis=1)


def places_of(texts: pd.Series, known: Sequence[str]) -> np.ndarray:
    """Return the position of each text in `known`: float64 (n,), NaN if it is not there.

    `1.0` equals `1`: pandas writes `1.0` for every 1 of a column with a missing value.
    """
    positions = {without_point(text): position for position, text in enumerate(known)}
    positions |= {text: position for position, text in enumerate(known)}
    texts = texts.astype("category")
    found = [positions.get(text, positions.get(without_point(text))) for text in texts.cat.categories]
    return np.array([*found, None], np.float64)[texts.cat.codes]  # a missing text has code -1


def without_point(text: str) -> str:
    """Turn a whole number such as `1.0` into `1`; leave other text unchanged."""
    return re.sub(r"^(-?\d+)\.0+$", r"\1", text)


def find_unknown(value: Feature, raw: pd.DataFrame) -> dict[str, np.ndarray]:
    """Return whether each row has an unknown category, booleans (rows,) by category column."""
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
    raw = values.to_numpy(np.float64)
    missing = np.isnan(raw)
    numbers = np.where(missing, column.median, raw)
    parts = [numbers - column.offset]
    if column.kind == "date":
        for period in (YEAR, WEEK, ONE_DAY) if column.has_time else (YEAR, WEEK):
            angle = 2 * np.pi * numbers / period
            parts += [np.cos(angle), np.sin(angle)]
    if column.may_be_missing:
        parts.append(missing)
    return np.stack(parts, axis=1).astype(np.float32)


def read_numbers(
    name: str, kind: str, values: pd.Series, *, format: str | None = None, to_learn: bool = False
) -> np.ndarray:
    """Read a column of numbers or dates.

    Args:
        name: Name of the column.
        kind: `number` or `date`.
        values: The column as text; numbers may be numeric already.
        format: Format of dates that are not in ISO 8601, or form of numbers unlike `1234.5`.
        to_learn: Whether the table is for training, so that the column could be of another kind.

    Returns:
        float64 (rows,), NaN for missing values; dates in days since 1970.

    Raises:
        ValueError: If a value is invalid, or too large for float32.
    """
    is_date = kind == "date"
    numbers = days_of(read_dates(values, format)) if is_date else parse_numbers(values, format).to_numpy(np.float64)
    is_present = words_to_missing(values).notna()
    wrong = is_present.to_numpy() & ~fits_float32(numbers)
    if wrong.any():
        place = int(np.argmax(wrong))
        received = f"{values.tolist()[place]!r} in row {values.index[place] + 1}"
        rule = f"dates like {example_of(format)}" if is_date else f"finite numbers up to {MAX_FLOAT32:.1e}"
        if format and not is_date:
            rule = f"finite numbers like {format}"
        other = "leave it empty if it is unknown"
        if to_learn:
            other = f"take another kind: --set dataset.table.columns.{name}=category"
        raise ValueError(f"Column `{name}` must hold {rule}. Received: {received}. Correct it, or {other}.")
    return numbers
