"""A step against plain NumPy, and against the exact likelihood of RBMs small enough to enumerate."""

import itertools

import keras
import numpy as np
import pytest
import tensorflow as tf

from dltemplates.models.generative.rbm import rbm
from dltemplates.training.algorithms.contrastive_divergence import ContrastiveDivergence

RATE, SEED = 0.1, 3


def learner(visible, units, **options):
    """Return the algorithm for an RBM with random weights and inputs without preprocessing."""
    keras.utils.set_random_seed(0)
    network = rbm((visible,), units=units)
    inputs = keras.Input((visible,))
    v0 = keras.layers.Identity(name="preprocessing")(inputs)
    model = keras.Model(inputs, network(v0), name=network.name)
    machine = network.get_layer("hidden")
    random = np.random.default_rng(0)
    machine.set_weights([random.normal(size=weight.shape) for weight in machine.get_weights()])
    optimizer = options.pop("optimizer", lambda: keras.optimizers.SGD(RATE))
    algorithm = ContrastiveDivergence(model, machine, optimizer, seed=SEED, **options)
    algorithm.build(None)
    return algorithm


def weights(algorithm):
    return [np.asarray(weight, np.float64) for weight in algorithm.machine.get_weights()]


def step(algorithm, v0):
    algorithm.train(tf.constant(v0, tf.float32), None, tf.ones(len(v0)))


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def drawn(shape, turn, step=0):
    """Return the uniform numbers in [0, 1) that a step compares probabilities with."""
    return tf.random.stateless_uniform(shape, [SEED * 64 + turn, step]).numpy()


def examples(count=7, visible=5):
    return np.float32(np.random.default_rng(1).random((count, visible)))


@pytest.mark.parametrize("turns", [1, 3])
def test_a_step_matches_numpy(turns):
    """Hidden units are sampled except in the last half-step; visible ones are not (Hinton 2010, section 3)."""
    v0 = examples()
    algorithm = learner(5, 4, gibbs_steps=turns, weight_decay=0.01)
    kernel, hidden_bias, visible_bias = weights(algorithm)
    h0 = sigmoid(v0 @ kernel + hidden_bias)
    hidden = h0
    for turn in range(turns):
        on = drawn(hidden.shape, 2 * turn) < hidden
        vk = sigmoid(on @ kernel.T + visible_bias)
        hidden = sigmoid(vk @ kernel + hidden_bias)
    expected = [
        kernel + RATE * ((v0.T @ h0 - vk.T @ hidden) / len(v0) - 0.01 * kernel),
        hidden_bias + RATE * (h0 - hidden).mean(axis=0),
        visible_bias + RATE * (v0 - vk).mean(axis=0),
    ]
    step(algorithm, v0)
    for before, wanted, found in zip((kernel, hidden_bias, visible_bias), expected, weights(algorithm), strict=True):
        assert np.abs(wanted - before).max() > 1e-3
        np.testing.assert_allclose(found, wanted, atol=1e-6)


def test_persistent_chains_continue_from_their_state():
    """Two steps of PCD-2, with all their random draws."""
    v0 = examples()
    algorithm = learner(5, 4, gibbs_steps=2, chains=7)
    chain = np.zeros((7, 4))
    for number in range(2):
        kernel, hidden_bias, visible_bias = weights(algorithm)
        h0 = sigmoid(v0 @ kernel + hidden_bias)
        vk = drawn((7, 5), 1, number) < sigmoid(chain @ kernel.T + visible_bias)
        on = drawn((7, 4), 2, number) < sigmoid(vk @ kernel + hidden_bias)
        vk = drawn((7, 5), 3, number) < sigmoid(on @ kernel.T + visible_bias)
        hidden = sigmoid(vk @ kernel + hidden_bias)
        chain = drawn((7, 4), 0, number) < hidden
        step(algorithm, v0)
        change = (v0.T @ h0 - vk.T @ hidden) / len(v0)
        np.testing.assert_allclose(weights(algorithm)[0], kernel + RATE * change, atol=1e-6)
        np.testing.assert_array_equal(algorithm.chain.numpy(), chain)
    assert 0 < chain.mean() < 1
    assert algorithm.variables["chain"] == [algorithm.chain]
    assert "chain" not in learner(5, 4).variables


def states(count):
    return np.array(list(itertools.product((0.0, 1.0), repeat=count)))


def log_likelihood(parts, v0):
    """Return the mean of log p(v) over the examples, from the sum over all states."""
    kernel, hidden_bias, visible_bias = parts

    def unnormalized(visible):  # log of the sum over hidden units of exp(-energy)
        return visible @ visible_bias + np.logaddexp(0, visible @ kernel + hidden_bias).sum(axis=1)

    return (unnormalized(v0) - np.logaddexp.reduce(unnormalized(states(v0.shape[1])))).mean()


