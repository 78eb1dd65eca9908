"""Splitting the data that is whole: what it has as `train` gives the splits that it lacks."""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from dltemplates.datasets.row_splits import RowSplits
from dltemplates.datasets.series.windows import TimeSource, cut
from dltemplates.datasets.source import SPLITS, BaseSource, Dataset, origin, take
from dltemplates.datasets.spec import READING_RULES
from dltemplates.datasets.splits import Parts, Strata, divide, divide_again, three_ways
from dltemplates.settings import DatasetSettings


def split_whole(
    dataset: Dataset,
    hashes: np.ndarray,
    settings: DatasetSettings,
    *,
    strata: Strata | None = None,
    known: RowSplits | None = None,
    rules: int = READING_RULES,
    every: bool = True,
) -> Dataset:
    """Take the splits that a dataset lacks from its split `train`.

    Args:
        dataset: The data, not fitted; it may have some splits.
        hashes: Of each example of `train`, as `hash_examples` gives them; of a series, of each row.
        settings: The shares of the splits and their seed.
        strata: Groups of examples of which each split is to have the same share.
        known: The examples that were split before: those keep their split.
        rules: The reading rules; by those of the first edition equal examples may be split.
        every: Of a series, whether all splits are needed; else those that are too short for a window are left out.

    Returns:
        The dataset with all splits, and its `rows`.

    Raises:
        ValueError: If there are too few examples, or rows.
    """
    lacking = [split for split in SPLITS[1:] if split not in dataset.splits]
    if not lacking:
        return dataset
    shares = settings.model_copy(update={split: 0.0 for split in SPLITS[1:] if split not in lacking})
    train = dataset.split("train")
    base, _ = origin(train)
    warnings: list[str] = []
    if isinstance(base, TimeSource):
        begins = _begins(base, shares, known)
        parts = {
            split: np.arange(*part) for split, part in zip(SPLITS, pairwise((0, *begins, len(hashes))), strict=True)
        }
        long = _long_enough(base, parts, every=every)
        made = {split: cut(train, split, rows[0], rows[-1] + 1) for split, rows in long.items()}
        rows = RowSplits(hashes, _places(parts), _times(base, begins), by_time=True)
    else:
        order = np.arange(len(hashes))
        keys = base.keys if isinstance(base, BaseSource) else None
        if known is not None and (known.find(hashes) >= 0).any():
            order, parts = divide_again(hashes, known, shares)
        elif rules == 1:
            groups = np.zeros(len(hashes), np.int64) if strata is None else strata.groups
            parts = three_ways(groups, keys, validation=shares.validation, test=shares.test, seed=shares.split_seed)
        else:
            parts, warnings = divide(hashes, keys, strata, shares)
        made = {split: take(train, indices) for split, indices in parts.items()}
        rows = RowSplits(hashes[order], _places(parts)[order], np.empty(0))
    splits = dataset.splits | made
    ordered = {split: splits[split] for split in dict.fromkeys((*SPLITS, *splits)) if split in splits}
    spec = dataset.spec.model_copy(update={"warnings": (*dataset.spec.warnings, *warnings)})
    return Dataset(spec, ordered, rows)


def _begins(series: TimeSource, settings: DatasetSettings, known: RowSplits | None) -> tuple[int, int]:
    """The rows that validation and test begin with: the test is the last part, validation the last of what is left."""
    rows = len(series.times)
    if known is None:
        test = round(rows * (1 - settings.test))
        return round(test * (1 - settings.validation)), test
    if series.is_dated and len(known.split_bounds):
        begins = np.searchsorted(series.times, known.split_bounds)
    else:
        begins = np.cumsum(np.bincount(known.splits, minlength=len(SPLITS)))[:2]
    validation, test = np.minimum(begins, rows).tolist()
    return validation, test


def _long_enough(series: TimeSource, parts: Parts, *, every: bool) -> Parts:
    """The splits that hold a window.

    Raises:
        ValueError: If one that is needed, or each, is too short.
    """
    long = {split: rows for split, rows in parts.items() if len(rows) >= series.need}
    for split, rows in parts.items():
        if split not in long and (every or not long):
            series.raise_too_short(split, f"{len(rows)} of {len(series.times)} rows in {split}")
    return long


def _times(series: TimeSource, begins: tuple[int, int]) -> np.ndarray:
    """When validation and test begin, where dates are known."""
    if not series.is_dated:
        return np.empty(0)
    return np.append(series.times, np.inf)[list(begins)]


def _places(parts: Parts) -> np.ndarray:
    """The place of each example's split in `SPLITS`, uint8 (n,)."""
    places = np.zeros(sum(map(len, parts.values())), np.uint8)
    for split, rows in parts.items():
        places[rows] = SPLITS.index(split)
    return places
