import keras
import numpy as np
import pytest
import tensorflow as tf

from conftest import spec_of
from dltemplates.features import ClassId
from dltemplates.tasks.classification import Classification
from dltemplates.tasks.scoring.losses import PerceptronLoss, SmoothedTokenLoss

TWO = (ClassId(name="label", dtype="int64", shape=(), classes=("no", "yes")),)
THREE = (ClassId(name="label", dtype="int64", shape=(), classes=("a", "b", "c")),)


def test_the_gradient_of_the_perceptron_loss_is_rosenblatts_rule():
    x = tf.constant([[1.0, 2.0], [3.0, -1.0], [-1.0, 0.5], [0.0, 0.0]])
    target = tf.constant([[0.0], [1.0], [1.0], [0.0]])
    kernel = tf.Variable([[0.5], [0.25]])
    with tf.GradientTape() as tape:
        weighted = x @ kernel
        loss = PerceptronLoss(reduction="sum")(target, weighted)
    fired = (weighted.numpy() > 0).astype(float)
    assert 0 < fired.mean() < 1
    expected = -(x.numpy().T @ (target.numpy() - fired))
    np.testing.assert_allclose(tape.gradient(loss, kernel), expected)
    wrong = (fired != target.numpy())[:, 0]
    np.testing.assert_allclose(loss, np.abs(weighted.numpy()[:, 0])[wrong].sum())


def test_a_neuron_at_its_threshold_does_not_fire_and_is_corrected():
    """In loss, metric and decision alike; otherwise weights of 0 would never change."""
    task = Classification(spec_of(*TWO), binary=True, loss="perceptron")
    weighted, target = tf.Variable([[0.0], [0.0]]), tf.constant([[0.0], [1.0]])
    with tf.GradientTape() as tape:
        loss = PerceptronLoss(reduction="sum")(target, weighted)
    assert tape.gradient(loss, weighted).numpy().tolist() == [[0.0], [-1.0]]
    right = [float(task.metrics()[0](target[row], weighted[row])) for row in (slice(0, 1), slice(1, 2))]
    logits = keras.Input((1,))
    probabilities = keras.Model(logits, task.present(logits))(weighted.numpy())
    assert right == [1.0, 0.0]
    assert task.decide({"probabilities": np.asarray(probabilities)}).tolist() == [0, 0]


@pytest.mark.parametrize("truth", [(0, 0, 0, 1), (0, 1, 1, 1), (1, 1, 1, 0)])
def test_rosenblatts_rule_learns_from_zero_weights(truth):
    x = tf.constant([[0.0, 0, 1], [0, 1, 1], [1, 0, 1], [1, 1, 1]])  # the last column is the bias
    target = tf.constant(truth, tf.float32)[:, None]
    kernel = tf.Variable(tf.zeros([3, 1]))
    for step in range(100):
        row = slice(step % 4, step % 4 + 1)
        with tf.GradientTape() as tape:
            loss = PerceptronLoss(reduction="sum")(target[row], x[row] @ kernel)
        kernel.assign_sub(tape.gradient(loss, kernel))
    np.testing.assert_array_equal(x.numpy() @ kernel.numpy() > 0, target.numpy() > 0)


def test_probabilities_of_two_classes_with_one_logit_sum_to_1():
    task = Classification(spec_of(*TWO), binary=True)
    logits = keras.Input((1,))
    probabilities = keras.Model(logits, task.present(logits))(np.array([[-2.0], [0.0], [3.0]], np.float32))
    np.testing.assert_allclose(np.asarray(probabilities)[:, 1], 1 / (1 + np.exp([2.0, 0.0, -3.0])), rtol=1e-6)
    np.testing.assert_allclose(np.sum(probabilities, axis=1), 1, rtol=1e-6)
    np.testing.assert_array_equal(np.asarray(task.encode(tf.constant([0, 1]))), [[0.0], [1.0]])


@pytest.mark.parametrize(
    ("targets", "options", "message"),
    [
        (THREE, {"binary": True}, r"`binary`.*Received: True for 3 classes"),
        (TWO, {"binary": "yes"}, r"`binary`.*Received: 'yes'"),
        (TWO, {"loss": "perceptron"}, r"`loss`.*Received: 'perceptron'"),
        (
            TWO,
            {"loss": "perceptron", "binary": True, "label_smoothing": 0.1},
            r"`label_smoothing`.*Received: label_smoothing = 0.1 with loss = 'perceptron'",
        ),
        (TWO, {"loss": "hinge", "binary": True}, r"`loss`.*Received: 'hinge'"),
    ],
)
def test_invalid_options_are_refused(targets, options, message):
    with pytest.raises(ValueError, match=message):
        Classification(spec_of(*targets), **options)


IDS = np.random.default_rng(0).integers(0, 7, (3, 5)).astype(np.int32)
LOGITS = np.random.default_rng(1).normal(scale=4, size=(3, 5, 7)).astype(np.float32)
WEIGHTS = np.random.default_rng(2).integers(0, 2, (3, 5)).astype(np.float32)


@pytest.mark.parametrize("smoothing", [0.0, 0.1, 0.9])
def test_smoothed_tokens_are_keras_categorical_crossentropy(smoothing):
    own = SmoothedTokenLoss(smoothing)
    theirs = keras.losses.CategoricalCrossentropy(from_logits=True, label_smoothing=smoothing)
    one_hot = np.eye(7, dtype=np.float32)[IDS]
    np.testing.assert_allclose(own.call(IDS, LOGITS), theirs.call(one_hot, LOGITS), rtol=1e-5)
    expected = float(theirs(one_hot, LOGITS, sample_weight=WEIGHTS))
    assert float(own(IDS, LOGITS, sample_weight=WEIGHTS)) == pytest.approx(expected, rel=1e-5)


def test_tokens_without_smoothing_have_the_sparse_crossentropy():
    expected = keras.losses.SparseCategoricalCrossentropy(from_logits=True).call(IDS, LOGITS)
    np.testing.assert_allclose(SmoothedTokenLoss(0.0).call(IDS, LOGITS), expected, rtol=1e-5)


def test_the_gradient_of_smoothed_tokens_is_that_of_keras():
    gradients = []
    one_hot = np.eye(7, dtype=np.float32)[IDS]
    theirs = keras.losses.CategoricalCrossentropy(from_logits=True, label_smoothing=0.1)
    for loss, target in ((SmoothedTokenLoss(0.1), IDS), (theirs, one_hot)):
        logits = tf.Variable(LOGITS)
        with tf.GradientTape() as tape:
            value = loss(target, logits)
        gradients.append(tape.gradient(value, logits))
    np.testing.assert_allclose(*gradients, atol=1e-7)


def test_large_logits_have_a_finite_smoothed_loss():
    losses = np.asarray(SmoothedTokenLoss(0.1).call(IDS, LOGITS * 1e4))
    assert np.isfinite(losses).all()
    assert losses.min() > 0
