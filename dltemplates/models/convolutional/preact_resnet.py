"""Residual networks with identity mappings, also called pre-activation ResNet or ResNet V2.

He, Zhang, Ren, Sun: "Identity Mappings in Deep Residual Networks", ECCV 2016, https://arxiv.org/abs/1603.05027. The
shortcut of a unit is the identity: batch normalization and ReLU move from after the sum to before each
convolution. Any two units are then connected by additions alone, forwards and backwards, and a network with 1001 layers
trains as easily as one with 110.

For small images (section 4), the stages have 16, 32 and 64 filters as in the first paper, or bottlenecks that output
64, 128 and 256. The shortcut of a stage's first unit is activated too. A 1x1 convolution changes its shape around a
bottleneck; otherwise the change has no parameters. At 32x32x3 and 10 classes, with the error rates on CIFAR-10 in
tables 2 and 4, in percent:

| layers | trainable parameters | in the paper | errors |
| --- | --- | --- | --- |
| 110 | 1,727,962 | 1.7M | 6.37 |
| 164, bottlenecks | 1,703,258 | 1.7M | 5.46 |
| 1001, bottlenecks | 10,327,706 | 10.2M, its convolutions | 4.92 |

For photographs, the networks are `keras.applications.ResNet50V2`, `101V2` and `152V2`, with the same outputs for the
same weights. There the *last* unit of a stage halves the resolution, in its 3x3 convolution. A convolution without a
normalization after it has a bias. At 224x224x3 and 1000 classes:

| layers | units | trainable parameters |
| --- | --- | --- |
| 50 | 3, 4, 6, 3 | 25,568,360 |
| 101 | 3, 4, 23, 3 | 44,577,896 |
| 152 | 3, 8, 36, 3 | 60,236,904 |
"""

from typing import Literal

import keras
from keras import layers

from dltemplates.catalog import variant
from dltemplates.models.blocks import conv, make_divisible
from dltemplates.models.checks import check_depth, check_image_shape
from dltemplates.models.convolutional.resnet import pad
from dltemplates.models.convolutional.resnet_imagenet import BLOCKS, MIN_IMAGE_SIZE, bn_relu, pool
from dltemplates.models.ranges import Multiplier, NumOutputs, checked
from dltemplates.models.recursion import deep_networks


