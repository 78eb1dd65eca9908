"""The user's texts to predict: written on the command line, or in files."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from dltemplates.datasets.spec import IOSpec
from dltemplates.datasets.text.text_tables import SUFFIXES, USUAL_TEXTS, read_text, read_text_table
from dltemplates.features import Tokens, columns_of
from dltemplates.settings import TextSettings


def read_texts(user_inputs: Sequence[str | Path], value: Tokens, reference: IOSpec) -> Iterator[tuple[str, str]]:
    """Yield the texts of a user's inputs, each with its place: a file or a line of it; empty for a written text.

    Args:
        user_inputs: Texts; `.txt` files of one text each; or `.csv`, `.tsv` and `.jsonl` files of one text per row.
        value: The network's input.
        reference: The contract of the network.

    Raises:
        ValueError: If a file does not exist, or has no column of texts.
    """
    for given in user_inputs:
        path = Path(given)
        suffix = path.suffix.lower()
        is_file = isinstance(given, Path) or suffix in (*SUFFIXES, ".txt")
        if not is_file:
            yield str(given), ""
        elif not path.is_file():
            raise ValueError(f"A file of texts must exist. Received: {path}. Check the path.")
        elif suffix == ".txt":
            yield read_text(path, None, reference.encoding)[0].strip(), str(path)
        else:
            yield from _of_table(path, value, reference)


def _of_table(path: Path, value: Tokens, reference: IOSpec) -> Iterator[tuple[str, str]]:
    known = tuple(column.name for column in columns_of(value))
    table = read_text_table(path, TextSettings(), names=known, reference=reference)
    others = [name for name in table.columns if name.casefold() in USUAL_TEXTS]
    column = next((name for name in (*known, *others) if name in table.columns), None)
    if column is None and len(table.columns) > 1:
        raise ValueError(
            f"A table to predict must have the column of the texts, {' or '.join(known) or 'text'}. Received: {path} "
            f"with {', '.join(table.columns)}. Rename one."
        )
    for text, line in zip(table.column(column or table.columns[0]), table.lines, strict=True):
        yield text, f"line {line} of {path}"
