"""Fixed, seeded, stratified splits."""

import numpy as np
import pytest

from dltemplates.datasets.splitting.splits import choose_share, split_by_key, validation_share


@pytest.mark.parametrize("share", [0.1, 0.25, 0.5])
def test_each_class_gives_its_share(share):
    groups = np.repeat([0, 1, 2], [100, 60, 7])
    chosen = choose_share(groups, [str(index) for index in range(167)], share, seed=0)
    assert chosen.sum() == round(share * 167)
    assert np.abs(np.bincount(groups[chosen]) - share * np.array([100, 60, 7])).max() <= 1


def test_each_class_gives_at_least_one():
    groups = np.repeat([0, 1], [1000, 2])
    assert np.bincount(groups[choose_share(groups, [str(index) for index in range(1002)], 0.01, seed=0)])[1] == 1


def test_the_three_splits_are_a_partition_fixed_by_the_seed():
    groups = np.arange(90) % 3
    parts = split_by_key(groups, None, validation=0.25, test=0.2, seed=0)
    assert {name: len(indices) for name, indices in parts.items()} == {"train": 54, "validation": 18, "test": 18}
    assert np.array_equal(np.sort(np.concatenate(list(parts.values()))), np.arange(90))
    again = split_by_key(groups, None, validation=0.25, test=0.2, seed=0)
    other = split_by_key(groups, None, validation=0.25, test=0.2, seed=1)
    assert all((parts[name] == again[name]).all() for name in parts)
    assert any((parts[name] != other[name]).any() for name in parts)


def test_the_split_of_a_key_never_changes():
    parts = split_by_key(np.zeros(20, int), None, validation=0.25, test=0.2, seed=0)
    assert parts["test"].tolist() == [3, 4, 11, 15]
    assert parts["validation"].tolist() == [0, 5, 7, 18]


def test_the_split_depends_on_the_key_not_the_order():
    keys = [f"image{index}" for index in range(40)]
    groups = np.zeros(40, int)
    chosen = {keys[index] for index in np.flatnonzero(choose_share(groups, keys, 0.25, seed=3))}
    turned = keys[::-1]
    assert {turned[index] for index in np.flatnonzero(choose_share(groups, turned, 0.25, seed=3))} == chosen


def test_a_share_of_0_gives_no_split():
    assert set(split_by_key(np.zeros(9, int), None, validation=0, test=0.2, seed=0)) == {"train", "test"}


def test_too_few_examples_are_refused():
    for count in (0, 1, 2):
        with pytest.raises(ValueError, match=f"Received: {count} distinct examples. Add more, or give each split"):
            split_by_key(np.zeros(count, int), None, validation=0.1, test=0.2, seed=0)


@pytest.mark.parametrize(
    ("examples", "count"), [(10_000, 1_000), (500, 50), (499, 50), (201, 50), (200, 50), (100, 25), (16, 4), (4, 1)]
)
def test_validation_is_10_percent_or_50_examples_and_at_most_a_quarter(examples, count):
    assert round(validation_share("auto", examples) * examples) == count
    parts = split_by_key(np.arange(examples) % 2, None, validation="auto", test=0, seed=0)
    assert len(parts["validation"]) == max(2, count)  # one of each class
    assert validation_share(0.3, examples) == 0.3


def test_a_larger_test_split_leaves_fewer_examples_to_count():
    parts = split_by_key(np.zeros(250, int), None, validation="auto", test=0.2, seed=0)
    assert {split: len(rows) for split, rows in parts.items()} == {"train": 150, "validation": 50, "test": 50}
