"""Files of the UCR and UEA archives: `.ts`, with a header, and text with a class at the start of each line.

The `.ts` format: https://www.timeseriesclassification.com, "Formatting a dataset for the archive".
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

import numpy as np

from dltemplates.datasets.series.sequences import Sequences

FLAGS = ("timestamps", "missing", "univariate", "equallength", "targetlabel")
COUNTS = ("dimensions", "dimension", "serieslength")
TAGS = ("problemname", *FLAGS, *COUNTS, "classlabel", "data")
SPELLINGS = {
    **{tag: f"@{tag}" for tag in TAGS},
    "problemname": "@problemName",
    "timestamps": "@timeStamps",
    "equallength": "@equalLength",
    "serieslength": "@seriesLength",
    "classlabel": "@classLabel",
    "targetlabel": "@targetLabel",
}


@dataclass
class Header:
    """The header of a `.ts` file: flags and counts by tag, and the classes; None without classes."""

    values: dict[str, bool | int]
    classes: list[str] | None = None

    @property
    def has_target(self) -> bool:
        """Whether each line ends with a class or a number to predict."""
        return self.classes is not None or bool(self.values.get("targetlabel"))

    @property
    def channels(self) -> int | None:
        """The number of channels; None if unknown."""
        if self.values.get("univariate"):
            return 1
        return int(self.values.get("dimensions") or self.values.get("dimension") or 0) or None


def read_ts(path: Path) -> Sequences:
    """Read a `.ts` file.

    Raises:
        ValueError: If its header is incomplete or wrong, a line does not fit the header, or a value is missing or is no
            number; names the line.
    """
    header = Header({})
    has_data = False
    arrays, targets, names = [], [], []
    for number, line in _lines(path):
        if line.startswith("#"):
            continue
        if not has_data:
            has_data = _read_tag(header, line, f"line {number} of {path}")
            continue
        name = f"line {number} of {path}"
        *dimensions, last = line.split(":")
        if not header.has_target:
            dimensions.append(last)
        if not dimensions:
            _raise(f"must end with `:` and its {'class' if header.classes is not None else 'number'}", "none", name)
        arrays.append(_channels(dimensions, header, name))
        if header.has_target:
            targets.append(_target(last.strip(), header, name))
        names.append(name)
    if not has_data:
        raise ValueError(f"A .ts file must have a header that ends with `@data`. Received: none in {path}. Add it.")
    if not arrays:
        raise ValueError(f"A .ts file must have sequences after `@data`. Received: none in {path}. Add some.")
    if header.values.get("equallength") and len(lengths := {len(array) for array in arrays}) > 1:
        raise ValueError(
            f"With `@equalLength true`, all sequences have one length. Received: lengths {min(lengths)} to "
            f"{max(lengths)} in {path}. Write `@equalLength false`."
        )
    return Sequences(arrays, names, _as_array(targets) if header.has_target else None)


def read_ucr_text(path: Path) -> Sequences:
    """Read a text file of sequences of one channel: a class, then the numbers, separated by tabs, blanks or commas.

    NaN at the end of a line is padding.

    Raises:
        ValueError: If the file is empty, or a value is missing or is no number; names the line.
    """
    arrays, targets, names = [], [], []
    for number, line in _lines(path):
        name = f"line {number} of {path}"
        target, *cells = re.split(r"[,\s]+", line)
        if not cells:
            _raise("must hold a class and numbers", repr(line[:40]), name)
        arrays.append(without_padding(_numbers(cells, name)[:, None]))
        targets.append(_as_class(target))
        names.append(name)
    if not arrays:
        raise ValueError(f"A text file of sequences must have lines. Received: an empty file, {path}. Add some.")
    return Sequences(arrays, names, _as_array(targets))


def without_padding(array: np.ndarray) -> np.ndarray:
    """Remove the rows of NaN at the end of a sequence (steps, channels)."""
    steps = np.flatnonzero(~np.isnan(array).all(axis=1))
    return array[: steps[-1] + 1] if len(steps) else array[:0]


def _lines(path: Path) -> list[tuple[int, str]]:
    """Return the lines with text, each with its number."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError:
        raise ValueError(f"A file of sequences must be text in UTF-8. Received: {path}. Convert it.") from None
    return [(number, line.strip()) for number, line in enumerate(text.splitlines(), start=1) if line.strip()]


