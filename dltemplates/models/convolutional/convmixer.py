"""ConvMixer.

Trockman, Kolter: "Patches Are All You Need?", 2022, https://arxiv.org/abs/2201.09792, section 2.

Like a Vision Transformer, it first cuts the image into patches and keeps their resolution to the end. In place of
attention, a large depthwise convolution mixes the positions. In place of dense layers, a 1x1 convolution mixes the
channels. The patches may thus matter more for a vision transformer than its attention.

The paper writes ConvMixer-h/d for h filters and d blocks. The default is ConvMixer-1024/20 with kernels of 9x9 and
patches of 14x14: 24.4 million trainable parameters (24,383,464) at 224x224x3 and 1000 classes, and 5.9 billion
multiply-accumulates. With `filters=768, depth=32, kernel_size=7, patch_size=7` it is ConvMixer-768/32: 21,110,248.
(The paper trained this one with ReLU in place of GELU.)
"""

import keras
from keras import layers

from dltemplates.models.blocks import normalize
from dltemplates.models.checks import check_image_shape, check_patches
from dltemplates.models.ranges import Count, NumOutputs, checked


@checked
def convmixer(
    input_shape: tuple[int, int, int],
    num_outputs: NumOutputs,
    *,
    filters: Count = 1024,
    depth: Count = 20,
    kernel_size: Count = 9,
    patch_size: Count = 14,
    name: str = "convmixer",
) -> keras.Model:
    """Build a ConvMixer.

    Args:
        input_shape: `(height, width, channels)`; height and width multiples of `patch_size`.
        num_outputs: Number of classes, or of values to predict.
        filters: Channels of every layer; the paper's h.
        depth: Number of blocks; the paper's d.
        kernel_size: Height and width of the depthwise convolutions, in patches.
        patch_size: Height and width of a patch, in pixels. Small images need small patches, such as 2 at 32x32.
        name: Name of the model.

    Returns:
        A functional model: `(batch, height, width, channels)` float32 to `(batch, num_outputs)` float32 logits.

    Raises:
        ValueError: If the input is not an image, its sides are not multiples of `patch_size`, or a size is not
            positive.
    """
    check_image_shape("convmixer", input_shape, min_size=patch_size)
    check_patches("convmixer", input_shape, patch_size)
    inputs = keras.Input(input_shape, name="image")
    x = layers.Conv2D(filters, patch_size, strides=patch_size)(inputs)
    x = activate(x)  # (batch, height / patch_size, width / patch_size, filters), here and below
    for _ in range(depth):
        x = mixer_block(x, kernel_size)
    x = layers.GlobalAveragePooling2D()(x)  # (batch, filters)
    logits = layers.Dense(num_outputs, dtype="float32", name="logits")(x)
    return keras.Model(inputs, logits, name=name)


def mixer_block(x, kernel_size):
    """Mix the positions in each channel, with a shortcut, then the channels at each position."""
    mixed = layers.DepthwiseConv2D(kernel_size, padding="same")(x)
    x = layers.Add()([x, activate(mixed)])
    x = layers.Conv2D(x.shape[-1], 1)(x)
    return activate(x)


def activate(x):
    """Apply GELU, then batch normalization with the epsilon of the authors' code."""
    x = layers.Activation("gelu")(x)
    return normalize(x, epsilon=1e-5)
