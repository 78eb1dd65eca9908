import math

import keras
import numpy as np
import pytest

from dltemplates.models.attention.vit import vit_tiny
from dltemplates.models.summary import summarize, without_weights

TINY = {"patch_size": 4, "units": 12, "depth": 2, "num_heads": 3}


def images(height, width, channels=3, count=2):
    return np.random.default_rng(0).normal(size=(count, height, width, channels)).astype("float32")


def shake(network):
    """Change every weight, so that none is 0 or 1: then a missing one shows."""
    generator = np.random.default_rng(1)
    for weight in network.weights:
        weight.assign(weight + generator.normal(scale=0.3, size=weight.shape).astype("float32"))
    return network


def test_deit_ti_has_5_717_416_parameters_and_1_25_billion_macs():
    summary = summarize(without_weights(lambda: vit_tiny((224, 224, 3), 1000)))
    assert summary.parameters == summary.trainable == 5_717_416
    assert summary.macs == 1_253_683_200
    assert [row.kind for row in summary.rows].count("MultiHeadAttention") == 12
    sums = {row.output_shape for row in summary.rows if row.kind == "Add"}
    assert sums == {(None, 14 * 14 + 1, 192)}


def test_computes_what_the_paper_writes():
    """Equations 1 to 4 of section 3.1 and 5 to 8 of appendix A, in NumPy."""
    network = shake(vit_tiny((8, 12, 3), 5, **TINY))
    x = images(8, 12)
    expected = Paper(network, **TINY)(x.astype("float64"))
    logits = keras.ops.convert_to_numpy(network(x))
    np.testing.assert_allclose(logits, expected, rtol=1e-4, atol=1e-4)
    assert np.ptp(logits) > 1


class Paper:
    """Compute the paper's equations with the weights of a network, in their order."""

    def __init__(self, network, patch_size, units, depth, num_heads):
        self.patch_size, self.units, self.depth, self.num_heads = patch_size, units, depth, num_heads
        self.weights = iter([keras.ops.convert_to_numpy(weight).astype("float64") for weight in network.weights])

    def __call__(self, x):
        count, height, width, channels = x.shape
        p = self.patch_size
        patches = x.reshape(count, height // p, p, width // p, p, channels).swapaxes(2, 3)
        z = patches.reshape(count, -1, p * p * channels) @ self.take().reshape(-1, self.units) + self.take()
        z = np.concatenate([np.repeat(self.take(), count, axis=0), z], axis=1) + self.take()
        for _ in range(self.depth):
            z = z + self.attend(self.normalize(z))
            y = self.normalize(z) @ self.take() + self.take()
            y = y * 0.5 * (1 + np.vectorize(math.erf)(y / math.sqrt(2)))
            z = z + y @ self.take() + self.take()
        return self.normalize(z[:, 0]) @ self.take() + self.take()

    def take(self):
        return next(self.weights)

    def normalize(self, z):
        scale, offset = self.take(), self.take()
        return (z - z.mean(-1, keepdims=True)) / np.sqrt(z.var(-1, keepdims=True) + 1e-6) * scale + offset

    def attend(self, z):
        q, k, v = (np.einsum("ntu,uhd->nhtd", z, self.take()) + self.take()[:, None] for _ in range(3))
        scores = np.exp(q @ k.swapaxes(2, 3) / math.sqrt(self.units / self.num_heads))
        heads = scores / scores.sum(-1, keepdims=True) @ v
        return np.einsum("nhtd,hdu->ntu", heads, self.take()) + self.take()


def test_places_of_the_patches_are_known_by_their_embedding_alone():
    network = shake(vit_tiny((4, 16, 3), 5, **TINY))
    x = images(4, 16)
    swapped = np.concatenate([x[:, :, 8:], x[:, :, :8]], axis=2)
    assert np.abs(network(x) - network(swapped)).max() > 1e-2
    (place,) = [layer for layer in network.layers if type(layer).__name__ == "PositionEmbedding"]
    place.set_weights([np.zeros((1, 5, 12))])
    np.testing.assert_allclose(network(x), network(swapped), rtol=1e-3, atol=1e-4)


def test_one_patch_is_enough():
    assert vit_tiny((4, 4, 1), 3, **TINY).output_shape == (None, 3)


def test_each_head_has_a_unit_at_least():
    with pytest.raises(ValueError, match=r"multiple of `num_heads`. Received: units=2, num_heads=3. Try units=3\."):
        vit_tiny((32, 32, 3), 10, units=2)
