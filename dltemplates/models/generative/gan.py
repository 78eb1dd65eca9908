"""Generative adversarial networks (GAN): a generator of examples, trained against a discriminator.

Goodfellow et al.: "Generative Adversarial Nets", NIPS 2014, https://arxiv.org/abs/1406.2661, algorithm 1.

The generator turns a noise vector into an example. The discriminator learns to separate real examples from generated
ones. The generator learns, through the discriminator's gradient, to generate examples that the discriminator classifies
as real.

- `gan`: dense layers, as in the paper, with 128-256-512-1024 units in the generator and the reverse in the
  discriminator. It has batch normalization, leaky ReLU and tanh, which came later; the paper has ReLU, maxout and
  sigmoids.
- `dcgan`: Radford, Metz, Chintala: "Unsupervised Representation Learning with Deep Convolutional Generative Adversarial
  Networks", ICLR 2016, https://arxiv.org/abs/1511.06434, section 3: transposed convolutions of stride 2, batch
  normalization and ReLU in the generator, convolutions of stride 2 and leaky ReLU in the discriminator, no hidden dense
  layers. For small images there are fewer resolutions than in the paper, each with half the filters of the one before.
  The kernels are 4x4 instead of 5x5, and a 3x3 convolution computes the image from the last map.
- `cgan`: Mirza, Osindero: "Conditional Generative Adversarial Nets", 2014, https://arxiv.org/abs/1411.1784: both
  networks have the class as a second input, so that the generator can generate a chosen class. Here with the layers of
  DCGAN.
- `wgan_gp`: Gulrajani, Ahmed, Arjovsky, Dumoulin, Courville: "Improved Training of Wasserstein GANs", NIPS 2017,
  https://arxiv.org/abs/1704.00028: the discriminator becomes a critic. It outputs a score in place of a probability,
  and a penalty keeps the norm of its gradient near 1. It has no batch normalization, since the penalty needs a separate
  gradient for each example.

Each network has two submodels, `generator` and `discriminator`, from noise to a logit (of a critic, a score). The
generator outputs images between -1 and 1.
"""

import functools
import math

import keras
from keras import layers

from dltemplates.models.blocks import normalize, relu
from dltemplates.models.checks import check_halving, check_image_shape
from dltemplates.models.ranges import Count, Counts, NumOutputs, Share, checked

check_doubling = functools.partial(check_halving, verb="doubles the resolution")

SLOPE = 0.2  # of leaky ReLU below 0, as in DCGAN
DEVIATION = 0.02  # standard deviation of the initial weights, as in DCGAN


@checked
def gan(
    input_shape: tuple[int, int, int],
    *,
    latent_dim: Count = 100,
    units: Counts = (128, 256, 512, 1024),
    dropout_rate: Share = 0.3,
    name: str = "gan",
) -> keras.Model:
    """Build the GAN with dense layers.

    Args:
        input_shape: `(height, width, channels)` of an image.
        latent_dim: Length of the noise vector.
        units: Width of each hidden layer of the generator; the discriminator has them in reverse.
        dropout_rate: Share of the discriminator's activations dropped after each hidden layer, in [0, 1).
        name: Name of the model.

    Returns:
        A functional model: `(batch, latent_dim)` float32 to `(batch, 1)` float32 logits.

    Raises:
        ValueError: If the input is not an image, `latent_dim` or `units` is not positive, or `dropout_rate` is not in
            [0, 1).
    """
    check_image_shape(name, input_shape, min_size=1)
    noise = keras.Input((latent_dim,), name="noise")
    x = noise
    for width in units:
        x = layers.Dense(width)(x)
        x = layers.LeakyReLU(SLOPE)(x)
        x = layers.BatchNormalization(momentum=0.8)(x)
    x = layers.Dense(math.prod(input_shape))(x)
    x = layers.Reshape(input_shape)(x)
    image = layers.Activation("tanh", dtype="float32", name="image")(x)
    generator = keras.Model(noise, image, name="generator")

    images = keras.Input(input_shape, name="image")
    x = layers.Flatten()(images)
    for width in reversed(units):
        x = layers.Dense(width)(x)
        x = layers.LeakyReLU(SLOPE)(x)
        x = layers.Dropout(dropout_rate)(x)
    logits = layers.Dense(1, dtype="float32", name="logits")(x)
    return join(generator, keras.Model(images, logits, name="discriminator"), name)


@checked
def dcgan(
    input_shape: tuple[int, int, int],
    *,
    latent_dim: Count = 100,
    filters: Counts = (128, 64),
    name: str = "dcgan",
) -> keras.Model:
    """Build the GAN with convolutions.

    Args:
        input_shape: `(height, width, channels)`; height and width multiples of 2 to the power of the number of
            `filters`, so 4 by default.
        latent_dim: Length of the noise vector.
        filters: Filters at each resolution of the generator, from the smallest on; the discriminator has them in
            reverse. The paper has (512, 256, 128, 64) for 64x64.
        name: Name of the model.

    Returns:
        A functional model: `(batch, latent_dim)` float32 to `(batch, 1)` float32 logits.

    Raises:
        ValueError: If the input is not an image or cannot be halved that many times, or `latent_dim` or `filters` is
            not positive.
    """
    check_doubling(name, input_shape, filters)
    return conv_gan(input_shape, latent_dim, filters, name, normalized=True)


