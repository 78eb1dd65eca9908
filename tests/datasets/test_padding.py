"""Padding of sequences and texts: cut to what a batch needs, and lengths for batches of similar ones."""

import numpy as np

from dltemplates.datasets.features import class_value
from dltemplates.datasets.padding import crop_padding, example_lengths, has_padding
from dltemplates.datasets.ragged import Ragged
from dltemplates.datasets.source import ArraySource, Subset
from dltemplates.datasets.spec import DatasetSpec
from dltemplates.features import Length, Number, Series, Tokens

TEXT = Tokens(name="text", dtype="int32", shape=(6,))
OTHER = Tokens(name="other", dtype="int32", shape=(6,))
SERIES = Series(name="series", dtype="float32", shape=(6, 2))
LENGTH = Length(name="length", dtype="int32", shape=(), range=(1, 6))
NUMBER = Number(name="features", dtype="float32", shape=(6,))


def spec_of(*inputs):
    return DatasetSpec(inputs=inputs, targets=(class_value(("no", "yes")),), sizes={}, fingerprint="")


def test_each_array_is_as_wide_as_its_longest_example():
    ids = np.array([[5, 6, 0, 0, 0, 0], [7, 0, 0, 0, 0, 0]], np.int32)
    other = np.array([[5, 6, 7, 8, 0, 0], [7, 0, 0, 0, 0, 0]], np.int32)
    batch = {"text": ids, "other": other, "label": np.arange(2)}
    cropped = crop_padding(batch, [TEXT, OTHER])
    assert cropped["text"].tolist() == [[5, 6], [7, 0]]
    assert cropped["other"].shape == (2, 4)
    assert cropped["label"] is batch["label"]
    assert batch["text"] is ids
    series = {"series": np.ones((2, 6, 2)), "length": np.array([3, 2])}
    assert crop_padding(series, [SERIES, LENGTH])["series"].shape == (2, 3, 2)


def test_texts_without_tokens_keep_one_place():
    assert crop_padding({"text": np.zeros((2, 6), np.int32)}, [TEXT])["text"].shape == (2, 1)


def test_arrays_of_one_length_stay():
    arrays = {"features": np.zeros((2, 6)), "series": np.zeros((2, 6, 2))}
    cropped = crop_padding(arrays, [NUMBER, SERIES])
    assert cropped.keys() == arrays.keys()
    assert all(cropped[name] is arrays[name] for name in arrays)


def test_only_texts_and_sequences_with_lengths_are_padded():
    assert has_padding(TEXT, [TEXT])
    assert has_padding(SERIES, [SERIES, LENGTH])
    assert not has_padding(SERIES, [SERIES])
    assert not has_padding(NUMBER, [NUMBER, TEXT])


def test_lengths_are_those_of_the_chosen_examples():
    ids = Ragged.of([np.full(count, 4, np.int32) for count in (3, 1, 6, 2)], length=6)
    source = ArraySource({"text": ids, "label": np.zeros(4, np.int64)})
    assert example_lengths(source, spec_of(TEXT)).tolist() == [3, 1, 6, 2]
    assert example_lengths(Subset(source, np.array([2, 0])), spec_of(TEXT)).tolist() == [6, 3]
    sequences = ArraySource({"series": np.zeros((3, 6, 2)), "length": np.array([2, 6, 3])})
    assert example_lengths(sequences, spec_of(SERIES, LENGTH)).tolist() == [2, 6, 3]


def test_examples_of_one_length_have_none():
    source = ArraySource({"text": np.zeros((4, 6), np.int32), "features": np.zeros((4, 6))})
    assert example_lengths(source, spec_of(TEXT)) is None  # windows of a text, for a language model
    assert example_lengths(source, spec_of(NUMBER)) is None


def test_pairs_come_by_the_length_of_the_target_and_then_of_the_source():
    def ragged(*counts):
        return Ragged.of([np.full(count, 4, np.int32) for count in counts], length=6)

    source = ArraySource({"text": ragged(5, 1, 2, 6, 3), "other": ragged(2, 3, 2, 1, 3)})
    spec = DatasetSpec(inputs=(TEXT,), targets=(OTHER,), sizes={}, fingerprint="")
    lengths = example_lengths(source, spec)
    assert np.argsort(lengths).tolist() == [3, 2, 0, 1, 4]
    some = Subset(source, np.array([4, 0, 3]))
    assert np.argsort(example_lengths(some, spec)).tolist() == [2, 1, 0]
    equal = ArraySource({"text": ragged(2, 2), "other": ragged(3, 3)})
    assert len(set(example_lengths(equal, spec))) == 1
