"""Network in Network (NIN).

Lin, Chen, Yan: "Network In Network", ICLR 2014, https://arxiv.org/abs/1312.4400, sections 3.1 and 3.2.

Each convolution is followed by two 1x1 convolutions, which are a small perceptron that slides over the feature map
("mlpconv") and can tell apart what one linear filter cannot. The last one makes a map for each class, whose average is
the class's score (global average pooling): no fully connected layer is left that could overfit.

The ImageNet network, built here, has 7,595,176 parameters and 969 million multiply-accumulates at 224x224x3 and 1000
classes. It is trained from He's initialization.
"""

import keras
from keras import layers

from dltemplates.models.blocks import conv_relu, make_divisible
from dltemplates.models.checks import check_dropout_rate, check_image_shape, check_multiplier, check_num_outputs

LEAST = 67  # pixels: the last of the three poolings still finds a map of 3x3


def nin(
    input_shape: tuple[int, int, int],
    num_outputs: int,
    *,
    width: float = 1.0,
    dropout_rate: float = 0.5,
    name: str = "nin",
) -> keras.Model:
    """Build the ImageNet NIN.

    Args:
        input_shape: `(height, width, channels)`; height and width at least 67.
        num_outputs: Number of classes, or of values to predict.
        width: Filters of every mlpconv, as a share of the paper's and rounded to multiples of 8; positive.
        dropout_rate: Share of the activations dropped before the last mlpconv, in [0, 1).
        name: Name of the model.

    Returns:
        A functional model: `(batch, height, width, channels)` float32 to `(batch, num_outputs)` float32 logits.

    Raises:
        ValueError: If the input is no image or too small, `num_outputs` is less than 1, or `width` or `dropout_rate` is
            out of range.
    """
    check_image_shape("nin", input_shape, least=LEAST)
    check_num_outputs(num_outputs)
    check_multiplier("width", width)
    check_dropout_rate(dropout_rate)
    inputs = keras.Input(input_shape, name="image")
    x = inputs
    for filters, kernel_size, strides in ((96, 11, 4), (256, 5, 1), (384, 3, 1)):
        x = mlpconv(x, make_divisible(width * filters), kernel_size, strides)
        x = layers.MaxPooling2D(3, strides=2)(x)
    x = layers.Dropout(dropout_rate)(x)
    x = mlpconv(x, make_divisible(width * 1024), kernel_size=3, num_outputs=num_outputs)
    logits = layers.GlobalAveragePooling2D(dtype="float32", name="logits")(x)
    return keras.Model(inputs, logits, name=name)


def mlpconv(x, filters, kernel_size, strides=1, *, num_outputs=None):
    """A convolution and the two 1x1 convolutions that make a perceptron of it; the last gives `num_outputs` maps."""
    x = conv_relu(x, filters, kernel_size, strides, padding="valid" if strides > 1 else "same")
    x = conv_relu(x, filters)
    if num_outputs:
        return layers.Conv2D(num_outputs, 1, kernel_initializer="he_normal", name="class_maps")(x)
    return conv_relu(x, filters)
