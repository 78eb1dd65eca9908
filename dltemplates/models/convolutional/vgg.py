"""VGG, very deep plain networks.

Simonyan, Zisserman: "Very Deep Convolutional Networks for Large-Scale Image Recognition", ICLR 2015,
https://arxiv.org/abs/1409.1556, table 1.

Every convolution is 3x3. Two of them see as much of the image as one of 5x5 and three as much as one of 7x7, with fewer
parameters and a ReLU in between. Small kernels allow a deep network, up to 19 layers with weights, and the accuracy
grows with the depth.

The network has five stages with 64, 128, 256, 512 and 512 filters, each followed by a max pooling that halves the map.
Two fully connected layers of 4096 units and the output follow. At 224x224x3 and 1000 classes:

| network | column of table 1 | convolutions of the stages | parameters | multiply-accumulates |
| --- | --- | --- | --- | --- |
| `vgg11` | A | 1, 1, 2, 2, 2 | 132,863,336 | 7.61 billion |
| `vgg13` | B | 2, 2, 2, 2, 2 | 133,047,848 | 11.3 billion |
| `vgg16` | D | 2, 2, 3, 3, 3 | 138,357,544 | 15.5 billion |
| `vgg19` | E | 2, 2, 4, 4, 4 | 143,667,240 | 19.6 billion |

With the same weights, `vgg16` and `vgg19` compute the same as the models of `keras.applications`. The paper initialized
the deeper networks with layers of a trained `vgg11`. Here all start from He's initialization, which makes this
unnecessary.
"""

from typing import Literal

import keras
from keras import layers

from dltemplates.catalog import variant
from dltemplates.models.blocks import conv_relu, make_divisible
from dltemplates.models.checks import check_image_shape
from dltemplates.models.ranges import Multiplier, NumOutputs, Share, checked

MIN_IMAGE_SIZE = 32  # pixels: the last of the five poolings still finds a map of 2x2
CONVOLUTIONS = {11: (1, 1, 2, 2, 2), 13: (2, 2, 2, 2, 2), 16: (2, 2, 3, 3, 3), 19: (2, 2, 4, 4, 4)}  # per stage


@checked
def vgg(
    input_shape: tuple[int, int, int],
    num_outputs: NumOutputs,
    *,
    depth: Literal[11, 13, 16, 19] = 16,
    width: Multiplier = 1.0,
    dropout_rate: Share = 0.5,
    name: str = "vgg",
) -> keras.Model:
    """Build a VGG.

    Args:
        input_shape: `(height, width, channels)`; height and width at least 32.
        num_outputs: Number of classes, or of values to predict.
        depth: Number of layers with weights: columns A, B, D and E of the paper's table 1.
        width: Multiplier of the paper's filters and units, rounded to multiples of 8; positive.
        dropout_rate: Share of the units dropped after each of the two hidden fully connected layers, in [0, 1).
        name: Name of the model.

    Returns:
        A functional model: `(batch, height, width, channels)` float32 to `(batch, num_outputs)` float32 logits.

    Raises:
        ValueError: If the input is not an image or is too small, `num_outputs` is less than 1, or `depth`, `width` or
            `dropout_rate` is out of range.
    """
    check_image_shape(name, input_shape, min_size=MIN_IMAGE_SIZE)
    inputs = keras.Input(input_shape, name="image")
    x = inputs
    for filters, repeats in zip((64, 128, 256, 512, 512), CONVOLUTIONS[depth], strict=True):
        x = stage(x, make_divisible(width * filters), repeats)
    x = layers.Flatten()(x)  # (batch, height / 32 * width / 32 * filters of the last stage)
    for _ in range(2):
        x = layers.Dense(make_divisible(width * 4096), activation="relu", kernel_initializer="he_normal")(x)
        x = layers.Dropout(dropout_rate)(x)
    logits = layers.Dense(num_outputs, dtype="float32", name="logits")(x)
    return keras.Model(inputs, logits, name=name)


vgg11 = variant(vgg, "vgg11")
vgg13 = variant(vgg, "vgg13")
vgg16 = variant(vgg, "vgg16")
vgg19 = variant(vgg, "vgg19")


def stage(x, filters, repeats):
    """Apply convolutions that keep the resolution, and a max pooling that halves it."""
    for _ in range(repeats):
        x = conv_relu(x, filters, 3)
    return layers.MaxPooling2D(2)(x)
