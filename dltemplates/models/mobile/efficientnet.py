"""EfficientNet, and EfficientNet-Lite for devices that compute in integers.

Tan, Le: "EfficientNet: Rethinking Model Scaling for Convolutional Neural Networks", ICML 2019,
https://arxiv.org/abs/1905.11946, table 1.

An automatic search found one small network of inverted residual blocks, each with squeeze and excite. Larger networks
scale its width, depth and image size together (section 3.3). In training some examples skip a block; deeper blocks are
skipped more often (stochastic depth).

`efficientnet_b0` has 5,288,548 trainable parameters (5,330,564 in all) and 385.8 million multiply-accumulates at
224x224x3 and 1000 classes; the paper's table 2 has 5.3 and 390 million. (77.1% on ImageNet.)

`efficientnet_lite0` leaves out squeeze and excite and swish, which lose accuracy in 8 bits (Liu: "Higher accuracy on
vision models with EfficientNet-Lite", 2020,
https://github.com/tensorflow/tpu/tree/master/models/official/efficientnet/lite). It has 4,652,008 trainable parameters
(4,694,024 in all) and 385.2 million multiply-accumulates; the author writes 4.7 and 407 million. (75.1% on ImageNet,
74.4% in 8 bits.)
"""

import math
from functools import partial

import keras
from keras import layers

from dltemplates.catalog import variant
from dltemplates.models.blocks import (
    add_shortcut,
    conv_bn,
    inverted_bottleneck,
    make_divisible,
    relu6,
    silu,
    squeeze_and_excite,
)
from dltemplates.models.checks import check_image_shape
from dltemplates.models.ranges import Multiplier, NumOutputs, Share, checked

MIN_IMAGE_SIZE = 17  # pixels: each of the five strides of 2 still halves its map
STAGES = (  # stages 2 to 8 of table 1: expansion, kernel, filters, blocks, strides of the first
    (1, 3, 16, 1, 1),
    (6, 3, 24, 2, 2),
    (6, 5, 40, 2, 2),
    (6, 3, 80, 3, 2),
    (6, 5, 112, 3, 1),
    (6, 5, 192, 4, 2),
    (6, 3, 320, 1, 1),
)


@checked
def efficientnet(
    input_shape: tuple[int, int, int],
    num_outputs: NumOutputs,
    *,
    lite: bool = False,
    width: Multiplier = 1.0,
    depth: Multiplier = 1.0,
    dropout_rate: Share = 0.2,
    stochastic_depth_rate: Share = 0.2,
    name: str = "efficientnet",
) -> keras.Model:
    """Build EfficientNet-B0 or -Lite0, or a larger network of its family by `width` and `depth`.

    Args:
        input_shape: `(height, width, channels)`; height and width at least 17.
        num_outputs: Number of classes, or of values to predict.
        lite: Whether to build EfficientNet-Lite. Its first convolution has 32 filters and its last 1280 at any width,
            its first and last stage one block at any depth.
        width: Multiplier of the filters of B0 or Lite0, rounded to multiples of 8; positive.
        depth: Multiplier of the blocks of every stage, rounded up; positive. With `width` it makes B1 (`width=1.0,
            depth=1.1` at 240 pixels), B2 (1.1, 1.2 at 260), B3 (1.2, 1.4 at 300) and B4 (1.4, 1.8 at 380), or Lite1
            (1.0, 1.1 at 240), Lite2 (1.1, 1.2 at 260), Lite3 (1.2, 1.4 at 280) and Lite4 (1.4, 1.8 at 300).
        dropout_rate: Share of the pooled features dropped, in [0, 1).
        stochastic_depth_rate: Share of the examples that skip a block, in [0, 1). It grows from 0 at the first block
            towards this value after the last.
        name: Name of the model.

    Returns:
        A functional model: `(batch, height, width, channels)` float32 to `(batch, num_outputs)` float32 logits.

    Raises:
        ValueError: If the input is not an image or is too small, `num_outputs` is less than 1, or `width`, `depth`,
            `dropout_rate` or `stochastic_depth_rate` is out of range.
    """
    check_image_shape(name, input_shape, min_size=MIN_IMAGE_SIZE)
    activation = relu6 if lite else silu
    width_of_ends = 1.0 if lite else width
    repeats = [math.ceil(depth * blocks) for *_, blocks, _ in STAGES]
    if lite:
        repeats[0], repeats[-1] = 1, 1
    inputs = keras.Input(input_shape, name="image")
    x = conv_bn(inputs, make_divisible(32 * width_of_ends), 3, strides=2, activation=activation)
    blocks_before = 0
    for (expansion, kernel_size, filters, _, first_strides), blocks in zip(STAGES, repeats, strict=True):
        for block in range(blocks):
            residual = inverted_bottleneck(
                x,
                make_divisible(filters * width),
                expanded=expansion * x.shape[-1],
                kernel_size=kernel_size,
                strides=first_strides if block == 0 else 1,
                activation=activation,
                excite=None if lite else partial(weigh_channels, filters=x.shape[-1] // 4),
            )
            x = add_shortcut(x, residual, drop_rate=stochastic_depth_rate * blocks_before / sum(repeats))
            blocks_before += 1
    x = conv_bn(x, make_divisible(1280 * width_of_ends), activation=activation)
    x = layers.GlobalAveragePooling2D()(x)
    x = layers.Dropout(dropout_rate)(x)
    logits = layers.Dense(num_outputs, dtype="float32", name="logits")(x)
    return keras.Model(inputs, logits, name=name)


efficientnet_b0 = variant(efficientnet, "efficientnet_b0")
efficientnet_lite0 = variant(efficientnet, "efficientnet_lite0")


def weigh_channels(x, filters):
    """Apply squeeze and excite; `filters` is a quarter of the channels of the block's input."""
    return squeeze_and_excite(x, filters, activation=silu, gate="sigmoid")
