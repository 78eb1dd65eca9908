"""Variational autoencoders (VAE).

Kingma, Welling: "Auto-Encoding Variational Bayes", ICLR 2014, https://arxiv.org/abs/1312.6114, sections 2 and 3.

An encoder gives no code but a distribution of codes, a normal one for each unit; a decoder makes an example of a code
drawn from it. Training asks for two things at once: that the example comes back, and that all those distributions lie
about a standard normal one (their divergence from it, KL, is part of the loss). So any code drawn from the standard
normal distribution makes an example: the decoder is a generator, and near codes make similar ones.

`vae` is the paper's network for MNIST, a hidden layer of 500 units on either side. `conv_vae` has convolutions: 32 and
64 filters that each halve the resolution and a dense layer of 16 units before the code, and back.

Each is one network of two, `encoder` (to the mean, where it is not being trained) and `decoder`.
"""

import keras
from keras import layers

from dltemplates.layers.sampling import Sampling
from dltemplates.models.checks import check_halving
from dltemplates.models.generative.autoencoder import chain, conv_decoder, conv_features, dense_decoder, rectified
from dltemplates.models.ranges import Count, Counts, Shape, checked


@checked
def vae(
    input_shape: Shape,
    *,
    units: Counts = (500,),
    latent_dim: Count = 20,
    name: str = "vae",
) -> keras.Model:
    """Build the variational autoencoder of dense layers.

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
    x = rectified(layers.Flatten()(inputs), units)
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
    """Build the variational autoencoder of convolutions.

    Args:
        input_shape: As in `conv_autoencoder`.
        filters: As in `conv_autoencoder`.
        units: Width of the dense layer before the code.
        latent_dim: Length of the latent vector.
        name: Name of the model.

    Returns:
        As `conv_autoencoder`.

    Raises:
        ValueError: As `conv_autoencoder`, or if `units` is not positive.
    """
    check_halving(name, input_shape, filters)
    inputs = keras.Input(input_shape, name="inputs")
    x = rectified(layers.Flatten()(conv_features(inputs, filters)), [units])
    return chain(distribution(inputs, x, latent_dim), conv_decoder(input_shape, filters, latent_dim), name)


def distribution(inputs, x, latent_dim):
    """Build the encoder: a normal distribution for each latent unit, and a sample from it."""
    mean = layers.Dense(latent_dim, dtype="float32", name="mean")(x)
    log_variance = layers.Dense(latent_dim, dtype="float32", name="log_variance")(x)
    drawn = Sampling(name="code")([mean, log_variance])
    return keras.Model(inputs, drawn, name="encoder")
