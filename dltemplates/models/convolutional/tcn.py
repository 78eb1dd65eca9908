"""Temporal convolutional network (TCN).

Bai, Kolter, Koltun: "An Empirical Evaluation of Generic Convolutional and Recurrent Networks for Sequence Modeling",
2018, https://arxiv.org/abs/1803.01271, section 3.

Convolutions replace the memory of a recurrent network. They are causal: an output reads its own step and earlier ones,
never the future. They are dilated: a kernel of 7 in the second block reads every second step, in the third every
fourth, so that few layers read a long past. All steps are computed at once, which trains faster than step by step.

A block has two convolutions with ReLU and dropout, and a shortcut. With kernels of k and n blocks, the last output
reads the last 1 + 2(k - 1)(2^n - 1) steps, the receptive field. Steps before them are ignored: choose enough blocks for
the sequence.

The defaults are the paper's for MNIST read pixel by pixel: 8 blocks of 25 filters and kernels of 7, which read 3,061
steps. 66,510 parameters with 10 classes. The paper's weight normalization is left out: it writes each kernel as a
length times a direction, which changes the steps of training, not the functions that the network can learn.
"""

import keras
from keras import layers

from dltemplates.layers.masked import LastStep
from dltemplates.models.blocks import relu, sequence_conv
from dltemplates.models.checks import check_sequence_shape
from dltemplates.models.ranges import Count, Counts, NumOutputs, Share, checked


@checked
def tcn(
    input_shape: tuple[int | None, int],
    num_outputs: NumOutputs,
    *,
    filters: Counts = (25,) * 8,
    kernel_size: Count = 7,
    dropout_rate: Share = 0.05,
    name: str = "tcn",
) -> keras.Model:
    """Build residual blocks of dilated causal convolutions, and a dense layer on the last step.

    Args:
        input_shape: (steps, channels) of a sequence; steps None for sequences of different lengths, with a mask.
        num_outputs: Number of values to forecast, or of classes.
        filters: Number of filters in each block. Each block doubles the dilation.
        kernel_size: Steps that a convolution reads at once.
        dropout_rate: Share of the channels dropped after each convolution, in [0, 1).
        name: Name of the model.

    Returns:
        A functional model: `(batch, *input_shape)` float32 to `(batch, num_outputs)` float32 logits.

    Raises:
        ValueError: If `input_shape` is not a sequence, a number is not positive, or `dropout_rate` is out of range.
    """
    check_sequence_shape(name, input_shape, any_length=True)
    x = inputs = keras.Input(input_shape, name="inputs")
    for number, width in enumerate(filters):
        x = causal_block(x, width, kernel_size, dilation=2**number, dropout_rate=dropout_rate)
    x = LastStep()(x)  # (batch, width)
    logits = layers.Dense(num_outputs, dtype="float32", name="logits")(x)
    return keras.Model(inputs, logits, name=name)


def causal_block(x, filters, kernel_size, *, dilation, dropout_rate):
    """Apply two dilated causal convolutions with ReLU and dropout, add the shortcut, and apply ReLU."""
    y = x
    for _ in range(2):
        y = relu(sequence_conv(y, filters, kernel_size, dilation=dilation, padding="causal"))
        y = layers.SpatialDropout1D(dropout_rate)(y)  # drops a channel at all steps
    if x.shape[-1] != filters:
        x = sequence_conv(x, filters)
    return relu(layers.Add()([x, y]))
