"""Decoding forms: step by step with a cache they equal the whole network, for ours and for a user's own."""

import contextlib

import keras
import numpy as np
import pytest
from keras import layers, ops

from dltemplates.deploy.masked_scores import integer_scores
from dltemplates.layers import MaskedAttention, PaddingMask, PositionEmbedding, SinusoidalPositions
from dltemplates.models.attention.gpt import gpt
from dltemplates.models.attention.transformer import transformer
from dltemplates.tasks.serving.decoding import decoder_only, encoder_decoder

VOCABULARY, LENGTH, STEPS = 11, 48, 40
TINY = {"units": 16, "depth": 2, "num_heads": 2}
SCORES = pytest.mark.parametrize("scores", [contextlib.nullcontext, integer_scores])


def ids(count, length, seed=0):
    return np.random.default_rng(seed).integers(4, VOCABULARY, (count, length)).astype(np.int32)


def shaken(network):
    """Return the network with weights that make its logits differ."""
    random = np.random.default_rng(1)
    network.set_weights([weight + random.normal(scale=0.2, size=weight.shape) for weight in network.get_weights()])
    return network


@pytest.fixture(scope="module")
def continues():
    keras.utils.set_random_seed(0)
    return shaken(gpt(LENGTH, VOCABULARY, **TINY))


@pytest.fixture(scope="module")
def translates():
    keras.utils.set_random_seed(0)
    return shaken(transformer(VOCABULARY, hidden=32, **TINY))


def decoded(decode, first, tokens):
    """Decode given tokens (batch, steps): the logits (batch, steps, vocabulary_size) and the last states.

    Args:
        decode: The network of one token.
        first: Outputs of the first part.
        tokens: Token ids.
    """
    known = {name: value for name, value in first.items() if name in decode.input}
    empty = {
        name: ops.zeros((len(tokens), *tensor.shape[1:]), "float32")
        for name, tensor in decode.input.items()
        if name != "token" and name not in known
    }
    inputs, logits = empty | known, []
    for step in range(tokens.shape[1]):
        outputs = decode(inputs | {"token": ops.convert_to_tensor(tokens[:, step : step + 1])})
        inputs |= {name: outputs[f"{name}_next"] for name in inputs if f"{name}_next" in outputs}
        logits.append(ops.convert_to_numpy(outputs["logits"]))
    return np.stack(logits, axis=1), inputs


@SCORES
def test_a_text_continued_step_by_step_is_the_text_as_a_whole(continues, scores):
    tokens = ids(3, 5 + STEPS)
    whole = np.asarray(continues(tokens))
    with scores(continues):
        parts = decoder_only(continues, LENGTH, prompt_length=5)
        first = parts["prefill"](tokens[:, :5])
        logits, states = decoded(parts["decode"], first, tokens[:, 5:])
    np.testing.assert_allclose(first["logits"], whole[:, 4], atol=1e-5)
    np.testing.assert_allclose(logits, whole[:, 5:], atol=1e-5)
    np.testing.assert_array_equal(states["position"], np.full((3, 1), 5 + STEPS))
    assert np.ptp(whole, axis=0).max() > 1


def test_prompts_of_different_lengths_continue_side_by_side(continues):
    tokens, lengths = ids(3, 20), np.array([6, 3, 1])
    prompts = np.where(np.arange(6) < lengths[:, None], tokens[:, :6], 0).astype(np.int32)
    parts = decoder_only(continues, LENGTH, prompt_length=6)
    first = parts["prefill"](prompts)
    following = np.stack([row[length : length + 10] for row, length in zip(tokens, lengths, strict=True)])
    logits, _ = decoded(parts["decode"], first, following)
    for row, length, prompt, after in zip(tokens, lengths, first["logits"], logits, strict=True):
        whole = np.asarray(continues(row[None]))[0]
        np.testing.assert_allclose(prompt, whole[length - 1], atol=1e-5)
        np.testing.assert_allclose(after, whole[length : length + 10], atol=1e-5)


def test_a_text_begins_from_empty_states_too(continues):
    tokens = ids(2, 10)
    logits, _ = decoded(decoder_only(continues, LENGTH, prompt_length=1)["decode"], {}, tokens)
    np.testing.assert_allclose(logits, continues(tokens), atol=1e-5)


def test_a_prompt_may_fill_the_cache(continues):
    tokens = ids(2, 8)
    parts = decoder_only(continues, 8, prompt_length=8)
    np.testing.assert_allclose(parts["prefill"](tokens)["logits"], continues(tokens)[:, 7], atol=1e-5)


@SCORES
@pytest.mark.parametrize("source_length", [None, 9])
def test_a_translation_step_by_step_is_the_translation_as_a_whole(translates, scores, source_length):
    source, target = ids(3, 9), ids(3, STEPS, seed=1)
    source[1, 4:] = 0
    whole = np.asarray(translates({"source": source, "target": target}))
    with scores(translates):
        parts = encoder_decoder(translates, LENGTH, source_length)
        logits, _ = decoded(parts["decode"], parts["encoder"](source), target)
    np.testing.assert_allclose(logits, whole, atol=1e-5)
    assert np.ptp(whole, axis=0).max() > 1


