"""Splitting of unsplit data: the missing splits are taken from `train`."""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from dltemplates.datasets.series.windows import TimeSource, cut
from dltemplates.datasets.source import SPLITS, BaseSource, Dataset, origin, take
from dltemplates.datasets.spec import READING_RULES
from dltemplates.datasets.splitting.row_splits import RowSplits
from dltemplates.datasets.splitting.splits import (
    MIN_VALIDATION,
    Parts,
    Strata,
    split_by_key,
    split_examples,
    split_new_rows,
    validation_share,
)
from dltemplates.settings import AUTO, DatasetSettings


def add_missing_splits(
    dataset: Dataset,
    hashes: np.ndarray,
    settings: DatasetSettings,
    *,
    groups: np.ndarray | None = None,
    strata: Strata | None = None,
    known: RowSplits | None = None,
    rules: int = READING_RULES,
    every: bool = True,
) -> Dataset:
    """Take a dataset's missing splits from its split `train`.

    Args:
        dataset: The unfitted data; it may have some splits.
        hashes: Hash of each example of `train`, from `hash_examples`; for a series, of each row.
        settings: The shares of the splits and their seed.
        groups: Hash of each example's group; examples of one group share a split. None if equal hashes do.
        strata: Classes of examples; each split gets the same share of each.
        known: Earlier splits; known examples keep their split.
        rules: Version of the reading rules; those of the first edition may put equal examples into different splits.
        every: For a series, whether all splits are needed; otherwise splits too short for a window are left out.

    Returns:
        The dataset with all splits and its `rows`.

    Raises:
        ValueError: If there are too few examples, or rows.
    """
    missing = [split for split in SPLITS[1:] if split not in dataset.splits]
    if not missing:
        return dataset
    shares = settings.model_copy(update={split: 0.0 for split in SPLITS[1:] if split not in missing})
    train = dataset.split("train")
    base, _ = origin(train)
    warnings: list[str] = []
    units = hashes if groups is None else groups
    if isinstance(base, TimeSource):
        units = np.arange(len(hashes))  # equal rows of a series stay at their times
        starts = _starts(base, shares, known)
        parts = {
            split: np.arange(*part) for split, part in zip(SPLITS, pairwise((0, *starts, len(hashes))), strict=True)
        }
        starts_of_windows = _starts_of_windows(base, parts, rules)
        long = _long_enough(base, parts, starts_of_windows, every=every)
        new_splits = {split: cut(train, split, starts_of_windows[split], rows[-1] + 1) for split, rows in long.items()}
        rows = RowSplits(hashes, _places(parts), _times(base, starts), by_time=True)
    else:
        order = np.arange(len(hashes))
        keys = base.keys if isinstance(base, BaseSource) else None
        if known is not None and _has_known(hashes, units, known):
            order, parts = split_new_rows(hashes, units, known, shares)
        elif rules == 1:
            classes = np.zeros(len(hashes), np.int64) if strata is None else strata.groups
            parts = split_by_key(classes, keys, validation=shares.validation, test=shares.test, seed=shares.split_seed)
        else:
            parts, warnings = split_examples(units, keys, strata, shares)
        new_splits = {split: take(train, indices) for split, indices in parts.items()}
        rows = RowSplits(
            hashes[order], _places(parts)[order], np.empty(0), groups=None if groups is None else groups[order]
        )
    splits = dataset.splits | new_splits
    ordered = {split: splits[split] for split in dict.fromkeys((*SPLITS, *splits)) if split in splits}
    share = None
    if "validation" in missing:
        is_series = isinstance(base, TimeSource)
        share = _share_of_rows(settings, parts) if is_series else _used_share(settings, parts, units)
    update = {"warnings": (*dataset.spec.warnings, *warnings), "validation_share": share}
    return Dataset(dataset.spec.model_copy(update=update), ordered, rows)


def _used_share(settings: DatasetSettings, parts: Parts, units: np.ndarray) -> float:
    """Return the share of the units outside test that was asked of validation, so that it can be asked again.

    Validation may have more: each class has a unit in it.
    """
    return validation_share(
        settings.validation, sum(len(np.unique(units[parts[split]])) for split in SPLITS[:2] if split in parts)
    )


def _share_of_rows(settings: DatasetSettings, parts: Parts) -> float:
    """Return the share of the rows of a series before test that validation took."""
    if settings.validation != AUTO:
        return float(settings.validation)
    train, validation = (len(parts[split]) if split in parts else 0 for split in SPLITS[:2])
    return validation / max(1, train + validation)


def _has_known(hashes: np.ndarray, groups: np.ndarray, known: RowSplits) -> bool:
    return bool(np.isin(hashes, known.hashes).any() or np.isin(groups, known.group_hashes).any())


def _starts(series: TimeSource, settings: DatasetSettings, known: RowSplits | None) -> tuple[int, int]:
    """Return the first rows of validation and test: test is the end of the series, validation the part before it."""
    rows = len(series.times)
    if known is None:
        test = round(rows * (1 - settings.test))
        # An example is a window, whose inputs may lie in train: `MIN_VALIDATION` horizons need one less than their sum.
        share = validation_share(settings.validation, test, minimum=MIN_VALIDATION + series.need - series.reach - 1)
        return round(test * (1 - share)), test
    if series.is_dated and len(known.split_bounds):
        starts = np.searchsorted(series.times, known.split_bounds)
    else:
        starts = np.cumsum(np.bincount(known.splits, minlength=len(SPLITS)))[:2]
    validation, test = np.minimum(starts, rows).tolist()
    return validation, test


def _starts_of_windows(series: TimeSource, parts: Parts, rules: int) -> dict[str, int]:
    """Return the first row that the windows of each split may use.

    The inputs of a forecast may lie in an earlier split, since its target does not. By rules before 4, they may not.
    """
    starts = {split: int(rows[0]) if len(rows) else 0 for split, rows in parts.items()}
    reach = series.reach if rules >= 4 else 0
    return {split: start if split == "train" else max(0, start - reach) for split, start in starts.items()}


def _long_enough(series: TimeSource, parts: Parts, starts: dict[str, int], *, every: bool) -> Parts:
    """Return the splits that are long enough for a window.

    Args:
        series: The series.
        parts: The rows of each split.
        starts: The first row that the windows of each split may use.
        every: As in `add_missing_splits`.

    Raises:
        ValueError: If a needed split, or every split, is too short.
    """
    long = {split: rows for split, rows in parts.items() if len(rows) and rows[-1] + 1 - starts[split] >= series.need}
    for split, rows in parts.items():
        if split not in long and (every or not long):
            series.raise_too_short(split, f"{len(rows)} of {len(series.times)} rows in {split}")
    return long


def _times(series: TimeSource, starts: tuple[int, int]) -> np.ndarray:
    """Return the start of validation and test as times; empty without dates."""
    if not series.is_dated:
        return np.empty(0)
    return np.append(series.times, np.inf)[list(starts)]


def _places(parts: Parts) -> np.ndarray:
    """Return the position of each example's split in `SPLITS`, uint8 (n,)."""
    places = np.zeros(sum(map(len, parts.values())), np.uint8)
    for split, rows in parts.items():
        places[rows] = SPLITS.index(split)
    return places
