"""The text of the user's CSV files: their encoding and their cells."""

from __future__ import annotations

import codecs
import csv
import io
import itertools
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

SEPARATORS = {",": '","', ";": '";"', "\t": '"tab"', "|": '"|"'}  # each with its name in `--set`
GUESSES = ("cp949", "cp1252")  # Windows in Korea, and in Western Europe and America
BOMS = {
    codecs.BOM_UTF32_LE: "utf-32",  # begins like UTF-16
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF8: "utf-8-sig",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}
SAMPLE_WORDS = 3
SAMPLE_ROWS = 1000  # rows that decide between two separators
MAX_CELL = 2**31 - 1  # characters; the csv module refuses more than 131,072 unless told


@dataclass(frozen=True)
class Record:
    """One record of a CSV file.

    Attributes:
        line: The line where it begins, counted from 1; a quoted cell may hold newlines.
        cells: Its cells.
    """

    line: int
    cells: list[str]


@dataclass(frozen=True)
class Records:
    """The records of a CSV file, without blank lines.

    Attributes:
        records: The header and the rows.
        separator: The separator of the cells.
        encoding: The encoding, if it is none of UTF-8, UTF-16 and UTF-32.
        remarks: How the file is read, unless it is UTF-8 with commas.
    """

    records: list[Record]
    separator: str
    encoding: str | None
    remarks: tuple[str, ...]


