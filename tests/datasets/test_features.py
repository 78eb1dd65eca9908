import numpy as np
import pytest

from dltemplates.datasets.features import class_value, fit_numbers, number_value, statistics, with_counts


def test_the_deviation_of_a_constant_column_is_one():
    mean, std, varies = statistics(np.array([[1.0, 7.0, np.nan, np.inf], [5.0, 7.0, 2.0, 2.0]]))

    assert mean[:2].tolist() == [3.0, 7.0]
    assert std.tolist() == [2.0, 1.0, 1.0, 1.0]
    assert varies.tolist() == [True, False, False, False]


@pytest.mark.parametrize("number", [np.nan, np.inf])
def test_numbers_to_predict_must_be_finite(number):
    with pytest.raises(ValueError, match="Received: 1 that are not"):
        fit_numbers(number_value(1), np.array([[1.0], [number], [2.0]], np.float32))


def test_classes_of_several_slots_are_counted_without_the_empty_ones():
    value = class_value(("cat", "dog")).model_copy(update={"shape": (2,)})
    assert with_counts(value, np.array([[0, 1], [1, -1]])).counts == (1, 2)
