"""Hashes of examples, and how a run keeps the splits of its rows."""

import io

import numpy as np
import pandas as pd
import pytest

from dltemplates.datasets.classes import with_classes_of
from dltemplates.datasets.features import class_value, labels_value
from dltemplates.datasets.load import load_dataset
from dltemplates.datasets.source import ArraySource, Dataset
from dltemplates.datasets.spec import DatasetSpec
from dltemplates.datasets.splitting.hashes import fingerprint, hash_examples
from dltemplates.datasets.splitting.row_splits import RowSplits
from dltemplates.datasets.splitting.splits import Strata, split_examples, split_new_rows
from dltemplates.settings import DatasetSettings

SETTINGS = DatasetSettings(name="x", validation=0.25, test=0.2)


def rows_of(hashes, splits):
    return RowSplits(np.array(hashes, np.uint64), np.array(splits, np.uint8), np.empty(0))


def hashes_of(path, **settings):
    dataset = load_dataset(DatasetSettings(name=str(path), **settings))
    return hash_examples(dataset.split("train"), dataset.spec)


@pytest.fixture
def write(tmp_path):
    def write(text, name="table.csv"):
        (tmp_path / name).write_text(text)
        return tmp_path / name

    return write


def test_a_row_is_hashed_by_its_values_not_its_spelling(write):
    settings = {"target": "c", "table": {"columns": {"b": "category"}}}  # else left out, as each row has its own
    first = hashes_of(write("a,b,c\n1,x,0.50\n2,1.0,-0.0\n,y,3\n"), **settings)
    again = hashes_of(write("a,b,c\n1.0, x,.5\n2.00,1,0\nNA,y,3.0\n"), **settings)
    np.testing.assert_array_equal(first, again)
    assert len(set(first.tolist())) == 3
    changed = hashes_of(write("a,b,c\n1,x,0.51\n2.5,1,0\n,z,3\n"), **settings)
    assert not set(changed.tolist()) & set(first.tolist())


def test_an_example_is_hashed_with_the_name_of_its_class():
    """One more class in front moves the ids of the others."""
    images = np.random.default_rng(0).integers(0, 256, (4, 3, 3, 1), np.uint8)

    def hashed(classes, ids):
        spec = DatasetSpec(inputs=(), targets=(class_value(classes),), sizes={})
        return hash_examples(ArraySource({"image": images, "label": np.array(ids)}), spec)

    first = hashed(("cat", "dog"), [0, 1, 0, 1])
    np.testing.assert_array_equal(first, hashed(("bird", "cat", "dog"), [1, 2, 1, 2]))
    assert (first == hashed(("cat", "dog"), [1, 1, 0, 1])).tolist() == [False, True, True, True]


def test_classes_of_several_slots_are_hashed_by_name_without_the_empty_ones():
    """One class for each box of an image; -1 marks an empty slot."""

    def hashed(classes, ids):
        value = class_value(classes).model_copy(update={"shape": (2,)})
        return hash_examples(ArraySource({"label": np.array(ids)}), DatasetSpec(inputs=(), targets=(value,), sizes={}))

    first = hashed(("cat", "dog"), [[0, 1], [1, 0], [1, -1]])
    assert len(set(first.tolist())) == 3
    np.testing.assert_array_equal(first, hashed(("bird", "cat", "dog"), [[1, 2], [2, 1], [2, -1]]))


def test_the_fingerprint_ignores_the_order_of_examples():
    hashes = np.array([5, 3, 9], np.uint64)
    assert fingerprint({"train": hashes}) == fingerprint({"train": hashes[::-1]})
    assert fingerprint({"train": hashes}, ordered=True) != fingerprint({"train": hashes[::-1]}, ordered=True)
    assert fingerprint({"train": hashes}) != fingerprint({"test": hashes})
    assert fingerprint({"train": hashes}) != fingerprint({"train": hashes[:2]})


