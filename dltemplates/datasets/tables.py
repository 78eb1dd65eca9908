"""Datasets whose examples are rows of a table."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import pandas as pd

from dltemplates.datasets.arrays import fingerprint
from dltemplates.datasets.columns import categories_value, encode_rows, features_value, find_unknown, fit_column
from dltemplates.datasets.source import SPLITS, ArraySource, Dataset
from dltemplates.datasets.spec import Column, DatasetSpec, Value
from dltemplates.datasets.values import with_counts


def number_table(names: Sequence[str], splits: Mapping[str, tuple[np.ndarray, np.ndarray]], target: Value) -> Dataset:
    """Make a dataset of rows of numbers.

    Args:
        names: What each number is.
        splits: Numbers (n, columns) and targets (n, ...) of each split.
        target: What is to be predicted.
    """
    frames = {name: pd.DataFrame(rows, columns=list(names)) for name, (rows, _) in splits.items()}
    targets = {name: array for name, (_, array) in splits.items()}
    return table_dataset([Column(name=name) for name in names], frames, targets, target)


def table_dataset(
    columns: Sequence[Column],
    frames: Mapping[str, pd.DataFrame],
    targets: Mapping[str, np.ndarray],
    target: Value,
    *,
    skipped: Mapping[str, str] | None = None,
    warnings: Iterable[str] = (),
) -> Dataset:
    """Make a dataset of the rows of a table.

    Args:
        columns: Those that are learned from, and how: `fit_columns`.
        frames: The rows of each split.
        targets: What is to be predicted, (n, ...), of each split.
        target: What that is.
        skipped: Rows that are left out, each with the reason.
        warnings: What may not be meant as it is taken.
    """
    numbers = tuple(column for column in columns if column.kind != "category")
    categories = tuple(column for column in columns if column.kind == "category")
    inputs: list[Value] = []
    if numbers:
        inputs.append(features_value(numbers, frames["train"]))
    if categories:
        inputs.append(categories_value(categories))
    arrays = {
        split: {value.name: encode_rows(value, frame) for value in inputs}
        | {target.name: targets[split].astype(target.dtype)}
        for split, frame in frames.items()
    }
    unknown = {
        split: {name: int(rows.sum()) for name, rows in find_unknown(inputs[-1], frame).items() if rows.any()}
        for split, frame in frames.items()
    }
    spec = DatasetSpec(
        inputs=tuple(inputs),
        targets=(with_counts(target, targets["train"]),),
        sizes={split: len(targets[split]) for split in SPLITS if split in targets},
        skipped=dict(skipped or {}),
        unknown={split: counts for split, counts in unknown.items() if counts},
        warnings=tuple(warnings),
        fingerprint=fingerprint({split: tuple(parts.values()) for split, parts in arrays.items()}),
    )
    return Dataset(spec, {split: ArraySource(parts) for split, parts in arrays.items()})


def fit_columns(kinds: Mapping[str, str], train: pd.DataFrame) -> list[Column]:
    """Learn how each column is made numbers, or ids.

    Args:
        kinds: What each column holds: `number`, `date` or `category`.
        train: The rows of the training split.

    Raises:
        ValueError: If there is no column, or one of them holds nothing.
    """
    if not kinds:
        raise ValueError("A table must have a column to learn from. Received: none but the target. Add one.")
    fitted = [fit_column(name, kind, train[name]) for name, kind in kinds.items()]
    return [column.model_copy(update={"place": place}) for place, column in enumerate(fitted)]
