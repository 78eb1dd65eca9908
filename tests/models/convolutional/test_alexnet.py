import math

import keras
import numpy as np
import pytest

from dltemplates.models.convolutional.alexnet import alexnet
from dltemplates.models.summary import summarize

SMALL = {"width": 0.1}


@pytest.fixture(scope="module")
def summary():
    """Return the summary of the paper's network."""
    return summarize(alexnet((227, 227, 3), 1000))


def rows_of(summary, kind):
    return [row for row in summary.rows if row.kind == kind]


def test_has_60_965_224_parameters(summary):
    assert summary.parameters == 60_965_224


def test_layers_give_the_values_of_the_paper(summary):
    sizes = [math.prod(row.output_shape[1:]) for row in rows_of(summary, "Conv2D")]
    both_towers = [2 * first for first in sizes[::2]]
    assert sizes[::2] == sizes[1::2]
    assert both_towers == [290_400, 186_624, 64_896, 64_896, 43_264]
    assert [row.output_shape for row in rows_of(summary, "Dense")] == [(None, 4096), (None, 4096), (None, 1000)]


def test_convolutions_cost_arithmetic_and_fully_connected_layers_parameters(summary):
    convolutions, dense = rows_of(summary, "Conv2D"), rows_of(summary, "Dense")
    assert sum(row.parameters for row in convolutions) == 2_334_080
    assert sum(row.parameters for row in dense) == 58_631_144
    assert sum(row.macs for row in convolutions) == 665_784_864
    assert sum(row.macs for row in dense) == 58_621_952


@pytest.mark.slow
def test_one_tower_has_torchvisions_61_100_840_parameters():
    assert alexnet((224, 224, 3), 1000, towers=1).count_params() == 61_100_840


def test_one_tower_has_a_convolution_a_layer_and_no_normalization():
    rows = summarize(alexnet((224, 224, 3), 10, towers=1, width=0.125)).rows
    shapes = [row.output_shape[1:] for row in rows if row.kind in ("Conv2D", "MaxPooling2D")]
    assert shapes == [
        (55, 55, 8), (27, 27, 8), (27, 27, 24), (13, 13, 24), (13, 13, 48), (13, 13, 32), (13, 13, 32), (6, 6, 32)
    ]  # fmt: skip
    assert {row.kind for row in rows}.isdisjoint({"LocalResponseNormalization", "Concatenate"})


def test_towers_meet_in_the_third_convolution_and_before_the_classifier():
    network = alexnet((67, 67, 3), 10, **SMALL)
    kernels = [layer.kernel.shape for layer in network.layers if isinstance(layer, keras.layers.Conv2D)]
    assert [kernel[2:] for kernel in kernels[::2]] == [(3, 8), (8, 16), (32, 24), (24, 24), (24, 16)]
    assert kernels[::2] == kernels[1::2]


def test_a_tower_does_not_see_the_other_before_the_third_convolution():
    network = alexnet((67, 67, 3), 10, **SMALL)
    first, second = (
        layer for layer in network.layers if layer.name.startswith("max_pooling2d") and layer.output.shape[1] == 3
    )
    maps = keras.Model(network.input, [first.output, second.output])
    x = np.random.default_rng(0).normal(size=(2, 67, 67, 3)).astype("float32")
    before = [keras.ops.convert_to_numpy(part) for part in maps(x)]
    changed = next(layer for layer in network.layers if isinstance(layer, keras.layers.Conv2D))
    changed.kernel.assign(-changed.kernel)
    after = [keras.ops.convert_to_numpy(part) for part in maps(x)]
    assert sorted(np.array_equal(*pair) for pair in zip(before, after, strict=True)) == [False, True]


def test_normalization_stands_between_the_first_two_convolutions_and_their_poolings():
    layers = alexnet((67, 67, 3), 10, **SMALL).layers
    normalized = [layer for layer in layers if type(layer).__name__ == "LocalResponseNormalization"]
    assert len(normalized) == 4
    for layer in normalized:
        (before,), (after,) = layer._inbound_nodes[0].parent_nodes, layer._outbound_nodes
        assert isinstance(before.operation, keras.layers.Conv2D)
        assert isinstance(after.operation, keras.layers.MaxPooling2D)


def test_poolings_overlap():
    layers = alexnet((67, 67, 3), 10, **SMALL).layers
    poolings = [layer for layer in layers if isinstance(layer, keras.layers.MaxPooling2D)]
    assert {(layer.pool_size, layer.strides) for layer in poolings} == {((3, 3), (2, 2))}
    assert len(poolings) == 6


@pytest.mark.parametrize(("towers", "min_size"), [(1, 63), (2, 67)])
def test_min_size_follows_from_the_towers(towers, min_size):
    assert alexnet((min_size, min_size, 1), 10, towers=towers, **SMALL).output_shape == (None, 10)
    with pytest.raises(
        ValueError, match=rf"`alexnet` needs images of at least {min_size}x{min_size}. Received: .*Try a l"
    ):
        alexnet((min_size, min_size - 1, 1), 10, towers=towers, **SMALL)


def test_there_are_one_or_two_towers():
    with pytest.raises(ValueError, match="`towers` must be one of 1, 2. Received: towers=3. Try `towers=2`"):
        alexnet((67, 67, 3), 10, towers=3)
