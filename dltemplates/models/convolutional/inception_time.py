"""InceptionTime, a network for the classes of sequences.

Fawaz et al.: "InceptionTime: Finding AlexNet for Time Series Classification", Data Mining and Knowledge Discovery 34,
2020, https://arxiv.org/abs/1909.04939, section 3.

Nobody knows beforehand how long the telling pattern of a sequence is. So each module looks for short, middle and long
patterns at once: three convolutions with kernels of 40, 20 and 10 steps, and a max pooling over 3 steps, stand side by
side. In front of them, a bottleneck of 32 channels keeps the long kernels cheap. Every third module adds a shortcut.
At the end, each filter is averaged over all steps.

This is one network of the paper, which trains five of them from different starts and averages their predictions. With
the defaults, one channel and 5 classes, it has 420,837 parameters.
"""

import keras
from keras import layers

from dltemplates.layers.masked import MaskedMaxPooling1D
from dltemplates.models.blocks import normalize, relu, sequence_conv
from dltemplates.models.checks import check_sequence_shape
from dltemplates.models.ranges import Count, NumOutputs, checked

MODULES_PER_SHORTCUT = 3
POOL_SIZE = 3


@checked
def inception_time(
    input_shape: tuple[int | None, int],
    num_outputs: NumOutputs,
    *,
    depth: Count = 6,
    filters: Count = 32,
    bottleneck: Count = 32,
    kernel_size: Count = 40,
    name: str = "inception_time",
) -> keras.Model:
    """Build inception modules, and a dense layer on their average over the steps.

    Args:
        input_shape: (steps, channels) of a sequence; steps None for sequences of different lengths, with a mask.
        num_outputs: Number of classes, or of values to predict.
        depth: Number of modules. Every third one adds a shortcut.
        filters: Number of filters of each of the four branches.
        bottleneck: Number of channels in front of the kernels.
        kernel_size: Steps of the longest kernel; the others have a half and a quarter of them.
        name: Name of the model.

    Returns:
        A functional model: `(batch, *input_shape)` float32 to `(batch, num_outputs)` float32 logits.

    Raises:
        ValueError: If `input_shape` is not a sequence, a number is not positive, or `kernel_size` is less than 4.
    """
    check_sequence_shape(name, input_shape, any_length=True)
    if kernel_size < 4:
        raise ValueError(
            f"`kernel_size` must be at least 4, since the shortest kernel has a quarter of its steps. "
            f"Received: kernel_size={kernel_size}. Try `kernel_size=40`."
        )
    x = shortcut = inputs = keras.Input(input_shape, name="inputs")
    kernel_sizes = [kernel_size // 2**number for number in range(3)]
    for number in range(1, depth + 1):
        x = inception_module(x, filters, kernel_sizes, bottleneck)
        if number % MODULES_PER_SHORTCUT == 0:
            shortcut = normalize(sequence_conv(shortcut, x.shape[-1], use_bias=False))
            x = shortcut = relu(layers.Add()([shortcut, x]))
    x = layers.GlobalAveragePooling1D()(x)  # (batch, 4 * filters)
    logits = layers.Dense(num_outputs, dtype="float32", name="logits")(x)
    return keras.Model(inputs, logits, name=name)


def inception_module(x, filters, kernel_sizes, bottleneck):
    """Apply convolutions of several lengths and a max pooling side by side: `(batch, steps, 4 * filters)`."""
    narrow = sequence_conv(x, bottleneck, use_bias=False) if x.shape[-1] > 1 else x
    branches = [sequence_conv(narrow, filters, kernel_size, use_bias=False) for kernel_size in kernel_sizes]
    pooling = MaskedMaxPooling1D if x.shape[1] is None else layers.MaxPooling1D
    pooled = pooling(POOL_SIZE, strides=1, padding="same")(x)
    branches.append(sequence_conv(pooled, filters, use_bias=False))
    return normalize(layers.Concatenate()(branches), relu)
