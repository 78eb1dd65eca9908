"""InceptionTime: its size and layers, and padding."""

import keras
import numpy as np
import pytest

from dltemplates import catalog
from dltemplates.models.convolutional.inception_time import inception_time


def parameters(channels, outputs, depth=6, filters=32, bottleneck=32, kernels=(40, 20, 10)):
    """Count the trainable parameters by the authors' description; no convolution has a bias."""
    width, total, shortcut = channels, 0, channels
    for number in range(1, depth + 1):
        narrow = bottleneck if width > 1 else width
        total += width * bottleneck if width > 1 else 0
        total += narrow * filters * sum(kernels) + width * filters
        width = 4 * filters
        total += 2 * width
        if number % 3 == 0:
            total += shortcut * width + 2 * width
            shortcut = width
    return total + (width + 1) * outputs


@pytest.mark.parametrize(("channels", "outputs"), [(1, 5), (3, 2)])
def test_it_has_the_parameters_of_the_authors_description(channels, outputs):
    network = inception_time((140, channels), outputs)
    assert sum(np.prod(weight.shape) for weight in network.trainable_weights) == parameters(channels, outputs)


def test_its_page_gives_the_parameters():
    assert catalog.MODELS["inception_time"].sizes == {"input_shape": (140, 1), "num_outputs": 5}
    assert parameters(1, 5) == 420_837


def test_every_third_module_adds_a_shortcut():
    for depth, shortcuts in ((2, 0), (3, 1), (7, 2)):
        network = inception_time((20, 1), 2, depth=depth, filters=2, bottleneck=2, kernel_size=4)
        assert sum(isinstance(layer, keras.layers.Add) for layer in network.layers) == shortcuts


@pytest.mark.parametrize("training", [False, True])
def test_padding_changes_neither_the_output_nor_the_statistics(training):
    network = inception_time((None, 2), 3, depth=3, filters=2, bottleneck=2, kernel_size=8)
    rng = np.random.default_rng(0)
    start = [rng.uniform(0.1, 1, weight.shape) for weight in network.get_weights()]
    network.set_weights(start)
    x = rng.normal(size=(4, 9, 2)).astype(np.float32) - 1  # below 0, so that padding would win a max pooling
    padded = np.concatenate([x, np.zeros((4, 6, 2), np.float32)], axis=1)
    mask = np.arange(15)[None].repeat(4, axis=0) < 9
    expected, statistics = np.asarray(network(x, training=training)), network.get_weights()
    network.set_weights(start)
    np.testing.assert_allclose(np.asarray(network(padded, mask=mask, training=training)), expected, rtol=1e-4)
    for after, weight in zip(network.get_weights(), statistics, strict=True):
        np.testing.assert_allclose(after, weight, atol=1e-4)


def test_the_shortest_kernel_has_a_step():
    with pytest.raises(ValueError, match="`kernel_size` must be at least 4.* Received: kernel_size=3. Try"):
        inception_time((20, 1), 2, kernel_size=3)
