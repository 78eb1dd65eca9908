"""Residual networks (ResNet) for photographs.

He, Zhang, Ren, Sun: "Deep Residual Learning for Image Recognition", CVPR 2016, https://arxiv.org/abs/1512.03385,
section 4.1 and table 1. Each block adds what it computes to what it was given, so that a deeper network can only gain
by its depth and its gradient reaches every layer. From 50 layers on a block is a bottleneck: a 1x1 convolution reduces
the channels to a quarter, the costly 3x3 convolution works on those, and another 1x1 convolution restores them.

A 7x7 convolution and a max pooling, both of stride 2, then four stages of 64, 128, 256 and 512 filters (four times as
many go out of a bottleneck), the first block of each but the first of stride 2, global average pooling and one dense
layer. Where the shape changes the shortcut is a 1x1 convolution (option B); no convolution has a bias. At 224x224x3 and
1000 classes:

| layers | blocks | trainable parameters | multiply-accumulates |
| --- | --- | --- | --- |
| 18 | 2, 2, 2, 2 | 11,689,512 | 1.81 billion |
| 34 | 3, 4, 6, 3 | 21,797,672 | 3.66 billion |
| 50 | 3, 4, 6, 3 | 25,557,032 | 3.86 billion |
| 101 | 3, 4, 23, 3 | 44,549,160 | 7.57 billion |
| 152 | 3, 8, 36, 3 | 60,192,808 | 11.3 billion |

With the same weights `resnet50`, `resnet101` and `resnet152` give what those of `keras.applications` do.
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import keras
from keras import layers

from dltemplates.models.blocks import conv, make_divisible, normalize
from dltemplates.models.checks import check_image_shape, check_multiplier, check_num_outputs

LEAST = 32  # pixels: the maps of the last stage are then 1x1
EPSILON = 1.001e-5  # of batch normalization, as in keras.applications


def resnet18(
    input_shape: tuple[int, int, int], num_outputs: int, *, width: float = 1.0, name: str = "resnet18"
) -> keras.Model:
    """Build the ImageNet ResNet of 18 layers, whose blocks are two 3x3 convolutions.

    Args:
        input_shape: `(height, width, channels)`; height and width at least 32.
        num_outputs: Number of classes, or of values to predict.
        width: Filters of every stage, as a share of the paper's 64, 128, 256 and 512; those of the first are rounded
            to a multiple of 8; positive.
        name: Name of the model.

    Returns:
        A functional model: `(batch, height, width, channels)` float32 to `(batch, num_outputs)` float32 logits.

    Raises:
        ValueError: If the input is no image or too small, `num_outputs` is less than 1, or `width` is not positive.
    """
    return _resnet(input_shape, num_outputs, (2, 2, 2, 2), block=basic, width=width, name=name)


def resnet34(
    input_shape: tuple[int, int, int], num_outputs: int, *, width: float = 1.0, name: str = "resnet34"
) -> keras.Model:
    """Build the ImageNet ResNet of 34 layers, whose blocks are two 3x3 convolutions.

    Args: Those of `resnet18`.

    Returns: As `resnet18`.

    Raises: As `resnet18`.
    """
    return _resnet(input_shape, num_outputs, (3, 4, 6, 3), block=basic, width=width, name=name)


def resnet50(
    input_shape: tuple[int, int, int],
    num_outputs: int,
    *,
    width: float = 1.0,
    stride_on_3x3: bool = False,
    name: str = "resnet50",
) -> keras.Model:
    """Build the ImageNet ResNet of 50 layers, whose blocks are bottlenecks.

    Args:
        input_shape: `(height, width, channels)`; height and width at least 32.
        num_outputs: Number of classes, or of values to predict.
        width: Filters of every stage, as a share of the paper's 64, 128, 256 and 512, four times as many out of
            a block; those of the first are rounded to a multiple of 8; positive.
        stride_on_3x3: Whether a block that halves the resolution does so in its 3x3 convolution ("v1.5", as in
            torchvision) rather than in its first 1x1 convolution, which then never sees three pixels of four.
        name: Name of the model.

    Returns:
        A functional model: `(batch, height, width, channels)` float32 to `(batch, num_outputs)` float32 logits.

    Raises:
        ValueError: If the input is no image or too small, `num_outputs` is less than 1, or `width` is not positive.
    """
    block = partial(bottleneck, stride_on_3x3=stride_on_3x3)
    return _resnet(input_shape, num_outputs, (3, 4, 6, 3), block=block, width=width, name=name)


def resnet101(
    input_shape: tuple[int, int, int],
    num_outputs: int,
    *,
    width: float = 1.0,
    stride_on_3x3: bool = False,
    name: str = "resnet101",
) -> keras.Model:
    """Build the ImageNet ResNet of 101 layers, whose blocks are bottlenecks.

    Args: Those of `resnet50`.

    Returns: As `resnet50`.

    Raises: As `resnet50`.
    """
    block = partial(bottleneck, stride_on_3x3=stride_on_3x3)
    return _resnet(input_shape, num_outputs, (3, 4, 23, 3), block=block, width=width, name=name)


def resnet152(
    input_shape: tuple[int, int, int],
    num_outputs: int,
    *,
    width: float = 1.0,
    stride_on_3x3: bool = False,
    name: str = "resnet152",
) -> keras.Model:
    """Build the ImageNet ResNet of 152 layers, whose blocks are bottlenecks.

    Args: Those of `resnet50`.

    Returns: As `resnet50`.

    Raises: As `resnet50`.
    """
    block = partial(bottleneck, stride_on_3x3=stride_on_3x3)
    return _resnet(input_shape, num_outputs, (3, 8, 36, 3), block=block, width=width, name=name)


def _resnet(
    input_shape: tuple[int, int, int],
    num_outputs: int,
    repeats: Sequence[int],
    *,
    block: Callable[..., Any],
    width: float,
    name: str,
) -> keras.Model:
    """Stack four stages of so many blocks each."""
    check_image_shape(name, input_shape, least=LEAST)
    check_num_outputs(num_outputs)
    check_multiplier("width", width)
    filters = make_divisible(64 * width)
    inputs = keras.Input(input_shape, name="image")
    x = stem(inputs, filters)
    for stage, blocks in enumerate(repeats):
        for number in range(blocks):
            x = block(x, filters * 2**stage, strides=2 if stage > 0 and number == 0 else 1)
    x = layers.GlobalAveragePooling2D()(x)  # (batch, filters of the last block)
    logits = layers.Dense(num_outputs, dtype="float32", name="logits")(x)
    return keras.Model(inputs, logits, name=name)


def stem(x, filters):
    """A 7x7 convolution and a max pooling: a quarter of the resolution."""
    x = conv_bn(x, filters, 7, strides=2)
    return pool(layers.ReLU()(x))


def pool(x):
    """The greatest of 3x3 pixels, two apart."""
    x = layers.ZeroPadding2D(1)(x)
    return layers.MaxPooling2D(3, 2)(x)


def basic(x, filters, *, strides):
    """Two 3x3 convolutions with a shortcut around them."""
    residual = conv_bn(x, filters, 3, strides)
    residual = layers.ReLU()(residual)
    residual = conv_bn(residual, filters, 3)
    return _add(x, residual, strides)


def bottleneck(x, filters, *, strides, stride_on_3x3):
    """Three convolutions with a shortcut around them: 1x1, 3x3, and 1x1 with four times the filters."""
    first, second = (1, strides) if stride_on_3x3 else (strides, 1)
    residual = conv_bn(x, filters, 1, first)
    residual = layers.ReLU()(residual)
    residual = conv_bn(residual, filters, 3, second)
    residual = layers.ReLU()(residual)
    residual = conv_bn(residual, 4 * filters, 1)
    return _add(x, residual, strides)


def _add(x, residual, strides):
    """Add what goes around a block, by a 1x1 convolution where the shape changes."""
    if x.shape != residual.shape:
        x = conv_bn(x, residual.shape[-1], 1, strides)
    x = layers.Add()([x, residual])
    return layers.ReLU()(x)


def conv_bn(x, filters, kernel_size, strides=1):
    """A convolution and its batch normalization."""
    return batch_norm(conv(x, filters, kernel_size, strides))


def batch_norm(x):
    """Batch normalization with the epsilon of keras.applications."""
    return normalize(x, epsilon=EPSILON)


def bn_relu(x):
    """Batch normalization, rectified."""
    return layers.ReLU()(batch_norm(x))
