"""Datasets whose examples are rows of numbers."""

from __future__ import annotations

import numpy as np

from dltemplates.datasets.arrays import fingerprint
from dltemplates.datasets.source import SPLITS, ArraySource, Dataset
from dltemplates.datasets.spec import DatasetSpec, Value
from dltemplates.datasets.splits import three_ways
from dltemplates.datasets.values import features_value, with_counts
from dltemplates.settings import DatasetSettings

Splits = dict[str, tuple[np.ndarray, np.ndarray]]


def divide(rows: np.ndarray, targets: np.ndarray, settings: DatasetSettings, *, by_class: bool) -> Splits:
    """Split a table by `settings.validation` and `settings.test`.

    Args:
        rows: Numbers (n, columns).
        targets: What is to be predicted, (n, ...).
        settings: The shares and the seed.
        by_class: Whether the targets are class ids, each of which is to have its share of every split.

    Returns:
        The rows and the targets of each split.
    """
    groups = targets if by_class else np.zeros(len(targets), np.int64)
    parts = three_ways(groups, None, validation=settings.validation, test=settings.test, seed=settings.split_seed)
    return {name: (rows[indices], targets[indices]) for name, indices in parts.items()}


def table_dataset(splits: Splits, columns: tuple[str, ...], target: Value) -> Dataset:
    """Make a dataset of rows of numbers.

    Args:
        splits: Numbers (n, columns) and targets (n, ...) of each split.
        columns: What each number is.
        target: What is to be predicted.
    """
    rows = features_value(columns, splits["train"][0])
    sources = {
        name: ArraySource({rows.name: numbers.astype(rows.dtype), target.name: targets.astype(target.dtype)})
        for name, (numbers, targets) in splits.items()
    }
    spec = DatasetSpec(
        inputs=(rows,),
        targets=(with_counts(target, splits["train"][1]),),
        sizes={name: len(sources[name]) for name in SPLITS if name in sources},
        fingerprint=fingerprint(splits),
    )
    return Dataset(spec, dict(sources))
