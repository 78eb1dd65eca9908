"""CSV files of the user's, as text."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd

from dltemplates.datasets.tables.columns import MISSING

AS_TEXT: dict[str, Any] = {"dtype": str, "skipinitialspace": True, "na_filter": False}  # how pandas is to read a file


def read_csv(path: Path) -> pd.DataFrame:
    """Read a CSV file with a header as text; cells that are empty, `?`, `NA`, `NaN` or `nan` are missing.

    Spaces around a cell are no part of it. A column without a name that holds nothing is left out: some programs end
    each row with a comma.

    Raises:
        ValueError: If it cannot be read, holds no rows or no commas where it should, rows are longer than the header,
            or two columns have one name.
    """
    try:
        table = pd.read_csv(path, encoding="utf-8-sig", **AS_TEXT)
        header = pd.read_csv(path, encoding="utf-8-sig", header=None, nrows=1, **AS_TEXT)
    except (ValueError, OSError) as error:  # a ParserError and an EmptyDataError are ValueErrors
        raise ValueError(
            f"A table must be a CSV file in UTF-8 with a header. Received: {path} ({' '.join(str(error).split())}). "
            "Save it as such."
        ) from None
    names = header.iloc[0].str.strip()
    if len(names) == 1 and (separator := next((mark for mark in ";\t|" if mark in names[0]), None)):
        raise ValueError(
            f"The cells of a table must be separated by commas. Received: {names[0]!r} as the header of {path}, "
            f"separated by {separator!r}. Save it with commas, and numbers with a point."
        )
    if not isinstance(table.index, pd.RangeIndex):  # what pandas makes of a cell too many
        raise ValueError(
            f"Each row must have a cell for each name of the header, {len(names)}. Received: "
            f"{len(names) + table.index.nlevels} cells in the rows of {path}. Name all columns, or remove the "
            "comma that ends each row."
        )
    table = clean(table)
    named = ((names != "") | table.notna().any().to_numpy()).to_numpy()
    if twice := sorted(set(names[names.duplicated() & (names != "")])):
        raise ValueError(
            f"Columns must have different names. Received: {', '.join(twice)} twice in {path}. Rename one."
        )
    if not len(table):
        raise ValueError(f"A table must hold rows. Received: {path}, which holds none. Add some.")
    table.columns = [name or str(made) for name, made in zip(names, table.columns, strict=True)]
    return table.loc[:, named]


def clean(table: pd.DataFrame) -> pd.DataFrame:
    """A table of text without the spaces around cells, and with NaN where one is missing."""
    stripped = table.apply(lambda column: column.str.strip())
    return stripped.mask(stripped.isin(MISSING))
