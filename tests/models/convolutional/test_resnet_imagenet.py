import keras
import numpy as np
import pytest
from keras import layers

from dltemplates.models.convolutional import resnet_imagenet
from dltemplates.models.convolutional.resnet_imagenet import (
    resnet18,
    resnet34,
    resnet50,
    resnet101,
    resnet152,
)
from dltemplates.models.summary import summarize, without_weights

WITH_WEIGHTS = (layers.Conv2D, layers.BatchNormalization, layers.Dense)
SIDE = 64  # pixels


def with_weights(network):
    return [layer for layer in network.layers if isinstance(layer, WITH_WEIGHTS)]


def randomize(network):
    """Give every weight a random value, statistics and biases too, so that a missing one shows."""
    rng = np.random.default_rng(0)
    for weight in (weight for layer in with_weights(network) for weight in layer.weights):
        if weight.name == "kernel":
            weight.assign(rng.normal(0, (2 / np.prod(weight.shape[:-1])) ** 0.5, weight.shape))
        elif weight.name in ("gamma", "moving_variance"):
            weight.assign(rng.uniform(0.5, 1.5, weight.shape))
        else:
            weight.assign(rng.normal(0, 0.3, weight.shape))


def bring_over(theirs, ours):
    """Copy the weights of `theirs` to `ours`, layer by layer.

    Our convolutions have no bias. The bias of theirs is subtracted from the mean of the normalization behind it.
    """
    biases = {}  # by the output tensor of their convolution
    for source, target in zip(with_weights(theirs), with_weights(ours), strict=True):
        weights = source.get_weights()
        if isinstance(source, layers.Conv2D):
            biases[id(source.output)] = weights.pop()
        elif isinstance(source, layers.BatchNormalization):
            weights[2] = weights[2] - biases.pop(id(source.input))  # gamma, beta, mean, variance
        target.set_weights(weights)
    assert not biases


def difference(theirs, ours):
    """Return the largest difference of the logits, divided by the range of theirs."""
    x = np.random.default_rng(1).normal(size=(4, SIDE, SIDE, 3)).astype("float32")
    expected, given = (keras.ops.convert_to_numpy(network(x)) for network in (theirs, ours))
    assert np.isfinite(expected).all()
    assert np.isfinite(given).all()
    spread = np.ptp(expected, axis=0)  # from image to image
    assert spread.min() > 0
    return np.abs(given - expected).max() / spread.max()


@pytest.mark.parametrize(
    ("builder", "trainable", "macs"),
    [
        (resnet18, 11_689_512, 1_814_073_344),
        (resnet34, 21_797_672, 3_663_761_408),
        (resnet50, 25_557_032, 3_857_973_248),
        (resnet101, 44_549_160, 7_570_194_432),
        (resnet152, 60_192_808, 11_282_415_616),
    ],
)
def test_parameters_macs_and_layers_are_those_of_the_paper(builder, trainable, macs):
    network = without_weights(lambda: builder((224, 224, 3), 1000))
    summary = summarize(network)
    assert (summary.trainable, summary.macs) == (trainable, macs)
    projections = 3 if builder in (resnet18, resnet34) else 4
    kernels = [layer for layer in network.layers if hasattr(layer, "kernel")]
    assert f"resnet{len(kernels) - projections}" == network.name == builder.__name__
    assert {layer.use_bias for layer in kernels if isinstance(layer, layers.Conv2D)} == {False}


def test_in_version_1_5_the_3x3_convolution_halves_the_map_at_4_09_billion_macs():
    for stride_on_3x3, macs in ((False, 3_857_973_248), (True, 4_089_184_256)):
        network = without_weights(lambda v=stride_on_3x3: resnet50((224, 224, 3), 1000, stride_on_3x3=v))
        found = [layer for layer in network.layers if isinstance(layer, layers.Conv2D) and layer.strides == (2, 2)]
        assert [layer.kernel_size[0] for layer in found].count(3) == 3 * stride_on_3x3
        assert summarize(network).macs == macs


@pytest.mark.parametrize(("builder", "expansion"), [(resnet18, 1), (resnet50, 4)])
def test_stages_have_the_maps_of_table_1(builder, expansion):
    rows = summarize(without_weights(lambda: builder((224, 224, 3), 1000))).rows
    sums = [row.output_shape[1:] for row in rows if row.kind == "Add"]
    sizes = [(56, 56, 64), (28, 28, 128), (14, 14, 256), (7, 7, 512)]
    assert list(dict.fromkeys(sums)) == [(height, width, expansion * filters) for height, width, filters in sizes]
    assert next(row.output_shape for row in rows if row.kind == "Conv2D") == (None, 112, 112, 64)


@pytest.mark.parametrize(
    ("builder", "name"),
    [
        pytest.param(resnet50, "ResNet50", marks=pytest.mark.slow),  # fast in test_keras_applications.py
        pytest.param(resnet101, "ResNet101", marks=pytest.mark.slow),
        pytest.param(resnet152, "ResNet152", marks=pytest.mark.slow),
    ],
)
def test_it_is_that_of_keras_with_the_same_weights(builder, name):
    theirs = getattr(keras.applications, name)(
        weights=None, input_shape=(SIDE, SIDE, 3), classes=10, classifier_activation=None
    )
    ours = builder((SIDE, SIDE, 3), 10)
    randomize(theirs)
    assert difference(theirs, ours) > 0.01
    bring_over(theirs, ours)
    assert difference(theirs, ours) < 1e-4


@pytest.mark.parametrize("kernel_size", [1, 3, 7])
def test_a_strided_convolution_is_centered_on_every_second_pixel(kernel_size):
    inputs = keras.Input((8, 9, 1))
    network = keras.Model(inputs, resnet_imagenet.conv(inputs, 1, kernel_size, strides=2))
    kernel = np.zeros((kernel_size, kernel_size, 1, 1), "float32")
    kernel[kernel_size // 2, kernel_size // 2] = 1
    network.layers[-1].set_weights([kernel])
    x = np.random.default_rng(0).normal(size=(2, 8, 9, 1)).astype("float32")
    np.testing.assert_array_equal(keras.ops.convert_to_numpy(network(x)), x[:, ::2, ::2])


@pytest.mark.parametrize("builder", [resnet18, resnet50])
def test_width_is_that_of_every_stage(builder):
    rows = summarize(without_weights(lambda: builder((32, 32, 3), 10, width=0.125))).rows
    widths = [row.output_shape[-1] for row in rows if row.kind == "Conv2D"]
    assert widths[0] == 8
    assert max(widths) == (64 if builder is resnet18 else 256)


@pytest.mark.parametrize("builder", [resnet18, resnet50])
def test_the_min_size_leaves_one_place_and_odd_sizes_fit(builder):
    rows = summarize(without_weights(lambda: builder((32, 32, 1), 3, width=0.1))).rows
    assert [row.output_shape[1:3] for row in rows if row.kind == "Add"][-1] == (1, 1)
    assert without_weights(lambda: builder((33, 45, 4), 3, width=0.1)).output_shape == (None, 3)


def test_basic_blocks_have_no_stride_to_move():
    with pytest.raises(ValueError, match=r"`stride_on_3x3` needs bottlenecks.* Received: depth=34. Try `depth=50`"):
        resnet_imagenet.resnet_imagenet((32, 32, 3), 10, depth=34, stride_on_3x3=True)


def test_other_depths_are_refused():
    with pytest.raises(ValueError, match=r"`depth` must be one of 18, 34, 50, 101, 152. Received: depth=20. Try"):
        resnet_imagenet.resnet_imagenet((32, 32, 3), 10, depth=20)
