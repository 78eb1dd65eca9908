import keras
import numpy as np
import pytest

from dltemplates.layers.tokens import ClassToken, PositionEmbedding


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
