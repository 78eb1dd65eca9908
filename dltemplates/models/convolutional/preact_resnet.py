"""Residual networks with identity mappings, also called pre-activation ResNet or ResNet V2.

He, Zhang, Ren, Sun: "Identity Mappings in Deep Residual Networks", ECCV 2016, https://arxiv.org/abs/1603.05027. What
goes around a unit is left as it is: batch normalization and rectifier move from behind the sum to in front of each
convolution. Any unit then reaches any other by additions alone, forwards and backwards, and a network of 1001 layers
trains as easily as one of 110.

For small images (section 4), stages of 16, 32 and 64 filters as in the first paper, or of bottlenecks that give 64, 128
and 256. What goes around the first unit of a stage is activated too; its shape is changed by a 1x1 convolution around a
bottleneck, and else without parameters. At 32x32x3 and 10 classes, with the percentage of errors on CIFAR-10 in
tables 2 and 4:

| layers | trainable parameters | as the paper says | errors |
| --- | --- | --- | --- |
| 110 | 1,727,962 | 1.7M | 6.37 |
| 164, bottlenecks | 1,703,258 | 1.7M | 5.46 |
| 1001, bottlenecks | 10,327,706 | 10.2M, its convolutions | 4.92 |

For photographs, the networks of `keras.applications.ResNet50V2` and so on, and with the same weights their outputs. It
is the *last* unit of a stage that halves the resolution there, in its 3x3 convolution, and a convolution that no
normalization follows has a bias. At 224x224x3 and 1000 classes:

| layers | units | trainable parameters |
| --- | --- | --- |
| 50 | 3, 4, 6, 3 | 25,568,360 |
| 101 | 3, 4, 23, 3 | 44,577,896 |
| 152 | 3, 8, 36, 3 | 60,236,904 |
"""

from collections.abc import Sequence

import keras
from keras import layers

from dltemplates.models.blocks import conv, make_divisible
from dltemplates.models.checks import check_depth, check_image_shape, check_multiplier, check_num_outputs
from dltemplates.models.convolutional.resnet import pad
from dltemplates.models.convolutional.resnet_imagenet import LEAST, bn_relu, pool
from dltemplates.models.recursion import deep_networks


