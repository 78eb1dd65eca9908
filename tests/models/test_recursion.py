import sys

import keras
import numpy as np
import pytest
from keras import layers

from dltemplates.files import atomic_write
from dltemplates.models.build import build_network
from dltemplates.models.recursion import LIMIT, deep_networks
from dltemplates.new_runs import make_run
from dltemplates.training.importing.import_model import import_model
from dltemplates.training.workers.replicas import for_replicas

CHAIN = 300  # layers in a row
OWN = f"""
import keras
from keras import layers


def chain(input_shape, num_outputs, depth={CHAIN}):
    inputs = keras.Input(input_shape)
    x = layers.Flatten()(inputs)
    for _ in range(depth):
        x = layers.Identity()(x)
    return keras.Model(inputs, layers.Dense(num_outputs)(x))
"""


@pytest.fixture
def few_calls():
    """Set a recursion limit that is too low for `CHAIN` layers and high enough for everything else."""
    before, depth, frame = sys.getrecursionlimit(), 0, sys._getframe()
    while frame := frame.f_back:
        depth += 1
    sys.setrecursionlimit(depth + CHAIN)
    yield depth + CHAIN
    sys.setrecursionlimit(before)


@pytest.fixture
def own_chain(tmp_path, monkeypatch):
    """Write a user's function that builds networks of any depth."""
    (tmp_path / "own_chain.py").write_text(OWN)
    monkeypatch.syspath_prepend(str(tmp_path))


@pytest.fixture
def chain(own_chain, few_calls):
    """Write a user's network that is too deep."""
    network = build_network("own_chain:chain", {"input_shape": (8, 8, 1), "num_outputs": 10}, {})
    assert sys.getrecursionlimit() == few_calls
    with pytest.raises(RecursionError):
        keras.models.model_from_json(network.to_json())
    return network


def test_it_lets_keras_walk_a_deep_network_and_leaves_the_limit_as_it_was(few_calls):
    inputs = x = keras.Input((2,))
    for _ in range(CHAIN):
        x = layers.Identity()(x)
    with pytest.raises(RecursionError):
        keras.Model(inputs, x)
    with deep_networks():
        assert sys.getrecursionlimit() == LIMIT
        assert len(keras.Model(inputs, x).layers) == CHAIN + 1
    assert sys.getrecursionlimit() == few_calls


def test_after_an_error_too_the_limit_is_as_it_was():
    before = sys.getrecursionlimit()
    with pytest.raises(KeyError), deep_networks():
        raise KeyError
    assert sys.getrecursionlimit() == before


def test_a_higher_limit_is_left():
    before = sys.getrecursionlimit()
    sys.setrecursionlimit(LIMIT + 1)
    try:
        with deep_networks():
            assert sys.getrecursionlimit() == LIMIT + 1
    finally:
        sys.setrecursionlimit(before)


def test_a_network_deeper_than_the_limit_is_refused(own_chain, few_calls, monkeypatch):
    monkeypatch.setattr("dltemplates.models.recursion.LIMIT", 0)
    rule = r"for Keras to walk it in 5,000 nested calls\. Received: own_chain:chain with "
    sizes = {"input_shape": (8, 8, 1), "num_outputs": 10}
    with pytest.raises(ValueError, match=rule + r"depth=301, which takes more\. Put fewer layers"):
        build_network("own_chain:chain", sizes, {"depth": CHAIN + 1})
    with pytest.raises(ValueError, match=rule + "no options, which takes more"):
        build_network("own_chain:chain", sizes, {})
    build_network("own_chain:chain", sizes, {"depth": 10})


def test_a_deep_run_is_loaded(chain, tmp_path):
    run = make_run("deep", tmp_path / "deep")
    atomic_write(run.definition_path, chain.to_json())
    run.save_weights(chain)
    np.testing.assert_array_equal(run.model().get_weights()[0], chain.get_weights()[0])


def test_a_deep_network_is_copied_for_replicas(chain):
    assert len(for_replicas(chain).layers) == len(chain.layers)


@pytest.mark.slow
def test_a_deep_model_from_elsewhere_becomes_a_run(chain, tmp_path):
    chain.layers[-1].activation = keras.activations.softmax  # rebuilds the model
    chain.save(tmp_path / "theirs.keras")
    run = import_model(tmp_path / "theirs.keras", task="classification", data="digits", output=tmp_path / "run")
    assert run.record.state == "done"
