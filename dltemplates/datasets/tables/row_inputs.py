"""Table rows to predict, from a CSV file or typed by the user."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from dltemplates.datasets.spec import IOSpec
from dltemplates.datasets.tables.columns import MISSING, by_older_rules, encode_rows, find_unknown, raw_rows
from dltemplates.datasets.tables.csv_file import read_csv
from dltemplates.features import Column, Feature, Number, WithColumns, columns_of

Example = tuple[str, dict[str, np.ndarray], list[str]]


def read_rows(text: str | Path, values: Sequence[Feature], *, reference: IOSpec | None = None) -> list[Example]:
    """Read rows as the inputs of a network.

    Args:
        text: A `.csv` file with a header, with or without the target; or one row, as `name=value,name=value` or as
            values in the order of the training table.
        values: The network's inputs.
        reference: Spec or contract of the network.

    Returns:
        For each row its name, its inputs by name, each (1, ...), and the columns with an unknown category.

    Raises:
        ValueError: If the file is missing, or a column is missing or invalid.
    """
    values = [_with_columns(value) for value in values]
    path = Path(text)
    if path.suffix == ".csv":
        if not path.is_file():
            raise ValueError(
                f"An input must be a CSV file or a row. Received: {path}, which does not exist. Check the path."
            )
        table = read_csv(path)
        names = [f"{path} row {number}" for number in range(1, len(table) + 1)]
    else:
        table = pd.DataFrame([_parse_row(str(text), values)], dtype=str)
        names = [str(text)]
    table = by_older_rules(table, reference)
    raw = raw_rows([column for value in values for column in columns_of(value)], table)
    arrays = {value.name: encode_rows(value, raw) for value in values}
    unknown = {name: rows for value in values for name, rows in find_unknown(value, raw).items()}
    return [
        (
            name,
            {key: array[place : place + 1] for key, array in arrays.items()},
            [column for column, rows in unknown.items() if rows[place]],
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


def _parse_row(text: str, values: Sequence[Feature]) -> dict[str, str | None]:
    """Parse the cells of one row, by column; None for missing ones."""
    known = [column for value in values for column in columns_of(value)]
    columns = [column.name for column in sorted(known, key=lambda column: column.place)]
    (cells,) = csv.reader([text], skipinitialspace=True)
    is_named = all("=" in cell for cell in cells)
    row = dict(cell.split("=", 1) for cell in cells) if is_named else dict(zip(columns, cells, strict=False))
    if set(row) != set(columns) or (not is_named and len(cells) != len(columns)):
        raise ValueError(
            f"A row must give a value for each of {', '.join(columns)}. Received: {text!r}. "
            "Write name=value,name=value, or the values in that order; leave the value empty if it is missing."
        )
    return {name: None if cell.strip() in MISSING else cell.strip() for name, cell in row.items()}
