"""GoogLeNet, the first Inception network.

Szegedy, Liu, Jia, Sermanet, Reed, Anguelov, Erhan, Vanhoucke, Rabinovich: "Going Deeper with Convolutions", CVPR 2015,
https://arxiv.org/abs/1409.4842, table 1 and figure 3.

An inception module applies 1x1, 3x3 and 5x5 convolutions and a pooling to the same input and concatenates the results.
1x1 convolutions first reduce the input channels of the larger kernels. The network is therefore deeper than earlier
ones and still has less than an eighth of AlexNet's parameters.

It has 22 layers with parameters, 27 with the poolings. At 224x224x3 and 1000 classes it has 6,998,552 parameters and
1.58 billion multiply-accumulates. Two auxiliary classifiers on maps in the middle bring the gradient to the lower
layers. With them there are 13,378,280 parameters in training; exports leave them out. (The paper weights their losses
by 0.3; 6.67% top-5 errors on ImageNet with seven networks and 144 crops.) It starts from He's initialization.
"""

import keras
from keras import layers

from dltemplates.layers import LocalResponseNormalization
from dltemplates.models.blocks import conv_relu, make_divisible
from dltemplates.models.checks import SIZE, check_image_shape
from dltemplates.models.ranges import Multiplier, NumOutputs, Share, checked

MIN_IMAGE_SIZE = 17  # pixels: each of the five strides of 2 still finds something to halve
MIN_IMAGE_SIZE_AUXILIARY = 65  # pixels: the auxiliary classifiers find a map of 5x5 to average
AUXILIARY_DROPOUT = 0.7
MODULES = {  # filters: 1x1; 3x3 reduced, 3x3; 5x5 reduced, 5x5; 1x1 after the pooling
    "3a": (64, 96, 128, 16, 32, 32),
    "3b": (128, 128, 192, 32, 96, 64),
    "4a": (192, 96, 208, 16, 48, 64),
    "4b": (160, 112, 224, 24, 64, 64),
    "4c": (128, 128, 256, 24, 64, 64),
    "4d": (112, 144, 288, 32, 64, 64),
    "4e": (256, 160, 320, 32, 128, 128),
    "5a": (256, 160, 320, 32, 128, 128),
    "5b": (384, 192, 384, 48, 128, 128),
}
POOLED = ("3b", "4e")
AUXILIARY = ("4a", "4d")


@checked
def googlenet(
    input_shape: tuple[int, int, int],
    num_outputs: NumOutputs,
    *,
    auxiliary: bool = True,
    width: Multiplier = 1.0,
    dropout_rate: Share = 0.4,
    name: str = "googlenet",
) -> keras.Model:
    """Build GoogLeNet.

    Args:
        input_shape: `(height, width, channels)`; height and width at least 65, or 17 without auxiliary classifiers.
        num_outputs: Number of classes, or of values to predict.
        auxiliary: Whether to add the two auxiliary classifiers.
        width: Multiplier of the paper's filters and units, rounded to multiples of 8; positive.
        dropout_rate: Share of the pooled features dropped, in [0, 1); in the auxiliary classifiers it is 0.7.
        name: Name of the model.

    Returns:
        A functional model: `(batch, height, width, channels)` float32 to `(batch, num_outputs)` float32 logits; with
        `auxiliary` to a dictionary of three such logits, `logits`, `auxiliary_1` and `auxiliary_2`.

    Raises:
        ValueError: If the input is not an image or is too small, `num_outputs` is less than 1, or `width` or
            `dropout_rate` is out of range.
    """
    if auxiliary:
        way_out = f"Try a larger image ({SIZE}), or `auxiliary=False`, which takes {MIN_IMAGE_SIZE}x{MIN_IMAGE_SIZE}."
        check_image_shape("googlenet", input_shape, min_size=MIN_IMAGE_SIZE_AUXILIARY, way_out=way_out)
    else:
        check_image_shape("googlenet", input_shape, min_size=MIN_IMAGE_SIZE)
    inputs = keras.Input(input_shape, name="image")
    x = stem(inputs, width)  # (batch, height / 8, width / 8, 192)
    outputs = {}
    for module, filters in MODULES.items():
        x = inception(x, *(make_divisible(width * count) for count in filters))
        if module in POOLED:
            x = layers.MaxPooling2D(3, strides=2, padding="same")(x)
        if module in AUXILIARY and auxiliary:
            number = AUXILIARY.index(module) + 1
            outputs[f"auxiliary_{number}"] = auxiliary_classifier(x, num_outputs, width, name=f"auxiliary_{number}")
    x = layers.GlobalAveragePooling2D()(x)  # (batch, 1024)
    x = layers.Dropout(dropout_rate)(x)
    logits = layers.Dense(num_outputs, dtype="float32", name="logits")(x)
    return keras.Model(inputs, {"logits": logits, **outputs} if auxiliary else logits, name=name)


def stem(x, width):
    """Apply the convolutions and poolings before the first module, to an eighth of the resolution."""
    x = layers.ZeroPadding2D(3)(x)  # as in the authors' Caffe; "same" pads more at the bottom and the right
    x = conv_relu(x, make_divisible(width * 64), 7, strides=2, padding="valid")
    x = layers.MaxPooling2D(3, strides=2, padding="same")(x)
    x = LocalResponseNormalization()(x)
    x = conv_relu(x, make_divisible(width * 64), 1)
    x = conv_relu(x, make_divisible(width * 192), 3)
    x = LocalResponseNormalization()(x)
    return layers.MaxPooling2D(3, strides=2, padding="same")(x)


def inception(x, one, reduced_three, three, reduced_five, five, pooled):
    """Apply four branches with kernels of different sizes and concatenate their channels; keeps the resolution."""
    branches = (
        conv_relu(x, one, 1),
        conv_relu(conv_relu(x, reduced_three, 1), three, 3),
        conv_relu(conv_relu(x, reduced_five, 1), five, 5),
        conv_relu(layers.MaxPooling2D(3, strides=1, padding="same")(x), pooled, 1),
    )
    return layers.Concatenate()(branches)


def auxiliary_classifier(x, num_outputs, width, *, name):
    """Apply a small classifier to a map in the middle of the network: (batch, num_outputs)."""
    x = layers.AveragePooling2D(5, strides=3)(x)
    x = conv_relu(x, make_divisible(width * 128), 1)
    x = layers.Flatten()(x)
    units = make_divisible(width * 1024)
    x = layers.Dense(units, activation="relu", kernel_initializer="he_normal", name=f"{name}_hidden")(x)
    x = layers.Dropout(AUXILIARY_DROPOUT)(x)
    return layers.Dense(num_outputs, dtype="float32", name=name)(x)
