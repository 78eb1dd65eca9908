"""GPT: its size, its initial weights, what a position sees, and a pattern that it learns."""

import keras
import numpy as np
import pytest

from dltemplates.layers import MaskedAttention
from dltemplates.models.attention.gpt import gpt
from dltemplates.models.summary import summarize, without_weights

TINY = {"units": 16, "depth": 2, "num_heads": 2}


def ids(count, length, vocabulary_size=9):
    return np.random.default_rng(0).integers(4, vocabulary_size, (count, length)).astype(np.int32)


@pytest.fixture(scope="module")
def network():
    keras.utils.set_random_seed(0)
    return gpt(12, 9, **TINY)


@pytest.mark.parametrize(
    ("sizes", "options", "parameters"),
    [((128, 65), {}, 818_048), ((1024, 50_257), {"units": 768, "depth": 12, "num_heads": 12}, 124_439_808)],
)
def test_it_has_the_parameters_of_gpt_2(sizes, options, parameters):
    network = without_weights(lambda: gpt(*sizes, **options))
    assert network.count_params() == parameters


def test_it_costs_its_kernels_and_the_tied_logits():
    assert summarize(without_weights(lambda: gpt(128, 65))).macs == 4 * (12 * 128**2 + 2 * 128) + 65 * 128


def test_a_token_depends_on_itself_and_those_before(network):
    x = ids(3, 12)
    logits = np.asarray(network(x))
    changed = x.copy()
    changed[:, 6] = 4 + (x[:, 6] - 3) % 5
    again = np.asarray(network(changed))
    np.testing.assert_allclose(again[:, :6], logits[:, :6], atol=1e-5)
    assert (np.abs(again[:, 6:] - logits[:, 6:]).max(axis=(0, 2)) > 1e-4).all()


def test_padding_at_the_end_changes_no_token(network):
    x = ids(3, 12)
    x[:, 7:] = 0
    np.testing.assert_allclose(network(x)[:, :7], network(x[:, :7]), atol=1e-5)


def test_the_order_of_tokens_matters(network):
    x = np.array([[4, 5, 6], [5, 4, 6]], np.int32)
    first, second = np.asarray(network(x))[:, 2]
    assert np.abs(first - second).max() > 1e-4


def test_weights_start_as_those_of_gpt_2():
    keras.utils.set_random_seed(0)
    network = gpt(64, 50, units=64, depth=8, num_heads=4)
    attention = [layer for layer in network.layers if isinstance(layer, MaskedAttention)]
    up, down = (
        [layer for layer in network.layers if isinstance(layer, keras.layers.Dense)][start::2] for start in (0, 1)
    )
    plain = [inner for layer in attention for inner in (layer.query_dense, layer.key_dense, layer.value_dense)] + up
    assert len(attention) == len(up) == len(down) == 8
    for dense in plain:
        assert 0.018 < np.std(dense.kernel) < 0.022
    for dense in [layer.output_dense for layer in attention] + down:
        assert 0.0045 < np.std(dense.kernel) < 0.0055  # 0.02 / sqrt(2 * 8)
    assert 0.018 < np.std(network.get_layer("embedding").embeddings) < 0.022


def test_initial_weights_of_the_blocks_differ(network):
    kernels = [layer.query_dense.kernel for layer in network.layers if isinstance(layer, MaskedAttention)]
    assert not np.allclose(kernels[0], kernels[1])


def test_embedding_and_logits_have_one_matrix(network):
    assert len([weight for weight in network.weights if tuple(weight.shape) == (9, 16)]) == 1


def test_it_learns_to_copy_the_token_before_the_last():
    keras.utils.set_random_seed(0)
    network = gpt(8, 9, **TINY)
    x = ids(32, 9)
    x[:, 2:] = x[:, [0, 1] * 4][:, :7]  # a b a b a b ...
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    network.compile(keras.optimizers.Adam(0.01), loss)
    history = network.fit(x[:, :8], x[:, 1:], epochs=60, batch_size=32, verbose=0).history["loss"]
    predicted = np.asarray(network(x[:, :8])).argmax(axis=-1)
    assert history[0] > 1.5
    assert (predicted[:, 1:] == x[:, 2:]).mean() > 0.97  # the token after the first is random


def test_heads_share_the_units_and_a_text_has_tokens():
    with pytest.raises(ValueError, match=r"multiple of `num_heads`. Received: units=10, num_heads=4"):
        gpt(8, 9, units=10)
    with pytest.raises(ValueError, match=r"`sequence_length` must be a positive number of tokens. Received: .*=0"):
        gpt(0, 9)
    with pytest.raises(ValueError, match=r"`vocabulary_size` must be a positive number of token ids. Received: .*=0"):
        gpt(8, 0)
