import keras
import numpy as np
import pytest

from dltemplates.layers.tokens import ClassToken, PaddingMask, PositionEmbedding, SinusoidalPositions, TokenMean


@pytest.fixture
def network():
    inputs = keras.Input((3, 4))
    network = keras.Model(inputs, PositionEmbedding()(ClassToken()(inputs)))
    network.set_weights([np.full((1, 1, 4), 7.0), np.arange(16.0).reshape(1, 4, 4)])
    return network


def test_token_stands_in_front_and_every_place_has_its_own_vector(network):
    x = np.random.default_rng(0).normal(size=(2, 3, 4)).astype("float32")
    y = keras.ops.convert_to_numpy(network(x))
    assert network.output_shape == (None, 4, 4)
    np.testing.assert_allclose(y[:, 0], np.full((2, 4), 7.0) + np.arange(4.0))
    np.testing.assert_allclose(y[:, 1:], x + np.arange(4.0, 16.0).reshape(3, 4))


def test_both_come_back_from_a_definition(network):
    again = keras.models.model_from_json(network.to_json())
    again.set_weights(network.get_weights())
    x = np.ones((1, 3, 4), "float32")
    np.testing.assert_array_equal(again(x), network(x))


def test_both_are_learned(network):
    assert [weight.shape for weight in network.trainable_weights] == [(1, 1, 4), (1, 4, 4)]


def test_places_begin_different_and_small():
    layer = PositionEmbedding()
    layer.build((None, 50, 40))
    assert 0.018 < np.std(layer.position) < 0.022


def test_both_compute_in_the_policys_precision():
    inputs = keras.Input((3, 4), dtype="bfloat16")
    outputs = PositionEmbedding(dtype="mixed_bfloat16")(ClassToken(dtype="mixed_bfloat16")(inputs))
    y = keras.Model(inputs, outputs)(np.ones((1, 3, 4)))
    assert keras.backend.standardize_dtype(y.dtype) == "bfloat16"


def test_shorter_sequences_get_the_first_learned_positions():
    layer = PositionEmbedding(5)
    x = np.zeros((2, 3, 4), np.float32)
    np.testing.assert_array_equal(layer(x)[0], layer.position[0, :3])
    np.testing.assert_array_equal(layer.vectors(3), layer.position[0, :3])
    assert layer.position.shape == (1, 5, 4)


def test_a_longer_sequence_than_the_longest_is_refused():
    with pytest.raises(ValueError, match=r"at most 5 positions. Received: 6. Cut it"):
        PositionEmbedding(5)(np.zeros((2, 6, 4), np.float32))


def test_learned_positions_of_any_length_come_back():
    inputs = keras.Input((None, 4))
    network = keras.Model(inputs, PositionEmbedding(5)(inputs))
    again = keras.models.model_from_json(network.to_json())
    assert again.layers[-1].length == 5
    assert network.output_shape == (None, None, 4)


def test_sinusoidal_positions_are_those_of_the_paper():
    units = 6
    y = SinusoidalPositions()(np.ones((2, 50, units), np.float32))
    for position in range(50):
        for unit in range(units):
            angle = position / 10_000 ** (unit // 2 * 2 / units)
            expected = 1 + (np.cos(angle) if unit % 2 else np.sin(angle))
            np.testing.assert_allclose(y[:, position, unit], expected, atol=1e-5)


def test_sinusoidal_positions_of_a_shorter_sequence_are_the_first():
    layer = SinusoidalPositions()
    layer.build((None, None, 6))
    np.testing.assert_allclose(layer.vectors(20)[:7], layer.vectors(7), atol=1e-7)


def test_sinusoidal_positions_need_pairs_of_units():
    with pytest.raises(ValueError, match=r"even number of units. Received: 5. Try 6."):
        SinusoidalPositions()(np.ones((2, 3, 5), np.float32))


def test_padding_is_id_0():
    ids = np.array([[4, 1, 0], [2, 0, 0]], np.int32)
    np.testing.assert_array_equal(PaddingMask()(ids), [[True, True, False], [True, False, False]])


def test_the_mean_leaves_padding_out():
    x = np.random.default_rng(0).normal(size=(3, 4, 5)).astype(np.float32)
    mask = np.arange(4) < np.array([[4], [2], [0]])
    expected = [x[0].mean(axis=0), x[1, :2].mean(axis=0), np.zeros(5)]
    np.testing.assert_allclose(TokenMean()(x, mask), expected, atol=1e-6)


def test_the_mean_of_many_tokens_is_exact_in_half_precision():
    x = np.ones((1, 1000, 2), np.float32)
    mean = TokenMean(dtype="mixed_bfloat16")(x, np.ones((1, 1000), bool))
    np.testing.assert_array_equal(mean, np.ones((1, 2)))
