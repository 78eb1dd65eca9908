import keras
import numpy as np
import pytest


@pytest.fixture
def assert_twins():
    """Check that two networks compute the same from the same weights, none of which has its default value.

    The first is ours, the second that of `keras.applications`, both images to logits; theirs may want the images
    multiplied by a number (`their_scale`).
    """
    keras.utils.set_random_seed(0)

    def check(ours, theirs, *, their_scale=1.0):
        rng = np.random.default_rng(0)
        shape = (3, *ours.input_shape[1:])
        x = (rng.normal(size=shape) + rng.normal(size=(3, 1, 1, shape[-1]))).astype("float32")
        for layer in ours.layers:
            if isinstance(layer, keras.layers.BatchNormalization):
                layer.gamma.assign(rng.uniform(0.5, 1.5, layer.gamma.shape))
                layer.beta.assign(rng.normal(0, 0.5, layer.beta.shape))
                layer.momentum = 0.0  # takes the statistics of `x`, so that activations keep their scale
            elif getattr(layer, "bias", None) is not None:
                layer.bias.assign(rng.normal(0, 0.5, layer.bias.shape))
        ours(x, training=True)
        taking = [layer for layer in theirs.layers if not isinstance(layer, keras.layers.Normalization)]
        weights = [weight for layer in taking for weight in layer.weights]
        for weight, mine in zip(weights, ours.weights, strict=True):
            assert weight.shape[-2:] == mine.shape[-2:], (weight.path, mine.path)
            weight.assign(keras.ops.reshape(mine, weight.shape))  # their classifier may be a 1x1 convolution
        first = keras.ops.convert_to_numpy(ours(x))
        second = keras.ops.convert_to_numpy(theirs(x * their_scale))
        spread = np.ptp(first, axis=0)
        assert spread.mean() > 0.1  # the output depends on the input
        np.testing.assert_allclose(first, second, rtol=0, atol=1e-4 * spread.max())

    return check
