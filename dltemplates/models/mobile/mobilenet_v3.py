"""MobileNetV3, small and large.

Howard, Sandler, Chu, Chen, Chen, Tan, Wang, Zhu, Pang, Vasudevan, Le, Adam: "Searching for MobileNetV3", ICCV 2019,
https://arxiv.org/abs/1905.02244, tables 1 and 2.

An automatic search, with latencies measured on a phone, chose the kernel, width and activation of each inverted
residual block. In some blocks a small MLP weights the channels (squeeze and excite). The authors then made the
costly first and last layers cheaper by hand (section 5.1) and replaced swish by the cheaper hard-swish (section 5.2).

At 224x224x3 and 1000 classes `mobilenet_v3_small` has 2,542,856 trainable parameters (2,554,968 in all) and 56.5
million multiply-accumulates, `mobilenet_v3_large` 5,483,032 (5,507,432 in all) and 216.6 million; the paper's table 3
has 2.5 and 56 million, 5.4 and 219 million. (67.4% and 75.2% on ImageNet.)
"""

from typing import Literal

import keras
from keras import layers

from dltemplates.catalog import variant
from dltemplates.models.blocks import (
    add_shortcut,
    conv_bn,
    hard_silu,
    inverted_bottleneck,
    make_divisible,
    relu,
    squeeze_and_excite,
)
from dltemplates.models.checks import check_image_shape
from dltemplates.models.ranges import Multiplier, NumOutputs, Share, checked

MIN_IMAGE_SIZE = 17  # pixels: each of the five strides of 2 still halves its map
STEM_FILTERS = 16
SMALL = (  # table 2: kernel, expanded filters, filters, squeeze and excite, activation, strides
    (3, 16, 16, True, relu, 2),
    (3, 72, 24, False, relu, 2),
    (3, 88, 24, False, relu, 1),
    (5, 96, 40, True, hard_silu, 2),
    (5, 240, 40, True, hard_silu, 1),
    (5, 240, 40, True, hard_silu, 1),
    (5, 120, 48, True, hard_silu, 1),
    (5, 144, 48, True, hard_silu, 1),
    (5, 288, 96, True, hard_silu, 2),
    (5, 576, 96, True, hard_silu, 1),
    (5, 576, 96, True, hard_silu, 1),
)
LARGE = (  # table 1
    (3, 16, 16, False, relu, 1),
    (3, 64, 24, False, relu, 2),
    (3, 72, 24, False, relu, 1),
    (5, 72, 40, True, relu, 2),
    (5, 120, 40, True, relu, 1),
    (5, 120, 40, True, relu, 1),
    (3, 240, 80, False, hard_silu, 2),
    (3, 200, 80, False, hard_silu, 1),
    (3, 184, 80, False, hard_silu, 1),
    (3, 184, 80, False, hard_silu, 1),
    (3, 480, 112, True, hard_silu, 1),
    (3, 672, 112, True, hard_silu, 1),
    (5, 672, 160, True, hard_silu, 2),
    (5, 960, 160, True, hard_silu, 1),
    (5, 960, 160, True, hard_silu, 1),
)


TABLES = {"small": (SMALL, 1024), "large": (LARGE, 1280)}  # blocks, units of the last hidden layer


@checked
def mobilenet_v3(
    input_shape: tuple[int, int, int],
    num_outputs: NumOutputs,
    *,
    size: Literal["small", "large"] = "large",
    width: Multiplier = 1.0,
    dropout_rate: Share = 0.2,
    name: str = "mobilenet_v3",
) -> keras.Model:
    """Build the small or the large MobileNetV3.

    Args:
        input_shape: `(height, width, channels)`; height and width at least 17.
        num_outputs: Number of classes, or of values to predict.
        size: Table 2 (`small`) or table 1 (`large`) of the paper.
        width: Multiplier of the paper's filters in every block, rounded to multiples of 8; positive. The first
            convolution has 16 filters at any width, the last hidden layer at least 1024 units (small) or 1280 (large).
        dropout_rate: Share of the last hidden layer's units dropped, in [0, 1).
        name: Name of the model.

    Returns:
        A functional model: `(batch, height, width, channels)` float32 to `(batch, num_outputs)` float32 logits.

    Raises:
        ValueError: If the input is not an image or is too small, `num_outputs` is less than 1, or `size`, `width` or
            `dropout_rate` is out of range.
    """
    check_image_shape(name, input_shape, min_size=MIN_IMAGE_SIZE)
    rows, units = TABLES[size]
    inputs = keras.Input(input_shape, name="image")
    x = conv_bn(inputs, STEM_FILTERS, 3, strides=2, activation=hard_silu)
    before = STEM_FILTERS
    for kernel_size, expanded, filters, excite, activation, strides in rows:
        residual = inverted_bottleneck(
            x,
            make_divisible(filters * width),
            expanded=make_divisible(x.shape[-1] * expanded / before),  # the paper's ratio at any width
            kernel_size=kernel_size,
            strides=strides,
            activation=activation,
            excite=weigh_channels if excite else None,
        )
        x = add_shortcut(x, residual)
        before = filters
    x = conv_bn(x, make_divisible(6 * x.shape[-1]), activation=hard_silu)
    x = layers.GlobalAveragePooling2D()(x)
    x = hard_silu(layers.Dense(make_divisible(units * max(1.0, width)))(x))
    x = layers.Dropout(dropout_rate)(x)
    logits = layers.Dense(num_outputs, dtype="float32", name="logits")(x)
    return keras.Model(inputs, logits, name=name)


mobilenet_v3_small = variant(mobilenet_v3, "mobilenet_v3_small")
mobilenet_v3_large = variant(mobilenet_v3, "mobilenet_v3_large")


def weigh_channels(x):
    """Apply squeeze and excite with a quarter as many hidden units as channels (section 5.3)."""
    return squeeze_and_excite(x, make_divisible(x.shape[-1] / 4), activation=relu, gate="hard_sigmoid")
