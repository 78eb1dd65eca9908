"""Fixed splits of what is whole: which examples are set apart depends on the seed and their keys, not on how many.

Equal examples stand together.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import NamedTuple, NoReturn

import numpy as np

from dltemplates.datasets.row_splits import RowSplits
from dltemplates.datasets.source import SPLITS
from dltemplates.settings import DatasetSettings

POOL = -1  # the group of classes that are too rare to have their share of every split
KEPT = -2  # that of examples that are never set apart: one of each of those classes

Parts = dict[str, np.ndarray]


class Strata(NamedTuple):
    """Groups of examples of which each split has the same share.

    Attributes:
        groups: The group of each example, (n,) integers.
        names: Those of the groups, by number; empty where nobody asks for them.
    """

    groups: np.ndarray
    names: tuple[str, ...] = ()


def set_apart(groups: np.ndarray, keys: Sequence[str], share: float, seed: int) -> np.ndarray:
    """Choose `share` of the examples, the same share of every group, and at least one of each but `POOL` and `KEPT`.

    An example is chosen by a hash of its key, so that files added later leave nearly all others where they are.

    Args:
        groups: The group (class) of each example, (n,) integers.
        keys: A text that identifies each example.
        share: 0..1; the number chosen is this share of n, rounded, and at least one.
        seed: Another seed chooses others.

    Returns:
        Whether each example is chosen, (n,) booleans.
    """
    chosen = np.zeros(len(groups), bool)
    if share == 0 or not len(groups):
        return chosen
    order = np.argsort([_rank(key, seed) for key in keys], kind="stable")
    found, members, sizes = np.unique(groups, return_inverse=True, return_counts=True)
    quotas = np.zeros(len(found), int)
    if (is_free := found != KEPT).any():
        shares = _quotas(sizes[is_free], max(1, round(share * len(groups))))
        quotas[is_free] = np.maximum(shares, found[is_free] != POOL)
    for group, count in enumerate(quotas):
        of_group = order[members[order] == group]
        chosen[of_group[:count]] = True
    return chosen


def three_ways(groups: np.ndarray, keys: Sequence[str] | None, *, validation: float, test: float, seed: int) -> Parts:
    """Split examples into train, validation and test.

    Args:
        groups: The group (class) of each example, (n,) integers.
        keys: A text that identifies each example; None takes its position.
        validation: Share of what `test` leaves; 0 for no such split.
        test: Share of all; 0 for no such split.
        seed: Another seed splits otherwise.

    Returns:
        The indices of each split that has any, ascending.

    Raises:
        ValueError: If none are left to train on.
    """
    keys = [str(index) for index in range(len(groups))] if keys is None else keys
    in_test = set_apart(groups, keys, test, seed)
    rest = np.flatnonzero(~in_test)
    in_validation = set_apart(groups[rest], [keys[index] for index in rest.tolist()], validation, seed + 1)
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
        "Each split needs examples that no other has, and train one of each class. Received: "
        f"{count} different examples. Add more, or give each split in a file or folder of its own."
    )


def divide(
    hashes: np.ndarray, keys: Sequence[str] | None, strata: Strata | None, settings: DatasetSettings
) -> tuple[Parts, list[str]]:
    """Split examples by `settings.validation` and `settings.test`, equal ones together.

    Args:
        hashes: Of each example, (n,); equal examples have one hash.
        keys: A text that identifies each example; None takes its position.
        strata: Groups of which each split has the same share; None for none. Groups with fewer different examples than
            there are splits are split together, but for one example of each, which is trained on.
        settings: The shares and the seed; a share of 0 makes no split.

    Returns:
        The indices of each split; and what may not be meant: groups that are too rare, or many equal examples.

    Raises:
        ValueError: If there are too few examples.
    """
    first, unit = _units(hashes)
    groups = np.zeros(len(first), np.int64) if strata is None else strata.groups[first].astype(np.int64)
    made = ["train", *(split for split in ("validation", "test") if getattr(settings, split))]
    found, first_of_group, counts = np.unique(groups, return_index=True, return_counts=True)
    rare = found[counts < len(made)]
    pooled = np.where(np.isin(groups, rare), POOL, groups)
    pooled[first_of_group[counts < len(made)]] = KEPT
    parts = three_ways(
        pooled,
        [str(place) if keys is None else keys[place] for place in first.tolist()],
        validation=settings.validation,
        test=settings.test,
        seed=settings.split_seed,
    )
    if len(parts) < len(made):
        _raise_too_few(len(first))
    of_unit = np.zeros(len(first), np.int64)
    for place, split in enumerate(SPLITS):
        of_unit[parts.get(split, [])] = place
    names = [strata.names[group] for group in rare] if strata is not None and strata.names else []
    rows = of_unit[unit]
    splits = {split: np.flatnonzero(rows == place) for place, split in enumerate(SPLITS) if split in parts}
    warnings = [_rare(names, len(made))] if names else []
    if 2 * len(first) < len(hashes):
        warnings.append(_equal(len(hashes), len(first), splits))
    return splits, warnings


def divide_again(hashes: np.ndarray, known: RowSplits, settings: DatasetSettings) -> tuple[np.ndarray, Parts]:
    """Split examples of which some were split before: those keep their split, and stand in their order of then.

    An example that is new goes by a hash of its content and the seed, so that it keeps its split too.

    Args:
        hashes: Of each example, (n,).
        known: The examples that were split before.
        settings: The shares and the seed, by which new ones are split.

    Returns:
        The order of the examples, (n,) indices, new ones last; and the indices of each split, in that order.
    """
    places = known.find(hashes)
    order = np.argsort(np.where(places < 0, len(known.hashes), places), kind="stable")
    split_of = dict(zip(known.hashes.tolist(), known.splits.tolist(), strict=True))
    made = set(known.splits.tolist())
    test = settings.test if SPLITS.index("test") in made else 0.0
    validation = settings.validation if SPLITS.index("validation") in made else 0.0
    splits = np.array(
        [
            split_of[value] if value in split_of else _drawn(value, validation, test, settings.split_seed)
            for value in hashes[order].tolist()
        ]
    )
    return order, {SPLITS[place]: order[splits == place] for place in sorted(made)}


def _units(hashes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The first of each group of equal examples, ascending, and the group of each example (n,)."""
    _, first, inverse = np.unique(hashes, return_index=True, return_inverse=True)
    order = np.argsort(first)
    rank = np.empty_like(order)
    rank[order] = np.arange(len(order))
    return first[order], rank[inverse]


