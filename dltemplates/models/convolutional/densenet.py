"""Densely connected networks (DenseNet).

Huang, Liu, van der Maaten, Weinberger: "Densely Connected Convolutional Networks", CVPR 2017,
https://arxiv.org/abs/1608.06993, section 3 and table 1 (DenseNet-BC). The input of each layer is the concatenated maps
of all earlier layers in its block. The layer adds a few maps of its own, and later layers reuse them. A layer can
therefore be narrow (32 maps, the growth rate), and the network needs about a third of a ResNet's parameters for the
same error rate (section 5).

A layer is a batch normalization, a ReLU and a 1x1 convolution with four times the growth rate, then a batch
normalization, a ReLU and a 3x3 convolution with the growth rate. Between two blocks a transition halves the channels,
by a 1x1 convolution, and the resolution. The ImageNet network has blocks with 6, 12, 24 and 16 layers. At 224x224x3 and
1000 classes it has 7,978,856 trainable parameters and 2.83 billion multiply-accumulates. With the same weights it
computes the same as `keras.applications.DenseNet121`.
"""

import keras
from keras import layers

from dltemplates.models.blocks import conv
from dltemplates.models.checks import check_image_shape
from dltemplates.models.convolutional.resnet_imagenet import bn_relu, stem
from dltemplates.models.ranges import Count, Counts, NumOutputs, checked


@checked
def densenet121(
    input_shape: tuple[int, int, int],
    num_outputs: NumOutputs,
    *,
    growth_rate: Count = 32,
    blocks: Counts = (6, 12, 24, 16),
    name: str = "densenet121",
) -> keras.Model:
    """Build the ImageNet DenseNet of 121 layers.

    Args:
        input_shape: `(height, width, channels)`; height and width at least 32 with four blocks, and twice as large for
            each further block.
        num_outputs: Number of classes, or of values to predict.
        growth_rate: Maps that each layer adds. The first block has twice as many as input.
        blocks: Number of layers in each block: (6, 12, 32, 32) is DenseNet-169, (6, 12, 48, 32) is DenseNet-201.
        name: Name of the model.

    Returns:
        A functional model: `(batch, height, width, channels)` float32 to `(batch, num_outputs)` float32 logits.

    Raises:
        ValueError: If the input is not an image or is too small, `growth_rate` or `num_outputs` is less than 1, or
            `blocks` is empty or not positive.
    """
    check_image_shape(name, input_shape, min_size=2 ** (len(blocks) + 1))
    inputs = keras.Input(input_shape, name="image")
    x = stem(inputs, 2 * growth_rate)
    for block, repeats in enumerate(blocks):
        if block > 0:
            x = transition(x)
        for _ in range(repeats):
            x = dense_layer(x, growth_rate)
    x = bn_relu(x)
    x = layers.GlobalAveragePooling2D()(x)  # (batch, channels of the last block)
    logits = layers.Dense(num_outputs, dtype="float32", name="logits")(x)
    return keras.Model(inputs, logits, name=name)


def dense_layer(x, growth_rate):
    """Compute `growth_rate` new maps from all maps so far, and append them."""
    new = conv(bn_relu(x), 4 * growth_rate, 1)
    new = conv(bn_relu(new), growth_rate, 3)
    return layers.Concatenate()([x, new])


def transition(x):
    """Halve the channels and the resolution."""
    x = conv(bn_relu(x), x.shape[-1] // 2, 1)
    return layers.AveragePooling2D(2)(x)
