"""Names and texts of the user's tables in one Unicode form, on one line."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from typing import Any

import pandas as pd

from dltemplates.datasets.names import changes, clean, same_as
from dltemplates.datasets.spec import IOSpec, rules_of
from dltemplates.features import columns_of
from dltemplates.settings import DatasetSettings

Frames = dict[str, pd.DataFrame]  # the rows of each split
WARNINGS = "warnings"  # key of a table's `attrs`


def clean_frames(frames: Frames, reference: IOSpec | None = None) -> Frames:
    """Return the tables of the splits with clean names and texts; `attrs` of the first one hold warnings.

    Args:
        frames: The tables, as text.
        reference: Spec or contract of a trained network. Its columns keep its spelling. By earlier reading rules,
            nothing else changes.

    Raises:
        ValueError: If two columns of a table get the same name.
    """
    rules = rules_of(reference)
    values = (*reference.inputs, *reference.targets) if reference else ()
    known = [column.name for value in values for column in columns_of(value)]
    written = list(dict.fromkeys(str(name) for frame in frames.values() for name in frame))
    new_names = {name: clean(name) for name in written} if rules >= 3 else {}
    known_names = same_as(known, [new_names.get(name, name) for name in written])
    names = {name: known_names.get(new_names.get(name, name), new_names.get(name, name)) for name in written}
    frames = {split: frame.rename(columns=names) for split, frame in frames.items()}
    for frame in frames.values():
        if duplicates := sorted({str(name) for name in frame.columns[frame.columns.duplicated()]}):
            raise ValueError(
                f"Columns must have different names. Received: {', '.join(duplicates)} twice, in two Unicode forms. "
                "Rename one."
            )
    if rules < 3:
        return frames
    warnings = changes("columns", _forms(written))
    for column in dict.fromkeys(names.values()):
        texts = {text for frame in frames.values() if column in frame for text in _unusual(frame[column])}
        if not texts:
            continue
        forms = _forms(texts)
        warnings += changes(f"texts of column `{column}`", forms)
        new = {text: name for name, originals in forms.items() for text in originals if text != name}
        for frame in frames.values():
            if new and column in frame:
                frame[column] = frame[column].map(lambda text, new=new: new.get(text, text), na_action="ignore")
    if warnings:
        next(iter(frames.values())).attrs[WARNINGS] = tuple(warnings)
    return frames


def spelled_as(names: Iterable[str], settings: DatasetSettings) -> DatasetSettings:
    """Return the settings of a table or series with its spelling of the columns' names."""
    names = list(names)
    kinds = settings.of_table().columns, settings.of_series().columns
    spellings = same_as(names, [*settings.targets, *settings.of_series().known, *kinds[0], *kinds[1]])
    if not spellings:
        return settings
    table, series = ({spellings.get(name, name): kind for name, kind in columns.items()} for columns in kinds)
    targets = tuple(spellings.get(name, name) for name in settings.targets)
    update: dict[str, Any] = {"target": targets if len(targets) > 1 else next(iter(targets), None)}
    if settings.table:
        update["table"] = settings.table.model_copy(update={"columns": table})
    if settings.series:
        update["series"] = settings.series.model_copy(
            update={"columns": series, "known": tuple(spellings.get(name, name) for name in settings.series.known)}
        )
    return settings.model_copy(update=update)


def _forms(written: Iterable[str]) -> dict[str, list[str]]:
    """Return, for each clean name, the names that were written."""
    forms = defaultdict(list)
    for name in sorted(written):
        forms[clean(name)].append(name)
    return forms


def _unusual(values: pd.Series) -> set[str]:
    """Return the different texts of a column; none if all are printable ASCII."""
    texts = values.dropna()
    joined = "".join(texts)
    return set() if joined.isascii() and joined.isprintable() else set(texts.unique())