def _read_tag(header: Header, line: str, name: str) -> bool:
    """Read a line of the header; return whether the data follows."""
    tag, *words = line.split()
    key = tag[1:].lower()
    if not tag.startswith("@"):
        _raise("before `@data` must be a tag of the header, such as `@classLabel`", repr(line[:40]), name)
    if key not in TAGS:
        near = difflib.get_close_matches(key, TAGS, n=1)
        hint = f"Did you mean {SPELLINGS[near[0]]}?" if near else f"The tags are {', '.join(SPELLINGS.values())}."
        raise ValueError(f"A .ts header must have known tags. Received: {tag} in {name}. {hint}")
    if key in FLAGS or key == "classlabel":
        if not words or words[0].lower() not in ("true", "false"):
            _raise(f"must be `{tag} true` or `{tag} false`", repr(line[:40]), name)
        is_true = words[0].lower() == "true"
        if key == "classlabel":
            header.classes = [str(_as_class(word)) for word in words[1:]] if is_true else None
            if is_true and not header.classes:
                _raise("must list the classes after `@classLabel true`", repr(line[:40]), name)
        header.values[key] = is_true
    elif key in COUNTS:
        if len(words) != 1 or not words[0].isdecimal() or int(words[0]) < 1:
            _raise(f"must be `{tag}` and a number of at least 1", repr(line[:40]), name)
        header.values[key] = int(words[0])
    if header.values.get("timestamps"):
        _raise("must be `@timeStamps false`: values with a time are not read", repr(line[:40]), name)
    return key == "data"


def _channels(dimensions: list[str], header: Header, name: str) -> np.ndarray:
    """Return the numbers of one line, (steps, channels)."""
    if header.channels and len(dimensions) != header.channels:
        _raise(f"must have {header.channels} dimensions, as its header says", str(len(dimensions)), name)
    columns = [_numbers(text.split(","), name) for text in dimensions]
    lengths = {len(column) for column in columns}
    if len(lengths) > 1:
        _raise("must have dimensions of one length", f"lengths {min(lengths)} to {max(lengths)}", name)
    steps = header.values.get("serieslength")
    if steps and header.values.get("equallength") and lengths != {steps}:
        _raise(f"must have {steps} steps, as `@seriesLength` says", str(lengths.pop()), name)
    return np.stack(columns, axis=1)


def _numbers(cells: list[str], name: str) -> np.ndarray:
    """Convert the numbers of one line; `?` and `NaN` become NaN."""
    try:
        return np.array([cell.strip() if cell.strip() != "?" else "nan" for cell in cells], np.float64)
    except ValueError:
        wrong = next(cell for cell in cells if cell.strip() != "?" and not _is_number(cell))
        _raise("must hold numbers", repr(wrong.strip()), name)


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _target(text: str, header: Header, name: str) -> str | float:
    if header.classes is None:
        if not _is_number(text):
            _raise("must end with `:` and the number to predict", repr(text), name)
        return float(text)
    label = _as_class(text)
    if label not in header.classes:
        _raise(f"must end with one of the classes {', '.join(header.classes)}", repr(text), name)
    return label


def _as_class(text: str) -> str:
    """Return a class as text; `1.0000000e+00` becomes `1`."""
    return str(int(float(text))) if _is_number(text) and float(text).is_integer() else text


def _as_array(targets: Sequence[str | float]) -> np.ndarray:
    """Return classes as text (n,), numbers as (n, 1)."""
    array = np.array(targets)
    return array[:, None] if array.dtype.kind == "f" else array.astype(object)


def _raise(rule: str, received: str, name: str) -> NoReturn:
    place = name[0].upper() + name[1:]
    raise ValueError(f"{place} {rule}. Received: {received}. Correct it.")
