"""Transformer encoder: its size, the padding, the order of the tokens, and a rule that it learns."""

import keras
import numpy as np
import pytest

from dltemplates.models.attention.transformer_encoder import transformer_encoder
from dltemplates.models.summary import without_weights

TINY = {"units": 16, "depth": 2, "num_heads": 2}


def ids(count, length):
    return np.random.default_rng(0).integers(4, 9, (count, length)).astype(np.int32)


@pytest.fixture(scope="module")
def network():
    keras.utils.set_random_seed(0)
    return transformer_encoder(9, 3, **TINY)


def test_it_has_the_parameters_of_its_page():
    network = without_weights(lambda: transformer_encoder(20_000, 2))
    block = 4 * (128**2 + 128) + (2 * 128 * 512 + 512 + 128) + 4 * 128
    assert network.count_params() == 20_000 * 128 + 2 * block + 2 * 128 + 129 * 2 == 2_957_058


def test_padding_changes_no_output(network):
    x = ids(3, 7)
    padded = np.pad(x, ((0, 0), (0, 5)))
    np.testing.assert_allclose(network(padded), network(x), atol=1e-5)
    assert np.ptp(network(x), axis=0).min() > 1e-3


def test_each_token_sees_those_after_it(network):
    """With causal attention, only the last of the averaged tokens would see the change."""
    block = keras.Model(network.input, network.layers[-3].output)
    x = ids(3, 7)
    changed = x.copy()
    changed[:, 6] = 4 + (x[:, 6] - 3) % 5
    assert (np.abs(block(changed) - block(x)).max(axis=(0, 2)) > 1e-4).all()


def test_the_order_of_tokens_matters(network):
    first, second = np.asarray(network(np.array([[4, 5, 6], [5, 4, 6]], np.int32)))
    assert np.abs(first - second).max() > 1e-4


def test_a_text_without_tokens_has_a_finite_output(network):
    assert np.isfinite(network(np.zeros((2, 5), np.int32))).all()


def test_vectors_of_tokens_start_with_variance_1():
    keras.utils.set_random_seed(0)
    network = transformer_encoder(500, 2)
    scaled = keras.Model(network.input, network.get_layer(index=2).output)
    assert 0.95 < np.std(scaled(np.arange(500, dtype=np.int32)[None])) < 1.05


def test_it_learns_which_token_comes_first():
    keras.utils.set_random_seed(0)
    network = transformer_encoder(9, 2, **TINY, dropout_rate=0.0)
    random = np.random.default_rng(0)
    x = np.stack([random.permutation([4, 5, 6, 7, 8]) for _ in range(256)]).astype(np.int32)
    y = (x == 4).argmax(axis=1) < (x == 5).argmax(axis=1)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    network.compile(keras.optimizers.Adam(0.005), loss, metrics=["accuracy"])
    network.fit(x, y.astype(np.int32), epochs=20, batch_size=64, verbose=0)
    assert ((np.asarray(network(x)).argmax(axis=-1) == 1) == y).mean() > 0.97


def test_positions_need_pairs_of_units():
    with pytest.raises(ValueError, match="even number of units. Received: 15. Try 16"):
        transformer_encoder(9, 2, units=15, num_heads=3)
