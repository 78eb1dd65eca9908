"""Residual networks (ResNet) for small images.

He, Zhang, Ren, Sun: "Deep Residual Learning for Image Recognition", CVPR 2016, https://arxiv.org/abs/1512.03385,
section 4.2: a 3x3 convolution, three stages of 16, 32 and 64 filters, each a number of blocks of two 3x3 convolutions
with a shortcut around them, global average pooling and one dense layer. `resnet20` has three blocks a stage and
shortcuts without parameters (option A: every second pixel, the new channels zero): 269,722 trainable parameters and
40.55 million multiply-accumulates at 32x32x3 and 10 classes. (Table 6: 8.75% errors on CIFAR-10.)

Banbury et al.: "MLPerf Tiny Benchmark", NeurIPS 2021, https://arxiv.org/abs/2106.07597, cut it down to one block a
stage. `resnet8` is that reference: its convolutions have a bias, and where the shape changes its shortcuts are 1x1
convolutions: 78,666 parameters in all and 12.5 million multiply-accumulates at 32x32x3 and 10 classes. (The benchmark
asks for 85% on CIFAR-10.)
"""

from collections.abc import Callable
from typing import Any

import keras
from keras import layers

from dltemplates.models.checks import check_image_shape, check_num_outputs


def resnet8(input_shape: tuple[int, int, int], num_outputs: int, *, name: str = "resnet8") -> keras.Model:
    """Build the image classifier of MLPerf Tiny.

    Args:
        input_shape: `(height, width, channels)`; height and width at least 8.
        num_outputs: Number of classes, or of values to predict.
        name: Name of the model.

    Returns:
        A functional model: `(batch, height, width, channels)` float32 to `(batch, num_outputs)` float32 logits.

    Raises:
        ValueError: If the input is no image or too small, or `num_outputs` is less than 1.
    """
    check_image_shape("resnet8", input_shape, least=8)
    return _resnet(input_shape, num_outputs, blocks=1, shortcut=project, use_bias=True, name=name)


def resnet20(input_shape: tuple[int, int, int], num_outputs: int, *, name: str = "resnet20") -> keras.Model:
    """Build the CIFAR-10 ResNet of 20 layers.

    Args:
        input_shape: `(height, width, channels)`; height and width at least 8.
        num_outputs: Number of classes, or of values to predict.
        name: Name of the model.

    Returns:
        A functional model: `(batch, height, width, channels)` float32 to `(batch, num_outputs)` float32 logits.

    Raises:
        ValueError: If the input is no image or too small, or `num_outputs` is less than 1.
    """
    check_image_shape("resnet20", input_shape, least=8)
    return _resnet(input_shape, num_outputs, blocks=3, shortcut=pad, use_bias=False, name=name)


def _resnet(
    input_shape: tuple[int, int, int],
    num_outputs: int,
    *,
    blocks: int,
    shortcut: Callable[..., Any],
    use_bias: bool,
    name: str,
) -> keras.Model:
    """Stack three stages of `blocks` blocks each: 6 * blocks + 2 layers."""
    check_num_outputs(num_outputs)
    inputs = keras.Input(input_shape, name="image")
    x = conv_bn(inputs, 16, use_bias=use_bias)
    x = layers.ReLU()(x)
    for filters, first_strides in ((16, 1), (32, 2), (64, 2)):
        for block in range(blocks):
            strides = first_strides if block == 0 else 1
            x = residual_block(x, filters, strides, shortcut=shortcut, use_bias=use_bias)
    x = layers.GlobalAveragePooling2D()(x)  # (batch, 64)
    logits = layers.Dense(num_outputs, kernel_initializer="he_normal", dtype="float32", name="logits")(x)
    return keras.Model(inputs, logits, name=name)


def residual_block(x, filters, strides, *, shortcut, use_bias):
    """Two convolutions and a way around them; `shortcut` brings the input to the new shape where it changes."""
    residual = conv_bn(x, filters, strides, use_bias=use_bias)
    residual = layers.ReLU()(residual)
    residual = conv_bn(residual, filters, use_bias=use_bias)
    if strides > 1:
        x = shortcut(x, filters, strides)
    x = layers.Add()([x, residual])
    return layers.ReLU()(x)


def conv_bn(x, filters, strides=1, *, use_bias):
    """A 3x3 convolution and its batch normalization."""
    x = layers.Conv2D(filters, 3, strides, padding="same", use_bias=use_bias, kernel_initializer="he_normal")(x)
    # Keras's momentum of 0.99 needs hundreds of steps to follow; a short training would be validated on old statistics.
    return layers.BatchNormalization(momentum=0.9)(x)


def project(x, filters, strides):
    """Shortcut by a 1x1 convolution."""
    return layers.Conv2D(filters, 1, strides, padding="same", kernel_initializer="he_normal")(x)


def pad(x, filters, strides):
    """Shortcut without parameters: every `strides`-th pixel, the new channels zero on both sides of the old ones."""
    x = layers.MaxPooling2D(1, strides, padding="same")(x)
    missing = filters - x.shape[-1]
    # "Channels first" makes the layer pad the last two axes, which here are the width (by nothing) and the channels.
    return layers.ZeroPadding2D(((0, 0), (missing // 2, missing - missing // 2)), data_format="channels_first")(x)