def slopes(parts, v0):
    """Return the gradient of the exact log-likelihood, by finite differences."""
    gradients = []
    for part in parts:
        gradient = np.zeros_like(part)
        for place in np.ndindex(part.shape):
            before, sides = part[place], []
            for change in (1e-5, -1e-5):
                part[place] = before + change
                sides.append(log_likelihood(parts, v0))
            part[place] = before
            gradient[place] = (sides[0] - sides[1]) / 2e-5
        gradients.append(gradient)
    return gradients


def test_the_statistics_give_the_gradient_of_the_exact_likelihood():
    """The data statistics minus those of all states, each weighted by its probability."""
    algorithm = learner(3, 2)
    v0 = states(3)[[1, 3, 7, 7]]
    every = states(3)
    energies = algorithm.machine.free_energy(tf.constant(every, tf.float32)).numpy().astype(np.float64)
    shares = np.exp(-energies) / np.exp(-energies).sum()

    def statistics(visible, weight):
        hidden = algorithm.machine.hidden(tf.constant(visible, tf.float32))
        return algorithm._statistics(tf.constant(visible * weight[:, None], tf.float32), hidden)[0].numpy()

    found = statistics(v0, np.full(4, 0.25)) - statistics(every, shares)
    expected = slopes(weights(algorithm), v0)[0]
    assert np.abs(expected).max() > 0.1
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_long_persistent_chains_follow_the_gradient_of_the_exact_likelihood():
    v0 = np.repeat(states(3)[[1, 3, 7, 7]], 5000, axis=0)
    algorithm = learner(3, 2, gibbs_steps=20, chains=len(v0))
    before = weights(algorithm)
    step(algorithm, v0)
    expected = slopes(weights(learner(3, 2)), states(3)[[1, 3, 7, 7]])
    for old, new, gradient in zip(before, weights(algorithm), expected, strict=True):
        np.testing.assert_allclose((new - old) / RATE, gradient, atol=0.015)


@pytest.mark.parametrize("options", [{}, {"gibbs_steps": 3}, {"chains": 24}], ids=["CD-1", "CD-3", "persistent"])
def test_training_raises_the_exact_likelihood(options):
    """Three bars on six pixels, starting from the pixel probabilities of the data."""
    bars = np.array([[1, 1, 0, 0, 0, 0], [0, 0, 1, 1, 0, 0], [0, 0, 0, 0, 1, 1]], np.float32)
    v0 = np.repeat(bars, 8, axis=0)
    algorithm = learner(6, 4, **options)
    small = np.random.default_rng(0).normal(scale=0.01, size=(6, 4))
    algorithm.machine.set_weights([small, np.zeros(4), np.zeros(6)])
    algorithm.initialize_from_data([(tf.constant(v0), None, tf.ones(len(v0)))])
    begun = log_likelihood(weights(algorithm), bars)
    assert begun == pytest.approx(6 * (np.log(1 / 3) / 3 + np.log(2 / 3) * 2 / 3), abs=0.1)  # independent pixels
    algorithm.train = tf.function(algorithm.train)
    for _ in range(1500):
        step(algorithm, v0)
    reached = log_likelihood(weights(algorithm), bars)
    assert begun + 1.2 < reached < np.log(1 / 3)


def test_visible_biases_start_from_the_pixel_probabilities():
    """Padding is ignored, and pixels that were never on keep a small probability."""
    v0 = np.array([[1, 0, 0.5], [1, 0, 0.5], [0, 0, 0.5], [1, 1, 1]], np.float32)
    algorithm = learner(3, 2)
    before = weights(algorithm)
    algorithm.initialize_from_data([(v0[:2], None, tf.ones(2)), (v0[2:], None, tf.constant([1.0, 0.0]))])
    kernel, hidden_bias, visible_bias = weights(algorithm)
    np.testing.assert_allclose(sigmoid(visible_bias), (np.array([2, 0, 1.5]) + 1) / 5, atol=1e-6)
    np.testing.assert_array_equal(kernel, before[0])
    np.testing.assert_array_equal(hidden_bias, before[1])


def test_metrics_are_means_over_examples():
    v0 = examples(6)
    algorithm = learner(5, 4)
    kernel, hidden_bias, visible_bias = weights(algorithm)
    back = sigmoid(sigmoid(v0 @ kernel + hidden_bias) @ kernel.T + visible_bias)
    energy = -v0 @ visible_bias - np.logaddexp(0, v0 @ kernel + hidden_bias).sum(axis=1)
    padded = tf.constant(np.concatenate([v0, v0[:2] + 9]))
    algorithm.evaluate(padded, None, tf.constant([1.0] * 6 + [0.0] * 2))
    expected = {"loss": np.square(v0 - back).mean(), "free_energy": energy.mean()}
    assert algorithm.metrics() == pytest.approx(expected, rel=1e-5)


def test_a_loss_scale_changes_nothing():
    plain = learner(5, 4)
    scaled = learner(5, 4, optimizer=lambda: keras.optimizers.LossScaleOptimizer(keras.optimizers.SGD(RATE)))
    for algorithm in (plain, scaled):
        step(algorithm, examples())
    for first, second in zip(weights(plain), weights(scaled), strict=True):
        np.testing.assert_allclose(first, second, atol=1e-6)
