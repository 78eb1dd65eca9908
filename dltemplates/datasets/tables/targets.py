"""The target of a table: its column, whether it holds classes or numbers, and its values."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd

from dltemplates.datasets.features import MAX_FLOAT32, fits_float32
from dltemplates.datasets.names import in_order, same_as
from dltemplates.datasets.precision import check_target
from dltemplates.datasets.spec import READING_RULES, IOSpec, target_column
from dltemplates.datasets.tables.clean_names import Frames
from dltemplates.datasets.tables.column_kinds import MAX_CLASS_NUMBERS, ColumnKind, detect
from dltemplates.datasets.tables.column_warnings import name_words
from dltemplates.datasets.tables.columns import (
    NO_NUMBER,
    NOT_AVAILABLE,
    kind_of,
    places_of,
    without_point,
    words_to_missing,
)
from dltemplates.datasets.tables.dates import ORDERS, date_formats
from dltemplates.datasets.tables.number_forms import parse_numbers, share_of_numbers
from dltemplates.datasets.target_names import usual_target
from dltemplates.features import ClassId, Number, columns_of
from dltemplates.settings import DatasetSettings

Targets = dict[str, np.ndarray]


def target_name(table: pd.DataFrame, settings: DatasetSettings, reference: IOSpec | None) -> str:
    """Return the target's column: the network's own, the one in the settings, or one with a usual name.

    For a network that does not know its target, it is the last column that is not an input.

    Raises:
        ValueError: If there is no such column.
    """
    known = target_column(reference) if reference else None
    learned = {column.name for value in reference.inputs for column in columns_of(value)} if reference else set()
    others = [str(column) for column in table if column not in learned]
    there_are = f"There are: {', '.join(map(str, table.columns))}."
    if known not in (None, *others) or (learned and not others):
        missing = f"no column `{known}`" if known else "only input columns"
        raise ValueError(f"A table must have the target. Received: {missing}. {there_are} Add it.")
    name = known or settings.table_target() or (others[-1] if learned else usual_target(others, data="table"))
    if name not in table:
        raise ValueError(f"`dataset.target` must be a column. Received: {name}. {there_are}")
    return name


def without_words(
    name: str,
    frames: Frames,
    settings: DatasetSettings,
    known: ClassId | Number | None,
    *,
    predicts_number: bool = False,
    rules: int = READING_RULES,
) -> tuple[Frames, str | None]:
    """Return the rows with words such as `NA` set to missing in a target of numbers; in one of classes they stay.

    Args:
        name: Name of the target.
        frames: The rows of each split.
        settings: Its kind, where the detected kind is wrong.
        known: The target of a trained network.
        predicts_number: As in `target_kind`.
        rules: Version of the reading rules.

    Returns:
        The rows, and a warning with the number of words; None without such words.
    """
    words = pd.concat([frame[name] for frame in frames.values()])
    words = words[words.isin(NO_NUMBER)]
    if words.empty:
        return frames, None
    others = {split: frame.assign(**{name: words_to_missing(frame[name])}) for split, frame in frames.items()}
    is_number = isinstance(known, Number)
    if not known:
        numbers = {split: frame[frame[name].notna()] for split, frame in others.items()}
        is_number = target_kind(name, numbers, settings, predicts_number=predicts_number, rules=rules).kind == "number"
    if is_number:
        way_out = f"Fill them in, or for classes say --set dataset.table.columns.{name}=category"
        return others, f"rows without a number in `{name}` are left out: {name_words(words)}. {way_out}"
    unknown = words[words.isin((*NOT_AVAILABLE, "N/A", "n/a", "#N/A"))]
    if unknown.empty or name in settings.of_table().columns:
        return frames, None
    return frames, (
        f"`{name}` has classes that may mean an unknown class: {name_words(unknown)}. To leave these rows out, leave "
        f"their cells empty; to keep the classes, say --set dataset.table.columns.{name}=category"
    )


def with_target(name: str, frames: Frames) -> tuple[Frames, dict[str, str]]:
    """Return the rows with a target, and why the others are left out.

    Raises:
        ValueError: If no row has a target.
    """
    rows_with_target = {split: frame[name].notna() for split, frame in frames.items()}
    if not any(has_target.any() for has_target in rows_with_target.values()):
        raise ValueError(
            f"The target column must have values. Received: none in `{name}`. Fill it in, or "
            "choose another: --set dataset.target=NAME."
        )
    skipped = {
        f"{split if len(frames) > 1 else 'table'} row {row}": f"no {name}"
        for split, has_target in rows_with_target.items()
        for row in has_target.index[~has_target] + 1
    }
    return {split: frame[rows_with_target[split]] for split, frame in frames.items()}, skipped


def target_kind(
    name: str,
    frames: Frames,
    settings: DatasetSettings,
    known: ClassId | Number | None = None,
    *,
    predicts_number: bool = False,
    rules: int = READING_RULES,
) -> ColumnKind:
    """Return the kind of the target, `number` or `category`, with the form of its numbers.

    Args:
        name: Its column.
        frames: The rows of each split, which all have a target.
        settings: Its kind, where the detected kind is wrong.
        known: The target of a trained network.
        predicts_number: Whether the task predicts numbers, so that a few different whole numbers are no classes.
        rules: Version of the reading rules; before 3, only numbers such as `1234.5` are numbers.

    Raises:
        ValueError: If its kind is neither, or it is mostly numbers.
    """
    if isinstance(known, ClassId):
        return ColumnKind("category")
    if known:
        return ColumnKind("number", known.columns[0].format if known.columns else None)
    setting = settings.of_table().columns.get(name)
    if setting in ("date", "skip", *ORDERS):
        raise ValueError(
            f"The target must be a number or a category. Received: {name}={setting} in "
            "`dataset.table.columns`. Leave it out of there, or choose another column: --set dataset.target=NAME."
        )
    values = pd.concat([frame[name] for frame in frames.values()])
    found = detect(name, values, values, setting) if rules >= 3 else ColumnKind(setting or kind_of(values))
    if setting:
        return found
    form = found.format if found.kind == "number" else None
    numbers = parse_numbers(values, form)
    valid = numbers.dropna()
    if not predicts_number and (valid == valid.round()).all() and 0 < valid.nunique() <= MAX_CLASS_NUMBERS:
        return ColumnKind("category", doubt=found.doubt if form else None)
    is_mixed = rules >= 3 and found.kind == "category" and share_of_numbers(values) > 0.5
    if 2 * len(valid) > len(values) > len(valid) or is_mixed:
        odd = values[numbers.isna()].iloc[0]
        raise ValueError(
            f"The target must be numbers, or classes. Received: {odd!r} in "
            f"`{name}`, which is mostly numbers. Correct it, or leave it empty to leave the row out; for classes, "
            f"--set dataset.table.columns.{name}=category."
        )
    if found.kind == "number" and len(valid) == len(values):
        return found
    if rules >= 3 and date_formats(values):
        doubt = (
            f"the target `{name}` is read as classes, but looks like dates, such as {values.iloc[0]!r}: choose "
            f"another, --set dataset.target=NAME, or say --set dataset.table.columns.{name}=category"
        )
        return ColumnKind("category", doubt=doubt)
    return ColumnKind("category")


def read_targets(
    name: str,
    frames: Frames,
    kind: ColumnKind,
    known: ClassId | Number | None,
    *,
    rules: int = READING_RULES,
) -> tuple[Targets, tuple[str, ...] | None]:
    """Read the target column.

    Args:
        name: Its name.
        frames: The rows of each split.
        kind: Its kind, from `target_kind`.
        known: The target of a trained network.
        rules: Version of the reading rules.

    Returns:
        For each split class ids, int64 (n,), or numbers, float32 (n, 1); and the class names.

    Raises:
        ValueError: If it has invalid values, or is the same everywhere.
    """
    classes = known.classes if isinstance(known, ClassId) else None
    if kind.kind == "category":
        texts = {text for frame in frames.values() for text in frame[name].unique()}
        classes = classes or in_order(map(without_point, texts), rules=rules)
        targets = {split: _class_ids(name, frame[name], classes) for split, frame in frames.items()}
    else:
        targets = {split: _numbers(name, frame[name], kind.format) for split, frame in frames.items()}
    if not known:
        _check_varies(name, targets)
    return {split: values.astype(np.int64 if classes else np.float32) for split, values in targets.items()}, classes


def _class_ids(name: str, values: pd.Series, classes: tuple[str, ...]) -> np.ndarray:
    in_other_form = same_as(classes, values.unique())
    ids = places_of(values.map(lambda text: in_other_form.get(text, text)), classes)
    if np.isnan(ids).any():
        raise ValueError(
            f"`{name}` must be one of the network's classes. Received: {values[np.isnan(ids)].iloc[0]!r}. "
            f"There are: {', '.join(classes)}. Correct it, or choose other data."
        )
    return ids.astype(np.int64)


def _numbers(name: str, values: pd.Series, form: str | None) -> np.ndarray:
    numbers = parse_numbers(values, form).to_numpy(np.float64)
    wrong = ~fits_float32(numbers)
    if wrong.any():
        raise ValueError(
            f"A number to predict must be finite, up to {MAX_FLOAT32:.1e}{f', like {form}' if form else ''}. Received: "
            f"{values.iloc[np.argmax(wrong)]!r} in row {values.index[np.argmax(wrong)] + 1} of `{name}`. "
            f"Correct it; for classes, --set dataset.table.columns.{name}=category."
        )
    return numbers[:, None]


def _check_varies(name: str, targets: Mapping[str, np.ndarray]) -> None:
    values = np.concatenate(list(targets.values()))
    if len(values) and (values == values[0]).all():
        raise ValueError(
            f"The target must vary. Received: `{name}`, the same in all {len(values)} rows. "
            "Choose another column: --set dataset.target=NAME."
        )
    if not np.issubdtype(values.dtype, np.integer):
        check_target(f"`{name}`", values.ravel())