def test_names_tell_states_from_constants(translates):
    parts = encoder_decoder(translates, LENGTH, source_length=9)
    constants, (inputs, outputs) = parts["encoder"].output, (parts["decode"].input, parts["decode"].output)
    states = set(inputs) - set(constants) - {"token"}
    assert set(outputs) == {"logits"} | {f"{name}_next" for name in states}
    assert len(constants) == 2 * 2 + 1  # keys and values of two blocks, and the mask
    assert len(states) == 2 * 2 + 1  # of two blocks, and the position
    for name, tensor in constants.items():
        assert inputs[name].shape == tensor.shape
        assert inputs[name].dtype == tensor.dtype == "float32"
    for name in states:
        assert inputs[name].shape == outputs[f"{name}_next"].shape
    assert inputs["token"].shape == (None, 1)
    assert inputs["token"].dtype == "int32"
    assert outputs["logits"].shape == (None, VOCABULARY)


def test_parts_have_the_weights_of_the_network(continues, translates):
    for network, parts in (
        (continues, decoder_only(continues, LENGTH, 5)),
        (translates, encoder_decoder(translates, LENGTH)),
    ):
        own = {id(weight) for weight in network.weights}
        of_parts = {id(weight) for part in parts.values() for weight in part.weights}
        assert of_parts == own


def own_network(last=None):
    """Return a user's network: one block, called twice with the same weights, whose mask of padding is not needed."""
    tokens = keras.Input((None,), dtype="int32", name="words")
    mask = PaddingMask()(tokens)
    attention, norm = MaskedAttention(2, causal=True), layers.LayerNormalization()
    x = SinusoidalPositions()(layers.Embedding(VOCABULARY, 8)(tokens))
    for _ in range(2):
        x = x + attention(norm(x), key_mask=mask)
    x = last(x) if last else x
    return keras.Model(tokens, {"next": layers.Dense(VOCABULARY)(x)})


def test_a_users_own_network_has_a_decoding_form():
    keras.utils.set_random_seed(0)
    network = shaken(own_network())
    tokens = ids(2, 12)
    parts = decoder_only(network, 20, prompt_length=4)
    first = parts["prefill"](tokens[:, :4])
    logits, states = decoded(parts["decode"], first, tokens[:, 4:])
    np.testing.assert_allclose(logits, network(tokens)["next"][:, 4:], atol=1e-5)
    assert len(states) == 5  # two caches of keys and values, and the position
    assert parts["prefill"].input.name == "words"


@pytest.mark.parametrize(
    ("last", "received"),
    [
        (layers.LSTM(8, return_sequences=True, name="memory"), r"layer `memory` \(LSTM\)"),
        (MaskedAttention(2, name="all"), r"layer `all` \(MaskedAttention\)"),
        (layers.Softmax(axis=1, name="along"), r"layer `along` \(Softmax\)"),
        (lambda x: MaskedAttention(2, name="both")(x, x * 2), r"layer `both` \(MaskedAttention\)"),
    ],
)
def test_other_layers_are_refused_in_one_line(last, received):
    rule = "A decoding form needs layers that see one token and those before it"
    with pytest.raises(ValueError, match=rf"{rule}.*Received: {received}") as refused:
        decoder_only(own_network(last), 20, prompt_length=4)
    assert "\n" not in str(refused.value)


def test_logits_must_be_of_each_token():
    source, target = (keras.Input((None,), dtype="int32", name=name) for name in ("source", "target"))
    logits = layers.Dense(VOCABULARY)(layers.Embedding(VOCABULARY, 8)(source))
    network = keras.Model({"source": source, "target": target}, logits)
    with pytest.raises(ValueError, match=r"logits of each token. Received: an output of shape \(None, None, 11\)"):
        encoder_decoder(network, LENGTH)


def test_a_prompt_is_not_longer_than_the_text(continues):
    with pytest.raises(ValueError, match=r"1 to `length` tokens. Received: prompt_length=9, length=8. Try 8."):
        decoder_only(continues, 8, prompt_length=9)


def test_a_translation_has_a_source_and_a_target(continues):
    with pytest.raises(ValueError, match="inputs `source` and `target`. Received: tokens. Name them so."):
        encoder_decoder(continues, LENGTH)


def test_learned_positions_end_with_the_longest_text():
    tokens = keras.Input((None,), dtype="int32")
    x = PositionEmbedding(6)(layers.Embedding(VOCABULARY, 8)(tokens))
    network = keras.Model(tokens, layers.Dense(VOCABULARY)(x))
    with pytest.raises(ValueError, match="at most 6 positions. Received: 7"):
        decoder_only(network, 7, prompt_length=4)
