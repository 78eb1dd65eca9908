"""The user's CSV files, read as text."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd

from dltemplates.datasets.tables.columns import MISSING

AS_TEXT: dict[str, Any] = {"dtype": str, "skipinitialspace": True, "na_filter": False}  # pandas options


def read_csv(path: Path) -> pd.DataFrame:
    """Read a CSV file with a header as text. Cells that are empty or `?` are missing.

    Spaces around cells are stripped. An empty column without a name is left out: some programs end each row with a
    comma.

    Raises:
        ValueError: If it cannot be read, has no rows, uses another separator than commas, has rows longer than the
            header, or two columns share a name.
    """
    try:
        table = pd.read_csv(path, encoding="utf-8-sig", **AS_TEXT)
        header = pd.read_csv(path, encoding="utf-8-sig", header=None, nrows=1, **AS_TEXT)
    except (ValueError, OSError) as error:  # a ParserError and an EmptyDataError are ValueErrors
        raise ValueError(
            f"A table must be a CSV file in UTF-8 with a header. Received: {path} ({' '.join(str(error).split())}). "
            "Save it as a CSV file in UTF-8."
        ) from None
    names = header.iloc[0].str.strip()
    if len(names) == 1 and (separator := next((mark for mark in ";\t|" if mark in names[0]), None)):
        raise ValueError(
            f"The cells of a table must be separated by commas. Received: {names[0]!r} as the header of {path}, "
            f"separated by {separator!r}. Save it with commas, and numbers with a point."
        )
    if not isinstance(table.index, pd.RangeIndex):  # pandas makes an index of extra cells
        raise ValueError(
            f"Each row must have one cell per column name, {len(names)}. Received: "
            f"{len(names) + table.index.nlevels} cells in the rows of {path}. Name all columns, or remove the "
            "comma that ends each row."
        )
    table = clean(table)
    named = ((names != "") | table.notna().any().to_numpy()).to_numpy()
    if duplicates := sorted(set(names[names.duplicated() & (names != "")])):
        raise ValueError(
            f"Columns must have different names. Received: {', '.join(duplicates)} twice in {path}. Rename one."
        )
    if not len(table):
        raise ValueError(f"A table must have rows. Received: {path}, which has none. Add some.")
    table.columns = [name or str(default) for name, default in zip(names, table.columns, strict=True)]
    return table.loc[:, named]


def clean(table: pd.DataFrame) -> pd.DataFrame:
    """Strip the spaces around cells, and set missing cells to NaN."""
    stripped = table.apply(lambda column: column.str.strip())
    return stripped.mask(stripped.isin(MISSING))
