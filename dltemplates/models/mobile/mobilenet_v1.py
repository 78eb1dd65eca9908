"""MobileNet, the first.

Howard, Zhu, Chen, Kalenichenko, Wang, Weyand, Andreetto, Adam: "MobileNets: Efficient Convolutional Neural Networks for
Mobile Vision Applications", 2017, https://arxiv.org/abs/1704.04861, table 1.

Each convolution after the first is split in two: a 3x3 convolution in each channel on its own (depthwise), and a 1x1
convolution across the channels. Two numbers then shrink the whole network to fit a phone: the width (section 3.3) and
the resolution of the images (section 3.4).

`mobilenet_v1` has 4,231,976 trainable parameters (4,253,864 in all) and 568.7 million multiply-accumulates at 224x224x3
and 1000 classes; the paper's table 4 has 4.2 and 569 million. (Table 8: 70.6% on ImageNet.) With the same weights it
computes the same as `keras.applications.MobileNet` where each map that a stride halves has even sides. At odd sides
Keras pads more than the authors' code.

`mobilenet_v1_025` is the person detector of Banbury et al.: "MLPerf Tiny Benchmark", NeurIPS 2021,
https://arxiv.org/abs/2106.07597. It has a quarter of the width, biases, ReLU in place of ReLU6 and no dropout: 221,794
parameters in all and 7.49 million multiply-accumulates at 96x96x3 and 2 classes. (The benchmark requires 80% on the
Visual Wake Words.)
"""

from functools import partial
from typing import Literal

import keras
from keras import layers

from dltemplates.catalog import variant
from dltemplates.models.blocks import conv_bn, relu, relu6, separable
from dltemplates.models.checks import check_image_shape
from dltemplates.models.ranges import Multiplier, NumOutputs, Share, checked

MIN_IMAGE_SIZE = 17  # pixels: each of the five strides of 2 still halves its map
STEM_FILTERS = 32
STAGES = ((64, 1, 1), (128, 2, 2), (256, 2, 2), (512, 2, 6), (1024, 2, 2))  # filters, strides of the first, blocks
ACTIVATIONS = {"relu": relu, "relu6": relu6}


@checked
def mobilenet_v1(
    input_shape: tuple[int, int, int],
    num_outputs: NumOutputs,
    *,
    width: Multiplier = 1.0,
    activation: Literal["relu", "relu6"] = "relu6",
    use_bias: bool = False,
    dropout_rate: Share | None = 0.001,
    name: str = "mobilenet_v1",
) -> keras.Model:
    """Build the first MobileNet.

    Args:
        input_shape: `(height, width, channels)`; height and width at least 17.
        num_outputs: Number of classes, or of values to predict.
        width: Multiplier of the paper's filters; a multiple of 0.25, which leaves multiples of 8.
        activation: Activation after each convolution.
        use_bias: Whether the convolutions have a bias.
        dropout_rate: Share of the pooled features dropped, in [0, 1); the authors' code has 0.001. None adds no
            dropout layer.
        name: Name of the model.

    Returns:
        A functional model: `(batch, height, width, channels)` float32 to `(batch, num_outputs)` float32 logits.

    Raises:
        ValueError: If the input is not an image or is too small, `num_outputs` is less than 1, or `width` or
            `dropout_rate` is out of range.
    """
    check_image_shape(name, input_shape, min_size=MIN_IMAGE_SIZE)
    if STEM_FILTERS * width % 8:
        nearest = max(1, round(4 * width)) / 4
        raise ValueError(
            f"`width` must be a multiple of 0.25, so that every layer of `{name}` has a multiple of 8 filters. "
            f"Received: width={width}. Try {nearest}."
        )
    convolve = partial(separable, activation=ACTIVATIONS[activation], use_bias=use_bias)
    inputs = keras.Input(input_shape, name="image")
    x = conv_bn(inputs, int(STEM_FILTERS * width), 3, strides=2, activation=ACTIVATIONS[activation], use_bias=use_bias)
    for filters, first_strides, blocks in STAGES:
        for block in range(blocks):
            x = convolve(x, int(filters * width), first_strides if block == 0 else 1)
    x = layers.GlobalAveragePooling2D()(x)  # (batch, 1024 * width)
    if dropout_rate is not None:
        x = layers.Dropout(dropout_rate)(x)
    logits = layers.Dense(num_outputs, dtype="float32", name="logits")(x)
    return keras.Model(inputs, logits, name=name)


mobilenet_v1_025 = variant(mobilenet_v1, "mobilenet_v1_025")
