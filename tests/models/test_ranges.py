"""The ranges in a builder's annotations hold at each call, direct or from a template."""

import re
from typing import Literal

import numpy as np
import pytest

from dltemplates.models import ranges
from dltemplates.models.ranges import Count, Counts, Multiplier, NonNegative, NumOutputs, Shape, Share, Shares, checked


@checked
def network(
    input_shape: Shape = (4,),
    num_outputs: NumOutputs = 3,
    *,
    depth: Count = 12,
    units: Counts = (8, 4),
    width: Multiplier = 1.0,
    noise: NonNegative = 0.3,
    dropout_rate: Share | None = 0.5,
    dropout_rates: Shares = (0.2, 0.4),
    towers: Literal[1, 2] = 2,
    size: Literal["small", "large"] = "large",
    anything=None,
):
    """Build nothing."""
    return depth


COUNTED = [0, -1, 2.5, "3", None, True]
NO_NUMBER = [float("nan"), float("inf"), True, "1", None]


@pytest.mark.parametrize(
    ("option", "values", "rule", "way_out"),
    [
        ("num_outputs", COUNTED, "be a positive number of classes or values", "Count the classes"),
        ("depth", COUNTED, "be a positive integer", "Try `depth=12`."),
        ("units", [(), (8, 0), (1.5,), (True,)], "be one or more positive integers", "Try `units=[8, 4]`."),
        ("input_shape", [(), (0,), (None, 3)], "be one or more positive integers", "Try `input_shape=(28, 28, 1)` for"),
        ("width", [0, -0.5, *NO_NUMBER], "be a positive number", "Try `width=1.0`, the paper's network, or 0.5"),
        ("noise", [-0.1, *NO_NUMBER], "be at least 0", "Try `noise=0.3`."),
        ("dropout_rate", [1, -0.1, *NO_NUMBER[:-1]], "lie in [0, 1)", "Try 0.5, or 0 for no dropout."),
        ("dropout_rates", [(0.2, 1.0), (None, 0.2)], "lie in [0, 1)", "Try 0.5, or 0 for no dropout."),
        ("towers", [3, "2", [1]], "be one of 1, 2", "Try `towers=2`."),
        ("size", ["tiny", None], "be one of 'small', 'large'", "Try `size='large'`."),
    ],
)
def test_a_value_out_of_range_names_the_rule_the_value_and_a_way_out(option, values, rule, way_out):
    assert values
    for value in values:
        message = re.escape(f"`{option}` must {rule}. Received: {option}={value!r}. {way_out}")
        with pytest.raises(ValueError, match=f"^{message}"):
            network(**{option: value})


def test_values_in_range_reach_the_builder():
    assert network((1,), 1, depth=7, units=[1], width=0.01, noise=0, dropout_rate=0, towers=1, size="small") == 7
    assert network(dropout_rate=None, dropout_rates=(), anything=-1) == 12


def test_numpy_numbers_are_numbers():
    assert (
        network(tuple(np.array([4])), np.int64(3), depth=np.int32(2), width=np.float32(0.5), dropout_rate=np.float64(0))
        == 2
    )


def test_a_checked_builder_keeps_its_signature_and_docstring():
    assert network.__doc__ == "Build nothing."
    assert network.__name__ == "network"
    with pytest.raises(TypeError, match="unexpected keyword argument 'dept'"):
        network(dept=3)


def test_an_annotation_without_a_range_is_not_checked():
    @ranges.checked
    def free(units: int):
        return units

    assert free(-1) == -1
