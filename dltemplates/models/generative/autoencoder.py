"""Autoencoders: networks that learn to give back what they are given, through a code that is too small for all of it.

Hinton, Salakhutdinov: "Reducing the Dimensionality of Data with Neural Networks", Science 313, 2006,
https://doi.org/10.1126/science.1127647.

An encoder makes a short code of an example, a decoder makes the example of the code again. Nobody says what the code is
to mean: what is worth keeping is what brings the example back, so that the code comes to hold what the examples differ
in. With linear layers it would be a principal component analysis.

- `autoencoder`: dense layers, with the paper's widths for MNIST, 784-1000-500-250-30 and back: 2,837,314 parameters at
  28x28x1. (The paper trained it layer by layer first, with sigmoids; rectified units need no such start.)
- `conv_autoencoder`: convolutions that halve the resolution, transposed ones that double it.
- `denoising_autoencoder`: Vincent, Larochelle, Bengio, Manzagol: "Extracting and Composing Robust Features with
  Denoising Autoencoders", ICML 2008, https://doi.org/10.1145/1390156.1390294. Noise is added to what it sees, in
  training alone, and it is to give back what was there before: it must learn what examples look like. (There a share
  of the values is set to 0; here the noise is normal, which its sequel tries too, JMLR 11, 2010.)
- `sparse_autoencoder`: Ng: "Sparse autoencoder", CS294A lecture notes, 2011,
  https://web.stanford.edu/class/cs294a/sparseAutoencoder.pdf. The code may be long, but few of its units may be active
  at once. (There each sigmoid unit is to be active on average as often as is said; here rectified ones cost what they
  add up to, by which many become exactly 0.)
- `fc_autoencoder`: that of Banbury et al.: "MLPerf Tiny Benchmark", NeurIPS 2021, https://arxiv.org/abs/2106.07597, for
  the sound of machines (five spectra of 128 bands, 640 numbers): 269,992 parameters in all. What it cannot give back is
  not what it was trained on: an anomaly.

Each is one network of two, `encoder` and `decoder`, and gives logits of the values.
"""

import math

import keras
from keras import layers, regularizers

from dltemplates.layers import Saturation
from dltemplates.models.blocks import normalize, relu
from dltemplates.models.checks import check_halving
from dltemplates.models.ranges import Count, Counts, NonNegative, Shape, checked


@checked
def autoencoder(
    input_shape: Shape,
    *,
    units: Counts = (1000, 500, 250),
    latent_dim: Count = 30,
    name: str = "autoencoder",
) -> keras.Model:
    """Build an autoencoder of dense layers.

    Args:
        input_shape: Shape of an example, of any rank.
        units: Width of each hidden layer of the encoder; the decoder has them the other way round.
        latent_dim: Length of the latent vector.
        name: Name of the model.

    Returns:
        A functional model: `(batch, *input_shape)` float32 to as many float32 logits.

    Raises:
        ValueError: If `input_shape`, `units` or `latent_dim` is not positive.
    """
    inputs = keras.Input(input_shape, name="inputs")
    x = rectified(layers.Flatten()(inputs), units)
    encoded = keras.Model(inputs, layers.Dense(latent_dim, name="code")(x), name="encoder")
    return chain(encoded, dense_decoder(input_shape, units, latent_dim), name)


@checked
def sparse_autoencoder(
    input_shape: Shape,
    *,
    latent_dim: Count = 196,
    sparsity: NonNegative = 1e-4,
    name: str = "sparse_autoencoder",
) -> keras.Model:
    """Build an autoencoder of one hidden layer, few of whose units are active at once.

    Args:
        input_shape: Shape of an example, of any rank.
        latent_dim: Length of the latent vector.
        sparsity: Weight of the sum of the code's absolute values in the loss (L1).
        name: Name of the model.

    Returns:
        As `autoencoder`.

    Raises:
        ValueError: If `input_shape` or `latent_dim` is not positive, or `sparsity` is negative.
    """
    inputs = keras.Input(input_shape, name="inputs")
    x = layers.Flatten()(inputs)
    x = layers.Dense(latent_dim, activation="relu", activity_regularizer=regularizers.L1(sparsity), name="code")(x)
    return chain(keras.Model(inputs, x, name="encoder"), dense_decoder(input_shape, (), latent_dim), name)


@checked
def conv_autoencoder(
    input_shape: tuple[int, int, int],
    *,
    filters: Counts = (32, 64),
    latent_dim: Count = 32,
    name: str = "conv_autoencoder",
) -> keras.Model:
    """Build an autoencoder of convolutions.

    Args:
        input_shape: `(height, width, channels)`; height and width multiples of 2 to the power of the number of
            `filters`, so 4 by default.
        filters: Filters of each convolution of the encoder, each of which halves the resolution; the decoder has them
            the other way round.
        latent_dim: Length of the latent vector.
        name: Name of the model.

    Returns:
        A functional model: `(batch, height, width, channels)` float32 to as many float32 logits.

    Raises:
        ValueError: If the input is no image or cannot be halved so often, or `filters` or `latent_dim` is not positive.
    """
    check_halving(name, input_shape, filters)
    inputs = keras.Input(input_shape, name="inputs")
    x = conv_features(inputs, filters)
    encoded = keras.Model(inputs, layers.Dense(latent_dim, name="code")(layers.Flatten()(x)), name="encoder")
    return chain(encoded, conv_decoder(input_shape, filters, latent_dim), name)


