"""Fixed splits: an example's split depends on the seed and its key, not on the number of examples.

Equal examples go to the same split.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import NamedTuple, NoReturn

import numpy as np

from dltemplates.datasets.source import SPLITS
from dltemplates.datasets.splitting.row_splits import RowSplits
from dltemplates.settings import AUTO, DatasetSettings

POOL = -1  # the group of classes too rare for a share of every split
TRAIN_ONLY = -2  # the group of examples for train alone: one of each rare class
VALIDATION_SHARE, MAX_VALIDATION_SHARE = 0.1, 0.25  # of `validation = "auto"`
MIN_VALIDATION = 50  # examples; with fewer, the 95% interval of an accuracy is wider than 0.2

Parts = dict[str, np.ndarray]


class Strata(NamedTuple):
    """Groups of examples; each split gets the same share of every group.

    Attributes:
        groups: The group of each example, (n,) integers.
        names: Group names, by number; empty if unused.
    """

    groups: np.ndarray
    names: tuple[str, ...] = ()


def validation_share(setting: float | str, examples: int, *, minimum: int = MIN_VALIDATION) -> float:
    """Return the share of the training examples for validation.

    Args:
        setting: `dataset.validation`: a share; or `auto`, the larger of 10% and `minimum` examples, at most 25%.
        examples: Number of examples outside test.
        minimum: Least number of validation examples, if they are at most 25%.
    """
    if setting != AUTO:
        return float(setting)
    return min(max(VALIDATION_SHARE, minimum / max(1, examples)), MAX_VALIDATION_SHARE)


def choose_share(groups: np.ndarray, keys: Sequence[str], share: float, seed: int) -> np.ndarray:
    """Choose `share` of the examples: the same share of every group, at least one of each but `POOL` and `TRAIN_ONLY`.

    The hash of an example's key decides whether it is chosen. So when files are added, nearly all others keep their
    split.

    Args:
        groups: The group (class) of each example, (n,) integers.
        keys: Texts that identify the examples.
        share: 0..1; round(share * n) examples are chosen, at least one unless the share is 0.
        seed: Another seed chooses other examples.

    Returns:
        Whether each example is chosen, (n,) booleans.
    """
    chosen = np.zeros(len(groups), bool)
    if share == 0 or not len(groups):
        return chosen
    order = np.argsort([_rank(key, seed) for key in keys], kind="stable")
    present, members, sizes = np.unique(groups, return_inverse=True, return_counts=True)
    quotas = np.zeros(len(present), int)
    if (is_free := present != TRAIN_ONLY).any():
        shares = _quotas(sizes[is_free], max(1, round(share * len(groups))))
        quotas[is_free] = np.maximum(shares, present[is_free] != POOL)
    for group, count in enumerate(quotas):
        in_group = order[members[order] == group]
        chosen[in_group[:count]] = True
    return chosen


def split_by_key(
    groups: np.ndarray, keys: Sequence[str] | None, *, validation: float | str, test: float, seed: int
) -> Parts:
    """Split examples into train, validation and test.

    Args:
        groups: The group (class) of each example, (n,) integers.
        keys: Texts that identify the examples; None for their positions.
        validation: Share of the examples outside test, or `auto`; 0 for no such split.
        test: Share of all examples; 0 for no such split.
        seed: Another seed gives other splits.

    Returns:
        The indices of each nonempty split, ascending.

    Raises:
        ValueError: If no examples are left for train.
    """
    keys = [str(index) for index in range(len(groups))] if keys is None else keys
    in_test = choose_share(groups, keys, test, seed)
    rest = np.flatnonzero(~in_test)
    share = validation_share(validation, len(rest))
    in_validation = choose_share(groups[rest], [keys[index] for index in rest.tolist()], share, seed + 1)
    splits = {
        "train": rest[~in_validation],
        "validation": rest[in_validation],
        "test": np.flatnonzero(in_test),
    }
    if not len(splits["train"]):
        _raise_too_few(len(groups))
    return {name: indices for name, indices in splits.items() if len(indices)}


def _raise_too_few(count: int) -> NoReturn:
    raise ValueError(
        "Each split needs distinct examples, and train needs one of each class. Received: "
        f"{count} distinct examples. Add more, or give each split its own file or folder."
    )


def split_examples(
    hashes: np.ndarray, keys: Sequence[str] | None, strata: Strata | None, settings: DatasetSettings
) -> tuple[Parts, list[str]]:
    """Split examples by `settings.validation` and `settings.test`, keeping equal examples together.

    Args:
        hashes: Hash of each example, or of its inputs, (n,); examples with equal hashes share a split.
        keys: Texts that identify the examples; None for their positions.
        strata: Groups; each split gets the same share of every group. Groups with fewer different examples than splits
            are pooled; one example of each goes to train. None for no groups.
        settings: The shares and the seed; a share of 0 means no such split.

    Returns:
        The indices of each split; and warnings about rare groups or many equal examples.

    Raises:
        ValueError: If there are too few examples.
    """
    first, unit = _units(hashes)
    groups = np.zeros(len(first), np.int64) if strata is None else _groups_of_units(strata.groups, first, unit)
    wanted = ["train", *(split for split in ("validation", "test") if getattr(settings, split))]
    present, first_of_group, counts = np.unique(groups, return_index=True, return_counts=True)
    rare = present[counts < len(wanted)]
    pooled = np.where(np.isin(groups, rare), POOL, groups)
    pooled[first_of_group[counts < len(wanted)]] = TRAIN_ONLY
    parts = split_by_key(
        pooled,
        [str(place) if keys is None else keys[place] for place in first.tolist()],
        validation=settings.validation,
        test=settings.test,
        seed=settings.split_seed,
    )
    if len(parts) < len(wanted):
        _raise_too_few(len(first))
    of_unit = np.zeros(len(first), np.int64)
    for place, split in enumerate(SPLITS):
        of_unit[parts.get(split, [])] = place
    names = [strata.names[group] for group in rare] if strata is not None and strata.names else []
    rows = of_unit[unit]
    splits = {split: np.flatnonzero(rows == place) for place, split in enumerate(SPLITS) if split in parts}
    warnings = [_rare_warning(names, len(wanted))] if names else []
    if 2 * len(first) < len(hashes):
        warnings.append(_duplicate_warning(len(hashes), len(first), splits))
    return splits, warnings


def split_new_rows(
    hashes: np.ndarray, groups: np.ndarray, known: RowSplits, settings: DatasetSettings
) -> tuple[np.ndarray, Parts]:
    """Split examples again: known examples keep their split and their order, and new ones join their group.

    The hash of a new group, with the seed, decides its split. So it keeps that split the next time.

    Args:
        hashes: Hash of each example, (n,).
        groups: Hash of each example's group, (n,).
        known: The earlier splits.
        settings: The shares and the seed for new examples.

    Returns:
        The order of the examples, (n,) indices, new ones last; and the indices of each split in that order.
    """
    places = known.find(hashes)
    order = np.argsort(np.where(places < 0, len(known.hashes), places), kind="stable")
    split_of = dict(zip(known.hashes.tolist(), known.splits.tolist(), strict=True))
    split_of_group = dict(zip(known.group_hashes.tolist(), known.splits.tolist(), strict=True))
    present = set(known.splits.tolist())
    test = settings.test if SPLITS.index("test") in present else 0.0
    of_validation = SPLITS.index("validation")
    validation = 0.0
    if of_validation in present:
        known_validation = int((known.splits == of_validation).sum())
        known_rest = int((known.splits != SPLITS.index("test")).sum())
        is_auto = settings.validation == AUTO
        validation = known_validation / known_rest if is_auto else validation_share(settings.validation, known_rest)
    splits = np.zeros(len(order), np.int64)
    for place, (value, group) in enumerate(zip(hashes[order].tolist(), groups[order].tolist(), strict=True)):
        split = split_of.get(value, split_of_group.get(group))
        splits[place] = _draw_split(group, validation, test, settings.split_seed) if split is None else split
    return order, {SPLITS[place]: order[splits == place] for place in sorted(present)}


def _units(hashes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the first of each group of equal examples, ascending, and the group of each example (n,)."""
    _, first, inverse = np.unique(hashes, return_index=True, return_inverse=True)
    order = np.argsort(first)
    rank = np.empty_like(order)
    rank[order] = np.arange(len(order))
    return first[order], rank[inverse]


