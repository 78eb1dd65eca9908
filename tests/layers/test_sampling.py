import keras
import numpy as np
import pytest

from dltemplates.layers.sampling import Sampling


def network(seed=0, units=3):
    mean, log_variance = keras.Input((units,), name="mean"), keras.Input((units,), name="log_variance")
    return keras.Model([mean, log_variance], Sampling(seed=seed, name="code")([mean, log_variance]))


def drawn(model, mean, log_variance, **options):
    return keras.ops.convert_to_numpy(model([np.float32(mean), np.float32(log_variance)], **options))


def test_elsewhere_than_in_training_it_is_the_mean():
    mean = np.random.default_rng(0).normal(size=(5, 3))
    np.testing.assert_array_equal(drawn(network(), mean, np.ones((5, 3)), training=False), np.float32(mean))
    assert network().output_shape == (None, 3)


def test_in_training_it_is_drawn_from_the_distribution():
    codes = drawn(network(), np.full((20000, 3), [1, -2, 0]), np.full((20000, 3), np.log([4, 1, 0.25])), training=True)
    np.testing.assert_allclose(codes.mean(axis=0), [1, -2, 0], atol=0.05)
    np.testing.assert_allclose(codes.std(axis=0), [2, 1, 0.5], rtol=0.03)
    assert abs(np.corrcoef(codes.T)[0, 1]) < 0.03


def test_every_draw_is_another_and_a_seed_gives_the_same_ones():
    model, again, other = network(0), network(0), network(1)
    zeros = np.zeros((2, 3))
    first, second = (drawn(model, zeros, zeros, training=True) for _ in range(2))
    assert not np.array_equal(first, second)
    np.testing.assert_array_equal(first, drawn(again, zeros, zeros, training=True))
    assert not np.array_equal(first, drawn(other, zeros, zeros, training=True))


def test_the_gradient_finds_back_through_the_draw():
    """Gradients of `mean + exp(log_variance / 2) * noise`: 1 for the mean, half the added noise for the logarithm."""
    tf = pytest.importorskip("tensorflow")
    model = network()
    mean, log_variance = tf.zeros((4, 3)), tf.ones((4, 3))
    with tf.GradientTape() as tape:
        tape.watch([mean, log_variance])
        codes = model([mean, log_variance], training=True)
    to_mean, to_logarithm = tape.gradient(codes, [mean, log_variance])
    np.testing.assert_array_equal(to_mean, np.ones((4, 3)))
    np.testing.assert_allclose(to_logarithm, codes / 2, rtol=1e-5)


def test_it_comes_back_from_a_definition():
    model = network(7)
    again = keras.models.model_from_json(model.to_json())
    assert again.get_layer("code").seed == 7
    assert drawn(again, np.ones((1, 3)), np.ones((1, 3)), training=False).tolist() == [[1, 1, 1]]