@checked
def preact_resnet_cifar(
    input_shape: tuple[int, int, int],
    num_outputs: NumOutputs,
    *,
    depth: int = 164,
    bottleneck: bool = True,
    name: str = "preact_resnet_cifar",
) -> keras.Model:
    """Build the CIFAR-10 pre-activation ResNet of any depth.

    Args:
        input_shape: `(height, width, channels)`; height and width at least 8.
        num_outputs: Number of classes, or of values to predict.
        depth: Number of layers with parameters, without the 1x1 convolutions of the shortcuts: 9n+2 with n at least 1,
            or 6n+2 without bottlenecks.
        bottleneck: Whether a unit has three convolutions, the middle one on a quarter of the channels. Else it has two.
        name: Name of the model.

    Returns:
        A functional model: `(batch, height, width, channels)` float32 to `(batch, num_outputs)` float32 logits.

    Raises:
        ValueError: If the input is not an image or is too small, `depth` is not 9n+2 or 6n+2, or `num_outputs` is less
            than 1.
    """
    check_image_shape(name, input_shape, min_size=8)
    unit, step, expansion = (bottleneck_unit, 9, 4) if bottleneck else (basic_unit, 6, 1)
    check_depth(depth, step)
    inputs = keras.Input(input_shape, name="image")
    x = conv(inputs, 16, 3)
    for filters, first_strides in ((16, 1), (32, 2), (64, 2)):
        for number in range(depth // step):
            first = number == 0
            x = unit(x, expansion * filters, first_strides if first else 1, first=first)
    return _classifier(inputs, x, num_outputs, name)


preact_resnet110 = variant(preact_resnet_cifar, "preact_resnet110")
preact_resnet164 = variant(preact_resnet_cifar, "preact_resnet164")


@checked
def preact_resnet_imagenet(
    input_shape: tuple[int, int, int],
    num_outputs: NumOutputs,
    *,
    depth: Literal[50, 101, 152] = 50,
    width: Multiplier = 1.0,
    name: str = "preact_resnet_imagenet",
) -> keras.Model:
    """Build an ImageNet pre-activation ResNet.

    Args:
        input_shape: `(height, width, channels)`; height and width at least 32.
        num_outputs: Number of classes, or of values to predict.
        depth: Number of layers with parameters, without the 1x1 convolutions of the shortcuts.
        width: Multiplier of the paper's filters, 64, 128, 256 and 512; positive. Those of the first stage are rounded
            to a multiple of 8. A unit outputs four times as many.
        name: Name of the model.

    Returns:
        A functional model: `(batch, height, width, channels)` float32 to `(batch, num_outputs)` float32 logits.

    Raises:
        ValueError: If the input is not an image or is too small, `num_outputs` is less than 1, `depth` is none of the
            three, or `width` is not positive.
    """
    check_image_shape(name, input_shape, min_size=MIN_IMAGE_SIZE)
    filters = make_divisible(64 * width)
    inputs = keras.Input(input_shape, name="image")
    x = pool(conv(inputs, filters, 7, strides=2, use_bias=True))
    repeats = BLOCKS[depth]
    for stage, units in enumerate(repeats):
        for number in range(1, units + 1):
            halves = number == units and stage + 1 < len(repeats)
            x = bottleneck_unit(
                x,
                4 * filters * 2**stage,
                2 if halves else 1,
                first=number == 1,
                stride_on_3x3=True,
                use_bias=True,
            )
    return _classifier(inputs, x, num_outputs, name)


preact_resnet50 = variant(preact_resnet_imagenet, "preact_resnet50")
preact_resnet101 = variant(preact_resnet_imagenet, "preact_resnet101")
preact_resnet152 = variant(preact_resnet_imagenet, "preact_resnet152")


def _classifier(inputs, x, num_outputs, name):
    """Activate the output of the last unit, pool it and add the logits."""
    x = layers.GlobalAveragePooling2D()(bn_relu(x))  # (batch, filters of the last unit)
    logits = layers.Dense(num_outputs, dtype="float32", name="logits")(x)
    with deep_networks():
        return keras.Model(inputs, logits, name=name)


def basic_unit(x, filters, strides, *, first):
    """Apply two 3x3 convolutions with the input as shortcut; the `first` unit of a stage activates the shortcut too."""
    activated = bn_relu(x)
    shortcut = activated if first else x
    if strides > 1:
        shortcut = pad(shortcut, filters, strides)
    residual = conv(activated, filters, 3, strides)
    residual = conv(bn_relu(residual), filters, 3)
    return layers.Add()([shortcut, residual])


def bottleneck_unit(x, filters, strides, *, first, stride_on_3x3=False, use_bias=False):
    """Apply 1x1, 3x3 and 1x1 convolutions, the first two with a quarter of the filters, with the input as shortcut.

    The shortcut of a stage's `first` unit is a 1x1 convolution of the activated input. `use_bias` is for the
    convolutions that no normalization follows.
    """
    activated = bn_relu(x)
    shortcut = x
    if first:
        shortcut = conv(activated, filters, 1, strides, use_bias=use_bias)
    elif strides > 1:
        shortcut = layers.MaxPooling2D(1, strides)(x)  # every second pixel
    strides_1x1, strides_3x3 = (1, strides) if stride_on_3x3 else (strides, 1)
    residual = conv(activated, filters // 4, 1, strides_1x1)
    residual = conv(bn_relu(residual), filters // 4, 3, strides_3x3)
    residual = conv(bn_relu(residual), filters, 1, use_bias=use_bias)
    return layers.Add()([shortcut, residual])
