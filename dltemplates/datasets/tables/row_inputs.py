"""Table rows to predict, from a CSV file or typed by the user."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from dltemplates.datasets.names import same_as
from dltemplates.datasets.spec import IOSpec
from dltemplates.datasets.tables.clean_names import clean_frames
from dltemplates.datasets.tables.columns import MISSING, by_older_rules, encode_rows, find_unknown, raw_rows
from dltemplates.datasets.tables.csv_file import read_csv
from dltemplates.datasets.tables.csv_text import SEPARATORS
from dltemplates.features import Column, Feature, Number, WithColumns, columns_of


class Row(NamedTuple):
    """One row of a user.

    Attributes:
        name: Its name for the user.
        arrays: The inputs by name, each (1, ...).
        unknown: The columns with an unknown category.
        cells: The cells of a CSV file as text, by column; of a typed row, none.
    """

    name: str
    arrays: dict[str, np.ndarray]
    unknown: list[str]
    cells: dict[str, str]


def read_rows(text: str | Path, values: Sequence[Feature], *, reference: IOSpec | None = None) -> list[Row]:
    """Read rows as the inputs of a network.

    Args:
        text: A `.csv` file with a header, with or without the target; or one row, as `name=value,name=value` or as
            values in the order of the training table. Another separator than the comma may separate them.
        values: The network's inputs.
        reference: Spec or contract of the network.

    Raises:
        ValueError: If the file is missing, or a column is missing or invalid.
    """
    values = [_with_columns(value) for value in values]
    path = Path(text)
    if path.suffix.lower() == ".csv":
        if not path.is_file():
            raise ValueError(
                f"An input must be a CSV file or a row. Received: {path}, which does not exist. Check the path."
            )
        written = read_csv(path, option=None, reference=reference).table
        cells = [{str(name): cell for name, cell in row.items()} for row in written.fillna("").to_dict("records")]
        table = _clean(written, reference)
        names = [f"{path} row {number}" for number in range(1, len(table) + 1)]
    else:
        rows = _parse_row(str(text), values)
        table = _most_known([_clean(pd.DataFrame([row], dtype=str), reference) for row in rows], values)
        names, cells = [str(text)], [{}]
    raw = _raw(table, values)
    arrays = {value.name: encode_rows(value, raw) for value in values}
    unknown = {name: rows for value in values for name, rows in find_unknown(value, raw).items()}
    return [
        Row(
            name,
            {key: array[place : place + 1] for key, array in arrays.items()},
            [column for column, rows in unknown.items() if rows[place]],
            cells[place],
        )
        for place, name in enumerate(names)
    ]


def _with_columns(value: Feature) -> Feature:
    """Name a column for each number of an input that is not from a table, such as a latent vector or noise."""
    if isinstance(value, WithColumns) and value.columns is not None:
        return value
    if len(value.shape) != 1:
        raise ValueError(
            f"A row must be the numbers of one axis. Received: input `{value.name}` of shape {value.shape}. "
            "Call the file through its runtime, with arrays."
        )
    names = tuple(Column(name=f"{value.name}_{place}") for place in range(value.shape[0]))
    return Number(name=value.name, dtype=value.dtype, shape=value.shape, columns=names)


def _clean(table: pd.DataFrame, reference: IOSpec | None) -> pd.DataFrame:
    return by_older_rules(clean_frames({"rows": table}, reference)["rows"], reference)


def _raw(table: pd.DataFrame, values: Sequence[Feature]) -> pd.DataFrame:
    return raw_rows([column for value in values for column in columns_of(value)], table)


def _parse_row(text: str, values: Sequence[Feature]) -> list[dict[str, str | None]]:
    """Parse the cells of one row, by column, with each separator that fits; None for missing ones."""
    known = [column for value in values for column in columns_of(value)]
    columns = [column.name for column in sorted(known, key=lambda column: column.place)]
    is_line = "\n" not in text and "\r" not in text
    rows = [row for separator in SEPARATORS if is_line and (row := _cells_by_column(text, separator, columns))]
    if not rows:
        raise ValueError(
            f"A row must give a value for each of {', '.join(columns)}. Received: {text!r}. "
            "Write name=value,name=value, or the values in that order; leave the value empty if it is missing. If a "
            "value holds a comma, separate them by `;`."
        )
    return [{name: None if cell.strip() in MISSING else cell.strip() for name, cell in row.items()} for row in rows]


def _most_known(tables: Sequence[pd.DataFrame], values: Sequence[Feature]) -> pd.DataFrame:
    """Return the row that the network reads with the fewest unknown categories: `3,5;red` may have two meanings.

    Raises:
        ValueError: If it reads none, or two equally well.
    """
    readable: list[tuple[int, pd.DataFrame]] = []
    errors = []
    for table in tables:
        try:
            raw = _raw(table, values)
        except ValueError as error:
            errors.append(error)
            continue
        unknown = [rows for value in values for rows in find_unknown(value, raw).values()]
        readable.append((sum(int(rows.sum()) for rows in unknown), table))
    if not readable:
        raise errors[0]
    least = min(score for score, _ in readable)
    best, *others = [table for score, table in readable if score == least]
    if any(not table.equals(best) for table in others):
        raise ValueError(
            f"A row must have one meaning. Received: {', '.join(map(str, best.iloc[0]))}; or "
            f"{', '.join(map(str, others[0].iloc[0]))}. Write name=value;name=value."
        )
    return best


def _cells_by_column(text: str, separator: str, columns: Sequence[str]) -> dict[str, str] | None:
    """Split the cells of one row; None if they are not one for each column."""
    (cells,) = csv.reader([text], delimiter=separator, skipinitialspace=True)
    if all("=" in cell for cell in cells):
        pairs = [cell.split("=", 1) for cell in cells]
        named = {name.strip(): cell for name, cell in pairs}
        if len(named) < len(pairs):
            return None
        spellings = same_as(columns, named)
        row = {spellings.get(name, name): cell for name, cell in named.items()}
        return row if set(row) == set(columns) else None
    return dict(zip(columns, cells, strict=True)) if len(cells) == len(columns) else None