def preact_resnet_cifar(
    input_shape: tuple[int, int, int],
    num_outputs: int,
    *,
    depth: int = 164,
    bottleneck: bool = True,
    name: str = "preact_resnet_cifar",
) -> keras.Model:
    """Build the CIFAR-10 pre-activation ResNet of any depth.

    Args:
        input_shape: `(height, width, channels)`; height and width at least 8.
        num_outputs: Number of classes, or of values to predict.
        depth: Layers with parameters, the 1x1 convolutions around units not counted: 9n+2 with n at least 1, or 6n+2
            without bottlenecks.
        bottleneck: Whether a unit is three convolutions, the middle one on a quarter of the channels, or two.
        name: Name of the model.

    Returns:
        A functional model: `(batch, height, width, channels)` float32 to `(batch, num_outputs)` float32 logits.

    Raises:
        ValueError: If the input is no image or too small, `depth` is not 9n+2 or 6n+2, or `num_outputs` is less than 1.
    """
    check_image_shape(name, input_shape, least=8)
    check_num_outputs(num_outputs)
    unit, step, expansion = (bottleneck_unit, 9, 4) if bottleneck else (basic_unit, 6, 1)
    check_depth(depth, step)
    inputs = keras.Input(input_shape, name="image")
    x = conv(inputs, 16, 3)
    for filters, first_strides in ((16, 1), (32, 2), (64, 2)):
        for number in range(depth // step):
            first = number == 0
            x = unit(x, expansion * filters, first_strides if first else 1, first=first)
    return _classifier(inputs, x, num_outputs, name)


def preact_resnet110(
    input_shape: tuple[int, int, int], num_outputs: int, *, name: str = "preact_resnet110"
) -> keras.Model:
    """Build the CIFAR-10 pre-activation ResNet of 110 layers, whose units are two 3x3 convolutions.

    Args:
        input_shape: `(height, width, channels)`; height and width at least 8.
        num_outputs: Number of classes, or of values to predict.
        name: Name of the model.

    Returns:
        A functional model: `(batch, height, width, channels)` float32 to `(batch, num_outputs)` float32 logits.

    Raises:
        ValueError: If the input is no image or too small, `num_outputs` is less than 1.
    """
    return preact_resnet_cifar(input_shape, num_outputs, depth=110, bottleneck=False, name=name)


def preact_resnet164(
    input_shape: tuple[int, int, int], num_outputs: int, *, name: str = "preact_resnet164"
) -> keras.Model:
    """Build the CIFAR-10 pre-activation ResNet of 164 layers, whose units are bottlenecks.

    Args: Those of `preact_resnet110`.

    Returns: As `preact_resnet110`.

    Raises: As `preact_resnet110`.
    """
    return preact_resnet_cifar(input_shape, num_outputs, depth=164, name=name)


def preact_resnet50(
    input_shape: tuple[int, int, int], num_outputs: int, *, width: float = 1.0, name: str = "preact_resnet50"
) -> keras.Model:
    """Build the ImageNet pre-activation ResNet of 50 layers.

    Args:
        input_shape: `(height, width, channels)`; height and width at least 32.
        num_outputs: Number of classes, or of values to predict.
        width: Filters of every stage, as a share of the paper's 64, 128, 256 and 512, four times as many out of
            a unit; those of the first are rounded to a multiple of 8; positive.
        name: Name of the model.

    Returns:
        A functional model: `(batch, height, width, channels)` float32 to `(batch, num_outputs)` float32 logits.

    Raises:
        ValueError: If the input is no image or too small, `num_outputs` is less than 1, or `width` is not positive.
    """
    return _imagenet(input_shape, num_outputs, (3, 4, 6, 3), width=width, name=name)


def preact_resnet101(
    input_shape: tuple[int, int, int], num_outputs: int, *, width: float = 1.0, name: str = "preact_resnet101"
) -> keras.Model:
    """Build the ImageNet pre-activation ResNet of 101 layers.

    Args: Those of `preact_resnet50`.

    Returns: As `preact_resnet50`.

    Raises: As `preact_resnet50`.
    """
    return _imagenet(input_shape, num_outputs, (3, 4, 23, 3), width=width, name=name)


def preact_resnet152(
    input_shape: tuple[int, int, int], num_outputs: int, *, width: float = 1.0, name: str = "preact_resnet152"
) -> keras.Model:
    """Build the ImageNet pre-activation ResNet of 152 layers.

    Args: Those of `preact_resnet50`.

    Returns: As `preact_resnet50`.

    Raises: As `preact_resnet50`.
    """
    return _imagenet(input_shape, num_outputs, (3, 8, 36, 3), width=width, name=name)


def _imagenet(
    input_shape: tuple[int, int, int], num_outputs: int, repeats: Sequence[int], *, width: float, name: str
) -> keras.Model:
    """Stack four stages of so many bottlenecks each."""
    check_image_shape(name, input_shape, least=LEAST)
    check_num_outputs(num_outputs)
    check_multiplier("width", width)
    filters = make_divisible(64 * width)
    inputs = keras.Input(input_shape, name="image")
    x = pool(conv(inputs, filters, 7, strides=2, use_bias=True))
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


def _classifier(inputs, x, num_outputs, name):
    """Activate what comes out of the last unit, and end in logits."""
    x = layers.GlobalAveragePooling2D()(bn_relu(x))  # (batch, filters of the last unit)
    logits = layers.Dense(num_outputs, dtype="float32", name="logits")(x)
    with deep_networks():
        return keras.Model(inputs, logits, name=name)


def basic_unit(x, filters, strides, *, first):
    """Two 3x3 convolutions, with the input itself around them; in the `first` unit of a stage it is activated too."""
    activated = bn_relu(x)
    shortcut = activated if first else x
    if strides > 1:
        shortcut = pad(shortcut, filters, strides)
    residual = conv(activated, filters, 3, strides)
    residual = conv(bn_relu(residual), filters, 3)
    return layers.Add()([shortcut, residual])


def bottleneck_unit(x, filters, strides, *, first, stride_on_3x3=False, use_bias=False):
    """1x1, 3x3 and 1x1 convolutions, the first two of a quarter of the filters, with the input itself around them.

    Around the `first` unit of a stage goes a 1x1 convolution of the activated input. `use_bias` is for the convolutions
    that no normalization follows.
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