def read_records(
    path: Path,
    *,
    separator: str | None = None,
    encoding: str | None = None,
    expected_encoding: str | None = None,
    option: str | None = "dataset.table",
) -> Records:
    """Read the records of a CSV file.

    Args:
        path: The file.
        separator: The separator of its cells; None detects it.
        encoding: Encoding of a file without a byte order mark that is not UTF-8; None detects it.
        expected_encoding: The encoding of a trained network's data. It is tried first, and may not fit this file.
        option: Table of the template with `separator` and `encoding`; None if there is none.

    Raises:
        ValueError: If the file cannot be read, or its encoding, separator or a quote is in doubt.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise ValueError(f"A table must be a readable CSV file. Received: {path} ({error.strerror}).") from None
    text, used, remarks = decode(path, data, encoding, expected_encoding, option)
    text, named = _without_separator_line(path, text)
    first_line = 2 if named else 1
    if named and not separator:
        remarks.append(f"{path.name}: separator {SEPARATORS[named]}, as its first line says")
    elif not separator and (found := _find_separator(path, text, option)) != ",":
        separator = found
        remarks.append(f"{path.name}: separator {SEPARATORS[found]}")
    separator = separator or named or ","
    return Records(_records(path, text, separator, first_line), separator, used, tuple(remarks))


def sample_words(text: str) -> str:
    """Return the first different words with a letter outside ASCII, three of them."""
    words = (match[0][:20] for match in re.finditer(r"[^\s\x00-\x2f:;|]*[^\x00-\x7f][^\s\x00-\x2f:;|]*", text))
    return ", ".join(itertools.islice(dict.fromkeys(words), SAMPLE_WORDS))


def decode(
    path: Path, data: bytes, encoding: str | None, expected: str | None, option: str | None
) -> tuple[str, str | None, list[str]]:
    """Decode the text of a file.

    Args:
        path: The file.
        data: Its bytes.
        encoding: As in `read_records`.
        expected: `expected_encoding` of `read_records`.
        option: As in `read_records`.

    Returns:
        The text, the encoding if it is not Unicode, and remarks.

    Raises:
        ValueError: If the encoding is in doubt.
    """
    if mark := next((mark for mark in BOMS if data.startswith(mark)), None):
        if (text := _try(data, BOMS[mark])) is None:
            _raise_unreadable(path, f"bytes that are not {BOMS[mark]}, in spite of its byte order mark", option)
        return text, None, [] if mark == codecs.BOM_UTF8 else [f"{path.name}: encoding {BOMS[mark]}"]
    text = _try(data, "utf-8")
    if text is not None and not (encoding and text.isascii()):  # some encodings use only ASCII bytes
        return text, None, []
    if encoding:
        if (text := _try(data, encoding)) is None:
            _raise_unreadable(path, f"bytes that are not text in {encoding}", option)
        return text, encoding, []
    if expected and (text := _try(data, expected)) is not None:
        return text, expected, [f"{path.name}: encoding {expected}, with words such as {sample_words(text)}"]
    readings = {name: text for name in GUESSES if (text := _try(data, name)) is not None}
    if not readings or b"\0" in data:
        _raise_unreadable(path, f"bytes that are text in neither UTF-8 nor {' nor '.join(GUESSES)}", option)
    if len(readings) > 1:
        words = "; or ".join(
            f"{name}: {sample_words(text)}" + (f" (--set {option}.encoding={name})" if option else "")
            for name, text in readings.items()
        )
        way_out = "Say which it is, or save it" if option else "Save it"
        raise ValueError(
            f"A table that is not in UTF-8 must have one reading. Received: {path}, which reads as {words}. "
            f"{way_out} in UTF-8."
        )
    ((name, text),) = readings.items()
    return text, name, [f"{path.name}: encoding {name}, with words such as {sample_words(text)}"]


def _try(data: bytes, encoding: str) -> str | None:
    """Decode the text; None if it is in another encoding."""
    try:
        text = data.decode(encoding)
    except UnicodeError:
        return None
    return None if "\0" in text else text


def _raise_unreadable(path: Path, received: str, option: str | None) -> NoReturn:
    way_out = f", or name its encoding: --set {option}.encoding=NAME" if option else ""
    kind = "text" if path.suffix.lower() in (".txt", ".jsonl") else "a CSV file"
    raise ValueError(
        f"A file must be {kind} in UTF-8. Received: {path}, {received}. Save it as {kind} in UTF-8{way_out}."
    )


def _without_separator_line(path: Path, text: str) -> tuple[str, str | None]:
    """Return the text without a first line such as `sep=;`, which Excel reads, and the separator in it."""
    match = re.match(r'"?sep=(.?)"?[;,\t|]*(\r\n|\r|\n|$)', text, re.IGNORECASE)
    if match is None:
        return text, None
    if match[1] not in SEPARATORS:
        raise ValueError(
            f"The cells of a table must be separated by one of {' '.join(SEPARATORS.values())}. Received: "
            f"{match[0].strip()!r} in line 1 of {path}. Save it with another."
        )
    return text[match.end() :], match[1]


def _find_separator(path: Path, text: str, option: str | None) -> str:
    """Return the separator by which the header has several cells, and the rows as many.

    Raises:
        ValueError: If two separators fit.
    """
    samples = {mark: list(itertools.islice(_raw_records(text, mark, 1), SAMPLE_ROWS)) for mark in SEPARATORS}
    widths = {mark: len(rows[0].cells) if rows else 0 for mark, rows in samples.items()}
    possible = [mark for mark in SEPARATORS if widths[mark] > 1]
    if not possible:  # one column, or a title above the header
        below = {mark: rows[1:] for mark, rows in samples.items()}
        titled = [
            mark for mark, rows in below.items() if len(rows) > 1 and len(rows[0].cells) > 1 and _same_width(rows)
        ]
        return titled[0] if titled else ","
    fitting = [mark for mark in possible if _same_width(samples[mark])]
    if len(fitting) > 1:
        names = " and ".join(SEPARATORS[mark] for mark in fitting)
        first = SEPARATORS[fitting[0]]
        way_out = f"Say which: --set '{option}.separator={first}'" if option else "Put cells in quotes"
        raise ValueError(
            f"The cells of a table must have one separator. Received: {path}, where {names} fit. {way_out}."
        )
    return fitting[0] if fitting else max(possible, key=lambda mark: widths[mark])


def _same_width(records: list[Record]) -> bool:
    return len({len(record.cells) for record in records if not _is_blank(record)}) == 1


def _records(path: Path, text: str, separator: str, first_line: int) -> list[Record]:
    """Return the records without blank lines.

    Raises:
        ValueError: If a quote is never closed, or text follows a closed quote.
    """
    header: Record | None = None
    records: list[Record] = []
    for record in _raw_records(text, separator, first_line, strict=True):
        if record.cells[-1].endswith(END):
            spaces = " " if separator == "\t" else " \t"
            narrow = re.sub(rf'"[{spaces}]+(?=[{re.escape(separator)}\r\n]|$)', '"', text)  # some programs add spaces
            if narrow != text:
                return _records(path, narrow, separator, first_line)
            raise ValueError(
                f"A cell in quotes must end with a quote, and a separator must follow. Received: {path}, where this is "
                f'not so from line {record.line} on. Add the quote, or write a quote in a cell as "".'
            )
        if header is None and _is_blank(record):
            continue
        header = header or record
        if len(header.cells) == 1 or not _is_blank(record):
            records.append(record)
    return records


def _is_blank(record: Record) -> bool:
    return len(record.cells) == 1 and not record.cells[0].strip()


END = "\0end of the file\0"  # an open quote swallows it


def _raw_records(text: str, separator: str, first_line: int, *, strict: bool = False) -> Iterator[Record]:
    """Yield the records, but for empty lines.

    If a quote is not closed, the last cell of the last record ends with `END`. If `strict`, this is also so where text
    follows a closed quote.
    """
    csv.field_size_limit(MAX_CELL)
    lines = itertools.chain(io.StringIO(text, newline=""), [END])
    reader = csv.reader(lines, delimiter=separator, skipinitialspace=True, strict=strict)
    line = 0
    try:
        for cells in reader:
            if cells and cells != [END]:
                yield Record(line + first_line, cells)
            line = reader.line_num
    except csv.Error:
        yield Record(line + first_line, [END])
