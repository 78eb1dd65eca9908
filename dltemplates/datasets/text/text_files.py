"""The user's texts, each with a class or a number: a table, or a folder with a folder of `.txt` files per class."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from dltemplates.datasets.features import class_value, fits_float32, in_column, number_value
from dltemplates.datasets.names import clean, in_order
from dltemplates.datasets.source import Dataset, Source
from dltemplates.datasets.spec import READING_RULES, DatasetSpec, IOSpec, rules_of
from dltemplates.datasets.splitting.split_names import split_files, splits_of
from dltemplates.datasets.tables.columns import without_point
from dltemplates.datasets.target_names import usual_target
from dltemplates.datasets.text.source import TextSource
from dltemplates.datasets.text.text_tables import (
    OPTION,
    SUFFIXES,
    USUAL_TEXTS,
    TextTable,
    check_columns,
    read_text,
    read_text_table,
)
from dltemplates.features import ClassId, Column, Number, Tokens, columns_of
from dltemplates.settings import DatasetSettings, TextSettings

TEXT = "text"  # name of the input


@dataclass(frozen=True)
class Texts:
    """The texts of one split.

    Attributes:
        texts: The texts.
        targets: The class or the number of each, as text.
        names: The name of each for the user, such as its file.
        keys: Names that identify the texts; None for their positions.
    """

    texts: Sequence[str]
    targets: Sequence[str]
    names: Sequence[str]
    keys: Sequence[str] | None = None


@dataclass(frozen=True)
class TextFiles:
    """Texts as they were read.

    Attributes:
        splits: The texts of each split.
        column: The column of the texts; None if they come from no table.
        target: The column of the targets; None if they come from no table.
        skipped: Texts that are left out, each with the reason.
        warnings: How the files are read, where that is in doubt.
        encoding: Encoding of the files, if it is not Unicode.
    """

    splits: Mapping[str, Texts]
    column: str | None = None
    target: str | None = None
    skipped: Mapping[str, str] | None = None
    warnings: tuple[str, ...] = ()
    encoding: str | None = None


def text_files(
    path: Path, settings: DatasetSettings, *, reference: IOSpec | None = None, predicts_number: bool = False
) -> Dataset:
    """Load the texts of a table or a folder.

    Args:
        path: A `.csv`, `.tsv` or `.jsonl` file, a folder with such a file for each split, or a folder of classes.
        settings: The columns, and how to split texts into tokens.
        reference: Spec or contract of a trained network, whose vocabulary and classes are used.
        predicts_number: Whether the task predicts numbers.

    Raises:
        ValueError: If a file breaks a rule; names it.
    """
    if path.is_file():
        paths = {"train": path} if path.suffix.lower() in SUFFIXES else {}
    else:
        found = (split_files(path, suffix, rules=READING_RULES) for suffix in SUFFIXES)
        paths = next(filter(None, found), {})
    if paths:
        files = _read_tables(paths, settings, reference)
    elif path.is_dir():
        files = read_folders(path, settings.of_text(), reference=reference)
    else:
        received = "a file of another kind" if path.exists() else "no such path"
        raise ValueError(
            f"Texts must be in a {', '.join(SUFFIXES)} file, or a folder. Received: {path} ({received}). Check the "
            f"spelling; relative paths start at {Path().resolve()}."
        )
    return text_dataset(files, settings.of_text(), reference=reference, predicts_number=predicts_number)


def text_dataset(
    files: TextFiles, settings: TextSettings, *, reference: IOSpec | None = None, predicts_number: bool = False
) -> Dataset:
    """Build a dataset from texts.

    Args:
        files: The texts.
        settings: How to split them into tokens.
        reference: As in `text_files`.
        predicts_number: As in `text_files`.

    Raises:
        ValueError: If a split has no text, a target is wrong, or a text is too long.
    """
    for split, part in files.splits.items():
        if not part.texts:
            raise ValueError(f"Each split must have texts. Received: none in {split}. Add some, or remove its files.")
    known = reference.inputs[0] if reference is not None else None
    if isinstance(known, Tokens):
        settings = _settings_of(known, settings)
    target, targets = _targets(files, reference, predicts_number=predicts_number)
    sources = {
        split: TextSource({TEXT: part.texts}, {target.name: targets[split]}, settings, keys=part.keys)
        for split, part in files.splits.items()
    }
    length, warnings = _length({split: source.lengths(TEXT) for split, source in sources.items()}, files, settings)
    tokens = Tokens(
        name=TEXT,
        dtype="int32",
        shape=(length,),
        tokenizer=settings.tokenizer,
        lowercase=settings.lowercase,
        truncate=settings.truncate,
        columns=None if files.column is None else (Column(name=files.column, kind="text"),),
    )
    spec = DatasetSpec(
        inputs=(tokens,),
        targets=(target,),
        sizes={split: len(source) for split, source in sources.items()},
        skipped=dict(files.skipped or {}),
        warnings=(*files.warnings, *warnings),
        encoding=files.encoding,
    )
    splits: dict[str, Source] = dict(sources)
    return Dataset(spec, splits)


def _settings_of(known: Tokens, settings: TextSettings) -> TextSettings:
    """Return the settings with those of a trained network."""
    update = {
        "tokenizer": known.tokenizer,
        "lowercase": known.lowercase,
        "truncate": known.truncate,
        "max_length": known.shape[0],
    }
    return settings.model_copy(update=update)


def _length(lengths: Mapping[str, np.ndarray], files: TextFiles, settings: TextSettings) -> tuple[int, list[str]]:
    """Return the number of tokens of the input, and a warning if texts are cut.

    Raises:
        ValueError: If a text is longer than allowed.
    """
    longest = max(int(counts.max(initial=1)) for counts in lengths.values())
    most = settings.max_length
    if most is None or longest <= most:
        return (longest if most is None else most), []
    total = sum(map(len, lengths.values()))
    split, counts = next((split, counts) for split, counts in lengths.items() if counts.max(initial=0) == longest)
    name = files.splits[split].names[int(counts.argmax())]
    longer = sum(int((counts > most).sum()) for counts in lengths.values())
    found = f"{longer} of {total} texts are longer than {most} tokens, the longest {longest} ({name})"
    if settings.truncate == "no":
        raise ValueError(
            f"A text must have at most {most} tokens. Received: {found}. Shorten them, or train with a larger "
            "`dataset.text.max_length`, or with --set dataset.text.truncate=end, which cuts them."
        )
    return most, [f"{found}: their {settings.truncate} is cut"]


def _targets(
    files: TextFiles, reference: IOSpec | None, *, predicts_number: bool
) -> tuple[ClassId | Number, dict[str, np.ndarray]]:
    """Return the target, and its values in each split."""
    known = next(iter(reference.targets), None) if reference is not None else None
    if predicts_number or isinstance(known, Number):
        target: ClassId | Number = number_value(1)
        values = {split: _numbers(part) for split, part in files.splits.items()}
    else:
        texts = {split: [without_point(clean(text)) for text in part.targets] for split, part in files.splits.items()}
        classes = in_order((text for part in texts.values() for text in part), rules=rules_of(reference))
        places = {name: place for place, name in enumerate(classes)}
        target = class_value(classes)
        values = {split: np.array([places[text] for text in part], np.int64) for split, part in texts.items()}
    return (in_column(target, files.target) if files.target else target), values


def _numbers(part: Texts) -> np.ndarray:
    numbers = np.empty((len(part.targets), 1), np.float32)
    for place, (text, name) in enumerate(zip(part.targets, part.names, strict=True)):
        try:
            number = float(text)
        except ValueError:
            number = np.nan
        if not fits_float32(np.array(number)):
            raise ValueError(
                f"A number to predict must be a finite number. Received: {text!r} in {name}. Correct it, or predict "
                "classes: --set task=classification."
            )
        numbers[place] = number
    return numbers


def _read_tables(paths: Mapping[str, Path], settings: DatasetSettings, reference: IOSpec | None) -> TextFiles:
    """Read the tables of the splits."""
    text = settings.of_text()
    learned = _columns_of(reference)
    names = tuple(name for name in (text.column, *settings.targets, *(learned or ())) if name)
    tables = {split: read_text_table(path, text, names=names, reference=reference) for split, path in paths.items()}
    check_columns(tables)
    first = next(iter(tables.values()))
    column, target = learned or _choose_columns(first, settings)
    missing = [name for name in (column, target) if name not in first.columns]
    if missing:
        raise ValueError(
            f"A table of texts must have the columns `{column}` and `{target}`. Received: no `{missing[0]}`. There "
            f"are: {', '.join(first.columns)}. Set `{OPTION}.column` and `dataset.target`."
        )
    splits, skipped = {}, {}
    for split, table in tables.items():
        name = paths[split].name
        kept = []
        for place, (cell, label) in enumerate(zip(table.column(column), table.column(target), strict=True)):
            if cell and label:
                kept.append(place)
            else:
                skipped[f"{name} line {table.lines[place]}"] = f"no {column if not cell else target}"
        cells, labels = table.column(column), table.column(target)
        splits[split] = Texts(
            [cells[place] for place in kept],
            [labels[place] for place in kept],
            [f"line {table.lines[place]} of {name}" for place in kept],
        )
    warnings = tuple(remark for table in tables.values() for remark in table.remarks)
    encoding = next((table.encoding for table in tables.values() if table.encoding), None)
    return TextFiles(splits, column, target, skipped, warnings, encoding)


def _columns_of(reference: IOSpec | None) -> tuple[str, str] | None:
    """Return the columns of the text and the target of a trained network; None if it has none."""
    if reference is None or not reference.targets:
        return None
    text, target = (columns_of(value) for value in (reference.inputs[0], reference.targets[0]))
    return (text[0].name, target[0].name) if text and target else None


def _choose_columns(table: TextTable, settings: DatasetSettings) -> tuple[str, str]:
    """Choose the columns of the texts and of the targets.

    Raises:
        ValueError: If they are in doubt; lists the columns.
    """
    column, target = settings.of_text().column, settings.table_target()
    columns = list(table.columns)
    if len(columns) < 2:
        raise ValueError(
            f"A table of texts must have a column of texts and one to predict. Received: one, {columns[0]}. Add the "
            "other, or name the separator: --set 'dataset.text.separator=\";\"'."
        )
    if target is None:
        others = [name for name in columns if name != column]
        usual = [name for name in others if name.casefold() in ("label", "target", "class", "y")]
        if not usual and len(columns) == 2:
            target = others[0] if len(others) == 1 else _fewest_values(table)
        else:
            target = usual_target(others, data="table of texts")
    if column is None:
        others = [name for name in columns if name != target]
        usual = [name for name in others if name.casefold() in USUAL_TEXTS]
        if len(others) > 1 and len(usual) != 1:
            longest = max(others, key=lambda name: sum(map(len, table.column(name))))
            example = shlex.quote(f"{OPTION}.column={longest}")
            raise ValueError(
                f"A table of texts needs the name of the column with the texts. Received: no `{OPTION}.column`. The "
                f"columns are {', '.join(columns)}. Add one of them, such as --set {example}"
            )
        column = usual[0] if usual else others[0]
    if column == target:
        raise ValueError(
            f"The texts and what to predict must be different columns. Received: {column} for both. The columns are "
            f"{', '.join(columns)}. Set `{OPTION}.column` or `dataset.target`."
        )
    return column, target


def _fewest_values(table: TextTable) -> str:
    """Return the column with the fewest different cells: that of the classes."""
    return min(table.columns, key=lambda name: len(set(table.column(name))))


def read_folders(
    root: Path, settings: TextSettings, *, reference: IOSpec | None = None, classes: tuple[str, ...] | None = None
) -> TextFiles:
    """Read a folder with a folder of `.txt` files per class, perhaps below folders of splits.

    Args:
        root: The folder.
        settings: The encoding of its files.
        reference: As in `text_files`.
        classes: Names of the folders to read; None for all.

    Raises:
        ValueError: If there is no text for training, or an encoding is in doubt.
    """
    names = [path.name for path in sorted(root.iterdir()) if path.is_dir() and not path.name.startswith(".")]
    by_name = splits_of(names, rules=READING_RULES)
    folders = {split: root / name for name, split in by_name.items()} if "train" in by_name.values() else {}
    splits, skipped, warnings, encodings = {}, {}, [], []
    for split, folder in (folders or {"train": root}).items():
        texts, labels, keys = [], [], []
        for path in sorted(folder.glob("*/*.txt")):
            if classes is not None and path.parent.name not in classes:
                continue
            expected = reference.encoding if reference else None
            text, encoding, remarks = read_text(path, settings.encoding, expected)
            warnings += remarks
            encodings += [encoding] if encoding else []
            key = path.relative_to(root).as_posix()
            if text.strip():
                texts.append(text.strip())
                labels.append(path.parent.name)
                keys.append(key)
            else:
                skipped[key] = "no text"
        splits[split] = Texts(texts, labels, keys, keys)
    if not splits["train"].texts:
        raise ValueError(
            f"A folder of texts must have a folder of .txt files for each class. Received: none in {root}. Add them, "
            "or name a .csv, .tsv or .jsonl file."
        )
    return TextFiles(splits, skipped=skipped, warnings=tuple(warnings[:1]), encoding=next(iter(encodings), None))
