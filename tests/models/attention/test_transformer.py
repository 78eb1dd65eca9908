"""Transformer: the size of the paper by part, the masks, the shared matrix, and a text that it learns to reverse."""

import keras
import numpy as np
import pytest

from dltemplates.models.attention.transformer import transformer
from dltemplates.models.summary import without_weights

TINY = {"units": 16, "depth": 2, "num_heads": 2, "hidden": 32}


def ids(count, length, seed=0):
    return np.random.default_rng(seed).integers(4, 9, (count, length)).astype(np.int32)


@pytest.fixture(scope="module")
def network():
    keras.utils.set_random_seed(0)
    return transformer(9, **TINY)


def test_the_base_network_has_63_million_parameters():
    network = without_weights(lambda: transformer(37_000))
    attention, norm = 4 * (512**2 + 512), 2 * 512
    feed_forward = 2 * 512 * 2048 + 2048 + 512
    encoder = 6 * (attention + feed_forward + 2 * norm) + norm
    decoder = 6 * (2 * attention + feed_forward + 3 * norm) + norm
    parts = [network.get_layer(name).count_params() for name in ("embedding", "encoder", "decoder")]
    assert parts == [37_000 * 512, encoder, decoder] == [18_944_000, 18_915_328, 25_225_216]
    assert network.count_params() == sum(parts) == 63_084_544


def test_padding_changes_no_token(network):
    source, target = ids(3, 6), ids(3, 5, seed=1)
    logits = np.asarray(network({"source": source, "target": target}))
    padded = {"source": np.pad(source, ((0, 0), (0, 4))), "target": np.pad(target, ((0, 0), (0, 3)))}
    np.testing.assert_allclose(network(padded)[:, :5], logits, atol=1e-5)


def test_a_token_sees_the_source_and_the_target_before_it(network):
    source, target = ids(3, 6), ids(3, 5, seed=1)
    logits = np.asarray(network({"source": source, "target": target}))
    later = target.copy()
    later[:, 3] = 4 + (target[:, 3] - 3) % 5
    of_later = np.asarray(network({"source": source, "target": later}))
    np.testing.assert_allclose(of_later[:, :3], logits[:, :3], atol=1e-5)
    other = source.copy()
    other[:, 5] = 4 + (source[:, 5] - 3) % 5
    of_other = np.asarray(network({"source": other, "target": target}))
    assert (np.abs(of_later - logits)[:, 3:].max(axis=(0, 2)) > 1e-4).all()
    assert (np.abs(of_other - logits).max(axis=(0, 2)) > 1e-4).all()


def test_source_target_and_logits_share_one_matrix(network):
    again = keras.models.model_from_json(network.to_json())
    for each in (network, again):
        assert len([weight for weight in each.weights if tuple(weight.shape) == (9, 16)]) == 1
        assert {tensor.name for tensor in each.inputs} == {"source", "target"}


def test_it_learns_to_reverse_a_text():
    keras.utils.set_random_seed(0)
    network = transformer(9, **{**TINY, "units": 32, "depth": 1}, dropout_rate=0.0)
    source = ids(256, 5)
    target = np.concatenate([np.full((256, 1), 2), source[:, ::-1]], axis=1).astype(np.int32)  # from the start token
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    network.compile(keras.optimizers.Adam(0.01), loss)
    given = {"source": source, "target": target[:, :-1]}
    network.fit(given, target[:, 1:], epochs=25, batch_size=64, verbose=0)
    assert (np.asarray(network(given)).argmax(axis=-1) == target[:, 1:]).mean() > 0.97


def test_heads_share_the_units():
    with pytest.raises(ValueError, match=r"multiple of `num_heads`. Received: units=10, num_heads=8"):
        transformer(9, units=10)