def _rare(names: Sequence[str], made: int) -> str:
    few = ", ".join(names[:5]) + (", ..." if len(names) > 5 else "")
    return (
        f"{'class' if len(names) == 1 else 'classes'} {few}: fewer different examples than there are splits ({made}), "
        "so that some splits hold none: add examples"
    )


def _equal(examples: int, different: int, splits: Parts) -> str:
    sizes = ", ".join(f"{len(rows)} in {split}" for split, rows in splits.items())
    return (
        f"only {different} of {examples} examples are different, and equal ones stand in one split ({sizes}): add "
        "columns that tell them apart, or give the splits yourself"
    )


def _drawn(value: int, validation: float, test: float, seed: int) -> int:
    """The place of the split that the hash of a new example draws."""
    if _rank(str(value), seed) < test * RANKS:
        return SPLITS.index("test")
    return SPLITS.index("validation" if _rank(str(value), seed + 1) < validation * RANKS else "train")


RANKS = 2**56  # how many there are


def _rank(key: str, seed: int) -> int:
    return int.from_bytes(hashlib.blake2b(f"{seed}/{key}".encode(), digest_size=7).digest())


def _quotas(sizes: np.ndarray, count: int) -> np.ndarray:
    """Share `count` among groups in proportion to their sizes, by largest remainders."""
    exact = sizes * (count / sizes.sum())
    quotas = np.floor(exact).astype(int)
    largest = np.argsort(quotas - exact, kind="stable")
    quotas[largest[: count - quotas.sum()]] += 1
    return quotas
