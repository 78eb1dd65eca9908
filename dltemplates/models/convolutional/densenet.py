"""Densely connected networks (DenseNet).

Huang, Liu, van der Maaten, Weinberger: "Densely Connected Convolutional Networks", CVPR 2017,
https://arxiv.org/abs/1608.06993, section 3 and table 1 (DenseNet-BC). Each layer is given the maps of all layers before
it in its block, side by side, and adds a few of its own: what was once computed is used again rather than computed
again. So a layer can be narrow (32 maps, the growth rate), and the network needs around a third of a ResNet's
parameters for as few errors (section 5).

A layer is a batch normalization, a rectifier and a 1x1 convolution of four times the growth rate, then the same with a
3x3 convolution of the growth rate. Between two blocks a transition halves the channels, by a 1x1 convolution, and the
resolution. The ImageNet network of blocks of 6, 12, 24 and 16 layers, at 224x224x3 and 1000 classes, has 7,978,856
trainable parameters and 2.83 billion multiply-accumulates. With the same weights it gives what
`keras.applications.DenseNet121` does.
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
        input_shape: `(height, width, channels)`; height and width at least 32 where there are four blocks, and twice
            that for each one more.
        num_outputs: Number of classes, or of values to predict.
        growth_rate: Maps that each layer adds; twice as many go into the first block.
        blocks: Layers of each block: (6, 12, 32, 32) is the paper's DenseNet-169, (6, 12, 48, 32) its DenseNet-201.
        name: Name of the model.

    Returns:
        A functional model: `(batch, height, width, channels)` float32 to `(batch, num_outputs)` float32 logits.

    Raises:
        ValueError: If the input is no image or too small, `growth_rate` or `num_outputs` is less than 1, or `blocks` is
            empty or not positive.
    """
    check_image_shape(name, input_shape, least=2 ** (len(blocks) + 1))
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
    """The maps so far, and `growth_rate` new ones that are computed of all of them."""
    new = conv(bn_relu(x), 4 * growth_rate, 1)
    new = conv(bn_relu(new), growth_rate, 3)
    return layers.Concatenate()([x, new])


def transition(x):
    """Half the channels at half the resolution."""
    x = conv(bn_relu(x), x.shape[-1] // 2, 1)
    return layers.AveragePooling2D(2)(x)
