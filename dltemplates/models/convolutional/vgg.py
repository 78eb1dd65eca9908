"""VGG, very deep plain networks.

Simonyan, Zisserman: "Very Deep Convolutional Networks for Large-Scale Image Recognition", ICLR 2015,
https://arxiv.org/abs/1409.1556, table 1.

Every convolution is 3x3: two of them see as much of the image as one of 5x5 and three as much as one of 7x7, with fewer
parameters and a rectifier in between. With kernels so small the network can be made deep, up to 19 layers with weights,
and its accuracy grows with its depth.

Five stages of 64, 128, 256, 512 and 512 filters, a max pooling that halves the map after each, then two fully connected
layers of 4096 units and the output. At 224x224x3 and 1000 classes:

| network | column of table 1 | convolutions of the stages | parameters | multiply-accumulates |
| --- | --- | --- | --- | --- |
| `vgg11` | A | 1, 1, 2, 2, 2 | 132,863,336 | 7.61 billion |
| `vgg13` | B | 2, 2, 2, 2, 2 | 133,047,848 | 11.3 billion |
| `vgg16` | D | 2, 2, 3, 3, 3 | 138,357,544 | 15.5 billion |
| `vgg19` | E | 2, 2, 4, 4, 4 | 143,667,240 | 19.6 billion |

With the same weights `vgg16` and `vgg19` give what those of `keras.applications` do. The paper began the deeper ones
with layers of a trained `vgg11`; here all are trained from He's initialization, which needs no such detour.
"""

from collections.abc import Sequence

import keras
from keras import layers

from dltemplates.models.blocks import conv_relu, make_divisible
from dltemplates.models.checks import check_dropout_rate, check_image_shape, check_multiplier, check_num_outputs

LEAST = 32  # pixels: the last of the five poolings still finds a map of 2x2


def vgg16(
    input_shape: tuple[int, int, int],
    num_outputs: int,
    *,
    width: float = 1.0,
    dropout_rate: float = 0.5,
    name: str = "vgg16",
) -> keras.Model:
    """Build VGG-16, column D of the paper's table 1.

    Args:
        input_shape: `(height, width, channels)`; height and width at least 32.
        num_outputs: Number of classes, or of values to predict.
        width: Filters and units of every layer, as a share of the paper's and rounded to multiples of 8; positive.
        dropout_rate: Share of the units dropped after each of the two hidden fully connected layers, in [0, 1).
        name: Name of the model.

    Returns:
        A functional model: `(batch, height, width, channels)` float32 to `(batch, num_outputs)` float32 logits.

    Raises:
        ValueError: If the input is no image or too small, `num_outputs` is less than 1, or `width` or `dropout_rate` is
            out of range.
    """
    return _vgg(input_shape, num_outputs, (2, 2, 3, 3, 3), width, dropout_rate, name)


def vgg11(
    input_shape: tuple[int, int, int],
    num_outputs: int,
    *,
    width: float = 1.0,
    dropout_rate: float = 0.5,
    name: str = "vgg11",
) -> keras.Model:
    """Build VGG-11, column A of the paper's table 1.

    Args: Those of `vgg16`.

    Returns: As `vgg16`.

    Raises: As `vgg16`.
    """
    return _vgg(input_shape, num_outputs, (1, 1, 2, 2, 2), width, dropout_rate, name)


def vgg13(
    input_shape: tuple[int, int, int],
    num_outputs: int,
    *,
    width: float = 1.0,
    dropout_rate: float = 0.5,
    name: str = "vgg13",
) -> keras.Model:
    """Build VGG-13, column B of the paper's table 1.

    Args: Those of `vgg16`.

    Returns: As `vgg16`.

    Raises: As `vgg16`.
    """
    return _vgg(input_shape, num_outputs, (2, 2, 2, 2, 2), width, dropout_rate, name)


def vgg19(
    input_shape: tuple[int, int, int],
    num_outputs: int,
    *,
    width: float = 1.0,
    dropout_rate: float = 0.5,
    name: str = "vgg19",
) -> keras.Model:
    """Build VGG-19, column E of the paper's table 1.

    Args: Those of `vgg16`.

    Returns: As `vgg16`.

    Raises: As `vgg16`.
    """
    return _vgg(input_shape, num_outputs, (2, 2, 4, 4, 4), width, dropout_rate, name)


def _vgg(
    input_shape: tuple[int, int, int],
    num_outputs: int,
    convolutions: Sequence[int],
    width: float,
    dropout_rate: float,
    name: str,
) -> keras.Model:
    """Stack five stages of as many convolutions as `convolutions` says, and the classifier."""
    check_image_shape(name, input_shape, least=LEAST)
    check_num_outputs(num_outputs)
    check_multiplier("width", width)
    check_dropout_rate(dropout_rate)
    inputs = keras.Input(input_shape, name="image")
    x = inputs
    for filters, repeats in zip((64, 128, 256, 512, 512), convolutions, strict=True):
        x = stage(x, make_divisible(width * filters), repeats)
    x = layers.Flatten()(x)  # (batch, height / 32 * width / 32 * filters of the last stage)
    for _ in range(2):
        x = layers.Dense(make_divisible(width * 4096), activation="relu", kernel_initializer="he_normal")(x)
        x = layers.Dropout(dropout_rate)(x)
    logits = layers.Dense(num_outputs, dtype="float32", name="logits")(x)
    return keras.Model(inputs, logits, name=name)


def stage(x, filters, repeats):
    """Convolutions that keep the resolution, and a max pooling that halves it."""
    for _ in range(repeats):
        x = conv_relu(x, filters, 3)
    return layers.MaxPooling2D(2)(x)
