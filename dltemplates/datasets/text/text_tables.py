"""Tables of texts: `.csv`, `.tsv` and `.jsonl` files, one text per row."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from dltemplates.datasets.spec import IOSpec
from dltemplates.datasets.tables.csv_text import decode, read_records
from dltemplates.datasets.target_names import USUAL_TARGETS
from dltemplates.settings import TextSettings

OPTION = "dataset.text"
SUFFIXES = (".csv", ".tsv", ".jsonl")
LINE_BREAK = re.compile(r"\r\n|\r|\n")  # `str.splitlines` also splits at characters that a text may hold
USUAL_TEXTS = ("text", "sentence", "review", "message", "comment", "content", "document", "question", "title", "tweet")
USUAL_SOURCES = ("source", "src", "input", "question")
USUAL_TRANSLATIONS = ("target", "tgt", "translation", "output", "answer", "summary")
USUAL_NAMES = {*USUAL_TARGETS, *USUAL_TEXTS, *USUAL_SOURCES, *USUAL_TRANSLATIONS, "id"}


@dataclass(frozen=True)
class TextTable:
    """The cells of a table.

    Attributes:
        columns: The names of the columns: `1`, `2`, ... if the file has none.
        rows: The cells of each row, without spaces around them.
        lines: The line of each row, counted from 1.
        encoding: The encoding, if it is not Unicode.
        remarks: How the file is read, where that is in doubt.
    """

    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    lines: tuple[int, ...]
    encoding: str | None = None
    remarks: tuple[str, ...] = ()

    def column(self, name: str) -> list[str]:
        """Return the cells of a column."""
        place = self.columns.index(name)
        return [row[place] for row in self.rows]


def read_text_table(
    path: Path,
    settings: TextSettings,
    *,
    names: tuple[str, ...] = (),
    reference: IOSpec | None = None,
    suffix: str | None = None,
) -> TextTable:
    """Read a table of texts.

    The first row of a `.csv` or `.tsv` file has the names of the columns if one of its cells is a usual name, such as
    `text` or `label`, or is among `names`, and is in no other row of its column.

    Args:
        path: The file.
        settings: Its separator and encoding.
        names: Names of columns that the settings use.
        reference: Spec or contract of a trained network, whose encoding is tried before others.
        suffix: How to read it; None for the file's own suffix.

    Raises:
        ValueError: If it cannot be read, has no rows, or has rows of different lengths.
    """
    suffix = suffix or path.suffix.lower()
    read = {".jsonl": _read_lines_of_json, ".tsv": _read_tsv}.get(suffix, _read_csv)
    cells, encoding, remarks = read(path, settings, reference.encoding if reference else None)
    if not cells:
        raise ValueError(f"A table of texts must have rows. Received: {path}, which has none. Add some.")
    first = cells[0][1]
    for line, row in cells:
        if len(row) != len(first):
            raise ValueError(
                f"Each row must have {len(first)} cells. Received: {len(row)} in line {line} of {path}. Complete it, "
                "or put cells that hold the separator in quotes."
            )
    if suffix == ".jsonl" or _are_names([row for _, row in cells], {*names, *USUAL_NAMES}):
        columns, cells = tuple(first), cells[1:]
    else:
        columns = tuple(str(place) for place in range(1, len(first) + 1))
        if len(columns) > 1:
            remarks = (*remarks, f"{path.name}: the first row is an example, and the columns are {', '.join(columns)}")
    if len(set(columns)) < len(columns):
        raise ValueError(f"Columns must have different names. Received: {', '.join(columns)} in {path}. Rename one.")
    if not cells:
        raise ValueError(f"A table of texts must have rows. Received: {path}, only column names. Add some.")
    lines, rows = zip(*cells, strict=True)
    return TextTable(columns, tuple(map(tuple, rows)), lines, encoding, remarks)


def _are_names(rows: list[list[str]], names: set[str]) -> bool:
    """Return whether the first row has the names of the columns: a known one that no other row has in its place."""
    known = {name.casefold() for name in names}
    first, *others = rows
    return any(
        cell.casefold() in known and all(row[place] != cell for row in others) for place, cell in enumerate(first)
    )


Cells = tuple[list[tuple[int, list[str]]], str | None, tuple[str, ...]]  # lines and cells; the encoding; remarks


def _read_csv(path: Path, settings: TextSettings, expected: str | None) -> Cells:
    records = read_records(
        path,
        separator=settings.separator,
        encoding=settings.encoding,
        expected_encoding=expected,
        option=OPTION,
    )
    cells = [(record.line, [cell.strip() for cell in record.cells]) for record in records.records]
    return cells, records.encoding, records.remarks


def _read_tsv(path: Path, settings: TextSettings, expected: str | None) -> Cells:
    """Read lines of cells with tabs between them; quotes are text, unless only as quotes they give whole rows."""
    text, encoding, remarks = read_text(path, settings.encoding, expected)
    separator = settings.separator or "\t"
    lines = [(number, line.split(separator)) for number, line in enumerate(LINE_BREAK.split(text), 1) if line.strip()]
    if len({len(cells) for _, cells in lines}) > 1 and '"' in text:
        return _read_csv(path, settings.model_copy(update={"separator": separator}), expected)
    return [(number, [_unquoted(cell.strip()) for cell in cells]) for number, cells in lines], encoding, tuple(remarks)


def _unquoted(cell: str) -> str:
    return cell[1:-1].replace('""', '"') if len(cell) > 1 and cell[0] == cell[-1] == '"' else cell


def _read_lines_of_json(path: Path, settings: TextSettings, expected: str | None) -> Cells:
    text, encoding, remarks = read_text(path, settings.encoding, expected)
    cells: list[tuple[int, list[str]]] = []
    names: list[str] = []
    for number, line in enumerate(LINE_BREAK.split(text), 1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except json.JSONDecodeError as error:
            raise ValueError(
                f"Each line must be a JSON object. Received: line {number} of {path} ({error}). Correct it."
            ) from None
        if not isinstance(row, dict) or (names and set(row) != set(names)):
            received = f"the keys {', '.join(row)}" if isinstance(row, dict) else type(row).__name__
            raise ValueError(
                f"Each line must be a JSON object with the keys of the first. Received: {received} in line {number} of "
                f"{path}. Correct it."
            )
        if not names:
            names = list(row)
            cells.append((0, names))
        cells.append((number, ["" if row[name] is None else str(row[name]).strip() for name in names]))
    return cells, encoding, tuple(remarks)


def check_columns(tables: Mapping[str, TextTable]) -> None:
    """Check that the tables of all splits have the same columns.

    Raises:
        ValueError: If they differ.
    """
    (first, columns), *others = ((split, table.columns) for split, table in tables.items())
    for split, names in others:
        if names != columns:
            raise ValueError(
                f"Each split must have the same columns. Received: {', '.join(columns)} in {first} but "
                f"{', '.join(names)} in {split}. Rename or reorder them."
            )


def read_text(path: Path, encoding: str | None, expected: str | None) -> tuple[str, str | None, list[str]]:
    """Read a text, with `\\n` at the end of each line; otherwise as `decode` does."""
    text, used, remarks = decode(path, path.read_bytes(), encoding, expected, OPTION)
    return LINE_BREAK.sub("\n", text), used, remarks
