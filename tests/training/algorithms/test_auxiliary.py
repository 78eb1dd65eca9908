"""Auxiliary classifiers: part of the training loss and nothing else."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

from conftest import small_template
from dltemplates import catalog
from dltemplates.models.summary import summarize
from dltemplates.runs import Run
from dltemplates.training.algorithms.supervised import Supervised
from dltemplates.training.train import train


def network(input_shape, num_outputs, *, name="network"):
    """Return two convolutions with an auxiliary classifier between them."""
    inputs = keras.Input(input_shape, name="image")
    x = layers.Conv2D(4, 3, activation="relu")(inputs)
    early = layers.Dense(num_outputs, dtype="float32", name="auxiliary_1")(layers.GlobalAveragePooling2D()(x))
    x = layers.Conv2D(4, 3, activation="relu")(x)
    logits = layers.Dense(num_outputs, dtype="float32", name="logits")(layers.GlobalAveragePooling2D()(x))
    return keras.Model(inputs, {"logits": logits, "auxiliary_1": early}, name=name)


SERVED = 4 * 9 + 4 + 4 * 4 * 9 + 4 + 4 * 10 + 10  # parameters without the auxiliary classifier


@pytest.fixture
def own_module(monkeypatch):
    """Register the network above as `own_networks:network`."""
    import sys
    import types

    module = types.ModuleType("own_networks")
    module.network = network
    monkeypatch.setitem(sys.modules, "own_networks", module)
    monkeypatch.setattr(catalog, "_trusted", {"own_networks"})


@pytest.mark.parametrize("share", [0.0, 0.3])
def test_auxiliary_weight_applies_in_training_only(share):
    keras.utils.set_random_seed(0)
    model = network((8, 8, 1), 3)
    x = np.random.default_rng(0).random((5, 8, 8, 1), np.float32)
    y = np.eye(3, dtype=np.float32)[[0, 1, 2, 0, 1]]
    outputs = model(x)
    entropy = keras.losses.CategoricalCrossentropy(from_logits=True)
    main, early = float(entropy(y, outputs["logits"])), float(entropy(y, outputs["auxiliary_1"]))
    assert abs(main - early) > 0.01
    algorithm = Supervised(
        model,
        keras.losses.CategoricalCrossentropy(from_logits=True),
        [keras.metrics.CategoricalAccuracy(name="accuracy")],
        keras.optimizers.SGD(0.1),
        auxiliary_weight=share,
    )
    algorithm.build(tf.TensorSpec(y.shape))
    algorithm.evaluate(x, y, np.ones(5, np.float32))
    figures = algorithm.metrics()
    assert figures["loss"] == pytest.approx(main, rel=1e-5)
    assert figures["accuracy"] == pytest.approx(np.mean(np.argmax(outputs["logits"], 1) == [0, 1, 2, 0, 1]))
    algorithm.reset()
    before = model.get_layer("auxiliary_1").kernel.numpy()
    algorithm.train(x, y, np.ones(5, np.float32))
    assert algorithm.metrics()["loss"] == pytest.approx(main + share * early, rel=1e-5)
    assert np.array_equal(model.get_layer("auxiliary_1").kernel.numpy(), before) == (share == 0)


@pytest.mark.usefixtures("own_module")
def test_the_serving_model_has_no_auxiliary_classifier(tmp_path):
    run = train(small_template(model="own_networks:network", train__epochs=1), output=tmp_path / "run")
    assert run.model().count_params() == SERVED + 4 * 10 + 10  # the run keeps it, to resume training
    assert run.record.parameters == SERVED
    serving = run.serving().model
    assert summarize(serving).parameters == SERVED
    assert list(serving.output) == ["probabilities"]
    x = np.random.default_rng(0).integers(0, 256, (4, 8, 8, 1)).astype("float32")
    probabilities = np.asarray(serving(x)["probabilities"])
    expected = keras.ops.softmax(Run(run.path).model()(x)["logits"])
    np.testing.assert_allclose(probabilities, expected, atol=1e-6)
    assert np.ptp(probabilities, axis=0).max() > 0
