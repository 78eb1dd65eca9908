"""Masked attention: the formula, the masks, and the same output from kept keys and values."""

import keras
import numpy as np
import pytest
from keras import ops

from dltemplates.layers.attention import MaskedAttention, causal_mask


@pytest.fixture(autouse=True)
def _seeded():
    keras.utils.set_random_seed(0)


def tokens(length, units=6, count=3, seed=0):
    return np.random.default_rng(seed).normal(size=(count, length, units)).astype(np.float32)


def built(causal=False, context_units=6, **options):
    """Return a layer with two heads whose biases are not 0."""
    layer = MaskedAttention(2, causal=causal, **options)
    layer.build((None, None, 6), (None, None, context_units))
    random = np.random.default_rng(1)
    layer.set_weights([weight + random.normal(scale=0.1, size=weight.shape) for weight in layer.get_weights()])
    return layer


def by_formula(layer, query, context, seen):
    """Compute section 3.2 in NumPy; `seen` broadcasts to (batch, heads, length, context length)."""
    weights = [weight.astype(np.float64) for weight in layer.get_weights()]
    (wq, bq), (wk, bk), (wv, bv), (wo, bo) = zip(weights[::2], weights[1::2], strict=True)

    def split(x):
        return x.reshape(*x.shape[:2], 2, 3).swapaxes(1, 2)

    q, k, v = split(query @ wq + bq), split(context @ wk + bk), split(context @ wv + bv)
    scores = np.where(seen, q @ k.swapaxes(2, 3) / np.sqrt(3), -np.inf)
    shares = np.exp(scores - scores.max(axis=-1, keepdims=True))
    heads = shares / shares.sum(axis=-1, keepdims=True) @ v
    return heads.swapaxes(1, 2).reshape(query.shape) @ wo + bo


def test_it_computes_the_formula():
    layer, x = built(), tokens(5)
    np.testing.assert_allclose(layer(x), by_formula(layer, x, x, True), atol=1e-6)


def test_causal_attention_sees_a_token_and_those_before():
    layer, x = built(causal=True), tokens(5)
    np.testing.assert_allclose(layer(x), by_formula(layer, x, x, np.tril(np.ones((5, 5), bool))), atol=1e-6)
    np.testing.assert_allclose(layer(x)[:, :3], layer(x[:, :3]), atol=1e-6)


def test_cross_attention_sees_another_sequence_but_its_padding():
    layer, x, context = built(context_units=4), tokens(5), tokens(7, units=4, seed=2)
    mask = np.arange(7) < np.array([[7], [4], [1]])
    expected = by_formula(layer, x, context, mask[:, None, None])
    np.testing.assert_allclose(layer(x, context, key_mask=mask), expected, atol=1e-6)


def test_a_mask_and_the_order_hold_together():
    layer, x = built(causal=True), tokens(5)
    mask = np.arange(5) != np.array([[1], [2], [3]])
    expected = by_formula(layer, x, x, mask[:, None, None] & np.tril(np.ones((5, 5), bool)))
    np.testing.assert_allclose(layer(x, key_mask=mask), expected, atol=1e-6)


def test_it_equals_the_attention_of_keras():
    layer, x = built(), tokens(5)
    theirs = keras.layers.MultiHeadAttention(2, key_dim=3)
    theirs.build(x.shape, x.shape)
    theirs.set_weights(
        [ours.reshape(kept.shape) for ours, kept in zip(layer.get_weights(), theirs.get_weights(), strict=True)]
    )
    np.testing.assert_allclose(layer(x), theirs(x, x), atol=1e-6)


def test_its_weights_give_the_output():
    layer, x, context = built(causal=True, context_units=4, dropout_rate=0.5), tokens(5), tokens(7, units=4, seed=2)
    mask = np.arange(7) < np.array([[7], [4], [1]])
    weights = np.asarray(layer.attention_weights(x, context, key_mask=mask))
    assert weights.shape == (3, 2, 5, 7)
    np.testing.assert_allclose(weights.sum(axis=-1), 1, atol=1e-6)
    unseen = ~(mask[:, None, None] & np.tril(np.ones((5, 7), bool)))
    assert (weights[np.broadcast_to(unseen, weights.shape)] == 0).all()
    _, values = layer.keys_and_values(context)
    heads = (weights @ np.asarray(values)).swapaxes(1, 2).reshape(3, 5, 6)
    np.testing.assert_allclose(layer.output_dense(heads), layer(x, context, key_mask=mask), atol=1e-6)


@pytest.mark.parametrize("masked_score", [-1e9, -20.0])
def test_kept_keys_and_values_give_the_same_output_for_one_token(masked_score):
    layer, x = built(causal=True, masked_score=masked_score), tokens(5)
    keys, values = layer.keys_and_values(x)
    last = layer.attend(x[:, 2:3], keys, values, np.arange(5) <= 2)
    np.testing.assert_allclose(last, layer(x)[:, 2:3], atol=1e-6)
    assert keys.shape == values.shape == (3, 2, 5, 3)


def test_a_token_that_sees_nothing_has_a_finite_output():
    layer, x = built(), tokens(5)
    assert np.isfinite(layer(x, key_mask=np.zeros((3, 5), bool))).all()


def test_float16_has_a_finite_output():
    layer = MaskedAttention(2, causal=True, dtype="mixed_float16")
    y = layer(tokens(5))
    assert keras.backend.standardize_dtype(y.dtype) == "float16"
    assert np.isfinite(ops.convert_to_numpy(y)).all()


def test_weights_are_dropped_in_training_alone():
    layer, x = built(dropout_rate=0.5), tokens(5)
    np.testing.assert_array_equal(layer(x), layer(x, training=False))
    assert not np.allclose(layer(x, training=True), layer(x))


def test_a_causal_mask_has_the_length_of_both():
    np.testing.assert_array_equal(causal_mask(2, 3), [[True, False, False], [True, True, False]])


def test_a_network_of_any_length_comes_back_with_its_options():
    initializer = keras.initializers.RandomNormal(stddev=0.02)
    inputs, context = keras.Input((None, 6)), keras.Input((None, 4))
    mask = keras.Input((None,), dtype="bool")
    layer = MaskedAttention(2, dropout_rate=0.1, masked_score=-20.0, output_initializer=initializer)
    network = keras.Model([inputs, context, mask], layer(inputs, context, key_mask=mask))
    again = keras.models.model_from_json(network.to_json())
    again.set_weights(network.get_weights())
    given = [tokens(5), tokens(7, units=4), np.ones((3, 7), bool)]
    np.testing.assert_array_equal(again(given), network(given))
    assert again.layers[-1].get_config() == layer.get_config()
    assert network.output_shape == (None, None, 6)


def test_the_output_has_an_initializer_of_its_own():
    small = keras.initializers.RandomNormal(stddev=1e-3)
    layer = MaskedAttention(2, kernel_initializer=keras.initializers.RandomNormal(), output_initializer=small)
    layer.build((None, None, 64))
    spreads = [np.std(dense.kernel) for dense in (layer.query_dense, layer.key_dense, layer.value_dense)]
    np.testing.assert_allclose(spreads, 0.05, rtol=0.1)
    np.testing.assert_allclose(np.std(layer.output_dense.kernel), 1e-3, rtol=0.1)
    assert not np.allclose(layer.query_dense.kernel, layer.key_dense.kernel)


def test_heads_share_the_units():
    with pytest.raises(ValueError, match=r"multiple of `num_heads`. Received: 6 units, num_heads=4. Try 4 units"):
        MaskedAttention(4)(tokens(5))