@checked
def wgan_gp(
    input_shape: tuple[int, int, int],
    *,
    latent_dim: Count = 128,
    filters: Counts = (128, 64),
    name: str = "wgan_gp",
) -> keras.Model:
    """Build the Wasserstein GAN, whose critic has no normalization.

    Args:
        input_shape: `(height, width, channels)`; height and width multiples of 2 to the power of the number of
            `filters`, so 4 by default.
        latent_dim: Length of the noise vector.
        filters: Filters at each resolution of the generator, from the smallest on; the critic has them in reverse.
        name: Name of the model.

    Returns:
        A functional model: `(batch, latent_dim)` float32 to `(batch, 1)` float32, the critic's scores.

    Raises:
        ValueError: If the input is not an image or cannot be halved that many times, or `latent_dim` or `filters` is
            not positive.
    """
    check_doubling(name, input_shape, filters)
    return conv_gan(input_shape, latent_dim, filters, name, normalized=False)


@checked
def cgan(
    input_shape: tuple[int, int, int],
    num_outputs: NumOutputs,
    *,
    latent_dim: Count = 100,
    filters: Counts = (128, 64),
    name: str = "cgan",
) -> keras.Model:
    """Build the conditional GAN: generator and discriminator have the class as a second input.

    Args:
        input_shape: `(height, width, channels)`; height and width multiples of 2 to the power of the number of
            `filters`, so 4 by default.
        num_outputs: Number of classes.
        latent_dim: Length of the noise vector.
        filters: Filters at each resolution of the generator, from the smallest on; the discriminator has them in
            reverse.
        name: Name of the model.

    Returns:
        A functional model: `noise` `(batch, latent_dim)` float32 and `label` `(batch,)` int32 to `(batch, 1)` float32
        logits.

    Raises:
        ValueError: If the input is not an image or cannot be halved that many times, or `num_outputs`, `latent_dim` or
            `filters` is not positive.
    """
    check_doubling(name, input_shape, filters)
    noise = keras.Input((latent_dim,), name="noise")
    label = keras.Input((), dtype="int32", name="label")
    embedded = layers.Embedding(num_outputs, latent_dim, name="class_of_noise")(label)
    x = layers.Concatenate()([noise, embedded])
    generator = keras.Model([noise, label], deconvolutions(x, input_shape, filters), name="generator")

    images = keras.Input(input_shape, name="image")
    image_label = keras.Input((), dtype="int32", name="label")
    plane = layers.Embedding(num_outputs, input_shape[0] * input_shape[1], name="class_of_image")(image_label)
    plane = layers.Reshape((*input_shape[:2], 1))(plane)
    x = convolutions(layers.Concatenate()([images, plane]), filters, normalized=True)
    discriminator = keras.Model([images, image_label], logit(x), name="discriminator")
    return join(generator, discriminator, name)


def conv_gan(input_shape, latent_dim, filters, name, *, normalized):
    """Build the network of a convolutional generator and discriminator."""
    noise = keras.Input((latent_dim,), name="noise")
    generator = keras.Model(noise, deconvolutions(noise, input_shape, filters), name="generator")
    images = keras.Input(input_shape, name="image")
    x = convolutions(images, filters, normalized=normalized)
    return join(generator, keras.Model(images, logit(x), name="discriminator"), name)


def join(generator: keras.Model, discriminator: keras.Model, name: str) -> keras.Model:
    """Return the network of a generator, followed by a discriminator."""
    inputs = [keras.Input(tensor.shape[1:], dtype=tensor.dtype, name=tensor.name) for tensor in generator.inputs]
    noise = inputs if len(inputs) > 1 else inputs[0]  # with the label, if there is one
    image = generator(noise)
    logits = discriminator([image, *inputs[1:]] if len(inputs) > 1 else image)
    return keras.Model(noise, logits, name=name)


def deconvolutions(x, input_shape, filters):
    """Apply transposed convolutions that double the resolution, from a vector to an image between -1 and 1."""
    height, width, channels = input_shape
    scale = 2 ** len(filters)
    first = (height // scale, width // scale, 2 * filters[0])
    x = layers.Dense(math.prod(first), use_bias=False, kernel_initializer=normal_initializer())(x)
    x = layers.Reshape(first)(x)
    x = normalize(x, relu)
    for count in filters:
        x = layers.Conv2DTranspose(
            count, 4, 2, padding="same", use_bias=False, kernel_initializer=normal_initializer()
        )(x)
        x = normalize(x, relu)
    x = layers.Conv2D(channels, 3, padding="same", kernel_initializer=normal_initializer())(x)
    return layers.Activation("tanh", dtype="float32", name="image")(x)


def convolutions(x, filters, *, normalized):
    """Apply convolutions that halve the resolution; the first is never normalized."""
    for number, count in enumerate(reversed(filters)):
        is_normalized = normalized and number > 0
        x = layers.Conv2D(
            count, 4, 2, padding="same", use_bias=not is_normalized, kernel_initializer=normal_initializer()
        )(x)
        x = normalize(x) if is_normalized else x
        x = layers.LeakyReLU(SLOPE)(x)
    return x


def normal_initializer():
    """Return a normal initializer, a new one for each layer, since it repeats its values at every call."""
    return keras.initializers.RandomNormal(stddev=DEVIATION)


def logit(x):
    """Apply a dense layer with one output to an image's features."""
    x = layers.Flatten()(x)
    return layers.Dense(1, kernel_initializer=normal_initializer(), dtype="float32", name="logits")(x)
