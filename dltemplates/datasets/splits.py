"""Fixed splits: which examples are set apart depends on the seed and their keys, not on the order they are found in."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np

from dltemplates.settings import DatasetSettings


def set_apart(groups: np.ndarray, keys: Sequence[str], share: float, seed: int) -> np.ndarray:
    """Choose `share` of the examples, the same share of every group, and at least one of each.

    An example is chosen by a hash of its key, so that files added later leave nearly all others where they are.

    Args:
        groups: The group (class) of each example, (n,) integers.
        keys: A text that identifies each example.
        share: 0..1; the number chosen is this share of n, rounded.
        seed: Another seed chooses others.

    Returns:
        Whether each example is chosen, (n,) booleans.
    """
    chosen = np.zeros(len(groups), bool)
    if share == 0 or not len(groups):
        return chosen
    order = np.argsort([_rank(key, seed) for key in keys], kind="stable")
    _, members, sizes = np.unique(groups, return_inverse=True, return_counts=True)
    for group, count in enumerate(_quotas(sizes, round(share * len(groups)))):
        of_group = order[members[order] == group]
        chosen[of_group[:count]] = True
    return chosen


def three_ways(
    groups: np.ndarray, keys: Sequence[str] | None, *, validation: float, test: float, seed: int
) -> dict[str, np.ndarray]:
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
    if in_validation.all():  # also where there are none
        raise ValueError(
            f"Each class needs three examples to be split into train, validation and test. Received: {len(groups)} in "
            "all. Add more."
        )
    splits = {
        "train": rest[~in_validation],
        "validation": rest[in_validation],
        "test": np.flatnonzero(in_test),
    }
    return {name: indices for name, indices in splits.items() if len(indices)}


def grouped(targets: np.ndarray, classes: Sequence[str], told_apart: str | None) -> np.ndarray:
    """What is to have its share of every split, by the ids of classes (n,): each, or one (0) and all others (1)."""
    if told_apart is None or told_apart not in classes:
        return targets
    return (targets != classes.index(told_apart)).astype(np.int64)


def divide(
    targets: np.ndarray,
    settings: DatasetSettings,
    *,
    classes: Sequence[str] | None,
    to_learn: bool = True,
    told_apart: str | None = None,
) -> dict[str, np.ndarray]:
    """Split examples by `settings.validation` and `settings.test`; one that is 0 is not made.

    Args:
        targets: What is to be predicted, (n, ...).
        settings: The shares and the seed.
        classes: Where the targets are the ids of classes, each of which is to have its share of every split: their
            names.
        to_learn: Whether they are to be learned from, so that each split must have an example of each class.
        told_apart: The class of which that holds, and all others together; None where it holds of each.

    Returns:
        The indices of each split.

    Raises:
        ValueError: If a class has too few examples for that.
    """
    groups = np.zeros(len(targets), np.int64) if classes is None else grouped(targets, classes, told_apart)
    if classes is not None and told_apart is not None and told_apart in classes:
        classes = (told_apart, "all others")
    made = ["train", *(split for split in ("validation", "test") if getattr(settings, split))]
    for group, count in zip(*np.unique(groups, return_counts=True), strict=True):
        if to_learn and count < len(made):
            received = f"{count} of class {classes[group]!r}" if classes is not None else f"{count} in all"
            raise ValueError(
                f"There must be {len(made)} examples of each class, one for each of {', '.join(made)}. Received: "
                f"{received}. Add more, or remove it."
            )
    return three_ways(groups, None, validation=settings.validation, test=settings.test, seed=settings.split_seed)


def _rank(key: str, seed: int) -> int:
    return int.from_bytes(hashlib.blake2b(f"{seed}/{key}".encode(), digest_size=7).digest())


def _quotas(sizes: np.ndarray, count: int) -> np.ndarray:
    """Share `count` among groups in proportion to their sizes, by largest remainders; at least one each."""
    exact = sizes * (count / sizes.sum())
    quotas = np.floor(exact).astype(int)
    largest = np.argsort(quotas - exact, kind="stable")
    quotas[largest[: count - quotas.sum()]] += 1
    return np.maximum(quotas, 1)
