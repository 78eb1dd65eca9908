"""Variational autoencoders (VAE).

Kingma, Welling: "Auto-Encoding Variational Bayes", ICLR 2014, https://arxiv.org/abs/1312.6114, sections 2 and 3.

The encoder outputs a normal distribution for each unit of the latent vector (also called a code), and the decoder
reconstructs the example from a sample of it. The loss has two terms: the reconstruction error, and the divergence (KL)
of these distributions from a standard normal one. The decoder can then generate an example from any sample of the
standard normal distribution, and similar latent vectors give similar examples.

`vae` is the paper's network for MNIST, with a hidden layer of 500 units on either side. `conv_vae` has convolutions
with 32 and 64 filters that each halve the resolution, a dense layer of 16 units before the latent vector, and the
reverse in the decoder.

Each network has two submodels, `encoder` (it outputs the mean, except in training) and `decoder`.
"""

import keras
from keras import layers

from dltemplates.layers.sampling import Sampling
from dltemplates.models.checks import check_halving
from dltemplates.models.generative.autoencoder import chain, conv_decoder, conv_features, dense_decoder, dense_relu
from dltemplates.models.ranges import Count, Counts, Shape, checked


@checked
def vae(
    input_shape: Shape,
    *,
    units: Counts = (500,),
    latent_dim: Count = 20,
    name: str = "vae",
) -> keras.Model:
    """Build the variational autoencoder with dense layers.

    Args:
        input_shape: Shape of an example, of any rank.
        units: Width of each hidden layer of the encoder; the decoder has them in reverse.
        latent_dim: Length of the latent vector.
        name: Name of the model.

    Returns:
        A functional model: `(batch, *input_shape)` float32 to float32 logits of the same shape.

    Raises:
        ValueError: If `input_shape`, `units` or `latent_dim` is not positive.
    """
    inputs = keras.Input(input_shape, name="inputs")
    x = dense_relu(layers.Flatten()(inputs), units)
    return chain(distribution(inputs, x, latent_dim), dense_decoder(input_shape, units, latent_dim), name)


@checked
def conv_vae(
    input_shape: tuple[int, int, int],
    *,
    filters: Counts = (32, 64),
    units: Count = 16,
    latent_dim: Count = 2,
    name: str = "conv_vae",
) -> keras.Model:
    """Build the variational autoencoder with convolutions.

    Args:
        input_shape: `(height, width, channels)`; height and width multiples of 2 to the power of the number of
            `filters`, so 4 by default.
        filters: Filters of each convolution of the encoder, which halves the resolution; the decoder has them in
            reverse.
        units: Width of the dense layer before the latent vector.
        latent_dim: Length of the latent vector.
        name: Name of the model.

    Returns:
        A functional model: `(batch, height, width, channels)` float32 to float32 logits of the same shape.

    Raises:
        ValueError: If the input is not an image or cannot be halved that many times, or `filters`, `units` or
            `latent_dim` is not positive.
    """
    check_halving(name, input_shape, filters)
    inputs = keras.Input(input_shape, name="inputs")
    x = dense_relu(layers.Flatten()(conv_features(inputs, filters)), [units])
    return chain(distribution(inputs, x, latent_dim), conv_decoder(input_shape, filters, latent_dim), name)


def distribution(inputs, x, latent_dim):
    """Build the encoder: a normal distribution for each latent unit, and a sample from it."""
    mean = layers.Dense(latent_dim, dtype="float32", name="mean")(x)
    log_variance = layers.Dense(latent_dim, dtype="float32", name="log_variance")(x)
    sample = Sampling(name="code")([mean, log_variance])
    return keras.Model(inputs, sample, name="encoder")
