"""Layers for sequences of different lengths."""

import numpy as np
import pytest
from keras import layers

from dltemplates.layers import LastStep, MaskedConv1D, MaskedMaxPooling1D

X = np.random.default_rng(0).normal(size=(3, 7, 2)).astype(np.float32) - 3
LENGTHS = (7, 4, 1)
MASK = np.arange(7) < np.array(LENGTHS)[:, None]


@pytest.mark.parametrize(
    ("masked", "plain"),
    [
        (MaskedConv1D(4, 3, padding="same", dilation_rate=2), layers.Conv1D(4, 3, padding="same", dilation_rate=2)),
        (MaskedMaxPooling1D(3, strides=1, padding="same"), layers.MaxPooling1D(3, strides=1, padding="same")),
    ],
    ids=["conv", "pooling"],
)
def test_padding_does_not_count_and_without_a_mask_the_layer_is_keras_own(masked, plain):
    output = np.asarray(masked(X, mask=MASK))
    plain.build(X.shape)
    plain.set_weights(masked.get_weights())
    for index, (row, length) in enumerate(zip(X, LENGTHS, strict=True)):
        np.testing.assert_allclose(output[index, :length], plain(row[None, :length])[0], atol=1e-5)
    np.testing.assert_array_equal(masked(X), plain(X))
    assert masked.supports_masking


def test_the_last_step_is_no_padding():
    np.testing.assert_array_equal(LastStep()(X, mask=MASK), [row[n - 1] for row, n in zip(X, LENGTHS, strict=True)])
    np.testing.assert_array_equal(LastStep()(X), X[:, -1])
