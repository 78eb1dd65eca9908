import time

import keras
import numpy as np
import pytest
import tensorflow as tf

from dltemplates.files import atomic_write
from dltemplates.models.convolutional import resnet
from dltemplates.models.convolutional.resnet import (
    resnet8,
    resnet20,
    resnet32,
    resnet44,
    resnet56,
    resnet110,
    resnet1202,
    resnet_cifar,
)
from dltemplates.models.summary import summarize, without_weights
from dltemplates.new_runs import make_run
from dltemplates.training.algorithms.supervised import Supervised


def kinds(network):
    return {type(layer).__name__ for layer in network.layers}


def layers_with_parameters(network):
    """Count the layers with parameters as the paper does, without the shortcuts."""
    kernels = [layer.kernel.shape for layer in network.layers if hasattr(layer, "kernel")]
    return len([shape for shape in kernels if shape[:2] != (1, 1)])


def test_resnet8_has_8_layers_78_666_parameters_and_12_5_million_macs():
    network = resnet8((32, 32, 3), 10)
    summary = summarize(network)
    assert layers_with_parameters(network) == 8
    assert summary.parameters == 78_666
    assert summary.macs == 12_501_632


@pytest.mark.parametrize(
    ("builder", "trainable"),
    [
        (resnet20, 269_722),
        (resnet32, 464_154),
        (resnet44, 658_586),
        (resnet56, 853_018),
        (resnet110, 1_727_962),
    ],
)
def test_layers_and_trainable_parameters_are_those_of_the_paper(builder, trainable):
    network = without_weights(lambda: builder((32, 32, 3), 10))
    assert f"resnet{layers_with_parameters(network)}" == network.name == builder.__name__
    assert summarize(network).trainable == trainable


def test_resnet20_has_40_55_million_macs():
    assert summarize(without_weights(lambda: resnet20((32, 32, 3), 10))).macs == 40_551_040


@pytest.mark.slow
def test_1202_layers_are_built_in_30_seconds_train_and_come_back(tmp_path):
    keras.utils.set_random_seed(0)
    started = time.process_time()
    network = resnet1202((32, 32, 3), 10)
    seconds = time.process_time() - started
    print(f"resnet1202: built in {seconds:.1f} s of CPU")
    assert seconds < 30
    assert layers_with_parameters(network) == 1202
    assert summarize(network).trainable == 19_421_274

    # A higher rate overshoots at first. From 110 layers on, the paper too starts with a tenth of its rate.
    optimizer = keras.optimizers.SGD(1e-4)
    algorithm = Supervised(network, keras.losses.CategoricalCrossentropy(from_logits=True), [], optimizer)
    algorithm.build(tf.TensorSpec((None, 10)))
    x = np.random.default_rng(0).normal(size=(4, 32, 32, 3)).astype("float32")
    y = keras.ops.one_hot(np.arange(4), 10)
    losses = []
    for _ in range(2):
        started = time.process_time()
        algorithm.reset()
        algorithm.train(x, y, tf.ones(4))  # eagerly: tracing a graph takes minutes, a step seconds
        losses.append(algorithm.mean_loss())
        print(f"resnet1202: a step in {time.process_time() - started:.1f} s of CPU, loss {losses[-1]:.3f}")
    assert losses[1] < losses[0]

    run = make_run("deepest", tmp_path / "deepest")
    atomic_write(run.definition_path, network.to_json())
    run.save_weights(network)
    started = time.process_time()
    again = run.model()
    print(f"resnet1202: loaded in {time.process_time() - started:.1f} s of CPU")
    for weight, expected in zip(again.weights, network.weights, strict=True):
        np.testing.assert_array_equal(weight, expected)


@pytest.mark.parametrize("builder", [resnet8, resnet20])
def test_stages_halve_the_map_and_double_the_filters(builder):
    sums = [row.output_shape[1:] for row in summarize(builder((32, 32, 3), 10)).rows if row.kind == "Add"]
    assert list(dict.fromkeys(sums)) == [(32, 32, 16), (16, 16, 32), (8, 8, 64)]


def test_convolutions_have_a_bias_in_resnet8_alone():
    for builder, use_bias in ((resnet8, True), (resnet20, False)):
        found = {layer.use_bias for layer in builder((8, 8, 3), 10).layers if isinstance(layer, keras.layers.Conv2D)}
        assert found == {use_bias}


def test_without_residuals_it_is_the_same_but_for_the_shortcuts():
    plain, residual = (resnet_cifar((32, 32, 3), 10, depth=20, residual=residual) for residual in (False, True))
    assert kinds(residual) - kinds(plain) == {"Add", "MaxPooling2D"}
    assert [weight.shape for weight in plain.weights] == [weight.shape for weight in residual.weights]
    assert summarize(plain).trainable == 269_722


@pytest.mark.parametrize("depth", [20, 110])
def test_a_strided_convolution_looks_around_the_pixels_that_its_shortcut_keeps(depth):
    """The authors' code pads one pixel on every side. Keras's "same" would shift the kernel."""
    network = resnet_cifar((32, 32, 3), 10, depth=depth)
    strided = [layer for layer in network.layers if isinstance(layer, keras.layers.Conv2D) and layer.strides == (2, 2)]
    assert len(strided) == 2
    for layer in strided:
        padding = keras.Model(network.input, layer.input).layers[-1]
        assert isinstance(padding, keras.layers.ZeroPadding2D)
        assert (padding.padding, layer.padding) == (((1, 1), (1, 1)), "valid")


def test_without_batch_normalization_each_convolution_has_a_bias():
    bare, normalized = (resnet_cifar((32, 32, 3), 10, depth=20, batch_norm=batch_norm) for batch_norm in (False, True))
    assert kinds(normalized) - kinds(bare) == {"BatchNormalization"}
    assert {layer.use_bias for layer in bare.layers if hasattr(layer, "kernel")} == {True}
    channels = sum(layer.filters for layer in bare.layers if isinstance(layer, keras.layers.Conv2D))
    assert summarize(bare).parameters == 269_722 - channels  # a bias for each gamma and beta


@pytest.mark.parametrize(
    ("depth", "way_out"),
    [
        (21, "20 or 26"),
        (25, "20 or 26"),
        (1200, "1196 or 1202"),
        (7, "8"),
        (2, "8"),
        (-4, "8"),
        (20.0, "20"),
        (21.5, "20 or 26"),
        (float("inf"), "8"),
    ],
)
def test_a_depth_that_is_not_6n_plus_2_names_the_nearest(depth, way_out):
    message = rf"`depth` must be 6n\+2 with n at least 1. Received: depth={depth}. Try {way_out}."
    with pytest.raises(ValueError, match=message):
        resnet_cifar((32, 32, 3), 10, depth=depth)


def test_padded_shortcut_takes_every_second_pixel_and_adds_zero_channels():
    inputs = keras.Input((5, 4, 2))
    shortcut = keras.Model(inputs, resnet.pad(inputs, 5, strides=2))
    x = np.random.default_rng(0).normal(size=(3, 5, 4, 2)).astype("float32")
    y = keras.ops.convert_to_numpy(shortcut(x))
    assert y.shape == (3, 3, 2, 5)
    np.testing.assert_array_equal(y[..., 1:3], x[:, ::2, ::2])
    np.testing.assert_array_equal(y[..., [0, 3, 4]], 0)


@pytest.mark.parametrize("builder", [resnet8, resnet20])
def test_odd_sizes_fit(builder):
    assert builder((9, 11, 1), 3).output_shape == (None, 3)
