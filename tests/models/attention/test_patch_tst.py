"""PatchTST: its size, its patches, its normalization, and the encoder block in NumPy."""

import keras
import numpy as np
import pytest

from dltemplates import catalog
from dltemplates.models.attention.encoder import encoder_block
from dltemplates.models.attention.patch_tst import patch_tst
from dltemplates.models.summary import multiply_accumulates

STEPS, CHANNELS, HORIZON = 40, 2, 3


@pytest.fixture(scope="module")
def network():
    keras.utils.set_random_seed(0)
    return patch_tst((STEPS, CHANNELS), HORIZON, units=8, depth=2, num_heads=2)


def windows():
    return np.random.default_rng(0).normal(size=(3, STEPS, CHANNELS)).astype(np.float32)


@pytest.mark.parametrize(("steps", "horizon", "options"), [(336, 96, {}), (512, 720, {"units": 128, "num_heads": 16})])
def test_it_has_the_parameters_of_the_paper(steps, horizon, options):
    units = options.get("units", 16)
    count = (steps + 8 - 16) // 8 + 1  # patches
    embedding = 16 * units + units + count * units
    attention, hidden = 4 * (units * units + units), 8 * units
    block = attention + (units * hidden + hidden) + (hidden * units + units) + 2 * 2 * units
    expected = embedding + 3 * block + (count * units + 1) * horizon
    network = patch_tst((steps, 7), horizon, **options)
    assert sum(np.prod(weight.shape) for weight in network.trainable_weights) == expected
    assert expected == 81_728 or options


def test_its_page_gives_the_sizes():
    assert catalog.MODELS["patch_tst"].sizes == {"input_shape": (336, 7), "horizon": 96}


def test_a_channel_is_forecast_from_its_own_past_with_shared_weights(network):
    x = windows()
    forecast = np.asarray(network(x))
    changed = x.copy()
    changed[:, :, 1] = x[::-1, :, 0]
    again = np.asarray(network(changed))
    np.testing.assert_allclose(again[:, :, 0], forecast[:, :, 0], atol=1e-5)
    np.testing.assert_allclose(again[:, :, 1], forecast[::-1, :, 0], atol=1e-5)


def test_the_forecast_moves_and_scales_with_the_window(network):
    x = windows()
    moved = np.asarray(network(10 * x + 7))
    np.testing.assert_allclose(moved, 10 * np.asarray(network(x)) + 7, atol=1e-3)


def test_a_constant_window_has_a_finite_forecast(network):
    forecast = np.asarray(network(np.full((1, STEPS, CHANNELS), 5, np.float32)))
    assert np.abs(forecast - 5).max() < 0.1


def test_tokens_are_patches_of_16_steps_with_the_last_step_repeated(network):
    (projection,) = [layer for layer in network.layers if isinstance(layer, keras.layers.Conv2D)]
    tokens = keras.Model(network.input, projection.output)
    x = windows().astype(np.float64)
    padded = np.concatenate([x, x[:, -1:].repeat(8, axis=1)], axis=1)
    normal = (padded - x.mean(axis=1, keepdims=True)) / np.sqrt(x.var(axis=1, keepdims=True) + 1e-5)
    cut = np.stack([normal[:, start : start + 16] for start in range(0, STEPS - 8 + 1, 8)], axis=1)
    kernel, bias = projection.get_weights()
    expected = np.einsum("bpsc,su->bcpu", cut, kernel[0, :, 0]) + bias
    np.testing.assert_allclose(np.asarray(tokens(x.astype(np.float32))), expected, atol=1e-4)


def test_a_window_has_a_patch_and_one_length():
    with pytest.raises(ValueError, match=r"`patch_tst` needs sequences of at least 16 steps. Received: .*15, 2\)"):
        patch_tst((15, 2), 3)
    with pytest.raises(ValueError, match=r"`patch_tst` needs sequences of one length. Received: .*\(None, 2\)"):
        patch_tst((None, 2), 3)


def normal(x):
    """Normalize the last axis, as layer normalization starts."""
    return (x - x.mean(axis=-1, keepdims=True)) / np.sqrt(x.var(axis=-1, keepdims=True) + 1e-6)


def gelu(x):
    from scipy.special import erf

    return x * (1 + erf(x / np.sqrt(2))) / 2


@pytest.mark.parametrize("normalize_first", [True, False])
def test_an_encoder_block_computes_its_formula_inside_each_group(normalize_first):
    keras.utils.set_random_seed(0)
    inputs = keras.Input((2, 5, 6))  # two groups of five tokens
    block = keras.Model(inputs, encoder_block(inputs, 3, hidden=7, normalize_first=normalize_first))
    layers = [layer for layer in block.layers if "attention" in layer.name or "dense" in layer.name]
    weights = [weight for layer in layers for weight in layer.get_weights()]
    query, _, key, _, value, _, out, _, up, _, down, _ = weights  # the biases start at 0
    x = np.random.default_rng(0).normal(size=(4, 2, 5, 6))

    def attend(y):
        q, k, v = (np.einsum("bgtu,uhd->bghtd", y, kernel) for kernel in (query, key, value))
        scores = np.einsum("bghtd,bghsd->bghts", q, k) / np.sqrt(2)
        weights = np.exp(scores) / np.exp(scores).sum(axis=-1, keepdims=True)
        return np.einsum("bghts,bghsd,hdu->bgtu", weights, v, out)

    def transform(y):
        return gelu(y @ up) @ down

    expected = x
    for sublayer in (attend, transform):
        before, after = (normal, lambda y: y) if normalize_first else (lambda y: y, normal)
        expected = after(expected + sublayer(before(expected)))
    np.testing.assert_allclose(np.asarray(block(x.astype(np.float32))), expected, atol=1e-4)


def test_attention_inside_a_group_costs_the_group_alone():
    inputs = keras.Input((2, 5, 6))
    layer = keras.layers.MultiHeadAttention(3, key_dim=2, attention_axes=2)
    layer(inputs, inputs)
    assert multiply_accumulates(layer) == 10 * 4 * 6 * 6 + 2 * 5 * 5 * 6 * 2
