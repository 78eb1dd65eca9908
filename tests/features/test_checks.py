"""Inputs that a check feeds, comparison of outputs with Keras's, and ranges of integer files."""

from __future__ import annotations

import numpy as np
import pytest

from dltemplates.features import Binary, Boxes, Category, Column, Image, Noise, Number

IMAGE = Image(name="image", dtype="float32", shape=(2, 3, 1))
NUMBERS = Number(name="features", dtype="float32", shape=(2,), mean=(5.0, 0.0), std=(2.0, 0.5))
CITIES = Category(
    name="categories", dtype="int32", shape=(1,), columns=(Column(name="c", kind="category", vocabulary=("a", "b")),)
)
BOXES = Boxes(name="boxes", dtype="float32", shape=(3, 4))
FIRST, SECOND, NONE = [0.1, 0.2, 0.5, 0.6], [0.4, 0.0, 0.9, 1.0], [-1.0] * 4


def boxes(*rows):
    return np.array([rows], np.float32)


@pytest.mark.parametrize("feature", [IMAGE, NUMBERS, CITIES, Noise(name="noise", dtype="float32", shape=(4,))])
def test_a_check_feeds_different_inputs(feature):
    example = np.full((1, *feature.shape), 1, feature.dtype)
    fed = feature.stress(example, np.random.default_rng(0))
    assert (fed.shape, fed.dtype) == ((19, *feature.shape), example.dtype)
    assert len(np.unique(fed.reshape(19, -1), axis=0)) > 2
    if feature is IMAGE:
        assert (fed[0] == 254).all()
        assert (fed[1] == 0).all()
        assert (fed[2] == 255).all()


def test_a_check_feeds_strings_to_string_inputs():
    texts = CITIES.model_copy(update={"dtype": "string"}).stress(np.array([["a"]]), np.random.default_rng(0))
    assert set(texts.ravel()) == {"", "a", "b"}


def test_calibration_sets_two_pixels_to_the_range_limits_and_leaves_numbers():
    pixels, numbers = np.full((4, *IMAGE.shape), 100.0), np.ones((4, 2))
    IMAGE.calibrate(pixels)
    NUMBERS.calibrate(numbers)
    assert (pixels[-2:, 0, 0, 0].tolist(), (pixels == 100).mean()) == ([0, 255], 22 / 24)
    assert (numbers == 1).all()


def test_the_unit_is_white_or_a_deviation_and_only_pixels_are_clipped():
    assert (IMAGE.unit, NUMBERS.unit.tolist()) == (255, [2.0, 0.5])
    assert IMAGE.clip(np.array([-3.0, 7.0, 300.0])).tolist() == [0, 7, 255]
    assert NUMBERS.clip(np.array([-3.0, 300.0])).tolist() == [-3, 300]


def test_numbers_are_compared_by_their_largest_difference():
    assert NUMBERS.compare(np.float32([[1, 2], [3, 4]]), np.float32([[1, 2.5], [3, 3]])) == 1
    assert np.isnan(NUMBERS.compare(np.float32([[1, 2]]), np.float32([[1, np.nan]])))


def test_decisions_are_compared_for_equality():
    decision = Binary(name="decision", dtype="float32", shape=())
    expected = np.float32([0, 1, 1])
    assert decision.differences(expected, np.float32([0.4, 1, np.nan])).tolist() == [1, 0, 1]
    assert decision.compare(expected, expected) == 0


@pytest.mark.parametrize(
    ("found", "distance"),
    [
        (boxes(FIRST, SECOND, NONE), 0),
        (boxes(SECOND, NONE, FIRST), 0),
        (boxes(SECOND, [0.1, 0.2, 0.5, 0.7], NONE), 0.1),
        (boxes(SECOND, NONE, NONE), 1),
        (boxes(SECOND, FIRST, SECOND), 1),
        (boxes(NONE, NONE, NONE), 1),
        (boxes(SECOND, FIRST, [-0.99, -1, -1, -1]), 0),
    ],
)
def test_boxes_are_compared_as_a_set(found, distance):
    expected = boxes(FIRST, SECOND, NONE)
    assert BOXES.compare(expected, found) == pytest.approx(distance, abs=1e-6)
    assert BOXES.compare(found, expected) == pytest.approx(distance, abs=1e-6)
    assert BOXES.differences(expected, found).shape == expected.shape


@pytest.mark.parametrize("row", [[0.4, 0, np.nan, 1], [np.nan] * 4])
def test_a_nan_box_gives_a_nan_difference(row):
    assert np.isnan(BOXES.compare(boxes(FIRST, SECOND, NONE), boxes(FIRST, row, NONE)))
    assert np.isnan(BOXES.compare(boxes(FIRST, SECOND, NONE), boxes(FIRST, SECOND, row)))


def test_empty_boxes_are_equal():
    assert BOXES.compare(boxes(NONE, NONE, NONE), boxes(NONE, NONE, NONE)) == 0
