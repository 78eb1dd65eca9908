"""Depthwise separable convolutional network (DS-CNN) that spots keywords in speech.

Zhang, Suda, Lai, Chandra: "Hello Edge: Keyword Spotting on Microcontrollers", 2017, https://arxiv.org/abs/1711.07128,
section 4.4.

One second of speech is a small image: 49 frames with 10 cepstral coefficients. One convolution halves its resolution,
and depthwise separable convolutions, as in MobileNet, follow at that resolution. The classifier takes the average over
time and frequency.

This is the version of Banbury et al.: "MLPerf Tiny Benchmark", NeurIPS 2021, https://arxiv.org/abs/2106.07597, with
biases and dropout: 24,908 parameters in all and 2.66 million multiply-accumulates at 49x10x1 and 12 classes. (The
benchmark requires 90% on the Speech Commands.)
"""

import keras
from keras import layers

from dltemplates.models.blocks import conv_bn, relu, separable
from dltemplates.models.checks import check_image_shape
from dltemplates.models.ranges import Count, NumOutputs, Shares, checked


@checked
def dscnn(
    input_shape: tuple[int, int, int],
    num_outputs: NumOutputs,
    *,
    filters: Count = 64,
    blocks: Count = 4,
    dropout_rates: Shares = (0.2, 0.4),
    name: str = "dscnn",
) -> keras.Model:
    """Build the keyword spotter of MLPerf Tiny.

    Args:
        input_shape: `(frames, coefficients, channels)`; frames and coefficients at least 2.
        num_outputs: Number of classes, or of values to predict.
        filters: Filters of every convolution.
        blocks: Number of depthwise separable convolutions.
        dropout_rates: Shares of activations dropped after the first convolution and after the last, in [0, 1).
        name: Name of the model.

    Returns:
        A functional model: `(batch, frames, coefficients, channels)` float32 to `(batch, num_outputs)` float32 logits.

    Raises:
        ValueError: If the input is not an image or is too small, `num_outputs`, `filters` or `blocks` is less than 1,
            or `dropout_rates` are not two rates in that range.
    """
    check_image_shape("dscnn", input_shape, min_size=2)
    if len(dropout_rates) != 2:
        raise ValueError(
            "`dropout_rates` must be two rates: after the first convolution and after the last. "
            f"Received: dropout_rates={dropout_rates!r}. Try `dropout_rates=(0.2, 0.4)`."
        )
    first_rate, last_rate = dropout_rates
    inputs = keras.Input(input_shape, name="image")
    x = conv_bn(inputs, filters, (10, 4), strides=2, activation=relu, use_bias=True)  # (batch, 25, 5, filters)
    x = layers.Dropout(first_rate)(x)
    for _ in range(blocks):
        x = separable(x, filters, activation=relu, use_bias=True)
    x = layers.Dropout(last_rate)(x)
    x = layers.GlobalAveragePooling2D()(x)  # (batch, filters)
    logits = layers.Dense(num_outputs, dtype="float32", name="logits")(x)
    return keras.Model(inputs, logits, name=name)
