"""Network in Network (NIN).

Lin, Chen, Yan: "Network In Network", ICLR 2014, https://arxiv.org/abs/1312.4400, sections 3.1, 3.2 and 4.

Two 1x1 convolutions follow each convolution. Together they are a small multilayer perceptron that slides over the
feature map ("mlpconv") and can separate more than one linear filter can. The last one outputs a map for each class. The
map's average is the class's score (global average pooling), so there is no fully connected layer that could overfit.

`nin_cifar` is the paper's network of three mlpconv layers for CIFAR-10, with the sizes of the authors' published
definition: 966,986 parameters and 222 million multiply-accumulates at 32x32x3 and 10 classes. `nin` is their later
network for ImageNet, in the model zoo of Caffe: 7,595,176 parameters and 1.10 billion multiply-accumulates at 224x224x3
and 1000 classes. Two things differ: the class maps have no ReLU, as logits may be negative, and both networks start
from He's initialization.
"""

import keras
from keras import layers

from dltemplates.models.blocks import conv_relu, make_divisible
from dltemplates.models.checks import check_image_shape
from dltemplates.models.ranges import Multiplier, NumOutputs, Share, checked

MIN_IMAGE_SIZE = 39  # pixels: each of the three poolings still finds a map of 2x2 to halve
MIN_IMAGE_SIZE_CIFAR = 8


@checked
def nin(
    input_shape: tuple[int, int, int],
    num_outputs: NumOutputs,
    *,
    width: Multiplier = 1.0,
    dropout_rate: Share = 0.5,
    name: str = "nin",
) -> keras.Model:
    """Build the ImageNet NIN.

    Args:
        input_shape: `(height, width, channels)`; height and width at least 39.
        num_outputs: Number of classes, or of values to predict.
        width: Multiplier of the paper's filters, rounded to multiples of 8; positive.
        dropout_rate: Share of the activations dropped before the last mlpconv, in [0, 1).
        name: Name of the model.

    Returns:
        A functional model: `(batch, height, width, channels)` float32 to `(batch, num_outputs)` float32 logits.

    Raises:
        ValueError: If the input is not an image or is too small, `num_outputs` is less than 1, or `width` or
            `dropout_rate` is out of range.
    """
    check_image_shape("nin", input_shape, min_size=MIN_IMAGE_SIZE)
    inputs = keras.Input(input_shape, name="image")
    x = inputs
    for filters, kernel_size, strides in ((96, 11, 4), (256, 5, 1), (384, 3, 1)):
        x = mlpconv(x, [make_divisible(width * filters)] * 3, kernel_size, strides)
        x = max_pooling(x)
    x = layers.Dropout(dropout_rate)(x)
    x = mlpconv(x, [make_divisible(width * 1024)] * 2, kernel_size=3, num_outputs=num_outputs)
    logits = layers.GlobalAveragePooling2D(dtype="float32", name="logits")(x)
    return keras.Model(inputs, logits, name=name)


@checked
def nin_cifar(
    input_shape: tuple[int, int, int],
    num_outputs: NumOutputs,
    *,
    width: Multiplier = 1.0,
    dropout_rate: Share = 0.5,
    name: str = "nin_cifar",
) -> keras.Model:
    """Build the paper's NIN for small images.

    Args:
        input_shape: `(height, width, channels)`; height and width at least 8.
        num_outputs: Number of classes, or of values to predict.
        width: Multiplier of the paper's filters, rounded to multiples of 8; positive.
        dropout_rate: Share of the activations dropped after each of the first two mlpconv layers, in [0, 1).
        name: Name of the model.

    Returns:
        A functional model: `(batch, height, width, channels)` float32 to `(batch, num_outputs)` float32 logits.

    Raises:
        ValueError: If the input is not an image or is too small, `num_outputs` is less than 1, or `width` or
            `dropout_rate` is out of range.
    """
    check_image_shape("nin_cifar", input_shape, min_size=MIN_IMAGE_SIZE_CIFAR)
    sizes = ((192, 160, 96), (192, 192, 192), (192, 192))
    first, second, third = ([make_divisible(width * filters) for filters in size] for size in sizes)
    inputs = keras.Input(input_shape, name="image")
    x = mlpconv(inputs, first, kernel_size=5)
    x = layers.MaxPooling2D(3, strides=2, padding="same")(x)
    x = layers.Dropout(dropout_rate)(x)
    x = mlpconv(x, second, kernel_size=5)
    x = layers.AveragePooling2D(3, strides=2, padding="same")(x)
    x = layers.Dropout(dropout_rate)(x)
    x = mlpconv(x, third, kernel_size=3, num_outputs=num_outputs)
    logits = layers.GlobalAveragePooling2D(dtype="float32", name="logits")(x)
    return keras.Model(inputs, logits, name=name)


def max_pooling(x):
    """Apply a 3x3 max pooling of stride 2 that includes the last row and column, as in Caffe: 54 to 27."""
    height, width = x.shape[1:3]
    # A map after a ReLU has no value below 0, so padding with zeros does not change a maximum.
    x = layers.ZeroPadding2D(((0, 1 - height % 2), (0, 1 - width % 2)))(x)
    return layers.MaxPooling2D(3, strides=2)(x)


def mlpconv(x, filters, kernel_size, strides=1, *, num_outputs=None):
    """Apply a convolution and two 1x1 convolutions, a perceptron at every position; `num_outputs` adds class maps."""
    first, *others = filters
    x = conv_relu(x, first, kernel_size, strides, padding="valid" if strides > 1 else "same")
    for count in others:
        x = conv_relu(x, count)
    if num_outputs:
        x = layers.Conv2D(num_outputs, 1, kernel_initializer="he_normal", name="class_maps")(x)
    return x
