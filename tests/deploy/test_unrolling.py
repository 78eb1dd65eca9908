"""Unrolled recurrent layers compute the same, keep any batch size, and have a longest length."""

import keras
import numpy as np
import pytest
from keras import layers

from dltemplates.compat import flatten_layers
from dltemplates.deploy.converters.convert import Converter
from dltemplates.deploy.formats.format import load_format
from dltemplates.deploy.part import Part
from dltemplates.deploy.unrolling import MAX_STEPS, count_steps, unrolled
from dltemplates.features import Number, Series
from dltemplates.tasks.serving.contract import Contract, ServingModel

KINDS = {
    "LSTM": lambda: layers.LSTM(3),
    "GRU": lambda: layers.GRU(3),
    "SimpleRNN": lambda: layers.SimpleRNN(3),
    "Bidirectional": lambda: layers.Bidirectional(layers.LSTM(2)),
}


def serving(layer, steps=6, inner_steps=None):
    """Build a served network with one recurrent layer inside a nested network."""
    inner = keras.Input((inner_steps or steps, 2))
    network = keras.Model(inner, layers.Dense(2)(layer(inner)), name="network")
    inputs = keras.Input((steps, 2), name="series")
    contract = Contract(
        name="waves",
        task="parity",
        inputs=(Series(name="series", dtype="float32", shape=(steps, 2)),),
        outputs=(Number(name="value", dtype="float32", shape=(2,)),),
        targets=(),
    )
    return ServingModel(keras.Model(inputs, {"value": network(inputs)}), contract)


@pytest.mark.parametrize("kind", KINDS)
def test_unrolled_layers_compute_the_same_with_the_same_weights(kind):
    model = serving(KINDS[kind]()).model
    loops = [layer for layer in flatten_layers(model) if hasattr(layer, "unroll")]
    windows = np.random.default_rng(0).normal(size=(5, 6, 2)).astype("float32")
    expected = model(windows)["value"].numpy()
    with unrolled(model):
        assert all(layer.unroll for layer in loops)
        found = model(windows)["value"].numpy()
    assert loops
    assert not any(layer.unroll for layer in loops)
    assert np.ptp(expected) > 0.1
    np.testing.assert_allclose(found, expected, atol=1e-6)


def test_layers_are_rolled_up_again_after_an_error():
    model = serving(layers.LSTM(3)).model
    with pytest.raises(RuntimeError, match="stop"), unrolled(model):
        raise RuntimeError("stop")
    assert [layer.unroll for layer in flatten_layers(model) if hasattr(layer, "unroll")] == [False]


def test_the_longest_recurrent_layer_counts():
    assert count_steps(serving(layers.GRU(2), steps=7).model, serving(layers.GRU(2)).contract) == 7
    assert count_steps(serving(layers.Flatten()).model, serving(layers.Flatten()).contract) == 0
    bidirectional = serving(layers.Bidirectional(layers.GRU(2)), steps=9)
    assert count_steps(bidirectional.model, bidirectional.contract) == 9
    shorter = keras.Sequential([layers.Conv1D(2, 2, strides=2), layers.LSTM(2)])
    strided = serving(shorter, steps=8)
    assert count_steps(strided.model, strided.contract) == 8  # a Sequential model shows only its input


def test_a_network_for_any_length_takes_the_length_of_the_contract():
    model = keras.Sequential([keras.Input((None, 2)), layers.LSTM(2), layers.Dense(2)])
    assert count_steps(keras.Model(model.inputs, model.outputs), serving(layers.LSTM(2), steps=11).contract) == 11


@pytest.mark.parametrize(("steps", "is_offered"), [(MAX_STEPS, True), (MAX_STEPS + 1, False)])
def test_long_loops_are_not_unrolled(tmp_path, steps, is_offered):
    part = Part("", serving(layers.SimpleRNN(2), steps=steps), Converter(tmp_path / "log"), tmp_path, tmp_path)
    for key in ("tflite:int8", "tflite:int16x8"):
        reason = part.not_offered(load_format(key))
        assert (reason is None) == is_offered
        if reason:
            assert reason == (
                f"{key} writes out each step of a recurrent layer, at most 150; this network has 151: export "
                "tflite:dynamic, or train on a shorter window"
            )
    assert part.not_offered(load_format("tflite:dynamic")) is None
