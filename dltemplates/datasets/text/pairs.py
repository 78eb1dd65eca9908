"""Pairs of texts, one to read and one to write: translations, questions and answers, summaries."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from dltemplates.datasets.source import Dataset, Source
from dltemplates.datasets.spec import READING_RULES, DatasetSpec, IOSpec
from dltemplates.datasets.splitting.split_names import split_files, splits_of
from dltemplates.datasets.tables.csv_text import decode
from dltemplates.datasets.text.source import TextSource
from dltemplates.datasets.text.text_tables import (
    OPTION,
    SUFFIXES,
    USUAL_SOURCES,
    USUAL_TRANSLATIONS,
    TextTable,
    check_columns,
    read_text_table,
)
from dltemplates.features import Column, Tokens, columns_of
from dltemplates.settings import DatasetSettings, TextSettings

SOURCE, TARGET = "source", "target"  # names of the input and the target


@dataclass(frozen=True)
class Pairs:
    """Pairs of texts as they were read.

    Attributes:
        splits: The texts to read and the texts to write of each split.
        names: The columns of a table, source and target; None for other files.
        skipped: Pairs that are left out, each with the reason.
        warnings: How the files are read, where that is in doubt.
        encoding: Encoding of the files, if it is not Unicode.
    """

    splits: Mapping[str, tuple[Sequence[str], Sequence[str]]]
    names: tuple[str, str] | None = None
    skipped: Mapping[str, str] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()
    encoding: str | None = None


def pair_files(path: Path, settings: DatasetSettings, *, reference: IOSpec | None = None) -> Dataset:
    """Load pairs of texts.

    Args:
        path: A `.csv`, `.tsv` or `.jsonl` file with a column for each, a folder with such a file for each split, or a
            folder of line-aligned files, such as `train.de` and `train.en`.
        settings: The columns or suffixes, and how to split texts into tokens.
        reference: Spec or contract of a trained network, whose vocabulary is used.

    Raises:
        ValueError: If a file breaks a rule; names it.
    """
    text = settings.of_text()
    if path.is_file():
        paths = {"train": path}
    else:
        found = (split_files(path, suffix, rules=READING_RULES) for suffix in SUFFIXES)
        paths = next(filter(None, found), {})
    files = _read_tables(paths, text, reference) if paths else _read_lines(path, text)
    return pair_dataset(files, text, reference=reference)


def pair_dataset(files: Pairs, settings: TextSettings, *, reference: IOSpec | None = None) -> Dataset:
    """Build a dataset from pairs of texts.

    Args:
        files: The pairs.
        settings: How to split texts into tokens.
        reference: As in `pair_files`.

    Raises:
        ValueError: If a split has no pair, or a text is too long.
    """
    for split, (source, _) in files.splits.items():
        if not source:
            raise ValueError(f"Each split must have pairs. Received: none in {split}. Add some, or remove its files.")
    known: tuple[Tokens | None, Tokens | None] = (None, None)
    if reference is not None and isinstance(reference.inputs[0], Tokens):
        first, target = reference.inputs[0], reference.targets[0]
        assert isinstance(target, Tokens)
        update = {"tokenizer": first.tokenizer, "lowercase": first.lowercase, "truncate": first.truncate}
        settings, known = settings.model_copy(update=update), (first, target)
    sources = {
        split: TextSource({SOURCE: source, TARGET: target}, {}, settings)
        for split, (source, target) in files.splits.items()
    }
    features = []
    for place, name in enumerate((SOURCE, TARGET)):
        trained = known[place]
        length = trained.max_tokens if trained else _length(sources, name, settings)
        with_end = name == TARGET
        features.append(
            Tokens(
                name=name,
                dtype="int32",
                shape=(length + with_end,),
                tokenizer=settings.tokenizer,
                lowercase=settings.lowercase,
                truncate=settings.truncate,
                with_end=with_end,
                columns=None if files.names is None else (Column(name=files.names[place], kind="text"),),
            )
        )
    spec = DatasetSpec(
        inputs=(features[0],),
        targets=(features[1],),
        sizes={split: len(source) for split, source in sources.items()},
        skipped=dict(files.skipped),
        warnings=files.warnings,
        encoding=files.encoding,
    )
    splits: dict[str, Source] = dict(sources)
    return Dataset(spec, splits)


def _length(sources: Mapping[str, TextSource], name: str, settings: TextSettings) -> int:
    """Return the number of tokens of the longest text; of words, until subwords are learned."""
    if settings.max_length is not None:
        return settings.max_length
    return max(int(source.lengths(name).max(initial=1)) for source in sources.values())


def _read_tables(paths: Mapping[str, Path], settings: TextSettings, reference: IOSpec | None) -> Pairs:
    learned = None
    if reference is not None and reference.targets:
        columns = [columns_of(value) for value in (reference.inputs[0], reference.targets[0])]
        learned = (columns[0][0].name, columns[1][0].name) if all(columns) else None
    wanted = tuple(name for name in (settings.source, settings.target, *(learned or ())) if name)
    tables = {
        split: read_text_table(path, settings, names=wanted, reference=reference) for split, path in paths.items()
    }
    check_columns(tables)
    first = next(iter(tables.values()))
    names = learned or _choose_columns(first, settings, next(iter(paths.values())))
    missing = [name for name in names if name not in first.columns]
    if missing:
        raise ValueError(
            f"A table of pairs must have the columns `{names[0]}` and `{names[1]}`. Received: no `{missing[0]}`. There "
            f"are: {', '.join(first.columns)}. Rename one."
        )
    splits, skipped = {}, {}
    for split, table in tables.items():
        path = paths[split]
        rows = list(zip(*(table.column(name) for name in names), strict=True))
        for line, row in zip(table.lines, rows, strict=True):
            if not all(row):
                skipped[f"{path.name} line {line}"] = f"no {names[0] if not row[0] else names[1]}"
        kept = [row for row in rows if all(row)]
        splits[split] = ([source for source, _ in kept], [target for _, target in kept])
    warnings = tuple(remark for table in tables.values() for remark in table.remarks)
    encoding = next((table.encoding for table in tables.values() if table.encoding), None)
    return Pairs(splits, names, skipped, warnings, encoding)


def _choose_columns(table: TextTable, settings: TextSettings, path: Path) -> tuple[str, str]:
    """Return the columns of the texts to read and to write: named, usual, or the first two.

    Raises:
        ValueError: If they are missing or in doubt; lists the columns.
    """
    columns = list(table.columns)
    if len(columns) < 2:
        raise ValueError(
            f"A table of pairs must have a column to read and one to write. Received: one, {columns[0]}, in {path}. "
            f"Add the other, or name the separator: --set '{OPTION}.separator=\";\"'."
        )
    chosen = []
    for place, (name, usual) in enumerate(((settings.source, USUAL_SOURCES), (settings.target, USUAL_TRANSLATIONS))):
        found = [column for column in columns if column.casefold() in usual]
        if name is None and len(found) == 1:
            name = found[0]
        elif name is None and len(columns) == 2:
            name = columns[place]
        if name is None or name not in columns:
            option = f"{OPTION}.{(SOURCE, TARGET)[place]}"
            received = f"no column `{name}`" if name else f"no `{option}`"
            raise ValueError(
                f"Pairs of texts need the columns to read and to write. Received: {received} for {path}. The columns "
                f"are {', '.join(columns)}. Name them: --set {OPTION}.source={columns[0]} --set "
                f"{OPTION}.target={columns[1]}"
            )
        chosen.append(name)
    if chosen[0] == chosen[1]:
        raise ValueError(
            f"The columns to read and to write must differ. Received: {chosen[0]} for both, in {path}. There are: "
            f"{', '.join(columns)}. Set `{OPTION}.source` and `{OPTION}.target`."
        )
    return chosen[0], chosen[1]


def _read_lines(folder: Path, settings: TextSettings) -> Pairs:
    """Read line-aligned files, such as `train.de` and `train.en`.

    Raises:
        ValueError: If a file is missing, or two have different numbers of lines.
    """
    suffixes = (settings.source, settings.target)
    if None in suffixes or not folder.is_dir():
        raise ValueError(
            f"Pairs of texts must be a table, or a folder of line-aligned files. Received: {folder}. Check the path; "
            f"for files such as train.de and train.en, --set {OPTION}.source=de --set {OPTION}.target=en."
        )
    names = {path.name.removesuffix(".gz"): path for path in sorted(folder.iterdir()) if path.is_file()}
    stems = [name.removesuffix(f".{suffixes[0]}") for name in names if name.endswith(f".{suffixes[0]}")]
    by_stem = splits_of(stems, rules=READING_RULES)
    if "train" not in by_stem.values():
        raise ValueError(
            f"A folder of line-aligned files must have train.{suffixes[0]} and train.{suffixes[1]}. Received: "
            f"{', '.join(names) or 'no files'} in {folder}. Add them."
        )
    splits: dict[str, tuple[list[str], list[str]]] = {}
    skipped, encodings = {}, []
    for stem, split in by_stem.items():
        lines = []
        for suffix in suffixes:
            path = names.get(f"{stem}.{suffix}")
            if path is None:
                raise ValueError(
                    f"Each file must have its other side. Received: {stem}.{suffixes[0]} without {stem}.{suffix} in "
                    f"{folder}. Add it."
                )
            text, encoding, _ = decode(path, _unpacked(path), settings.encoding, None, OPTION)
            encodings += [encoding] if encoding else []
            lines.append([line.strip() for line in text.removesuffix("\n").split("\n")])
        if len(lines[0]) != len(lines[1]):
            raise ValueError(
                f"Line-aligned files must have as many lines. Received: {len(lines[0])} in {stem}.{suffixes[0]} but "
                f"{len(lines[1])} in {stem}.{suffixes[1]}. Line n of one must belong to line n of the other."
            )
        pairs = list(zip(*lines, strict=True))
        for number, pair in enumerate(pairs, 1):
            if not all(pair):
                skipped[f"{stem} line {number}"] = f"no text in {stem}.{suffixes[0] if not pair[0] else suffixes[1]}"
        kept = [pair for pair in pairs if all(pair)]
        splits[split] = ([source for source, _ in kept], [target for _, target in kept])
    order = [split for split in ("train", "validation", "test") if split in splits]
    return Pairs({split: splits[split] for split in order}, None, skipped, (), next(iter(encodings), None))


def _unpacked(path: Path) -> bytes:
    """Read a file, which may be compressed by gzip.

    Raises:
        ValueError: If it is damaged.
    """
    if path.suffix != ".gz":
        return path.read_bytes()
    try:
        return gzip.decompress(path.read_bytes())
    except (OSError, EOFError, zlib.error) as error:
        raise ValueError(f"A .gz file must be whole. Received: {path} ({error}). Download or pack it again.") from None
