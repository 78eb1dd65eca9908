"""Warnings about the columns of a table that a network may not learn from as its owner expects."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from dltemplates.datasets.precision import precision_warning
from dltemplates.datasets.tables.columns import NO_NUMBER, numbers_of

MAX_FLOAT64_INTEGER = 2**53  # float64 holds each whole number up to here
MAX_NAMED = 5  # columns that a warning names


def number_warnings(names: Sequence[str], table: pd.DataFrame) -> list[str | None]:
    """Return the warnings about columns that were found to be numbers.

    Args:
        names: The columns.
        table: The table, as text.
    """
    return [_words_warning(names, table), *(_precision_warning(name, table[name]) for name in names)]


def name_words(words: pd.Series) -> str:
    """Count words, such as `10 NA, 2 null`."""
    return ", ".join(f"{count} {word}" for word, count in words.value_counts().items())


def _words_warning(names: Sequence[str], table: pd.DataFrame) -> str | None:
    """Warn of words that are read as missing numbers."""
    words = {name: table[name][table[name].isin(NO_NUMBER)] for name in names}
    found = [f"{name_words(cells)} in `{name}`" for name, cells in words.items() if len(cells)]
    if not found:
        return None
    first = next(name for name, cells in words.items() if len(cells))
    more = f" and {len(found) - MAX_NAMED} more columns" if len(found) > MAX_NAMED else ""
    return (
        f"read as missing numbers: {'; '.join(found[:MAX_NAMED])}{more}. Leave these cells empty, or for a column of "
        f"categories say --set dataset.table.columns.{first}=category"
    )


def _precision_warning(name: str, values: pd.Series) -> str | None:
    """Warn of numbers that are nearly all equal to a network."""
    numbers = numbers_of(values).to_numpy(np.float64)
    is_exact = np.nanmax(np.abs(numbers), initial=0.0) < MAX_FLOAT64_INTEGER
    return precision_warning(name, numbers, table="table", different=None if is_exact else values.nunique())
