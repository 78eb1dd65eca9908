"""Convolutional network for sequences (FCN).

Wang, Yan, Oates: "Time Series Classification from Scratch with Deep Neural Networks: A Strong Baseline", IJCNN 2017,
https://arxiv.org/abs/1611.06455, section II.B.

A kernel slides along the sequence and finds a short pattern, wherever it is. Each filter of the next layer joins the
patterns below it into a longer one. At the end, each filter is averaged over all steps, so that the network takes
sequences of any length. The average also forgets where a pattern was: this suits a class better than a forecast.

With 128, 256 and 128 filters, and kernels over 8, 5 and 3 steps, a sequence of one channel and 5 classes takes 265,349
parameters.
"""

import keras
from keras import layers

from dltemplates.models.blocks import normalize, relu, sequence_conv
from dltemplates.models.checks import check_sequence_shape
from dltemplates.models.ranges import Counts, NumOutputs, Share, checked


@checked
def conv1d(
    input_shape: tuple[int | None, int],
    num_outputs: NumOutputs,
    *,
    filters: Counts = (128, 256, 128),
    kernel_sizes: Counts = (8, 5, 3),
    dropout_rate: Share = 0.0,
    name: str = "conv1d",
) -> keras.Model:
    """Build convolutions, each with batch normalization and ReLU, and a dense layer on their average over the steps.

    Args:
        input_shape: (steps, channels) of a sequence; steps None for sequences of different lengths, with a mask.
        num_outputs: Number of classes, or of values to predict.
        filters: Number of filters in each convolution.
        kernel_sizes: Steps that each convolution reads at once; as many numbers as `filters`.
        dropout_rate: Share of the averages dropped, in [0, 1).
        name: Name of the model.

    Returns:
        A functional model: `(batch, *input_shape)` float32 to `(batch, num_outputs)` float32 logits.

    Raises:
        ValueError: If `input_shape` is not a sequence, `filters` and `kernel_sizes` differ in number, a number is not
            positive, or `dropout_rate` is out of range.
    """
    check_sequence_shape(name, input_shape, any_length=True)
    if len(filters) != len(kernel_sizes):
        raise ValueError(
            f"`kernel_sizes` must have as many numbers as `filters`. Received: kernel_sizes={list(kernel_sizes)}, "
            f"filters={list(filters)}. Try kernel_sizes={[3] * len(filters)}."
        )
    x = inputs = keras.Input(input_shape, name="inputs")
    for width, kernel_size in zip(filters, kernel_sizes, strict=True):
        x = normalize(sequence_conv(x, width, kernel_size), relu)  # (batch, steps, width)
    x = layers.GlobalAveragePooling1D()(x)  # (batch, width)
    x = layers.Dropout(dropout_rate)(x)
    logits = layers.Dense(num_outputs, dtype="float32", name="logits")(x)
    return keras.Model(inputs, logits, name=name)
