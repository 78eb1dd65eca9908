"""A step of variational training, against the same computation in plain TensorFlow."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from scipy.stats import norm

from dltemplates.layers.sampling import Sampling
from dltemplates.template import parse_template
from dltemplates.training.algorithms.algorithm import VALIDATION_SEED_OFFSET
from dltemplates.training.prepare import prepare
from dltemplates.training.workers.replicas import for_replicas

SEED, ROWS, CODE, RATE = 3, 16, 2, 0.01
ONES = tf.ones(ROWS)


def template(**options):
    return parse_template(
        {
            "task": {"name": "variational", "loss": "cross_entropy"} | options,
            "dataset": {"name": "digits"},
            "model": {"name": "vae", "units": [12], "latent_dim": CODE},
            "train": {"optimizer": "sgd", "learning_rate": RATE, "batch_size": ROWS, "epochs": 1},
            "seed": SEED,
        }
    )


@pytest.fixture
def training():
    return prepare(template())


@pytest.fixture
def batch(training):
    return next(iter(training.stages[0].batches(0)))


def weights_of(training):
    """Return kernel and bias of hidden, mean, log variance (encoder), hidden and logits (decoder)."""
    network = training.model.get_layer("vae")
    encoder, decoder = network.get_layer("encoder"), network.get_layer("decoder")
    dense = [layer for layer in encoder.layers if isinstance(layer, keras.layers.Dense)]
    assert [layer.name for layer in dense[1:]] == ["mean", "log_variance"]
    dense += [layer for layer in decoder.layers if isinstance(layer, keras.layers.Dense)]
    return [(layer.kernel.value, layer.bias.value) for layer in dense]


def forward_pass(weights, images, step):
    """Return images and reconstructions, (batch, 64) each, and mean and log variance of the latent vectors."""
    hidden, to_mean, to_logarithm, back, out = weights
    x = tf.reshape(tf.cast(images, tf.float32), [-1, 64]) / 255
    h = tf.nn.relu(x @ hidden[0] + hidden[1])
    mean, logarithm = h @ to_mean[0] + to_mean[1], h @ to_logarithm[0] + to_logarithm[1]
    noise = tf.random.stateless_normal([len(images), CODE], [SEED * 64, step])
    code = mean + tf.sqrt(tf.exp(logarithm)) * noise
    white = tf.sigmoid(tf.nn.relu(code @ back[0] + back[1]) @ out[0] + out[1])
    return x, white, mean, logarithm


def expected_losses(weights, images, step):
    """Return reconstruction loss and divergence of each example, in nats."""
    x, white, mean, logarithm = forward_pass(weights, images, step)
    likelihood = tf.reduce_sum(x * tf.math.log(white) + (1 - x) * tf.math.log(1 - white), axis=1)
    divergence = -0.5 * tf.reduce_sum(1 + logarithm - mean**2 - tf.exp(logarithm), axis=1)  # appendix B of the paper
    return -likelihood, divergence


def test_with_squared_errors_the_bound_lacks_a_constant(batch):
    """The squared error is that of a normal distribution of variance 1/2 around the reconstruction."""
    training = prepare(template(loss="mse"))
    images, targets, _ = batch
    training.stages[-1].algorithm.evaluate(images, targets, ONES)
    x, reconstruction, *_ = forward_pass(weights_of(training), images, VALIDATION_SEED_OFFSET)
    likelihood = norm.logpdf(x, reconstruction, scale=np.sqrt(0.5)).sum(axis=1)
    figures = training.stages[-1].algorithm.metrics()
    assert figures["reconstruction"] == pytest.approx(-likelihood.mean() - 64 * np.log(np.pi) / 2, rel=1e-5)
    assert np.log(np.pi) / 2 == pytest.approx(0.572, abs=5e-4)


def test_metrics_match_the_bound(training, batch):
    images, targets, _ = batch
    training.stages[-1].algorithm.evaluate(images, targets, ONES)
    figures = training.stages[-1].algorithm.metrics()
    reconstruction, divergence = (
        part.numpy() for part in expected_losses(weights_of(training), images, VALIDATION_SEED_OFFSET)
    )
    assert list(figures) == ["loss", "reconstruction", "kl"]
    assert figures["reconstruction"] == pytest.approx(reconstruction.mean(), rel=1e-5)
    assert figures["kl"] == pytest.approx(divergence.mean(), rel=1e-4)
    assert figures["loss"] == pytest.approx(figures["reconstruction"] + figures["kl"], rel=1e-6)


def test_padding_is_ignored(training, batch):
    images, targets, _ = batch
    weight = tf.constant([1.0] * 10 + [0.0] * 6)
    training.stages[-1].algorithm.evaluate(images, targets, weight)
    reconstruction, divergence = (
        part.numpy()[:10] for part in expected_losses(weights_of(training), images, VALIDATION_SEED_OFFSET)
    )
    figures = training.stages[-1].algorithm.metrics()
    assert figures["kl"] == pytest.approx(divergence.mean(), rel=1e-4)
    assert figures["reconstruction"] == pytest.approx(reconstruction.mean(), rel=1e-5)


def test_a_step_follows_the_gradient_of_the_bound(training, batch):
    images, targets, weight = batch
    before = weights_of(training)
    flat = [variable for pair in before for variable in pair]
    old = [variable.numpy() for variable in flat]
    with tf.GradientTape() as tape:
        tape.watch(flat)
        parts = expected_losses(before, images, 0)
        loss = tf.reduce_mean(parts[0] + parts[1])
    gradients = tape.gradient(loss, flat)
    expected = [value - RATE * gradient.numpy() for value, gradient in zip(old, gradients, strict=True)]
    training.stages[-1].algorithm.train(images, targets, weight)
    after = [variable.numpy() for pair in weights_of(training) for variable in pair]
    for first, second, was in zip(expected, after, old, strict=True):
        np.testing.assert_allclose(second, first, rtol=1e-4, atol=1e-6)
        assert not np.array_equal(second, was)
    assert training.stages[-1].algorithm.metrics()["loss"] == pytest.approx(float(loss), rel=1e-5)


def test_every_step_draws_new_latent_vectors(training, batch):
    images, targets, weight = batch
    training.stages[-1].algorithm.train(images, targets, weight)
    second = expected_losses(weights_of(training), images, 1)
    training.stages[-1].algorithm.reset()
    training.stages[-1].algorithm.train(images, targets, weight)
    assert training.stages[-1].algorithm.metrics()["kl"] == pytest.approx(second[1].numpy().mean(), rel=1e-4)
    assert training.stages[-1].algorithm.metrics()["reconstruction"] == pytest.approx(
        second[0].numpy().mean(), rel=1e-5
    )


def test_the_divergence_equals_its_integral():
    """The integral of `q log(q / p)`, for q of mean 0.7 and variance 0.3, and p standard normal."""
    mean, variance = 0.7, 0.3
    x = np.linspace(-12, 12, 200_001)
    log_q = -((x - mean) ** 2) / (2 * variance) - 0.5 * np.log(2 * np.pi * variance)
    log_p = -(x**2) / 2 - 0.5 * np.log(2 * np.pi)
    integral = np.trapezoid(np.exp(log_q) * (log_q - log_p), x)
    assert 0.5 * (mean**2 + variance - np.log(variance) - 1) == pytest.approx(integral, abs=1e-8)


def test_a_squared_error_is_summed_over_the_pixels():
    training = prepare(template(loss="mse"))
    images, targets, _ = next(iter(training.stages[0].batches(0)))
    training.stages[-1].algorithm.evaluate(images, targets, ONES)
    hidden, to_mean, to_logarithm, back, out = weights_of(training)
    x = tf.reshape(tf.cast(images, tf.float32), [-1, 64]) / 255
    h = tf.nn.relu(x @ hidden[0] + hidden[1])
    noise = tf.random.stateless_normal([ROWS, CODE], [SEED * 64, VALIDATION_SEED_OFFSET])
    code = h @ to_mean[0] + to_mean[1] + tf.exp((h @ to_logarithm[0] + to_logarithm[1]) / 2) * noise
    white = tf.sigmoid(tf.nn.relu(code @ back[0] + back[1]) @ out[0] + out[1])
    expected = tf.reduce_mean(tf.reduce_sum((white - x) ** 2, axis=1))
    assert training.stages[-1].algorithm.metrics()["reconstruction"] == pytest.approx(float(expected), rel=1e-5)


def test_a_layer_draws_the_same_noise_on_several_devices():
    """In other tasks the layer draws the noise, not the training step."""
    mean, log_variance = keras.Input((3,)), keras.Input((3,))
    plain = keras.Model([mean, log_variance], Sampling(seed=1)([mean, log_variance]))
    copy = for_replicas(plain)
    inputs = [np.ones((8, 3), "float32"), np.zeros((8, 3), "float32")]
    first, second = (keras.ops.convert_to_numpy(model(inputs, training=True)) for model in (plain, copy))
    np.testing.assert_array_equal(first, second)
    assert np.ptp(first) > 0
    np.testing.assert_array_equal(copy(inputs, training=False), inputs[0])
