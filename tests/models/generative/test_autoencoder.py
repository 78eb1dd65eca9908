"""Sizes of the papers, encoder and decoder, each autoencoder's own features, and invalid arguments."""

import keras
import numpy as np
import pytest

from dltemplates.layers import Saturation
from dltemplates.models.generative.autoencoder import (
    autoencoder,
    conv_autoencoder,
    denoising_autoencoder,
    fc_autoencoder,
    sparse_autoencoder,
)

MNIST = (28, 28, 1)
BUILDERS = {
    "autoencoder": (autoencoder, {"units": (6,), "latent_dim": 3}),
    "sparse_autoencoder": (sparse_autoencoder, {"latent_dim": 3}),
    "conv_autoencoder": (conv_autoencoder, {"filters": (4, 6), "latent_dim": 3}),
    "denoising_autoencoder": (denoising_autoencoder, {"filters": (4, 6), "latent_dim": 3}),
    "fc_autoencoder": (fc_autoencoder, {"units": (6,), "latent_dim": 3}),
}
OF_IMAGES = (conv_autoencoder, denoising_autoencoder)
builders = pytest.mark.parametrize("name", BUILDERS)


def tiny(name, shape=(8, 12, 1), **options):
    builder, small = BUILDERS[name]
    return builder(shape, **small | options)


def test_the_papers_parameters():
    assert autoencoder(MNIST).count_params() == 2_837_314
    assert fc_autoencoder((640,)).count_params() == 269_992  # with the moving averages of the normalizations
    hidden = 28 * 28 * 196
    assert sparse_autoencoder(MNIST).count_params() == 2 * hidden + 196 + 28 * 28


def test_the_papers_widths():
    """784-1000-500-250-30 and back."""
    network = autoencoder(MNIST)
    widths = [
        [layer.units for layer in network.get_layer(part).layers if isinstance(layer, keras.layers.Dense)]
        for part in ("encoder", "decoder")
    ]
    assert widths == [[1000, 500, 250, 30], [250, 500, 1000, 784]]


@builders
def test_it_is_an_encoder_and_a_decoder(name):
    keras.utils.set_random_seed(0)  # with other seeds, all three units of the sparse latent vector may be off
    network = tiny(name)
    encoder, decoder = network.get_layer("encoder"), network.get_layer("decoder")
    x = np.random.default_rng(0).uniform(size=(5, 8, 12, 1)).astype("float32")
    code = encoder(x)
    assert code.shape == (5, 3)
    logits = network(x)
    assert logits.shape == x.shape
    assert logits.dtype == "float32"
    np.testing.assert_array_equal(decoder(code), logits)
    assert network.count_params() == encoder.count_params() + decoder.count_params()
    assert np.ptp(logits, axis=0).max() > 0


@pytest.mark.parametrize("name", ["autoencoder", "sparse_autoencoder", "fc_autoencoder"])
def test_rows_of_numbers_go_in_too(name):
    assert tiny(name, (7,)).output_shape == (None, 7)


def test_activity_of_the_sparse_code_is_in_the_loss():
    network = tiny("sparse_autoencoder", sparsity=0.5)
    x = np.random.default_rng(0).uniform(size=(4, 8, 12, 1)).astype("float32")
    network(x)
    (penalty,) = network.losses
    code = network.get_layer("encoder")(x)
    assert float(keras.ops.sum(code)) > 0
    # Keras divides the penalty by the batch size, like the loss.
    assert float(penalty) == pytest.approx(0.5 * float(keras.ops.sum(keras.ops.abs(code))) / 4, rel=1e-5)
    free = tiny("sparse_autoencoder", sparsity=0.0)
    free(x)
    assert float(sum(free.losses)) == 0


def test_a_heavier_penalty_makes_a_sparser_code():
    x = np.random.default_rng(0).uniform(size=(32, 16)).astype("float32")
    activity = []
    for sparsity in (0.0, 0.1):
        keras.utils.set_random_seed(0)
        network = sparse_autoencoder((16,), latent_dim=8, sparsity=sparsity)
        network.compile(keras.optimizers.Adam(0.01), "mse")
        network.fit(x, x, epochs=30, batch_size=32, verbose=0)
        activity.append(float(keras.ops.mean(network.get_layer("encoder")(x))))
    assert activity[1] < activity[0] / 3


def test_noise_is_there_in_training_alone():
    keras.utils.set_random_seed(0)
    network = tiny("denoising_autoencoder", noise=0.5)
    x = np.random.default_rng(0).uniform(size=(4, 8, 12, 1)).astype("float32")
    np.testing.assert_array_equal(network(x, training=False), network(x, training=False))
    assert np.abs(np.asarray(network(x, training=True) - network(x, training=False))).max() > 1e-3
    encoder = network.get_layer("encoder")
    (given,) = (layer.output for layer in encoder.layers if isinstance(layer, Saturation))
    seen = np.asarray(keras.Model(encoder.input, given)(x, training=True))
    assert (seen.min(), seen.max()) == (0, 1)  # as the targets
    assert 0.2 < np.std(seen - x) < 0.5
    without = tiny("denoising_autoencoder", noise=0.0)
    np.testing.assert_array_equal(without(x, training=True), without(x, training=False))


@pytest.mark.parametrize("builder", OF_IMAGES)
@pytest.mark.parametrize(
    ("shape", "match"),
    [
        ((28, 30, 1), r"multiples of 4\. Received: input_shape=\(28, 30, 1\)\. Try 28x32"),
        ((640,), "image"),
        ((2, 8, 1), "at least|4"),
    ],
)
def test_images_must_be_halved_so_often(builder, shape, match):
    with pytest.raises(ValueError, match=match):
        builder(shape)


@builders
@pytest.mark.parametrize("latent_dim", [0, -1, 2.5])
def test_a_latent_vector_has_a_length(name, latent_dim):
    with pytest.raises(ValueError, match=r"`latent_dim` must be .*Received: "):
        tiny(name, latent_dim=latent_dim)


@pytest.mark.parametrize(
    ("build", "match"),
    [
        (lambda: sparse_autoencoder(MNIST, sparsity=-1e-4), "`sparsity` must be .*Received: sparsity=-0.0001"),
        (lambda: sparse_autoencoder(MNIST, sparsity=float("nan")), "`sparsity` must be"),
        (lambda: denoising_autoencoder(MNIST, noise=-0.1), "`noise` must be .*Received: noise=-0.1"),
        (lambda: autoencoder(MNIST, units=(8, 0)), "`units` must"),
        (lambda: fc_autoencoder((640,), units=()), "`units` must"),
        (lambda: fc_autoencoder((0,)), "`input_shape` must"),
        (lambda: conv_autoencoder(MNIST, filters=(0,)), "`filters` must"),
    ],
)
def test_sizes_out_of_range_are_refused(build, match):
    with pytest.raises(ValueError, match=match):
        build()