def _groups_of_units(groups: np.ndarray, first: np.ndarray, unit: np.ndarray) -> np.ndarray:
    """Return the group of each unit, that of its first example; each group gets at least one unit.

    Without the exception, a class could miss in train if its few examples equal those of another class.

    Args:
        groups: The group of each example, (n,).
        first: The first example of each unit.
        unit: The unit of each example, (n,).
    """
    of_units = groups[first].astype(np.int64)
    for group in np.setdiff1d(groups, of_units):
        of_units[unit[np.argmax(groups == group)]] = group
    return of_units


def _rare_warning(names: Sequence[str], num_splits: int) -> str:
    few = ", ".join(names[:5]) + (", ..." if len(names) > 5 else "")
    return (
        f"{f'class {few} has' if len(names) == 1 else f'classes {few} have'} fewer distinct examples than there are "
        f"splits ({num_splits}), so some splits have none: add examples"
    )


def _duplicate_warning(examples: int, different: int, splits: Parts) -> str:
    sizes = ", ".join(f"{len(rows)} in {split}" for split, rows in splits.items())
    return (
        f"only {different} of {examples} examples are distinct, and duplicates stay in one split ({sizes}): add "
        "columns that distinguish them, or give the splits yourself, with --set dataset.duplicates=keep"
    )


def _draw_split(value: int, validation: float, test: float, seed: int) -> int:
    """Return the position in `SPLITS` that a new example's hash draws."""
    if _rank(str(value), seed) < test * RANKS:
        return SPLITS.index("test")
    return SPLITS.index("validation" if _rank(str(value), seed + 1) < validation * RANKS else "train")


RANKS = 2**56  # number of different ranks


def _rank(key: str, seed: int) -> int:
    return int.from_bytes(hashlib.blake2b(f"{seed}/{key}".encode(errors="surrogateescape"), digest_size=7).digest())


def _quotas(sizes: np.ndarray, count: int) -> np.ndarray:
    """Divide `count` among groups in proportion to their sizes, by largest remainders."""
    exact = sizes * (count / sizes.sum())
    quotas = np.floor(exact).astype(int)
    largest = np.argsort(quotas - exact, kind="stable")
    quotas[largest[: count - quotas.sum()]] += 1
    return quotas
