"""The columns of a table that a network would not learn from as their owner expects: warnings, and names to leave out.

A category that few rows have may name a person. The network treats all rare categories as one, and no file holds
them. A column of names, e-mail addresses or other identifiers is left out.
"""

from __future__ import annotations

from collections.abc import Container, Sequence

import numpy as np
import pandas as pd

from dltemplates.datasets.precision import precision_warning
from dltemplates.datasets.tables.columns import NO_NUMBER
from dltemplates.datasets.tables.number_forms import parse_numbers
from dltemplates.features import Column
from dltemplates.settings import TableSettings

MAX_FLOAT64_INTEGER = 2**53  # float64 holds each whole number up to here
MIN_FREQUENCY = 5  # rows of a category that is not rare; scikit-learn's encoders have an option of this name
MAX_NAMED = 5  # columns that a warning names


def without_names(
    columns: Sequence[Column], table: pd.DataFrame, settings: TableSettings, doubted: Container[str] = ()
) -> tuple[list[Column], list[str]]:
    """Set the frequency from which categories are not rare, and leave out columns of nearly all different categories.

    Args:
        columns: The input columns.
        table: The training table, as text.
        settings: A column whose kind they set is kept.
        doubted: Names of columns that may be of another kind; they are kept, and a warning is known.

    Returns:
        The columns; and a warning for each that is left out, or whose categories are all rare.

    Raises:
        ValueError: If no column is left.
    """
    least = settings.min_frequency or MIN_FREQUENCY
    kept: list[Column] = []
    warnings = []
    for column in columns:
        if column.kind != "category":
            kept.append(column)
            continue
        counts = table[column.name].value_counts()
        are_rare = len(counts) > 0 and counts.iloc[0] < least
        if (are_rare or 2 * len(counts) > counts.sum()) and column.name not in settings.columns:
            if column.name not in doubted:
                warnings.append(_left_out(column.name, counts, least))
                continue
        elif are_rare:
            warnings.append(
                f"all categories of column `{column.name}` are rare, in fewer than {least} rows, so the network "
                "treats them as one: to write them into its files, say --set dataset.table.min_frequency=1"
            )
        kept.append(column.model_copy(update={"min_frequency": least}))
    if not kept:
        raise ValueError(
            "A table must have an input column. Received: only columns of nearly all different categories. Set the "
            f"kind of one: --set dataset.table.columns.{columns[0].name}=date, or =category with "
            "--set dataset.table.min_frequency=1."
        )
    return [column.model_copy(update={"place": place}) for place, column in enumerate(kept)], warnings


def _left_out(name: str, counts: pd.Series, least: int) -> str:
    if 2 * len(counts) > counts.sum():
        return (
            f"column `{name}` is left out: its categories, {len(counts)} different ones in {counts.sum()} rows, may be "
            f"names or numbers of persons or things. To keep it, say --set dataset.table.columns.{name}=category"
        )
    return (
        f"column `{name}` is left out: each of its categories is in fewer than {least} rows, and may name a person. To "
        "keep it, say --set dataset.table.min_frequency=1"
    )


def number_warnings(columns: Sequence[Column], table: pd.DataFrame) -> list[str | None]:
    """Return the warnings about columns that were found to be numbers.

    Args:
        columns: The columns.
        table: The table, as text.
    """
    names = [column.name for column in columns]
    return [_words_warning(names, table), *(_precision_warning(column, table[column.name]) for column in columns)]


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


def _precision_warning(column: Column, values: pd.Series) -> str | None:
    """Warn of numbers that are nearly all equal to a network."""
    numbers = parse_numbers(values, column.format).to_numpy(np.float64)
    is_exact = np.nanmax(np.abs(numbers), initial=0.0) < MAX_FLOAT64_INTEGER
    return precision_warning(column.name, numbers, table="table", different=None if is_exact else values.nunique())
