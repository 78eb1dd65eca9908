"""The user's CSV files, read as text."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from dltemplates.datasets.spec import IOSpec, rules_of
from dltemplates.datasets.tables.columns import MISSING
from dltemplates.datasets.tables.csv_text import SEPARATORS, Record, read_records
from dltemplates.settings import CsvSettings

AS_TEXT: dict[str, Any] = {"dtype": str, "skipinitialspace": True, "na_filter": False}  # pandas options
MAX_LINES = 3  # named in an error


@dataclass(frozen=True)
class CsvFile:
    """A CSV file as text.

    Attributes:
        table: Its cells by column name; missing ones are NaN.
        separator: The separator of its cells.
        encoding: Its encoding, if it is none of UTF-8, UTF-16 and UTF-32.
        remarks: How it is read, unless it is UTF-8 with commas.
    """

    table: pd.DataFrame
    separator: str = ","
    encoding: str | None = None
    remarks: tuple[str, ...] = ()


def read_csv(
    path: Path,
    settings: CsvSettings | None = None,
    *,
    option: str | None = "dataset.table",
    reference: IOSpec | None = None,
) -> CsvFile:
    """Read a CSV file with a header as text. Cells that are empty or `?` are missing.

    Spaces around cells are stripped. An empty column without a name is left out: some programs end each row with a
    comma.

    Args:
        path: The file.
        settings: Its separator and encoding, where the detected ones are wrong.
        option: Table of the template with these settings; None if the user cannot set them.
        reference: Spec or contract of a trained network, whose encoding is tried before others.

    Raises:
        ValueError: If it cannot be read, has no rows, has rows of another length than the header, or two columns share
            a name.
    """
    if rules_of(reference) < 3:
        try:
            return CsvFile(_read_by_older_rules(path))
        except ValueError:  # other separators and encodings were refused, and are read now
            pass
    settings = settings or CsvSettings()
    records = read_records(
        path,
        separator=settings.separator,
        encoding=settings.encoding,
        expected_encoding=reference.encoding if reference else None,
        option=option,
    )
    if not records.records:
        raise ValueError(
            f"A table must be a CSV file in UTF-8 with a header. Received: {path}, an empty file. Write a header."
        )
    header, *rows = records.records
    names = pd.Series(header.cells, dtype=object).str.strip()
    _check_title(path, header, rows)
    _check_lengths(path, header, rows, records.separator, option)
    columns = [str(column) for column in range(len(names))]
    table = pd.DataFrame([record.cells for record in rows], columns=columns, dtype=str)
    return CsvFile(_with_names(path, table, names), records.separator, records.encoding, records.remarks)


def clean(table: pd.DataFrame) -> pd.DataFrame:
    """Strip the spaces around cells, and set missing cells to NaN."""
    stripped = table.apply(lambda column: column.str.strip())
    return stripped.mask(stripped.isin(MISSING))


def _check_title(path: Path, header: Record, rows: list[Record]) -> None:
    """Raise a `ValueError` if the first line is a title instead of column names."""
    widths = {len(row.cells) for row in rows}
    names = [cell.strip() for cell in header.cells]
    is_alone = len(names) == 1 and widths and 1 not in widths
    has_values = any(cell.strip() for row in rows for cell in row.cells[1:])
    is_padded = len(names) > 1 and names[0] and not any(names[1:]) and has_values
    if is_alone or is_padded:
        raise ValueError(
            f"A table must begin with the column names. Received: {path}, where line {header.line} is one cell, and "
            f"line {rows[0].line} has {len(rows[0].cells)}: line {header.line} is a title line. Remove it, or name all "
            "columns in it."
        )


def _check_lengths(path: Path, header: Record, rows: list[Record], separator: str, option: str | None) -> None:
    """Raise a `ValueError` unless each row has as many cells as the header."""
    width = len(header.cells)
    wrong = [record for record in rows if len(record.cells) != width]
    if not wrong:
        return
    widths = {len(record.cells) for record in rows}
    if len(wrong) == len(rows) and widths == {width + 1} and not any(record.cells[-1].strip() for record in wrong):
        raise ValueError(
            f"Each row must have one cell per column name, {width}. Received: {width + 1} cells in the rows of {path}. "
            "Name all columns, or remove the comma that ends each row."
        )
    lines = ", ".join(f"{len(record.cells)} in line {record.line}" for record in wrong[:MAX_LINES])
    more = f" and {len(wrong) - MAX_LINES} more lines" if len(wrong) > MAX_LINES else ""
    way_out = f"Complete these lines, and put cells that hold {separator!r} in quotes"
    if len(wrong) == len(rows) and len(widths) == 1:
        way_out = (
            f"Name all columns, or put cells that hold {separator!r} in quotes; if line {header.line} is a title, "
            "remove it"
        )
    if option:
        way_out += f"; for another separator, --set '{option}.separator=\";\"'"
    raise ValueError(
        f"Each row must have one cell per column name, {width}. Received: {lines}{more} of {path}. {way_out}."
    )


def _with_names(path: Path, table: pd.DataFrame, names: pd.Series) -> pd.DataFrame:
    """Return the cleaned table with the names of its columns; empty columns without a name are left out.

    Raises:
        ValueError: If it has no rows, or two columns share a name.
    """
    if duplicates := sorted(set(names[names.duplicated() & (names != "")])):
        raise ValueError(
            f"Columns must have different names. Received: {', '.join(duplicates)} twice in {path}. Rename one."
        )
    if not len(table):
        raise ValueError(f"A table must have rows. Received: {path}, which has none. Add some.")
    table = clean(table)
    named = ((names != "") | table.notna().any().to_numpy()).to_numpy()
    known = set(names)
    for place, name in enumerate(names):
        if not name:
            free = (f"Unnamed: {number}" for number in itertools.count(place) if f"Unnamed: {number}" not in known)
            names[place] = next(free)
            known.add(names[place])
    table.columns = list(names)
    return table.loc[:, named]


def _read_by_older_rules(path: Path) -> pd.DataFrame:
    """Read a table as before version 3 of the reading rules: short rows are filled up with missing cells.

    Raises:
        ValueError: If it is not UTF-8 with commas, or breaks another rule.
    """
    table = pd.read_csv(path, encoding="utf-8-sig", **AS_TEXT)  # its ParserError and EmptyDataError are ValueErrors
    names = pd.read_csv(path, encoding="utf-8-sig", header=None, nrows=1, **AS_TEXT).iloc[0].str.strip()
    has_other_separator = len(names) == 1 and any(mark in names[0] for mark in SEPARATORS)
    if has_other_separator or not isinstance(table.index, pd.RangeIndex):  # pandas makes an index of extra cells
        raise ValueError(f"Each row must have one cell per column name, {len(names)}. Received: {path}. Use commas.")
    return _with_names(path, table, names)
