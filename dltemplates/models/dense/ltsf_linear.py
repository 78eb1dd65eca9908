"""Linear forecasting of a series (LTSF-Linear), the baseline that long forecasts of Transformers did not beat.

Zeng, Chen, Zhang, Xu: "Are Transformers Effective for Time Series Forecasting?", AAAI 2023,
https://arxiv.org/abs/2205.13504, section 4.

Each forecast value is a weighted sum of the rows of the window. All channels share these weights, as in the paper. Here
a second weighted sum joins the channels first, since one of them is forecast; it starts from their mean. With
`task.subtract_last` it is the paper's NLinear, for series that drift.

A network of w rows, c channels and h values has h(w + 1) + c parameters.
"""

import keras
from keras import layers

from dltemplates.models.checks import check_sequence_shape
from dltemplates.models.ranges import NumOutputs, checked


@checked
def ltsf_linear(input_shape: tuple[int, int], num_outputs: NumOutputs, *, name: str = "ltsf_linear") -> keras.Model:
    """Build a weighted sum of the channels, and a dense layer over the rows.

    Args:
        input_shape: (rows, channels) of a sequence.
        num_outputs: Number of values to forecast.
        name: Name of the model.

    Returns:
        A functional model: `(batch, *input_shape)` float32 to `(batch, num_outputs)` float32 values.

    Raises:
        ValueError: If `input_shape` is not a sequence, or `num_outputs` is less than 1.
    """
    check_sequence_shape(name, input_shape)
    _, channels = input_shape
    inputs = keras.Input(input_shape, name="inputs")
    mean = keras.initializers.Constant(1 / channels)
    x = layers.Dense(1, use_bias=False, kernel_initializer=mean, name="channels")(inputs)  # (batch, rows, 1)
    x = layers.Flatten()(x)  # (batch, rows)
    values = layers.Dense(num_outputs, dtype="float32", name="logits")(x)
    return keras.Model(inputs, values, name=name)
