"""Equal examples: in two splits of the user's data, or with different classes.

An example has the same inputs as another: equal values in a row, or equal pixels after decoding. Rows with a number to
predict must also have the same target, since measurements are repeated.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from dltemplates.datasets.series.sequences import are_sequences
from dltemplates.datasets.series.windows import TimeSource
from dltemplates.datasets.source import SPLITS, BaseSource, Dataset, Source, column, origin, take
from dltemplates.datasets.spec import image_of
from dltemplates.datasets.splitting.hashes import add_targets, hash_inputs
from dltemplates.datasets.tables.source import TableSource
from dltemplates.datasets.text.source import TextSource
from dltemplates.features import ClassId, Labels, Number, Tokens, classes_of

MAX_NAMED = 3  # examples that a warning names
MAX_REPEATED = 0.05  # share of a split that may repeat other examples of it without a word
MAX_WRONG_ROWS = 0.05  # share of the rows that may have another class than most rows with the same inputs
Hashes = dict[str, np.ndarray]  # split -> hash of each example or group, (n,)


@dataclass(frozen=True)
class Hashed:
    """Data as it was read, with the hashes of its examples.

    Attributes:
        dataset: The splits that the data has.
        hashes: Hash of each example.
        groups: Hash of each example's group, whose examples share a split; empty if equal hashes do.
    """

    dataset: Dataset
    hashes: Hashes
    groups: Hashes

    def without(self, copies: Hashes) -> Hashed:
        """Return the other examples."""
        splits, hashes, groups = dict(self.dataset.splits), dict(self.hashes), dict(self.groups)
        for split, is_copy in copies.items():
            if is_copy.any():
                splits[split] = take(splits[split], np.flatnonzero(~is_copy))
                hashes[split], groups[split] = hashes[split][~is_copy], groups[split][~is_copy]
        return Hashed(replace(self.dataset, splits=splits), hashes, groups)


def hash_groups(dataset: Dataset, splits: Sequence[str], *, needs_target: bool) -> tuple[Hashes, Hashes]:
    """Hash the examples of some splits, and the groups whose examples share a split.

    Args:
        dataset: The data as it was read.
        splits: The splits to hash.
        needs_target: Whether the task uses the target.

    Returns:
        The hashes of the examples and of their groups, by split.
    """
    spec = dataset.spec
    inputs = {split: hash_inputs(dataset.splits[split], spec) for split in splits}
    hashes = {split: add_targets(inputs[split], dataset.splits[split], spec) for split in splits}
    has_number = needs_target and any(isinstance(value, Number) for value in spec.targets)
    return hashes, hashes if has_number and image_of(spec) is None else inputs


def find_copies(groups: Hashes, trained: np.ndarray | None = None) -> Hashes:
    """Find the examples that are also in a later split, or that a network was trained on.

    A test example stays, since others may use the same test split; its copies in train and validation are to be
    dropped, and those of validation examples in train.

    Args:
        groups: Hash of each example's group, by split.
        trained: Groups that a network was trained on; they are copies in validation and test.

    Returns:
        Whether each example is a copy, (n,) booleans by split.
    """
    copies: Hashes = {}
    later = np.empty(0, np.uint64)
    for split in [name for name in reversed(SPLITS) if name in groups]:
        copies[split] = np.isin(groups[split], later)
        if trained is not None and split != "train":
            copies[split] |= np.isin(groups[split], trained)
        later = np.append(later, groups[split][~copies[split]])
    return copies


def check_rest(dataset: Dataset, copies: Hashes) -> None:
    """Check that dropping the copies leaves examples in each split, and of each class in train.

    Raises:
        ValueError: If it does not.
    """
    for split, is_copy in copies.items():
        targets = [value for value in dataset.spec.targets if isinstance(value, ClassId) and not value.shape]
        gone: list[str] = []
        if split == "train" and targets and is_copy.any():
            ids = column(dataset.splits[split], targets[0].name)
            gone = [f" of class {targets[0].classes[place]}" for place in np.setdiff1d(ids, ids[~is_copy])]
        if (len(is_copy) and is_copy.all()) or gone:
            raise ValueError(
                "Each split needs examples that are in no other split. Received: only copies"
                f"{gone[0] if gone and not is_copy.all() else ''} in {split}. Add others, or use the splits as they "
                "are: --set dataset.duplicates=keep."
            )


def without_empty_splits(copies: Hashes, groups: Hashes, trained: np.ndarray | None) -> Hashes:
    """Return the copies to drop before an evaluation: none of a split that would be left empty.

    Raises:
        ValueError: If a split for evaluation has only examples that the network was trained on.
    """
    for split, is_copy in copies.items():
        is_trained = trained is not None and split != "train" and len(is_copy) and np.isin(groups[split], trained).all()
        if is_trained:
            raise ValueError(
                "A split to evaluate needs examples that the network was not trained on. Received: only training "
                f"examples in {split}. Add others, or evaluate all: --split all."
            )
    return {split: is_copy for split, is_copy in copies.items() if not is_copy.all()}


def copies_warnings(data: Hashed, copies: Hashes, trained: np.ndarray | None, *, is_kept: bool) -> list[str]:
    """Return a warning for each split with examples that are also in another.

    Args:
        data: The data with all examples.
        copies: From `find_copies`.
        trained: Groups that a network was trained on; None if unknown.
        is_kept: Whether the copies stay.
    """
    warnings = []
    for split in [name for name in SPLITS if name in copies and copies[name].any()]:
        places = np.flatnonzero(copies[split])
        later = [other for other in SPLITS[SPLITS.index(split) + 1 :] if other in copies]
        others = {other: data.groups[other] for other in later}
        if trained is not None and split != "train":
            others["the training data"] = trained
        names = [name for name, groups in others.items() if np.isin(groups, data.groups[split][places]).any()]
        found = (
            f"{len(places)} of the {len(copies[split])} {_unit_of(data.dataset)}s in {split} are also in "
            f"{' or '.join(names)} ({_names(data.dataset, [(split, int(place)) for place in places])})"
        )
        if is_kept:
            warnings.append(f"{found}, so scores may be too good: --set dataset.duplicates=drop leaves them out")
        else:
            warnings.append(f"{found} and are left out of {split}: --set dataset.duplicates=keep uses them")
    return warnings


def contradiction_warning(data: Hashed, train: np.ndarray) -> str | None:
    """Return a warning if examples with equal inputs have different classes; None for none, or for few table rows.

    Args:
        data: The data with all examples.
        train: Hashes of the groups in the training split.
    """
    dataset, inputs = data.dataset, data.groups
    if not any(isinstance(value, ClassId | Labels) and len(classes_of(value)) > 1 for value in dataset.spec.targets):
        return None
    hashes = np.concatenate(list(inputs.values()))
    pairs, counts = np.unique(
        np.stack([hashes, np.concatenate([data.hashes[split] for split in inputs])], axis=1), axis=0, return_counts=True
    )  # each class of each group of equal inputs
    groups, first, classes = np.unique(pairs[:, 0], return_index=True, return_counts=True)
    most, total = np.maximum.reduceat(counts, first), np.add.reduceat(counts, first)
    is_mixed = classes > 1
    wrong = int((total - most)[is_mixed].sum())
    is_picture = image_of(dataset.spec) is not None
    if not wrong or (not is_picture and wrong <= MAX_WRONG_ROWS * len(hashes)):
        return None
    mixed = groups[is_mixed]
    places = [(split, int(place)) for split, array in inputs.items() for place in np.flatnonzero(np.isin(array, mixed))]
    order = np.argsort([inputs[split][place] for split, place in places], kind="stable")
    named = _names(dataset, [places[index] for index in order])
    unit = _unit_of(dataset)
    way_out = "add columns that distinguish them" if unit == "row" else "correct their classes, or remove them"
    equal = "equal another image" if is_picture else f"have the same inputs as another {unit}"
    return (
        f"{len(places)} of {len(hashes)} {unit}s, {np.isin(train, mixed).sum()} of them in train, {equal} but have "
        f"another class ({named}): {way_out}"
    )


def _unit_of(dataset: Dataset) -> str:
    """Return the noun for an example of this data."""
    if are_sequences(dataset.spec):
        return "sequence"
    if any(isinstance(value, Tokens) for value in dataset.spec.inputs):
        return "text"
    return "image" if image_of(dataset.spec) else "row"


def count_repeated(hashes: np.ndarray) -> int:
    """Count the examples that repeat another one of their split; 0 for a small share, which is natural."""
    count = len(hashes) - len(np.unique(hashes))
    return count if count > MAX_REPEATED * len(hashes) else 0


def are_series(dataset: Dataset) -> bool:
    """Return whether the examples are windows of a series, which overlap."""
    return any(isinstance(origin(source)[0], TimeSource) for source in dataset.splits.values())


def _names(dataset: Dataset, places: list[tuple[str, int]]) -> str:
    """Name the first few examples: image files, or row numbers from 1."""
    is_one = len(dataset.splits) == 1
    names = [_name(dataset.splits[split], "" if is_one else f"{split} ", place) for split, place in places[:MAX_NAMED]]
    return ", ".join(names) + (", ..." if len(places) > MAX_NAMED else "")


def _name(source: Source, prefix: str, place: int) -> str:
    base, indices = origin(source)
    place = int(indices[place])
    if isinstance(base, TableSource):
        return f"{prefix}row {base.table.index[place] + 1}"
    if isinstance(base, TextSource) and base.keys is None:
        return f"{prefix}text {place + 1}"
    keys = base.keys if isinstance(base, BaseSource) else None
    return f"{prefix}example {place}" if keys is None else keys[place]
