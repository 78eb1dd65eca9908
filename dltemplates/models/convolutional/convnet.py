"""A plain modern small convolutional network.

Ioffe, Szegedy: "Batch Normalization: Accelerating Deep Network Training by Reducing Internal Covariate Shift", ICML
2015, https://arxiv.org/abs/1502.03167, section 3.2.

Batch normalization brings each output channel of a convolution to mean 0 and variance 1 over the batch. It then scales
and shifts the channel by learned numbers, before the ReLU. A stack of such layers learns fast, at high learning rates
and from almost any initial weights. The rest is standard today: two 3x3 convolutions per stage, twice the filters at
half the resolution from stage to stage, and global average pooling in place of fully connected layers.

The stages come from Simonyan, Zisserman: "Very Deep Convolutional Networks for Large-Scale Image Recognition", ICLR
2015, https://arxiv.org/abs/1409.1556, section 2.1, the pooling from Lin, Chen, Yan: "Network In Network", ICLR 2014,
https://arxiv.org/abs/1312.4400, section 3.2. No convolution has a bias, since the normalization would remove it.
289,642 parameters at 32x32x3 and 10 classes.
"""

import keras
from keras import layers

from dltemplates.models.blocks import conv_bn, relu
from dltemplates.models.checks import check_image_shape
from dltemplates.models.ranges import Counts, NumOutputs, Share, checked


@checked
def convnet(
    input_shape: tuple[int, int, int],
    num_outputs: NumOutputs,
    *,
    filters: Counts = (32, 64, 128),
    dropout_rate: Share = 0.2,
    name: str = "convnet",
) -> keras.Model:
    """Build a stack of convolution stages.

    Args:
        input_shape: `(height, width, channels)`; height and width at least 2 to the power of the number of stages, so
            8 by default.
        num_outputs: Number of classes, or of values to predict.
        filters: Filters of each stage. Each stage works at half the resolution of the one before, so a large image
            needs more stages, such as (16, 32, 64, 128, 256) at 224x224.
        dropout_rate: Share of the pooled features dropped, in [0, 1).
        name: Name of the model.

    Returns:
        A functional model: `(batch, height, width, channels)` float32 to `(batch, num_outputs)` float32 logits.

    Raises:
        ValueError: If the input is not an image or is too small, `filters` is empty or not positive, `num_outputs` is
            less than 1, or `dropout_rate` is out of range.
    """
    check_image_shape("convnet", input_shape, min_size=2 ** len(filters))
    inputs = keras.Input(input_shape, name="image")
    x = inputs
    for stage, width in enumerate(filters):
        if stage > 0:
            x = layers.MaxPooling2D(2)(x)
        x = conv_bn(x, width, 3, activation=relu)
        x = conv_bn(x, width, 3, activation=relu)
    x = layers.GlobalAveragePooling2D()(x)  # (batch, filters of the last stage)
    x = layers.Dropout(dropout_rate)(x)
    logits = layers.Dense(num_outputs, dtype="float32", name="logits")(x)
    return keras.Model(inputs, logits, name=name)
