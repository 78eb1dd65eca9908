"""Weights of examples, and of elements of examples such as tokens and boxes."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from dltemplates.datasets.pipeline import weighted
from dltemplates.training.algorithms.supervised import Supervised, loss_of_elements

LENGTH = CLASSES = 4
CROSS_ENTROPY = keras.losses.CategoricalCrossentropy


def tagger():
    """Return a model that predicts a class for each of four tokens, from three numbers each."""
    keras.utils.set_random_seed(0)
    inputs = keras.Input((LENGTH, 3))
    return keras.Model(inputs, keras.layers.Dense(CLASSES)(inputs), name="tagger")


def tokens(count):
    random = np.random.default_rng(0)
    classes = random.integers(0, CLASSES, (count, LENGTH))
    return random.random((count, LENGTH, 3), np.float32), np.eye(CLASSES, dtype=np.float32)[classes]


def make(model, losses, metrics):
    return Supervised(model, losses, metrics, keras.optimizers.SGD(0.5))


@pytest.mark.parametrize("count", [3, LENGTH])  # as many examples as tokens: a wrong axis would broadcast
def test_token_weights_apply_to_loss_gradient_and_metric(count):
    inputs, targets = tokens(count)
    lengths = np.arange(count) % LENGTH + 1
    weights = (np.arange(LENGTH) < lengths[:, None]).astype(np.float32)
    weights[0, 0] = 2.0
    model = tagger()
    metric = keras.metrics.CategoricalAccuracy(name="accuracy")
    algorithm = make(model, CROSS_ENTROPY(from_logits=True), [metric])
    algorithm.build(tf.TensorSpec(targets.shape))
    logits = np.asarray(model(inputs))
    each = np.asarray(CROSS_ENTROPY(from_logits=True, reduction="none")(targets, logits))
    is_right = logits.argmax(-1) == targets.argmax(-1)
    counted = weights != 0

    algorithm.evaluate(inputs, targets, weights)
    expected = {"loss": (each * weights).sum() / counted.sum(), "accuracy": is_right[counted].mean()}
    assert algorithm.metrics() == pytest.approx(expected, rel=1e-5)

    shares = np.exp(logits) / np.exp(logits).sum(-1, keepdims=True)
    gradient = np.einsum("btf,btc->fc", inputs, (shares - targets) * weights[..., None]) / counted.sum()
    before = np.array(model.layers[-1].kernel)
    algorithm.train(inputs, targets, weights)
    np.testing.assert_allclose(before - np.asarray(model.layers[-1].kernel), 0.5 * gradient, atol=1e-6)


def test_a_batch_with_zero_weights_changes_nothing():
    inputs, targets = tokens(3)
    model = tagger()
    algorithm = make(model, CROSS_ENTROPY(from_logits=True), [])
    algorithm.build(tf.TensorSpec(targets.shape))
    before = model.get_weights()
    algorithm.train(inputs, targets, np.zeros((3, LENGTH), np.float32))
    assert algorithm.metrics() == {"loss": 0.0}
    for old, new in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)


def test_several_outputs_have_their_own_losses_weights_and_metrics():
    keras.utils.set_random_seed(0)
    inputs = keras.Input((3,))
    outputs = {
        "boxes": keras.layers.Reshape((2, 4))(keras.layers.Dense(8)(inputs)),
        "logits": keras.layers.Dense(2)(inputs),
    }
    model = keras.Model(inputs, outputs, name="detector")
    random = np.random.default_rng(0)
    x, boxes, flags = (random.random(shape, np.float32) for shape in ((5, 3), (5, 2, 4), (5, 2)))
    targets = {"boxes": boxes, "logits": flags}
    weights = {"boxes": np.float32([[1, 0], [1, 1], [0, 0], [0.5, 0], [1, 1]]), "logits": np.ones(5, np.float32)}
    algorithm = make(
        model,
        {"boxes": keras.losses.MeanAbsoluteError(), "logits": keras.losses.BinaryCrossentropy(from_logits=True)},
        {"boxes": [keras.metrics.MeanAbsoluteError(name="box_error")], "logits": []},
    )
    algorithm.build({name: tf.TensorSpec(array.shape) for name, array in targets.items()})
    found = {name: np.asarray(output) for name, output in model(x).items()}
    errors = np.abs(found["boxes"] - boxes).mean(-1)
    box_loss = (errors * weights["boxes"]).sum() / 6
    cross_entropy = (
        np.maximum(found["logits"], 0) - found["logits"] * flags + np.log1p(np.exp(-np.abs(found["logits"])))
    )
    algorithm.evaluate(x, targets, weights)
    expected = {
        "loss": box_loss + cross_entropy.mean(),
        "boxes_loss": box_loss,
        "logits_loss": cross_entropy.mean(),
        "box_error": errors[weights["boxes"] != 0].mean(),
    }
    assert algorithm.metrics() == pytest.approx(expected, rel=1e-5)
    before = algorithm.mean_loss()
    for _ in range(30):
        algorithm.train(x, targets, weights)
    algorithm.reset()
    algorithm.evaluate(x, targets, weights)
    assert algorithm.mean_loss() < before


def test_a_loss_is_averaged_over_axes_without_weights():
    loss = keras.losses.BinaryCrossentropy(from_logits=True, reduction="none")
    images, logits = tf.zeros([2, 3, 3, 1]), tf.random.stateless_normal([2, 3, 3, 1], [0, 0])
    expected = tf.reduce_mean(loss(images, logits), axis=[1, 2])
    np.testing.assert_allclose(loss_of_elements(loss, images, logits, tf.ones(2)), expected, rtol=1e-6)


@pytest.mark.parametrize("shape", [(2, 3), (4,)])
def test_weights_with_other_axes_than_the_loss_are_refused(shape):
    loss = keras.losses.MeanSquaredError(reduction="none")
    with pytest.raises(ValueError, match=r"Received: weights \(.*for a loss \(2, 4\).*Task\.batch"):
        loss_of_elements(loss, tf.zeros([2, 4, 5]), tf.zeros([2, 4, 5]), tf.ones(shape))


def test_example_weights_multiply_the_weights_of_the_task():
    rows = tf.constant([1.0, 0.0])
    _, _, weights = weighted((1, 2, None), rows)
    np.testing.assert_array_equal(weights, [1, 0])
    _, _, weights = weighted((1, {"boxes": 2, "logits": 3}, None), rows)
    assert sorted(weights) == ["boxes", "logits"]
    _, _, weights = weighted((1, 2, {"boxes": tf.constant([[2.0, 1.0], [1.0, 1.0]]), "logits": rows}), rows)
    np.testing.assert_array_equal(weights["boxes"], [[2, 1], [0, 0]])
    np.testing.assert_array_equal(weights["logits"], [1, 0])
