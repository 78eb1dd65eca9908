import keras
import numpy as np
import pytest
import tensorflow as tf

from dltemplates.layers import LocalResponseNormalization


def activations(channels, size=60.0):
    """Sample values, some far larger than their neighbours and a few negative."""
    return np.random.default_rng(0).normal(0, size, (2, 4, 3, channels)).astype("float32") ** 3 / size**2


@pytest.mark.parametrize(
    ("n", "k", "alpha", "beta"), [(5, 2.0, 1e-4, 0.75), (3, 1.0, 1e-2, 0.5), (1, 0.5, 1.0, 1.3), (9, 2.0, 1e-4, 0.75)]
)
@pytest.mark.parametrize("channels", [1, 3, 16])
def test_equals_tensorflows(channels, n, k, alpha, beta):
    x = activations(channels)
    expected = tf.nn.local_response_normalization(x, n // 2, k, alpha, beta).numpy()
    y = keras.ops.convert_to_numpy(LocalResponseNormalization(n=n, k=k, alpha=alpha, beta=beta)(x))
    assert np.ptp(x / expected) > 0.5  # it changes values, and not all by the same factor
    np.testing.assert_allclose(y, expected, rtol=2e-5, atol=1e-5)


def test_constants_are_the_papers():
    x = np.array([3.0, 100.0, -40.0, 5.0, 60.0, 7.0, 200.0], "float32")
    y = keras.ops.convert_to_numpy(LocalResponseNormalization()(x.reshape(1, 1, 1, 7))).reshape(7)
    sums = [sum(x[j] ** 2 for j in range(max(0, i - 2), min(6, i + 2) + 1)) for i in range(7)]
    np.testing.assert_allclose(y, x / (2 + 1e-4 * np.array(sums)) ** 0.75, rtol=1e-5)


def test_gradient_equals_tensorflows():
    x = tf.constant(activations(16))
    weights = tf.constant(np.random.default_rng(1).normal(size=x.shape).astype("float32"))
    gradients = []
    for normalize in (
        LocalResponseNormalization(),
        lambda x: tf.nn.local_response_normalization(x, 2, 2.0, 1e-4, 0.75),
    ):
        with tf.GradientTape() as tape:
            tape.watch(x)
            loss = tf.reduce_sum(normalize(x) * weights)
        gradients.append(tape.gradient(loss, x).numpy())
    assert np.ptp(gradients[1]) > 1
    np.testing.assert_allclose(gradients[0], gradients[1], rtol=1e-4, atol=1e-5)


def test_zeros_stay_zeros():
    np.testing.assert_array_equal(LocalResponseNormalization()(np.zeros((1, 2, 2, 8), "float32")), 0)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_half_precision_takes_large_activations(dtype):
    x = np.full((1, 1, 1, 8), 2000.0, "float32")  # its square exceeds the 65,504 of float16
    layer = LocalResponseNormalization(dtype=keras.DTypePolicy(f"mixed_{dtype}"))
    y = layer(x)
    assert keras.backend.standardize_dtype(y.dtype) == dtype
    expected = LocalResponseNormalization(dtype="float32")(x)
    np.testing.assert_allclose(keras.ops.cast(y, "float32"), expected, rtol=0.03)


def test_comes_back_from_a_definition_with_its_constants():
    inputs = keras.Input((4, 3, 16))
    network = keras.Model(inputs, LocalResponseNormalization(n=3, k=1.0, alpha=1e-2, beta=0.5, name="lrn")(inputs))
    again = keras.models.model_from_json(network.to_json())
    assert again.count_params() == 0
    assert again.get_layer("lrn").get_config() == network.get_layer("lrn").get_config()
    np.testing.assert_array_equal(again(activations(16)), network(activations(16)))


@pytest.mark.parametrize("n", [0, 4, -1, 2.5])
def test_the_channels_have_a_middle(n):
    with pytest.raises(ValueError, match=rf"`n` must be a positive odd number of channels. Received: n={n}. Try `n=5`"):
        LocalResponseNormalization(n=n)


@pytest.mark.parametrize("constant", ["k", "alpha", "beta"])
@pytest.mark.parametrize("value", [0, -1.0, float("nan")])
def test_constants_are_positive(constant, value):
    with pytest.raises(ValueError, match=rf"must be positive. Received: .*{constant}={value}.* Try `k=2.0"):
        LocalResponseNormalization(**{constant: value})
