"""MobileNet, the first.

Howard, Zhu, Chen, Kalenichenko, Wang, Weyand, Andreetto, Adam: "MobileNets: Efficient Convolutional Neural Networks for
Mobile Vision Applications", 2017, https://arxiv.org/abs/1704.04861, table 1.

Each convolution after the first is split in two: a 3x3 one in each channel for itself (depthwise), and a 1x1 one across
the channels. Two numbers then shrink the whole network to fit a phone, the width (section 3.3) and the resolution of
the images (section 3.4).

`mobilenet_v1` has 4,231,976 trainable parameters (4,253,864 in all) and 568.7 million multiply-accumulates at 224x224x3
and 1000 classes; the paper's table 4 has 4.2 and 569 million. (Table 8: 70.6% on ImageNet.) With the same weights it
gives what that of `keras.applications` does where each map that a stride halves is of even size: at others Keras pads
more than the authors' code.

`mobilenet_v1_025` is a quarter as wide, with biases, a plain rectifier and no dropout: the person detector of Banbury
et al.: "MLPerf Tiny Benchmark", NeurIPS 2021, https://arxiv.org/abs/2106.07597. 221,794 parameters in all and 7.49
million multiply-accumulates at 96x96x3 and 2 classes. (The benchmark asks for 80% on the visual wake words.)
"""

import keras
from keras import layers

from dltemplates.models.blocks import conv_bn, relu, relu6, separable
from dltemplates.models.checks import check_dropout_rate, check_image_shape, check_multiplier, check_num_outputs

LEAST = 17  # pixels: each of the five strides of 2 still finds something to halve
STEM_FILTERS = 32
STAGES = ((64, 1, 1), (128, 2, 2), (256, 2, 2), (512, 2, 6), (1024, 2, 2))  # filters, strides of the first, blocks


def mobilenet_v1(
    input_shape: tuple[int, int, int],
    num_outputs: int,
    *,
    width: float = 1.0,
    dropout_rate: float = 0.001,
    name: str = "mobilenet_v1",
) -> keras.Model:
    """Build the first MobileNet.

    Args:
        input_shape: `(height, width, channels)`; height and width at least 17.
        num_outputs: Number of classes, or of values to predict.
        width: Filters of every layer, as a share of the paper's; a multiple of 0.25, which leaves multiples of 8.
        dropout_rate: Share of the pooled features dropped, in [0, 1); the authors' code has 0.001.
        name: Name of the model.

    Returns:
        A functional model: `(batch, height, width, channels)` float32 to `(batch, num_outputs)` float32 logits.

    Raises:
        ValueError: If the input is no image or too small, `num_outputs` is less than 1, or `width` or `dropout_rate` is
            out of range.
    """
    check_image_shape("mobilenet_v1", input_shape, least=LEAST)
    check_num_outputs(num_outputs)
    check_multiplier("width", width)
    if STEM_FILTERS * width % 8:
        nearest = max(1, round(4 * width)) / 4
        raise ValueError(
            f"`width` must be a multiple of 0.25, to leave every layer of `mobilenet_v1` a multiple of 8 filters. "
            f"Received: width={width}. Try {nearest}."
        )
    check_dropout_rate(dropout_rate)
    inputs = keras.Input(input_shape, name="image")
    x = features(inputs, width, activation=relu6, use_bias=False)
    x = layers.Dropout(dropout_rate)(x)
    logits = layers.Dense(num_outputs, dtype="float32", name="logits")(x)
    return keras.Model(inputs, logits, name=name)


def mobilenet_v1_025(
    input_shape: tuple[int, int, int], num_outputs: int, *, name: str = "mobilenet_v1_025"
) -> keras.Model:
    """Build the person detector of MLPerf Tiny.

    Args:
        input_shape: `(height, width, channels)`; height and width at least 17.
        num_outputs: Number of classes, or of values to predict.
        name: Name of the model.

    Returns:
        A functional model: `(batch, height, width, channels)` float32 to `(batch, num_outputs)` float32 logits.

    Raises:
        ValueError: If the input is no image or too small, or `num_outputs` is less than 1.
    """
    check_image_shape("mobilenet_v1_025", input_shape, least=LEAST)
    check_num_outputs(num_outputs)
    inputs = keras.Input(input_shape, name="image")
    x = features(inputs, 0.25, activation=relu, use_bias=True)
    logits = layers.Dense(num_outputs, dtype="float32", name="logits")(x)
    return keras.Model(inputs, logits, name=name)


def features(x, width, *, activation, use_bias):
    """All but the classifier: images to (batch, 1024 * width)."""
    x = conv_bn(x, int(STEM_FILTERS * width), 3, strides=2, activation=activation, use_bias=use_bias)
    for filters, first_strides, blocks in STAGES:
        for block in range(blocks):
            strides = first_strides if block == 0 else 1
            x = separable(x, int(filters * width), strides, activation=activation, use_bias=use_bias)
    return layers.GlobalAveragePooling2D()(x)
