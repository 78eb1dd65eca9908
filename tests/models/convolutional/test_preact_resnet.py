import time

import keras
import numpy as np
import pytest

from dltemplates.models.convolutional import preact_resnet
from dltemplates.models.convolutional.preact_resnet import (
    preact_resnet50,
    preact_resnet101,
    preact_resnet110,
    preact_resnet152,
    preact_resnet164,
    preact_resnet_cifar,
)
from dltemplates.models.summary import summarize, without_weights


def kinds(network):
    return [type(layer).__name__ for layer in network.layers]


@pytest.mark.parametrize(
    ("builder", "depth", "trainable"), [(preact_resnet110, 110, 1_727_962), (preact_resnet164, 164, 1_703_258)]
)
def test_small_networks_have_the_layers_and_parameters_of_the_paper(builder, depth, trainable):
    network = without_weights(lambda: builder((32, 32, 3), 10))
    summary = summarize(network)
    assert summary.trainable == trainable
    projections = 3 * (builder is preact_resnet164)
    assert len([layer for layer in network.layers if hasattr(layer, "kernel")]) == depth + projections


@pytest.mark.slow
def test_1001_layers_have_10_327_706_parameters_and_take_less_than_30_seconds():
    started = time.process_time()
    network = preact_resnet_cifar((32, 32, 3), 10, depth=1001)
    seconds = time.process_time() - started
    print(f"preact_resnet_cifar: 1001 layers built in {seconds:.1f} s of CPU")
    summary = summarize(network)
    assert summary.trainable == 10_327_706
    assert round(sum(row.parameters for row in summary.rows if row.kind == "Conv2D") / 1e6, 1) == 10.2
    assert seconds < 30


@pytest.mark.parametrize(
    ("builder", "trainable", "parameters"),
    [
        (preact_resnet50, 25_568_360, 25_613_800),
        (preact_resnet101, 44_577_896, 44_675_560),
        (preact_resnet152, 60_236_904, 60_380_648),
    ],
)
def test_large_networks_have_the_parameters_of_keras(builder, trainable, parameters):
    summary = summarize(without_weights(lambda: builder((224, 224, 3), 1000)))
    assert (summary.trainable, summary.parameters) == (trainable, parameters)


@pytest.mark.parametrize(
    ("builder", "name"),
    [
        (preact_resnet50, "ResNet50V2"),
        pytest.param(preact_resnet101, "ResNet101V2", marks=pytest.mark.slow),
        pytest.param(preact_resnet152, "ResNet152V2", marks=pytest.mark.slow),
    ],
)
def test_large_networks_are_those_of_keras_with_the_same_weights(assert_twins, builder, name):
    theirs = getattr(keras.applications, name)(
        weights=None, input_shape=(64, 64, 3), classes=10, classifier_activation=None
    )
    assert_twins(builder((64, 64, 3), 10), theirs)


@pytest.mark.parametrize(("bottleneck", "expansion"), [(True, 4), (False, 1)])
def test_stages_halve_the_map_and_double_the_filters(bottleneck, expansion):
    depth = 20 if bottleneck else 14
    network = without_weights(lambda: preact_resnet_cifar((32, 36, 3), 10, depth=depth, bottleneck=bottleneck))
    sums = [row.output_shape[1:] for row in summarize(network).rows if row.kind == "Add"]
    assert sums == [
        size for size in ((32, 36, 16 * expansion), (16, 18, 32 * expansion), (8, 9, 64 * expansion)) for _ in range(2)
    ]


@pytest.mark.parametrize("unit", [preact_resnet.basic_unit, preact_resnet.bottleneck_unit])
def test_what_goes_around_a_unit_is_left_as_it_is(unit):
    inputs = keras.Input((6, 6, 8))
    network = keras.Model(inputs, unit(inputs, 8, 1, first=False))
    last = [layer for layer in network.layers if isinstance(layer, keras.layers.Conv2D)][-1]
    last.kernel.assign(np.zeros(last.kernel.shape))
    x = np.random.default_rng(0).normal(size=(2, 6, 6, 8)).astype("float32")
    np.testing.assert_array_equal(keras.ops.convert_to_numpy(network(x)), x)


@pytest.mark.parametrize(("unit", "expected"), [(preact_resnet.basic_unit, 0), (preact_resnet.bottleneck_unit, 1)])
def test_around_the_first_unit_of_a_stage_goes_what_is_activated(unit, expected):
    inputs = keras.Input((6, 6, 8))
    network = keras.Model(inputs, unit(inputs, 8, 2, first=True))
    (added,) = [layer for layer in network.layers if isinstance(layer, keras.layers.Add)]
    around = keras.Model(inputs, added.input[0])
    assert kinds(around).count("BatchNormalization") == 1
    assert kinds(around).count("ReLU") == 1
    assert kinds(around).count("Conv2D") == expected


def test_no_small_convolution_has_a_bias_and_no_large_one_that_is_normalized():
    small = preact_resnet_cifar((8, 8, 3), 10, depth=11)
    assert {layer.use_bias for layer in small.layers if isinstance(layer, keras.layers.Conv2D)} == {False}
    large = without_weights(lambda: preact_resnet50((32, 32, 3), 10, width=0.125))
    normalized = {id(layer.input) for layer in large.layers if isinstance(layer, keras.layers.BatchNormalization)}
    convolutions = [layer for layer in large.layers if isinstance(layer, keras.layers.Conv2D)]
    assert {(id(layer.output) in normalized, layer.use_bias) for layer in convolutions} == {
        (True, False),
        (False, True),
    }


def test_odd_sizes_fit():
    assert without_weights(lambda: preact_resnet_cifar((9, 11, 1), 3, depth=11)).output_shape == (None, 3)
    assert without_weights(lambda: preact_resnet50((33, 45, 1), 3)).output_shape == (None, 3)
