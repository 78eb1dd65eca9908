"""The FCN for sequences: its size, its average over the steps, and padding."""

import keras
import numpy as np
import pytest

from dltemplates import catalog
from dltemplates.models.convolutional.conv1d import conv1d


def test_it_has_the_parameters_of_its_page():
    network = conv1d(**catalog.MODELS["conv1d"].sizes)
    widths, kernels = (1, 128, 256, 128), (8, 5, 3)
    convolutions = sum(
        n * (m * k + 1) + 2 * n for m, n, k in zip(widths, widths[1:], kernels, strict=False)
    )  # with two trainable numbers of batch normalization for each filter
    assert sum(np.prod(weight.shape) for weight in network.trainable_weights) == convolutions + 129 * 5 == 265_349


def test_where_a_pattern_is_does_not_matter():
    network = conv1d((40, 1), 2, filters=(4, 4), kernel_sizes=(5, 3))
    x = np.zeros((2, 40, 1), np.float32)
    x[0, 10:13], x[1, 25:28] = 1, 1
    early, late = np.asarray(network(x))
    np.testing.assert_allclose(early, late, atol=1e-6)
    assert not np.allclose(early, np.asarray(network(np.zeros_like(x)))[0])


@pytest.mark.parametrize("training", [False, True])
def test_padding_changes_neither_the_output_nor_the_statistics(training):
    network = conv1d((None, 2), 3, filters=(4, 5), kernel_sizes=(4, 3))
    rng = np.random.default_rng(0)
    network.set_weights([rng.uniform(0.1, 1, weight.shape) for weight in network.get_weights()])
    start = network.get_weights()
    x = rng.normal(size=(5, 9, 2)).astype(np.float32)
    padded = np.concatenate([x, np.zeros((5, 4, 2), np.float32)], axis=1)
    mask = np.arange(13)[None].repeat(5, axis=0) < 9
    expected = np.asarray(network(x, training=training))
    statistics = network.get_weights()
    network.set_weights(start)
    np.testing.assert_allclose(np.asarray(network(padded, mask=mask, training=training)), expected, atol=1e-5)
    for after, weight in zip(network.get_weights(), statistics, strict=True):
        np.testing.assert_allclose(after, weight, atol=1e-5)
    assert not np.allclose(np.asarray(network(padded, training=training)), expected, atol=1e-3)


def test_a_network_for_any_length_comes_back_from_its_definition(tmp_path):
    network = conv1d((None, 2), 3, filters=(4,), kernel_sizes=(3,))
    again = keras.models.model_from_json(network.to_json())
    again.set_weights(network.get_weights())
    x, mask = np.ones((1, 5, 2), np.float32), np.array([[True, True, False, False, False]])
    np.testing.assert_array_equal(again(x, mask=mask), network(x, mask=mask))


def test_each_convolution_has_a_kernel_size():
    with pytest.raises(
        ValueError, match=r"`kernel_sizes` must have as many numbers as `filters`. Received: .*=\[8\], "
    ):
        conv1d((40, 1), 2, filters=(4, 4), kernel_sizes=(8,))