def test_equal_examples_share_a_split():
    hashes = np.random.default_rng(0).integers(0, 90, 100).astype(np.uint64)
    parts, warnings = split_examples(hashes, None, None, SETTINGS)
    assert np.array_equal(np.sort(np.concatenate(list(parts.values()))), np.arange(100))
    found = [set(hashes[rows].tolist()) for rows in parts.values()]
    assert sum(map(len, found)) == len(set.union(*found)) == len(set(hashes.tolist())) < 70
    assert warnings == []
    (told,) = split_examples(hashes % 10, None, None, SETTINGS)[1]
    assert told.startswith("only 10 of 100 examples are distinct, and duplicates stay in one split")


def test_duplicates_do_not_change_the_split():
    """The position of an example decides; of equal ones, the first."""
    once, _ = split_examples(np.arange(40).astype(np.uint64), None, None, SETTINGS)
    twice, _ = split_examples(np.append(np.arange(40), np.arange(40)).astype(np.uint64), None, None, SETTINGS)
    for split, rows in once.items():
        np.testing.assert_array_equal(twice[split], [*rows, *(rows + 40)])


def test_rare_classes_are_pooled():
    groups = np.repeat([0, 1, 2, 3], [50, 2, 1, 1])
    parts, (told,) = split_examples(
        np.arange(54).astype(np.uint64), None, Strata(groups, ("a", "b", "c", "d")), SETTINGS
    )
    assert told.startswith("classes b, c, d have fewer distinct examples than there are splits (3)")
    assert {split: len(rows) for split, rows in parts.items()} == {"train": 32, "validation": 11, "test": 11}
    assert split_examples(np.arange(54).astype(np.uint64), None, Strata(groups), SETTINGS)[1] == []


def test_known_rows_keep_their_split_and_order():
    hashes = np.arange(100, 140).astype(np.uint64)
    parts, _ = split_examples(hashes, None, None, SETTINGS)
    splits = np.zeros(40, np.uint8)
    splits[parts["validation"]], splits[parts["test"]] = 1, 2
    known = rows_of(hashes, splits)
    shuffled = np.random.default_rng(0).permutation(hashes)[5:]  # five rows are deleted
    given = np.append(shuffled, np.arange(1000, 1200).astype(np.uint64))
    order, again = split_new_rows(given, given, known, SETTINGS)
    np.testing.assert_array_equal(given[order][:35], np.sort(shuffled))
    for place, split in enumerate(("train", "validation", "test")):
        kept = given[again[split]]
        expected = [value for value in hashes[splits == place] if value in shuffled]
        np.testing.assert_array_equal(kept[kept < 1000], expected)
    shares = [len(again[split]) for split in ("train", "validation", "test")]
    np.testing.assert_allclose(shares, [141, 47, 47], atol=20)
    _, other = split_new_rows(given[::-1], given[::-1], known, SETTINGS)
    for split, rows in again.items():
        assert set(given[rows].tolist()) == set(given[::-1][other[split]].tolist())


def test_extra_copies_of_a_known_row_are_new():
    known = rows_of([7, 7, 3], [0, 0, 2])
    assert known.find(np.array([3, 7, 7, 7, 5], np.uint64)).tolist() == [2, 0, 1, -1, -1]
    assert known.compare(np.array([7, 5], np.uint64)) == (2, 1)
    order, parts = split_new_rows(*[np.array([5, 7, 3, 7, 7], np.uint64)] * 2, known, SETTINGS)
    assert order.tolist() == [1, 3, 2, 0, 4]
    assert set(parts["train"].tolist()) >= {1, 3, 4}  # a third copy of a training row must not become a test row


def test_unchanged_data_keeps_its_order():
    hashes = np.array([7, 5, 7, 3, 7], np.uint64)
    order, _ = split_new_rows(hashes, hashes, rows_of(hashes, [0, 1, 0, 2, 0]), SETTINGS)
    assert order.tolist() == [0, 1, 2, 3, 4]


