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

from collections.abc import Sequence

import keras
from keras import layers

from dltemplates.layers.sampling import Sampling
from dltemplates.models.checks import check_count, check_halving, check_widths
from dltemplates.models.generative.autoencoder import chain, conv_decoder, conv_features, dense_decoder, rectified


def vae(
    input_shape: tuple[int, ...],
    *,
    units: Sequence[int] = (500,),
    code: int = 20,
    name: str = "vae",
) -> keras.Model:
    """Build the variational autoencoder of dense layers.

    Args: Those of `autoencoder`.

    Returns: As `autoencoder`.

    Raises: As `autoencoder`.
    """
    check_widths("input_shape", input_shape, "(28, 28, 1)")
    check_widths("units", units, "[500]")
    check_count("code", code, 20)
    inputs = keras.Input(input_shape, name="inputs")
    x = rectified(layers.Flatten()(inputs), units)
    return chain(distribution(inputs, x, code), dense_decoder(input_shape, units, code), name)


def conv_vae(
    input_shape: tuple[int, int, int],
    *,
    filters: Sequence[int] = (32, 64),
    units: int = 16,
    code: int = 2,
    name: str = "conv_vae",
) -> keras.Model:
    """Build the variational autoencoder of convolutions.

    Args:
        input_shape: As in `conv_autoencoder`.
        filters: As in `conv_autoencoder`.
        units: Width of the dense layer before the code.
        code: Length of the code.
        name: Name of the model.

    Returns:
        As `conv_autoencoder`.

    Raises:
        ValueError: As `conv_autoencoder`, or if `units` is not positive.
    """
    check_halving(name, input_shape, filters)
    check_count("units", units, 16)
    check_count("code", code, 2)
    inputs = keras.Input(input_shape, name="inputs")
    x = rectified(layers.Flatten()(conv_features(inputs, filters)), [units])
    return chain(distribution(inputs, x, code), conv_decoder(input_shape, filters, code), name)


def distribution(inputs, x, code):
    """The encoder: a normal distribution for each unit of the code, and a draw from it."""
    mean = layers.Dense(code, dtype="float32", name="mean")(x)
    log_variance = layers.Dense(code, dtype="float32", name="log_variance")(x)
    drawn = Sampling(name="code")([mean, log_variance])
    return keras.Model(inputs, drawn, name="encoder")
