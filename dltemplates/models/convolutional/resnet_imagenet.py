"""Residual networks (ResNet) for photographs.

He, Zhang, Ren, Sun: "Deep Residual Learning for Image Recognition", CVPR 2016, https://arxiv.org/abs/1512.03385,
section 4.1 and table 1. Each block adds its output to its input, so that the gradient reaches every layer and a deeper
network can gain by its depth. From 50 layers on a block is a bottleneck: a 1x1 convolution reduces the channels to a
quarter, the costly 3x3 convolution works on this quarter, and another 1x1 convolution restores the channels.

The network is a 7x7 convolution and a max pooling, both of stride 2, then four stages with 64, 128, 256 and 512 filters
(a bottleneck outputs four times as many), global average pooling and one dense layer. From the second stage on, the
first block of a stage has stride 2. Where the shape changes, the shortcut is a 1x1 convolution (option B). No
convolution has a bias. At 224x224x3 and 1000 classes:

| layers | blocks | trainable parameters | multiply-accumulates |
| --- | --- | --- | --- |
| 18 | 2, 2, 2, 2 | 11,689,512 | 1.81 billion |
| 34 | 3, 4, 6, 3 | 21,797,672 | 3.66 billion |
| 50 | 3, 4, 6, 3 | 25,557,032 | 3.86 billion |
| 101 | 3, 4, 23, 3 | 44,549,160 | 7.57 billion |
| 152 | 3, 8, 36, 3 | 60,192,808 | 11.3 billion |

With the same weights, `resnet50`, `resnet101` and `resnet152` compute the same as the models of `keras.applications`.
"""

from functools import partial
from typing import Literal

import keras
from keras import layers

from dltemplates.catalog import variant
from dltemplates.models.blocks import conv, make_divisible, normalize
from dltemplates.models.checks import check_image_shape
from dltemplates.models.ranges import Multiplier, NumOutputs, checked

MIN_IMAGE_SIZE = 32  # pixels: the maps of the last stage are then 1x1
EPSILON = 1.001e-5  # of batch normalization, as in keras.applications
BLOCKS = {18: (2, 2, 2, 2), 34: (3, 4, 6, 3), 50: (3, 4, 6, 3), 101: (3, 4, 23, 3), 152: (3, 8, 36, 3)}  # per stage


@checked
def resnet_imagenet(
    input_shape: tuple[int, int, int],
    num_outputs: NumOutputs,
    *,
    depth: Literal[18, 34, 50, 101, 152] = 50,
    width: Multiplier = 1.0,
    stride_on_3x3: bool = False,
    name: str = "resnet_imagenet",
) -> keras.Model:
    """Build an ImageNet ResNet: basic blocks up to 34 layers, bottlenecks from 50 on.

    Args:
        input_shape: `(height, width, channels)`; height and width at least 32.
        num_outputs: Number of classes, or of values to predict.
        depth: Number of layers with parameters.
        width: Multiplier of the paper's filters, 64, 128, 256 and 512; positive. Those of the first stage are rounded
            to a multiple of 8.
        stride_on_3x3: Whether a bottleneck that halves the resolution does so in its 3x3 convolution ("v1.5", as in
            torchvision). By default its first 1x1 convolution does, which skips three pixels of four.
        name: Name of the model.

    Returns:
        A functional model: `(batch, height, width, channels)` float32 to `(batch, num_outputs)` float32 logits.

    Raises:
        ValueError: If the input is not an image or is too small, `num_outputs` is less than 1, `depth` is none of the
            five, `width` is not positive, or a network without bottlenecks gets `stride_on_3x3`.
    """
    check_image_shape(name, input_shape, min_size=MIN_IMAGE_SIZE)
    if stride_on_3x3 and depth < 50:
        raise ValueError(
            f"`stride_on_3x3` needs bottlenecks, which begin at 50 layers. Received: depth={depth}. Try `depth=50`."
        )
    block = partial(bottleneck, stride_on_3x3=stride_on_3x3) if depth >= 50 else basic
    filters = make_divisible(64 * width)
    inputs = keras.Input(input_shape, name="image")
    x = stem(inputs, filters)
    for stage, blocks in enumerate(BLOCKS[depth]):
        for number in range(blocks):
            x = block(x, filters * 2**stage, strides=2 if stage > 0 and number == 0 else 1)
    x = layers.GlobalAveragePooling2D()(x)  # (batch, filters of the last block)
    logits = layers.Dense(num_outputs, dtype="float32", name="logits")(x)
    return keras.Model(inputs, logits, name=name)


resnet18 = variant(resnet_imagenet, "resnet18")
resnet34 = variant(resnet_imagenet, "resnet34")
resnet50 = variant(resnet_imagenet, "resnet50")
resnet101 = variant(resnet_imagenet, "resnet101")
resnet152 = variant(resnet_imagenet, "resnet152")


def stem(x, filters):
    """Apply a 7x7 convolution and a max pooling, to a quarter of the resolution."""
    x = conv_bn(x, filters, 7, strides=2)
    return pool(layers.ReLU()(x))


def pool(x):
    """Apply a 3x3 max pooling of stride 2."""
    x = layers.ZeroPadding2D(1)(x)
    return layers.MaxPooling2D(3, 2)(x)


def basic(x, filters, *, strides):
    """Apply two 3x3 convolutions with a shortcut around them."""
    residual = conv_bn(x, filters, 3, strides)
    residual = layers.ReLU()(residual)
    residual = conv_bn(residual, filters, 3)
    return _add(x, residual, strides)


def bottleneck(x, filters, *, strides, stride_on_3x3):
    """Apply 1x1, 3x3 and 1x1 convolutions, the last with four times the filters, and a shortcut around them."""
    first, second = (1, strides) if stride_on_3x3 else (strides, 1)
    residual = conv_bn(x, filters, 1, first)
    residual = layers.ReLU()(residual)
    residual = conv_bn(residual, filters, 3, second)
    residual = layers.ReLU()(residual)
    residual = conv_bn(residual, 4 * filters, 1)
    return _add(x, residual, strides)


def _add(x, residual, strides):
    """Add the shortcut around a block, a 1x1 convolution where the shape changes."""
    if x.shape != residual.shape:
        x = conv_bn(x, residual.shape[-1], 1, strides)
    x = layers.Add()([x, residual])
    return layers.ReLU()(x)


def conv_bn(x, filters, kernel_size, strides=1):
    """Apply a convolution and batch normalization."""
    return batch_norm(conv(x, filters, kernel_size, strides))


def batch_norm(x):
    """Apply batch normalization with the epsilon of keras.applications."""
    return normalize(x, epsilon=EPSILON)


def bn_relu(x):
    """Apply batch normalization and ReLU."""
    return layers.ReLU()(batch_norm(x))
