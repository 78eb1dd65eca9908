"""`labels.csv`: several labels, or numbers, per image.

The first column is `file`, a path below the table's folder. It is followed by one column `labels`, names separated by
`;`, or by columns of numbers.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from dltemplates.datasets.features import fits_float32
from dltemplates.datasets.images.files import Examples, scan_files
from dltemplates.datasets.names import changes, clean, find_file, in_order, look_alikes
from dltemplates.datasets.spec import READING_RULES
from dltemplates.datasets.tables.csv_text import read_records

LABELS = "labels.csv"
Rows = list[tuple[str, list[str]]]


def read_labels(
    root: Path, folders: dict[str, Path], *, rules: int = READING_RULES
) -> tuple[dict[str, Examples], tuple[str, ...] | None, dict[str, str], list[str]]:
    """Read the images and the `labels.csv` of each split's folder.

    Args:
        root: The folder above.
        folders: The folder of each split.
        rules: Version of the reading rules.

    Returns:
        The examples of each split, the label names (None for numbers), the skipped files with the reasons, and
        warnings about the names.

    Raises:
        ValueError: If a table is missing or breaks a rule; names the line.
    """
    tables = {split: _read_table(path / LABELS) for split, path in folders.items()}
    columns = tables["train"][0]
    for split, (others, _) in tables.items():
        if others != columns:
            raise ValueError(
                f"Each split's {LABELS} must have the same columns. Received: {', '.join(columns)} for train but "
                f"{', '.join(others)} for {split}. Rename or reorder them."
            )
    is_labels = columns == ["labels"]
    warnings: list[str] = []
    names: tuple[str, ...] = ()
    if is_labels:
        written = {label for _, rows in tables.values() for _, cells in rows for label in _split(cells[0])}
        if rules >= 3:
            forms = {name: sorted(label for label in written if clean(label) == name) for name in map(clean, written)}
            warnings = changes("labels", forms) + look_alikes("labels", forms)
            tables = {split: (columns, _with_clean_labels(rows)) for split, (_, rows) in tables.items()}
        names = in_order((label for _, cells in tables["train"][1] for label in _split(cells[0])), rules=rules)
    examples, left_out = {}, {}
    for split, (_, rows) in tables.items():
        table = folders[split] / LABELS
        targets = _flags(table, rows, names) if is_labels else _numbers(table, rows)
        files = [(folders[split] / file).relative_to(root).as_posix() for file, _ in rows]
        examples[split], skipped = scan_files(root, files, targets, rules=rules)
        left_out.update(skipped)
        if not examples[split].names:
            received = f"none in {len(rows)} rows" + (f" ({next(iter(skipped.values()))})" if skipped else "")
            raise ValueError(f"{table} must name at least one image. Received: {received}. Add some.")
    return examples, names if is_labels else None, left_out, warnings


def _with_clean_labels(rows: Rows) -> Rows:
    return [(file, [";".join(map(clean, _split(cells[0])))]) for file, cells in rows]


def _read_table(path: Path) -> tuple[list[str], Rows]:
    """Read the columns after `file`, and each row's file and cells."""
    if not path.is_file():
        raise ValueError(f"Each split must have its {LABELS}. Received: no {path}. Add it, or remove that folder.")
    records = read_records(path, option=None).records
    header = [name.strip() for name in records[0].cells] if records else []
    if len(header) < 2 or header[0] != "file" or ("labels" in header and len(header) > 2):
        raise ValueError(
            f"{path} must have the columns `file,labels`, or `file` and columns of numbers. "
            f"Received: {','.join(header) or 'an empty file'}. Correct its first line."
        )
    rows: Rows = []
    seen: set[Path] = set()
    for record in records[1:]:
        line, row = record.line, record.cells
        if len(row) != len(header):
            raise ValueError(f"{path} must have {len(header)} cells a row. Received: {len(row)}. Correct line {line}.")
        name = row[0].strip()
        is_below = not Path(name).is_absolute() and ".." not in Path(name).parts
        found = find_file(path.parent, name) if is_below else None
        if found is None:
            raise ValueError(
                f"{path} must name files in its folder. Received: {name!r} in line {line}, no such file. "
                "Correct it, or remove the line."
            )
        if Path(found) in seen:
            raise ValueError(f"{path} must name each file once. Received: {name!r} again in line {line}. Remove one.")
        seen.add(Path(found))
        rows.append((found, row[1:]))
    return header[1:], rows


def _split(cell: str) -> list[str]:
    return [label.strip() for label in cell.split(";") if label.strip()]


def _flags(path: Path, rows: Rows, names: tuple[str, ...]) -> np.ndarray:
    flags = np.zeros((len(rows), len(names)), np.float32)
    for row, (file, cells) in enumerate(rows):
        for label in _split(cells[0]):
            if label not in names:
                raise ValueError(
                    f"A label must occur in the training split. Received: {label!r} of {file!r} in {path}. "
                    "Check its spelling, or add such images to train."
                )
            flags[row, names.index(label)] = 1
    return flags


def _numbers(path: Path, rows: Rows) -> np.ndarray:
    columns = zip(*(cells for _, cells in rows), strict=True)
    return np.stack([_column(path, [file for file, _ in rows], cells) for cells in columns], axis=1)


def _column(path: Path, files: Sequence[str], cells: Sequence[str]) -> np.ndarray:
    """Read a column of numbers, float32 (rows,).

    Raises:
        ValueError: If they are not numbers of one form, or not finite.
    """
    import pandas as pd  # most folders of images do not need it

    from dltemplates.datasets.tables.number_forms import number_forms, parse_numbers

    texts = pd.Series([cell.strip() for cell in cells], dtype=object)
    forms = number_forms(texts)
    numbers = parse_numbers(texts, forms[0] if len(forms) == 1 else None).to_numpy(np.float64)
    if np.isnan(numbers).any():
        place = int(np.argmax(np.isnan(numbers)))
        raise ValueError(
            f"{path} must hold numbers of one form, or one column called `labels`. Received: {cells[place]!r} for "
            f"{files[place]!r}. Write numbers like 1234.5; for one class per image, use class folders."
        )
    if not fits_float32(numbers).all():
        place = int(np.argmin(fits_float32(numbers)))
        raise ValueError(
            f"{path} must hold finite numbers. Received: {cells[place]!r} for {files[place]!r}. Remove it."
        )
    return numbers.astype(np.float32)
