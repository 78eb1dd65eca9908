"""AlexNet.

Krizhevsky, Sutskever, Hinton: "ImageNet Classification with Deep Convolutional Neural Networks", NIPS 2012,
https://papers.nips.cc/paper/4824-imagenet-classification-with-deep-convolutional-neural-networks, section 3.

Five convolutions and three fully connected layers, one of the largest networks of its time, learned from 1.2 million
photographs. ReLU made it possible to train such a network in days. Dropout keeps its 60 million parameters from
memorizing the photographs.

The filters of each layer are split over two towers, one for each GPU of the paper. Only the third convolution and the
fully connected layers see both towers (section 3.2 and figure 2). The first two convolutions are normalized across
channels (section 3.3), and the poolings overlap (section 3.4).

At 227x227x3 and 1000 classes it has 60,965,224 parameters. The convolutions have 2.3 million of them and cost 666
million multiply-accumulates. The fully connected layers have 58.6 million parameters and cost 58.6 million
multiply-accumulates. The layers output 290,400 - 186,624 - 64,896 - 64,896 - 43,264 - 4096 - 4096 - 1000 values. (The
paper counts 253,440 in the first, and 37.5% top-1 errors on ImageNet 2010.)

With one tower it is the network of Krizhevsky: "One weird trick for parallelizing convolutional neural networks", 2014,
https://arxiv.org/abs/1404.5997, without normalization and with torchvision's widths: 61,100,840 parameters at
224x224x3.

The paper initializes all weights with a standard deviation of 0.01 and some biases with 1, for pixels up to 255 minus
their mean. Pixels here are in [0, 1], so He's initialization is used.
"""

from typing import Literal

import keras
from keras import layers

from dltemplates.layers import LocalResponseNormalization
from dltemplates.models.blocks import conv_relu, make_divisible
from dltemplates.models.checks import check_image_shape
from dltemplates.models.ranges import Multiplier, NumOutputs, Share, checked

FILTERS = {1: (64, 192, 384, 256, 256), 2: (48, 128, 192, 192, 128)}  # of the five convolutions, in each tower
KERNELS = (11, 5, 3, 3, 3)
MIN_IMAGE_SIZE = {1: 63, 2: 67}  # pixels: the last of the three poolings still finds a map of 3x3


@checked
def alexnet(
    input_shape: tuple[int, int, int],
    num_outputs: NumOutputs,
    *,
    towers: Literal[1, 2] = 2,
    width: Multiplier = 1.0,
    dropout_rate: Share = 0.5,
    name: str = "alexnet",
) -> keras.Model:
    """Build AlexNet.

    Args:
        input_shape: `(height, width, channels)`; height and width at least 67, in one tower 63.
        num_outputs: Number of classes, or of values to predict.
        towers: 2, as in the paper of 2012, or 1 without normalization, as in the paper of 2014.
        width: Multiplier of the paper's filters and units, rounded to multiples of 8; positive.
        dropout_rate: Share of the units dropped after each of the two hidden fully connected layers, in [0, 1).
        name: Name of the model.

    Returns:
        A functional model: `(batch, height, width, channels)` float32 to `(batch, num_outputs)` float32 logits.

    Raises:
        ValueError: If the input is not an image or is too small, `num_outputs` is less than 1, `towers` is neither 1
            nor 2, or `width` or `dropout_rate` is out of range.
    """
    check_image_shape("alexnet", input_shape, min_size=MIN_IMAGE_SIZE[towers])
    inputs = keras.Input(input_shape, name="image")
    x = inputs if towers == 2 else layers.ZeroPadding2D(2)(inputs)
    # One tensor per tower instead of grouped convolutions, whose gradient takes about eight times as long on a CPU.
    maps = [x] * towers
    for number, (filters, kernel_size) in enumerate(zip(FILTERS[towers], KERNELS, strict=True), start=1):
        if number == 3:
            maps = [join(maps)] * towers
        strides, padding = (4, "valid") if number == 1 else (1, "same")
        maps = [conv_relu(x, make_divisible(width * filters), kernel_size, strides, padding=padding) for x in maps]
        if number <= 2 and towers == 2:
            maps = [LocalResponseNormalization()(x) for x in maps]
        if number in (1, 2, 5):
            maps = [layers.MaxPooling2D(3, strides=2)(x) for x in maps]
    x = layers.Flatten()(join(maps))  # (batch, 6 * 6 * 256) at the paper's size
    for _ in range(2):
        x = layers.Dense(make_divisible(width * 4096), activation="relu", kernel_initializer="he_normal")(x)
        x = layers.Dropout(dropout_rate)(x)
    logits = layers.Dense(num_outputs, dtype="float32", name="logits")(x)
    return keras.Model(inputs, logits, name=name)


def join(maps):
    """Concatenate the maps of all towers."""
    return layers.Concatenate()(maps) if len(maps) > 1 else maps[0]
