"""Standardization of numbers: moved from the graph to its caller, and kept if it is other arithmetic."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

from dltemplates.deploy.converters.graph import cut_standardization, freeze
from dltemplates.deploy.converters.saved_model import save_serving
from dltemplates.features import Number
from dltemplates.tasks.serving.contract import Contract, ServingModel

MEAN, STD = np.array([1e6, 2e-3, 0.0]), np.array([3e5, 1e-3, 1.0])
FEATURES = Number(name="features", dtype="float32", shape=(3,), mean=tuple(MEAN), std=tuple(STD))
PRICE = Number(name="value", dtype="float32", shape=(1,), mean=(2e6,), std=(5e5,))


def rescaling(scale, offset):
    return layers.Rescaling(list(np.atleast_1d(scale)), offset=list(np.atleast_1d(offset)))


@pytest.fixture
def frozen(tmp_path):
    """Return a function that freezes a network with these rescalings before and after."""

    def make(before, after, feature=FEATURES, output=PRICE):
        keras.utils.set_random_seed(0)
        inputs = keras.Input((3,), name="features")
        x = layers.Dense(1, use_bias=False)(layers.Dense(4, activation="relu", use_bias=False)(before(inputs)))
        model = keras.Model(inputs, {"value": after(x)})
        contract = Contract(name="prices", task="regression", inputs=(feature,), outputs=(output,), targets=(PRICE,))
        save_serving(ServingModel(model, contract), tmp_path / "serving")
        return freeze(tmp_path / "serving"), contract

    return make


def call(graph, features):
    return graph.to_function()(features=tf.constant(features, tf.float32))["value"].numpy()


def test_the_caller_does_the_removed_standardization(frozen):
    graph, contract = frozen(rescaling(1 / STD, -MEAN / STD), rescaling(PRICE.std, PRICE.mean))
    cut, changed = cut_standardization(graph, contract)
    assert (changed.inputs[0].standardized, changed.outputs[0].standardized) == (True, True)
    features = np.random.default_rng(0).normal(MEAN, STD, (5, 3))
    found = call(cut, (features - MEAN) / STD) * PRICE.std + PRICE.mean
    np.testing.assert_allclose(found, call(graph, features), rtol=1e-5)
    assert np.ptp(found) > 1e4
    left = [node.op for node in cut.graph_def.node]
    assert left.count("Mul") == 0
    assert left.count("AddV2") == 0


def test_other_arithmetic_stays_in_the_graph(frozen):
    """A network trained elsewhere may begin and end with scales that differ from its contract."""
    graph, contract = frozen(rescaling(2 / STD, -MEAN / STD), rescaling(PRICE.std, [0.0]))
    cut, changed = cut_standardization(graph, contract)
    assert changed == contract
    features = np.random.default_rng(0).normal(MEAN, STD, (5, 3))
    np.testing.assert_array_equal(call(cut, features), call(graph, features))


def test_a_network_without_statistics_is_unchanged(frozen):
    plain = {"mean": None, "std": None}
    graph, contract = frozen(
        layers.Identity(), layers.Identity(), FEATURES.model_copy(update=plain), PRICE.model_copy(update=plain)
    )
    cut, changed = cut_standardization(graph, contract)
    assert cut is graph
    assert changed is contract
