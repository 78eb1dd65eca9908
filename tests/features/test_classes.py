"""Classes and labels: counted, renumbered and read by name; noise, read as a seed or as numbers."""

from __future__ import annotations

import numpy as np
import pytest

from dltemplates.features import ClassId, Labels, Noise, Number

CLASS = ClassId(name="label", dtype="int64", shape=(), classes=("cat", "dog"))
LABELS = Labels(name="labels", dtype="float32", shape=(2,), classes=("red", "round"))
NOISE = Noise(name="noise", dtype="float32", shape=(3,))


def test_the_examples_of_each_class_are_counted():
    assert CLASS.count(np.array([0, 1, 1])).tolist() == [1, 2]
    assert LABELS.count(np.array([[0, 1], [1, 1]])).tolist() == [1, 2]


def test_empty_slots_are_not_counted_and_stay_empty():
    ids = np.array([[0, 1, -1], [1, -1, -1]])
    assert CLASS.count(ids).tolist() == [1, 2]
    assert CLASS.renumber(ids, ("dog", "emu", "cat")).tolist() == [[2, 0, -1], [0, -1, -1]]


def test_classes_are_renumbered_to_another_list():
    classes = ("round", "green", "red")
    moved = LABELS.renumber(np.array([[1, 0], [0, 1]], np.float32), classes)
    assert moved.tolist() == [[0, 0, 1], [1, 0, 0]]
    assert moved.dtype == np.float32
    assert LABELS.with_classes(classes).shape == (3,)
    assert (CLASS.with_classes(classes).shape, CLASS.with_classes(classes).classes) == ((), classes)


def test_a_class_is_read_by_its_name():
    assert CLASS.read("dog")["label"].tolist() == [1]
    with pytest.raises(ValueError, match=r"`label` must be one of cat, dog. Received: 'emu'"):
        CLASS.read("emu")


def test_noise_is_read_as_a_seed_or_as_numbers():
    np.testing.assert_array_equal(NOISE.read("7")["noise"], NOISE.draw(7)[None])
    np.testing.assert_array_equal(NOISE.read(7)["noise"], NOISE.draw(7)[None])
    np.testing.assert_allclose(NOISE.read("0.5, -1, 2")["noise"], [[0.5, -1, 2]])
    with pytest.raises(ValueError, match="`noise` must be 3 finite numbers.*Received: 2"):
        NOISE.read("1, 2")


def test_a_kind_that_cannot_be_read_alone_is_refused():
    with pytest.raises(ValueError, match="Received: `rooms` of kind `number`"):
        Number(name="rooms", dtype="float32", shape=()).read("3")
