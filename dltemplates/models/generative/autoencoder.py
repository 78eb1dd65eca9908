"""Autoencoders: networks that reconstruct their input from a short latent vector.

Hinton, Salakhutdinov: "Reducing the Dimensionality of Data with Neural Networks", Science 313, 2006,
https://doi.org/10.1126/science.1127647.

An encoder turns an example into a short latent vector (also called a code), and a decoder reconstructs the example from
it. There are no labels: the latent vector learns to hold the differences between the examples, which the decoder needs.
With linear layers it would be a principal component analysis.

- `autoencoder`: dense layers, with the paper's widths for MNIST, 784-1000-500-250-30 and back: 2,837,314 parameters at
  28x28x1. (The paper first trained it layer by layer, with sigmoids. With ReLU this is unnecessary.)
- `conv_autoencoder`: convolutions that halve the resolution, transposed convolutions that double it.
- `denoising_autoencoder`: Vincent, Larochelle, Bengio, Manzagol: "Extracting and Composing Robust Features with
  Denoising Autoencoders", ICML 2008, https://doi.org/10.1145/1390156.1390294. In training its input has noise, and it
  must reconstruct the example without the noise. (The paper sets a share of the values to 0. Here the noise is normal,
  which its sequel tries too, JMLR 11, 2010.)
- `sparse_autoencoder`: Ng: "Sparse autoencoder", CS294A lecture notes, 2011,
  https://web.stanford.edu/class/cs294a/sparseAutoencoder.pdf. The latent vector may be long, but only few of its units
  may be active at once. (The notes set a mean activation for each sigmoid unit. Here the loss includes the sum of the
  ReLU activations, which makes many of them exactly 0.)
- `fc_autoencoder`: the anomaly detector of Banbury et al.: "MLPerf Tiny Benchmark", NeurIPS 2021,
  https://arxiv.org/abs/2106.07597, for machine sounds (five spectra of 128 bands, 640 numbers): 269,992 parameters in
  all. An example that it cannot reconstruct is unlike the training data: an anomaly.

Each network has two submodels, `encoder` and `decoder`, and outputs logits of the values.
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
    """Build an autoencoder with dense layers.

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
    """Build an autoencoder with one hidden layer, in which few units are active at once.

    Args:
        input_shape: Shape of an example, of any rank.
        latent_dim: Length of the latent vector.
        sparsity: Weight of the latent vector's L1 norm in the loss.
        name: Name of the model.

    Returns:
        A functional model: `(batch, *input_shape)` float32 to float32 logits of the same shape.

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
    """Build an autoencoder with convolutions.

    Args:
        input_shape: `(height, width, channels)`; height and width multiples of 2 to the power of the number of
            `filters`, so 4 by default.
        filters: Filters of each convolution of the encoder, which halves the resolution; the decoder has them in
            reverse.
        latent_dim: Length of the latent vector.
        name: Name of the model.

    Returns:
        A functional model: `(batch, height, width, channels)` float32 to float32 logits of the same shape.

    Raises:
        ValueError: If the input is not an image or cannot be halved that many times, or `filters` or `latent_dim` is
            not positive.
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
    """Build an autoencoder with convolutions that learns to remove noise.

    Args:
        input_shape: `(height, width, channels)`; height and width multiples of 2 to the power of the number of
            `filters`, so 4 by default.
        noise: Standard deviation of the noise, for values between 0 and 1. Noisy values are clipped to this range.
        filters: Filters of each convolution of the encoder, which halves the resolution; the decoder has them in
            reverse.
        latent_dim: Length of the latent vector.
        name: Name of the model.

    Returns:
        A functional model: `(batch, height, width, channels)` float32 to float32 logits of the same shape.

    Raises:
        ValueError: If the input is not an image or cannot be halved that many times, `filters` or `latent_dim` is not
            positive, or `noise` is negative.
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
    """Build the anomaly detector of MLPerf Tiny: dense layers, each with batch normalization and ReLU.

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
    latent = keras.Input((latent_dim,), name="code")
    x = latent
    for width in reversed(units):
        x = normalize(layers.Dense(width)(x), relu)
    return chain(encoded, keras.Model(latent, flat_output(x, input_shape), name="decoder"), name)


def chain(encoder: keras.Model, decoder: keras.Model, name: str) -> keras.Model:
    """Return the network of an encoder, followed by a decoder."""
    inputs = keras.Input(encoder.input_shape[1:], name="inputs")
    return keras.Model(inputs, decoder(encoder(inputs)), name=name)


def dense_relu(x, units):
    """Apply a dense layer with ReLU for each of `units`."""
    for width in units:
        x = layers.Dense(width, activation="relu", kernel_initializer="he_normal")(x)
    return x


def dense_decoder(input_shape, units, latent_dim):
    """Build the decoder: dense layers with ReLU and a linear one, from a latent vector to `input_shape`."""
    latent = keras.Input((latent_dim,), name="code")
    x = dense_relu(latent, reversed(units))
    return keras.Model(latent, flat_output(x, input_shape), name="decoder")


def flat_output(x, input_shape):
    """Apply a linear dense layer with one output for each input value, in the input's shape."""
    x = layers.Dense(math.prod(input_shape))(x)
    return layers.Reshape(input_shape, dtype="float32", name="logits")(x)


def conv_features(x, filters):
    """Apply 3x3 convolutions with ReLU, each of which halves the resolution."""
    for count in filters:
        x = layers.Conv2D(count, 3, 2, padding="same", activation="relu", kernel_initializer="he_normal")(x)
    return x


def conv_decoder(input_shape, filters, latent_dim):
    """Build the decoder: transposed convolutions that double the resolution, from a latent vector to an image."""
    height, width, channels = input_shape
    scale = 2 ** len(filters)
    latent = keras.Input((latent_dim,), name="code")
    first = (height // scale, width // scale, filters[-1])
    x = layers.Reshape(first)(dense_relu(latent, [math.prod(first)]))
    for count in reversed(filters):
        x = layers.Conv2DTranspose(count, 3, 2, padding="same", activation="relu", kernel_initializer="he_normal")(x)
    logits = layers.Conv2DTranspose(channels, 3, padding="same", dtype="float32", name="logits")(x)
    return keras.Model(latent, logits, name="decoder")
