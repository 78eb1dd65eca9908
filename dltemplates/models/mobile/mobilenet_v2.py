"""MobileNetV2.

Sandler, Howard, Zhu, Zhmoginov, Chen: "MobileNetV2: Inverted Residuals and Linear Bottlenecks", CVPR 2018,
https://arxiv.org/abs/1801.04381, table 2.

A block widens its few channels sixfold, filters each on its own and narrows them again. The shortcut joins the narrow
ends, so that the network needs little memory between blocks. The narrow end has no activation, which would lose
information of its few channels (section 3.2).

3,504,872 trainable parameters (3,538,984 in all) and 300.8 million multiply-accumulates at 224x224x3 and 1000 classes;
the paper's table 4 has 3.4 and 300 million. (72.0% on ImageNet.)
"""

import keras
from keras import layers

from dltemplates.models.blocks import add_shortcut, conv_bn, inverted_bottleneck, make_divisible, relu6
from dltemplates.models.checks import check_image_shape
from dltemplates.models.ranges import Multiplier, NumOutputs, Share, checked

MIN_IMAGE_SIZE = 17  # pixels: each of the five strides of 2 still halves its map
STAGES = (  # t, c, n, s of table 2: expansion, filters, blocks, strides of the first
    (1, 16, 1, 1),
    (6, 24, 2, 2),
    (6, 32, 3, 2),
    (6, 64, 4, 2),
    (6, 96, 3, 1),
    (6, 160, 3, 2),
    (6, 320, 1, 1),
)


@checked
def mobilenet_v2(
    input_shape: tuple[int, int, int],
    num_outputs: NumOutputs,
    *,
    width: Multiplier = 1.0,
    dropout_rate: Share = 0.2,
    name: str = "mobilenet_v2",
) -> keras.Model:
    """Build MobileNetV2.

    Args:
        input_shape: `(height, width, channels)`; height and width at least 17.
        num_outputs: Number of classes, or of values to predict.
        width: Multiplier of the paper's filters, rounded to multiples of 8; positive. The last convolution has at
            least 1280.
        dropout_rate: Share of the pooled features dropped, in [0, 1); the authors' code has 0.2.
        name: Name of the model.

    Returns:
        A functional model: `(batch, height, width, channels)` float32 to `(batch, num_outputs)` float32 logits.

    Raises:
        ValueError: If the input is not an image or is too small, `num_outputs` is less than 1, or `width` or
            `dropout_rate` is out of range.
    """
    check_image_shape("mobilenet_v2", input_shape, min_size=MIN_IMAGE_SIZE)
    inputs = keras.Input(input_shape, name="image")
    x = conv_bn(inputs, make_divisible(32 * width), 3, strides=2, activation=relu6)
    for expansion, filters, blocks, first_strides in STAGES:
        for block in range(blocks):
            strides = first_strides if block == 0 else 1
            x = inverted_residual(x, make_divisible(filters * width), expansion, strides)
    x = conv_bn(x, make_divisible(1280 * max(1.0, width)), activation=relu6)
    x = layers.GlobalAveragePooling2D()(x)  # (batch, 1280)
    x = layers.Dropout(dropout_rate)(x)
    logits = layers.Dense(num_outputs, dtype="float32", name="logits")(x)
    return keras.Model(inputs, logits, name=name)


def inverted_residual(x, filters, expansion, strides):
    """Apply an inverted bottleneck, with a shortcut around it where the shape stays."""
    return add_shortcut(x, inverted_bottleneck(x, filters, expanded=expansion * x.shape[-1], strides=strides))
