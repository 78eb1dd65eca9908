"""What is to be predicted of a table: which column it is, whether it holds classes or numbers, and those."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd

from dltemplates.datasets.features import MAX_FLOAT32, is_held
from dltemplates.datasets.spec import IOSpec, target_column
from dltemplates.datasets.tables.columns import numbers_of, places_of, without_point
from dltemplates.features import ClassId, Number, columns_of
from dltemplates.settings import DatasetSettings

MIN_RELATIVE_RANGE = 1e-6  # variation, as a share of the greatest: float32 holds seven digits
MAX_CLASS_NUMBERS = 20  # as many different whole numbers, and no more, are classes
Frames = dict[str, pd.DataFrame]  # of each split
Targets = dict[str, np.ndarray]


def target_name(table: pd.DataFrame, settings: DatasetSettings, reference: IOSpec | None) -> str:
    """The column that is to be predicted: the one that was, the one that is named, or the last not learned from.

    Raises:
        ValueError: If there is no such column.
    """
    known = target_column(reference) if reference else None
    learned = {column.name for value in reference.inputs for column in columns_of(value)} if reference else set()
    others = [str(column) for column in table if column not in learned]
    there_are = f"There are: {', '.join(map(str, table.columns))}."
    if known not in (None, *others) or (learned and not others):
        missing = f"no column `{known}`" if known else "only columns that are learned from"
        raise ValueError(f"A table must hold what is to be predicted. Received: {missing}. {there_are} Add it.")
    name = known or settings.target or others[-1]
    if name not in table:
        raise ValueError(f"`dataset.target` must be a column. Received: {name}. {there_are}")
    return name


def with_target(name: str, frames: Frames) -> tuple[Frames, dict[str, str]]:
    """The rows that say what is to be predicted, and why the others are left out.

    Raises:
        ValueError: If there are none.
    """
    given = {split: frame[name].notna() for split, frame in frames.items()}
    if not any(has_target.any() for has_target in given.values()):
        raise ValueError(
            f"The column that is to be predicted must hold something. Received: nothing in `{name}`. Fill it in, or "
            "choose another: --set dataset.target=NAME."
        )
    skipped = {
        f"{split if len(frames) > 1 else 'table'} row {row}": f"no {name}"
        for split, has_target in given.items()
        for row in has_target.index[~has_target] + 1
    }
    return {split: frame[given[split]] for split, frame in frames.items()}, skipped


def read_targets(
    name: str, frames: Frames, settings: DatasetSettings, known: ClassId | Number | None
) -> tuple[Targets, tuple[str, ...] | None]:
    """Read the column that is to be predicted.

    Args:
        name: It.
        frames: The rows of each split.
        settings: What it holds, where it is not what it looks like.
        known: What a trained network predicts.

    Returns:
        Of each split the ids of classes, int64 (n,), or numbers, float32 (n, 1); and the names of the classes.

    Raises:
        ValueError: If it does not hold what it must, or is the same everywhere.
    """
    if known:
        kind, classes = ("category", known.classes) if isinstance(known, ClassId) else ("number", None)
    else:
        kind, classes = _kind(name, frames, settings), None
    if kind == "category":
        texts = {text for frame in frames.values() for text in frame[name].unique()}
        classes = classes or tuple(sorted(set(map(without_point, texts))))
        targets = {split: _class_ids(name, frame[name], classes) for split, frame in frames.items()}
    else:
        targets = {split: _numbers(name, frame[name]) for split, frame in frames.items()}
    if not known:
        _check_varies(name, targets)
    return {split: values.astype(np.int64 if classes else np.float32) for split, values in targets.items()}, classes


def _kind(name: str, frames: Frames, settings: DatasetSettings) -> str:
    given = settings.of_table().columns.get(name)
    if given in ("date", "skip"):
        raise ValueError(
            f"What is to be predicted must be a number or a category. Received: {name}={given} in "
            "`dataset.table.columns`. Leave it out of there, or choose another column: --set dataset.target=NAME."
        )
    if given:
        return given
    values = pd.concat([frame[name] for frame in frames.values()])
    numbers = numbers_of(values)
    given = numbers.dropna()
    if (given == given.round()).all() and given.nunique() <= MAX_CLASS_NUMBERS:
        return "category"
    if 2 * len(given) > len(values) > len(given):
        raise ValueError(
            f"What is to be predicted must be numbers, or classes. Received: {values[numbers.isna()].iloc[0]!r} in "
            f"`{name}`, most of which are numbers. Correct it, or leave it empty and so the row out; if they are "
            f"classes, --set dataset.table.columns.{name}=category."
        )
    return "number" if len(given) == len(values) else "category"


def _class_ids(name: str, values: pd.Series, classes: tuple[str, ...]) -> np.ndarray:
    ids = places_of(values, classes)
    if np.isnan(ids).any():
        raise ValueError(
            f"`{name}` must be a class that was learned. Received: {values[np.isnan(ids)].iloc[0]!r}. "
            f"There are: {', '.join(classes)}. Correct it, or choose other data."
        )
    return ids.astype(np.int64)


def _numbers(name: str, values: pd.Series) -> np.ndarray:
    numbers = numbers_of(values).to_numpy(np.float64)
    wrong = ~is_held(numbers)
    if wrong.any():
        raise ValueError(
            f"A number to predict must be finite, up to {MAX_FLOAT32:.1e}. Received: "
            f"{values.tolist()[np.argmax(wrong)]!r} in `{name}`. "
            f"Correct it; for classes, --set dataset.table.columns.{name}=category."
        )
    return numbers[:, None]


def _check_varies(name: str, targets: Mapping[str, np.ndarray]) -> None:
    values = np.concatenate(list(targets.values()))
    if len(values) and (values == values[0]).all():
        raise ValueError(
            f"What is to be predicted must vary. Received: `{name}`, the same in all {len(values)} rows. "
            "Choose another column: --set dataset.target=NAME."
        )
    if len(values) and np.ptp(values) <= MIN_RELATIVE_RANGE * np.abs(values).max():
        raise ValueError(
            f"What is to be predicted must vary in float32, which holds seven digits. Received: `{name}`, from "
            f"{values.min():.17g} to {values.max():.17g}. Subtract what all have in common: {values.min():.17g}."
        )