def test_a_broken_file_of_splits_is_refused():
    rows = RowSplits(np.arange(5, dtype=np.uint64), np.array([0, 0, 1, 2, 2], np.uint8), np.array([3.0, 4.5]), True)
    again = RowSplits.from_bytes(rows.to_bytes(), "splits.npz")
    for name in ("hashes", "splits", "split_bounds", "by_time"):
        np.testing.assert_array_equal(getattr(again, name), getattr(rows, name))
    broken = rows_of([1, 2], [0, 7])
    shorter = RowSplits(rows.hashes, rows.splits, np.empty(0), groups=rows.hashes[1:])
    for content in (b"", b"x" * 50, rows.to_bytes()[:200], broken.to_bytes(), shorter.to_bytes()):
        with pytest.raises(ValueError, match=r"splits must be valid. Received: splits.npz"):
            RowSplits.from_bytes(content, "splits.npz")


def test_a_file_without_groups_is_read():
    """Before version 3 of the reading rules, equal examples shared a split, not equal inputs."""
    hashes, file = np.arange(3, dtype=np.uint64), io.BytesIO()
    np.savez(file, hashes=hashes, splits=np.zeros(3, np.uint8), bounds=np.empty(0), by_time=np.array(False))
    rows = RowSplits.from_bytes(file.getvalue(), "splits.npz")
    np.testing.assert_array_equal(rows.group_hashes, hashes)


def network(*targets):
    return DatasetSpec(inputs=(), targets=targets, sizes={})


def data(value, array):
    return Dataset(
        DatasetSpec(inputs=(), targets=(value,), sizes={}), {"train": ArraySource({value.name: np.array(array)})}
    )


def test_classes_get_the_ids_of_the_network():
    numbers = tuple(map(str, range(1, 13)))
    lexicographic = tuple(sorted(numbers))  # 1, 10, 11, 12, 2, ...
    dataset = with_classes_of(network(class_value(lexicographic)), data(class_value(numbers), range(12)))
    assert dataset.spec.targets[0].classes == lexicographic
    source = dataset.split("train")
    expected = [lexicographic.index(name) for name in numbers]
    assert source.read(np.arange(12))["label"].tolist() == source.column("label").tolist() == expected
    few = with_classes_of(network(class_value(("a", "b", "c"))), data(class_value(("c", "a")), [0, 1, 1]))
    assert few.split("train").column("label").tolist() == [2, 0, 0]
    of_boxes = with_classes_of(network(class_value(("a", "b", "c"))), data(class_value(("c", "a")), [[0, 1], [1, -1]]))
    assert of_boxes.split("train").column("label").tolist() == [[2, 0], [0, -1]]
    same = data(class_value(("a", "b")), [0, 1])
    assert with_classes_of(network(class_value(("a", "b"))), same) is same


def test_labels_get_the_columns_of_the_network():
    flags = np.array([[1, 0], [1, 1]], np.float32)
    dataset = with_classes_of(network(labels_value(("a", "b", "c"))), data(labels_value(("c", "a")), flags))
    assert dataset.split("train").column("labels").tolist() == [[0, 0, 1], [1, 0, 1]]
    assert dataset.spec.targets[0].shape == (3,)


def test_a_class_unknown_to_the_network_is_refused():
    known, other = network(class_value(("a", "b"))), data(class_value(("a", "z")), [0, 1])
    with pytest.raises(ValueError, match="the classes of the network, a, b. Received: z, which it was not trained on"):
        with_classes_of(known, other)
    assert with_classes_of(known, other, require_known=False) is other


def test_a_table_saved_again_with_floats_has_the_same_hashes(tmp_path):
    """pandas writes whole numbers as 1.0 if one in the column is missing."""
    frame = pd.DataFrame({"n": [1, 2, 3], "code": ["1", "2", "x"], "y": [0.5, 1.5, 2.5]})
    frame.to_csv(tmp_path / "a.csv", index=False)
    frame.assign(n=frame.n.astype(float), code=["1.0", "2.0", "x"]).to_csv(tmp_path / "b.csv", index=False)
    np.testing.assert_array_equal(hashes_of(tmp_path / "a.csv"), hashes_of(tmp_path / "b.csv"))
