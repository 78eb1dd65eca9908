"""Residual networks (ResNet) for small images.

He, Zhang, Ren, Sun: "Deep Residual Learning for Image Recognition", CVPR 2016, https://arxiv.org/abs/1512.03385,
section 4.2. A residual block adds its output to its input. A block can thus easily leave its input unchanged, so that
a deeper network need not be worse than a shallower one. The gradient also flows back past every block, and networks
with more than a hundred layers can be trained. Without shortcuts, 56 layers already do worse than 20.

The network is a 3x3 convolution, three stages with 16, 32 and 64 filters, global average pooling and one dense layer.
Each stage has n blocks, each with two 3x3 convolutions and a shortcut around them: 6n+2 layers in all. The shortcuts
have no parameters (option A: every second pixel, the new channels zero). At 32x32x3 and 10 classes, with the error
rates on CIFAR-10 in table 6, in percent:

| layers | trainable parameters | errors |
| --- | --- | --- |
| 20 | 269,722 (40.55 million multiply-accumulates) | 8.75 |
| 32 | 464,154 | 7.51 |
| 44 | 658,586 | 7.17 |
| 56 | 853,018 | 6.97 |
| 110 | 1,727,962 | 6.43 |
| 1202 | 19,421,274 | 7.93 |

Without residuals it is the plain network of the paper's figure 6, with the same number of parameters.

`resnet8` is the reference network of Banbury et al.: "MLPerf Tiny Benchmark", NeurIPS 2021,
https://arxiv.org/abs/2106.07597, with one block per stage. Its convolutions have a bias. Where the shape changes, its
shortcuts are 1x1 convolutions. It has 78,666 parameters in all and 12.5 million multiply-accumulates at 32x32x3 and 10
classes. (The benchmark requires 85% on CIFAR-10.)
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import keras
from keras import layers

from dltemplates.catalog import variant
from dltemplates.models.blocks import conv, normalize
from dltemplates.models.checks import check_depth, check_image_shape
from dltemplates.models.ranges import NumOutputs, checked
from dltemplates.models.recursion import deep_networks

BLOCK_LAYERS = 6  # layers with parameters that one more block in each of the three stages adds


@checked
def resnet8(input_shape: tuple[int, int, int], num_outputs: NumOutputs, *, name: str = "resnet8") -> keras.Model:
    """Build the image classifier of MLPerf Tiny.

    Args:
        input_shape: `(height, width, channels)`; height and width at least 8.
        num_outputs: Number of classes, or of values to predict.
        name: Name of the model.

    Returns:
        A functional model: `(batch, height, width, channels)` float32 to `(batch, num_outputs)` float32 logits.

    Raises:
        ValueError: If the input is not an image or is too small, or `num_outputs` is less than 1.
    """
    return _resnet(input_shape, num_outputs, blocks=1, convolve=same_conv_bn, shortcut=project, name=name)


@checked
def resnet_cifar(
    input_shape: tuple[int, int, int],
    num_outputs: NumOutputs,
    *,
    depth: int = 20,
    residual: bool = True,
    batch_norm: bool = True,
    name: str = "resnet_cifar",
) -> keras.Model:
    """Build the CIFAR-10 ResNet of any depth.

    Args:
        input_shape: `(height, width, channels)`; height and width at least 8.
        num_outputs: Number of classes, or of values to predict.
        depth: Number of layers with parameters: 6n+2 with n at least 1.
        residual: Whether to add shortcuts. Without them it is the plain network of the paper's comparison.
        batch_norm: Whether to put a batch normalization after each convolution. Without it each convolution has a
            bias.
        name: Name of the model.

    Returns:
        A functional model: `(batch, height, width, channels)` float32 to `(batch, num_outputs)` float32 logits.

    Raises:
        ValueError: If the input is not an image or is too small, `depth` is not 6n+2, or `num_outputs` is less than 1.
    """
    check_depth(depth, BLOCK_LAYERS)
    convolve = conv_bn if batch_norm else partial(conv, kernel_size=3, use_bias=True)
    shortcut = pad if residual else None
    blocks = depth // BLOCK_LAYERS
    return _resnet(input_shape, num_outputs, blocks=blocks, convolve=convolve, shortcut=shortcut, name=name)


resnet20 = variant(resnet_cifar, "resnet20")
resnet32 = variant(resnet_cifar, "resnet32")
resnet44 = variant(resnet_cifar, "resnet44")
resnet56 = variant(resnet_cifar, "resnet56")
resnet110 = variant(resnet_cifar, "resnet110")
resnet1202 = variant(resnet_cifar, "resnet1202")


def _resnet(
    input_shape: tuple[int, int, int],
    num_outputs: int,
    *,
    blocks: int,
    convolve: Callable[..., Any],
    shortcut: Callable[..., Any] | None,
    name: str,
) -> keras.Model:
    """Build three stages with `blocks` blocks each."""
    check_image_shape(name, input_shape, min_size=8)
    inputs = keras.Input(input_shape, name="image")
    x = convolve(inputs, 16)
    x = layers.ReLU()(x)
    for filters, first_strides in ((16, 1), (32, 2), (64, 2)):
        for block in range(blocks):
            strides = first_strides if block == 0 else 1
            x = residual_block(x, filters, strides, convolve=convolve, shortcut=shortcut)
    x = layers.GlobalAveragePooling2D()(x)  # (batch, 64)
    logits = layers.Dense(num_outputs, kernel_initializer="he_normal", dtype="float32", name="logits")(x)
    with deep_networks():
        return keras.Model(inputs, logits, name=name)


def residual_block(x, filters, strides, *, convolve, shortcut):
    """Apply two convolutions with a shortcut around them; `shortcut` changes the shape of the input where needed."""
    residual = convolve(x, filters, strides=strides)
    residual = layers.ReLU()(residual)
    residual = convolve(residual, filters)
    if shortcut is None:
        return layers.ReLU()(residual)
    if strides > 1:
        x = shortcut(x, filters, strides)
    x = layers.Add()([x, residual])
    return layers.ReLU()(x)


def conv_bn(x, filters, strides=1):
    """Apply a 3x3 convolution and batch normalization. With strides it is centred on the pixels that `pad` keeps."""
    return normalize(conv(x, filters, 3, strides))


def same_conv_bn(x, filters, strides=1):
    """Apply a 3x3 convolution with a bias and Keras's padding, as the benchmark has it, and batch normalization."""
    x = layers.Conv2D(filters, 3, strides, padding="same", kernel_initializer="he_normal")(x)
    return normalize(x)


def project(x, filters, strides):
    """Apply a 1x1 convolution, as a shortcut."""
    return layers.Conv2D(filters, 1, strides, padding="same", kernel_initializer="he_normal")(x)


def pad(x, filters, strides):
    """Take every `strides`-th pixel and add zero channels on both sides, as a shortcut without parameters."""
    x = layers.MaxPooling2D(1, strides, padding="same")(x)
    missing = filters - x.shape[-1]
    # "Channels first" makes the layer pad the last two axes: here the width (by 0) and the channels.
    return layers.ZeroPadding2D(((0, 0), (missing // 2, missing - missing // 2)), data_format="channels_first")(x)
