"""First convolutional network to read, with class activation maps.

Lin, Chen, Yan: "Network In Network", ICLR 2014, https://arxiv.org/abs/1312.4400, section 3.2.

The last convolution outputs one map per class. The average of a map is the score of its class (global average pooling).
There is no dense layer between the maps and the scores, so the maps, the output of the layer `class_maps`, show where
in the image the network found each class.

Read this network first: it has 24,234 parameters and 2.8 million multiply-accumulates at 32x32x3 and 10 classes, and
only convolutions, ReLU and pooling. Read `convnet` next: it adds a second convolution per stage, batch normalization
and dropout, and has 12 times the parameters.
"""

import keras
from keras import layers

from dltemplates.models.checks import check_image_shape
from dltemplates.models.ranges import Counts, NumOutputs, checked


@checked
def cnn_gap(
    input_shape: tuple[int, int, int],
    num_outputs: NumOutputs,
    *,
    filters: Counts = (16, 32, 64),
    name: str = "cnn_gap",
) -> keras.Model:
    """Build a few convolutions and global average pooling.

    Args:
        input_shape: `(height, width, channels)`; height and width at least 2 to the power of the number of
            convolutions less one, so 4 by default.
        num_outputs: Number of classes, or of values to predict.
        filters: Filters of each 3x3 convolution. From the second on, each works at half the resolution of the one
            before. A large image needs more convolutions, such as (16, 32, 64, 64, 64) at 224x224.
        name: Name of the model.

    Returns:
        A functional model: `(batch, height, width, channels)` float32 to `(batch, num_outputs)` float32 logits. Its
        layer `class_maps` gives the class activation maps, `(batch, rows, columns, num_outputs)`.

    Raises:
        ValueError: If the input is not an image or is too small, `filters` is empty or not positive, or `num_outputs`
            is less than 1.
    """
    check_image_shape("cnn_gap", input_shape, min_size=2 ** (len(filters) - 1))
    inputs = keras.Input(input_shape, name="image")
    x = inputs
    for stage, width in enumerate(filters):
        if stage > 0:
            x = layers.MaxPooling2D(2)(x)
        x = layers.Conv2D(width, 3, padding="same", activation="relu", kernel_initializer="he_normal")(x)
    x = layers.Conv2D(num_outputs, 1, name="class_maps")(x)  # (batch, height / 4, width / 4, num_outputs) by default
    logits = layers.GlobalAveragePooling2D(dtype="float32", name="logits")(x)
    return keras.Model(inputs, logits, name=name)