@checked
def denoising_autoencoder(
    input_shape: tuple[int, int, int],
    *,
    noise: NonNegative = 0.3,
    filters: Counts = (32, 64),
    latent_dim: Count = 64,
    name: str = "denoising_autoencoder",
) -> keras.Model:
    """Build an autoencoder of convolutions that sees noise in training.

    Args:
        input_shape: As in `conv_autoencoder`.
        noise: Standard deviation of the noise, where an example's values are between 0 and 1; what it brings beyond
            them is cut off.
        filters: As in `conv_autoencoder`.
        latent_dim: Length of the latent vector.
        name: Name of the model.

    Returns:
        As `conv_autoencoder`.

    Raises:
        ValueError: As `conv_autoencoder`, or if `noise` is negative.
    """
    check_halving(name, input_shape, filters)
    inputs = keras.Input(input_shape, name="inputs")
    x = Saturation()(layers.GaussianNoise(noise)(inputs))
    x = conv_features(x, filters)
    encoded = keras.Model(inputs, layers.Dense(latent_dim, name="code")(layers.Flatten()(x)), name="encoder")
    return chain(encoded, conv_decoder(input_shape, filters, latent_dim), name)


@checked
def fc_autoencoder(
    input_shape: Shape,
    *,
    units: Counts = (128, 128, 128, 128),
    latent_dim: Count = 8,
    name: str = "fc_autoencoder",
) -> keras.Model:
    """Build the anomaly detector of MLPerf Tiny: dense layers, each normalized and rectified.

    Args:
        input_shape: Shape of an example, of any rank.
        units: Width of each hidden layer of the encoder; the decoder has them in reverse.
        latent_dim: Length of the latent vector.
        name: Name of the model.

    Returns:
        A functional model: `(batch, *input_shape)` float32 to float32 values of the same shape.

    Raises:
        ValueError: If `input_shape`, `units` or `latent_dim` is not positive.
    """
    inputs = keras.Input(input_shape, name="inputs")
    x = layers.Flatten()(inputs)
    for width in (*units, latent_dim):
        x = normalize(layers.Dense(width)(x), relu)
    encoded = keras.Model(inputs, x, name="encoder")
    codes = keras.Input((latent_dim,), name="code")
    x = codes
    for width in reversed(units):
        x = normalize(layers.Dense(width)(x), relu)
    return chain(encoded, keras.Model(codes, flat_output(x, input_shape), name="decoder"), name)


def chain(encoder: keras.Model, decoder: keras.Model, name: str) -> keras.Model:
    """The network of both, one behind the other."""
    inputs = keras.Input(encoder.input_shape[1:], name="inputs")
    return keras.Model(inputs, decoder(encoder(inputs)), name=name)


def rectified(x, units):
    """Rectified dense layers, one for each of `units`."""
    for width in units:
        x = layers.Dense(width, activation="relu", kernel_initializer="he_normal")(x)
    return x


def dense_decoder(input_shape, units, latent_dim):
    """From a code back to the input's shape, by rectified dense layers and a linear one."""
    codes = keras.Input((latent_dim,), name="code")
    x = rectified(codes, reversed(units))
    return keras.Model(codes, flat_output(x, input_shape), name="decoder")


def flat_output(x, input_shape):
    """A value for each of the input's, linear, in its shape."""
    x = layers.Dense(math.prod(input_shape))(x)
    return layers.Reshape(input_shape, dtype="float32", name="logits")(x)


def conv_features(x, filters):
    """Rectified 3x3 convolutions, each of which halves the resolution."""
    for count in filters:
        x = layers.Conv2D(count, 3, 2, padding="same", activation="relu", kernel_initializer="he_normal")(x)
    return x


def conv_decoder(input_shape, filters, latent_dim):
    """From a code back to an image, by transposed convolutions that double the resolution."""
    height, width, channels = input_shape
    shrunk = 2 ** len(filters)
    codes = keras.Input((latent_dim,), name="code")
    first = (height // shrunk, width // shrunk, filters[-1])
    x = layers.Reshape(first)(rectified(codes, [math.prod(first)]))
    for count in reversed(filters):
        x = layers.Conv2DTranspose(count, 3, 2, padding="same", activation="relu", kernel_initializer="he_normal")(x)
    logits = layers.Conv2DTranspose(channels, 3, padding="same", dtype="float32", name="logits")(x)
    return keras.Model(codes, logits, name="decoder")
