import numpy as np
import pytest

from dltemplates.datasets.ragged import Ragged

ARRAYS = [np.arange(2), np.arange(0), np.arange(10, 13)]


def test_examples_are_padded_when_read():
    ragged = Ragged.of(ARRAYS, length=4, fill=-1)
    assert ragged.shape == (3, 4)
    assert ragged.dtype == np.int64
    assert len(ragged) == 3
    assert ragged[np.array([2, 0, 2])].tolist() == [[10, 11, 12, -1], [0, 1, -1, -1], [10, 11, 12, -1]]
    assert ragged[:].tolist() == [[0, 1, -1, -1], [-1] * 4, [10, 11, 12, -1]]
    assert ragged[np.arange(0)].shape == (0, 4)
    assert ragged.rows(2).tolist() == [10, 11, 12]


def test_by_default_they_are_padded_to_the_longest():
    assert Ragged.of(ARRAYS)[:].tolist() == [[0, 1, 0], [0, 0, 0], [10, 11, 12]]


def test_rows_may_have_further_axes():
    rows = np.random.default_rng(0).random((5, 2, 3))
    ragged = Ragged.of([rows[:1], rows[1:]], fill=7)
    np.testing.assert_array_equal(ragged[np.array([1])], rows[None, 1:])
    np.testing.assert_array_equal(ragged[np.array([0])][0, 1:], np.full((3, 2, 3), 7))


@pytest.mark.parametrize("indices", [[2, 0, 2], [1], []])
def test_take_selects_examples(indices):
    indices = np.array(indices, np.int64)
    ragged = Ragged.of(ARRAYS, length=4, fill=-1)
    taken = ragged.take(indices)
    assert len(taken) == len(indices)
    np.testing.assert_array_equal(taken[:], ragged[indices])
    assert taken.shape == (len(indices), 4)


@pytest.mark.parametrize("offsets", [[], [1, 5], [0, 4], [0, 3, 2, 5]])
def test_offsets_must_fit_the_values(offsets):
    with pytest.raises(ValueError, match=f"Offsets.*Received: {len(offsets)} of them for 5 rows"):
        Ragged(np.arange(5), np.array(offsets, np.int64))


def test_an_example_that_is_too_long():
    with pytest.raises(ValueError, match="at most 2 rows.*Received: 3"):
        Ragged.of(ARRAYS, length=2)
