"""LeNet-5.

LeCun, Bottou, Bengio, Haffner: "Gradient-Based Learning Applied to Document Recognition", Proceedings of the IEEE,
1998, http://yann.lecun.com/exdb/publis/pdf/lecun-98.pdf.

Section II.B: three 5x5 convolutions with 6, 16 and 120 maps find features: first edges and ends of strokes, then
combinations of them. A convolution uses the same few weights at every position of the image. Subsampling after the
first two halves the resolution, so that the exact position of a feature matters less from layer to layer (section
II.A).

The convolutions are the paper's C1, C3 and C5, the 2x2 subsamplings S2 and S4. A layer of 84 units (F6) and the output
follow. The digits, 28x28, are centred in a field of 32x32 zeros, so that the end of a stroke can be in the middle of a
feature detector.

The modern form, built here, has 61,706 parameters at 28x28x1 and 10 classes. It differs in four points: C3 sees all six
maps of S2 (the paper's table I leaves out some connections and so has 60,000 parameters), the subsampling is a plain
average, the tanh is not scaled, and the output is linear instead of radial basis functions.
"""

import keras
from keras import layers

from dltemplates.models.checks import check_image_shape
from dltemplates.models.ranges import NumOutputs, checked

FIELD = 32  # pixels: the only size with C5 maps of 1x1


@checked
def lenet5(
    input_shape: tuple[int, int, int], num_outputs: NumOutputs, *, activation: str = "tanh", name: str = "lenet5"
) -> keras.Model:
    """Build LeNet-5.

    Args:
        input_shape: `(height, width, channels)`; 8x8 to 32x32, centred in a field of 32x32 zeros.
        num_outputs: Number of classes, or of values to predict.
        activation: Activation of the hidden layers, by its Keras name.
        name: Name of the model.

    Returns:
        A functional model: `(batch, height, width, channels)` float32 to `(batch, num_outputs)` float32 logits.

    Raises:
        ValueError: If the input is not an image of such a size, or `num_outputs` is less than 1.
    """
    check_image_shape("lenet5", input_shape, min_size=8, max_size=FIELD)
    inputs = keras.Input(input_shape, name="image")
    x = center(inputs)  # (batch, 32, 32, channels)
    for filters in (6, 16):
        x = layers.Conv2D(filters, 5, activation=activation)(x)
        x = layers.AveragePooling2D(2)(x)
    x = layers.Conv2D(120, 5, activation=activation)(x)  # (batch, 1, 1, 120)
    x = layers.Flatten()(x)
    x = layers.Dense(84, activation=activation)(x)
    logits = layers.Dense(num_outputs, dtype="float32", name="logits")(x)
    return keras.Model(inputs, logits, name=name)


def center(x):
    """Pad images with zeros to (batch, 32, 32, channels)."""
    missing = [FIELD - size for size in x.shape[1:3]]
    if not any(missing):
        return x
    return layers.ZeroPadding2D([(pixels // 2, pixels - pixels // 2) for pixels in missing])(x)
