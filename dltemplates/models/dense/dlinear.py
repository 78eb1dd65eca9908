"""DLinear and NLinear: linear forecasts of a series, which long forecasts of Transformers did not beat.

Zeng, Chen, Zhang, Xu: "Are Transformers Effective for Time Series Forecasting?", AAAI 2023,
https://arxiv.org/abs/2205.13504, section 4.

Each forecast value is a weighted sum of the steps of the window. Each channel is forecast from its own past alone, and
all channels share the weights. Before the sums, DLinear takes the series apart, and NLinear moves it to 0.

- DLinear: a moving average over 25 steps is the trend, the rest is the season. Each has weights of its own, and the
  forecast is their sum. At both ends of the window, the first and the last step are repeated for the average.
- NLinear: the last step is subtracted from the window and added to the forecast. This suits a series that drifts, whose
  level in the future is not its level in training.

`ltsf_linear` is the third network of the paper; here it forecasts one column from all channels.

For w steps and h forecast values, DLinear has 2h(w + 1) parameters, NLinear h(w + 1). With `individual`, each channel
has weights of its own, so that there are as many times more parameters as channels.
"""

import keras
from keras import layers

from dltemplates.models.checks import check_sequence_shape
from dltemplates.models.ranges import Count, Horizon, checked


@checked
def dlinear(
    input_shape: tuple[int, int],
    horizon: Horizon,
    *,
    kernel_size: Count = 25,
    individual: bool = False,
    name: str = "dlinear",
) -> keras.Model:
    """Build a moving average, and a weighted sum over the steps for the trend and one for the rest.

    Args:
        input_shape: (steps, channels) of a window.
        horizon: Number of steps to forecast.
        kernel_size: Steps of the moving average; about a season, such as 25 for hours.
        individual: Whether each channel has weights of its own.
        name: Name of the model.

    Returns:
        A functional model: `(batch, steps, channels)` float32 to `(batch, horizon, channels)` float32, the forecast
        of each channel.

    Raises:
        ValueError: If `input_shape` is not a sequence of one length, or a number is not positive.
    """
    check_sequence_shape(name, input_shape)
    inputs = keras.Input(input_shape, name="inputs")
    trend = moving_average(inputs, kernel_size)  # (batch, steps, channels)
    season = layers.Subtract()([inputs, trend])
    x = layers.Add()([sum_over_steps(part, horizon, individual=individual) for part in (season, trend)])
    values = layers.Permute((2, 1), dtype="float32", name="values")(x)
    return keras.Model(inputs, values, name=name)


@checked
def nlinear(
    input_shape: tuple[int, int], horizon: Horizon, *, individual: bool = False, name: str = "nlinear"
) -> keras.Model:
    """Build a weighted sum over the steps of a window whose last step is subtracted first and added at the end.

    Args:
        input_shape: (steps, channels) of a window.
        horizon: Number of steps to forecast.
        individual: Whether each channel has weights of its own.
        name: Name of the model.

    Returns:
        A functional model: `(batch, steps, channels)` float32 to `(batch, horizon, channels)` float32, the forecast
        of each channel.

    Raises:
        ValueError: If `input_shape` is not a sequence of one length, or a number is not positive.
    """
    check_sequence_shape(name, input_shape)
    inputs = keras.Input(input_shape, name="inputs")
    last = layers.Cropping1D((input_shape[0] - 1, 0), dtype="float32")(inputs)  # (batch, 1, channels)
    x = sum_over_steps(layers.Subtract()([inputs, last]), horizon, individual=individual)
    x = layers.Permute((2, 1), dtype="float32")(x)  # (batch, horizon, channels)
    values = layers.Add(dtype="float32", name="values")([x, last])
    return keras.Model(inputs, values, name=name)


def moving_average(x, kernel_size):
    """Average the steps around each step; at the ends, the first and the last step count several times."""
    steps = x.shape[1]
    before, after = (kernel_size - 1) // 2, kernel_size // 2
    parts = [x]
    if before:
        first = layers.Cropping1D((0, steps - 1))(x)
        parts.insert(0, layers.UpSampling1D(before)(first))
    if after:
        last = layers.Cropping1D((steps - 1, 0))(x)
        parts.append(layers.UpSampling1D(after)(last))
    padded = layers.Concatenate(axis=1)(parts) if len(parts) > 1 else x
    return layers.AveragePooling1D(kernel_size, strides=1)(padded)


def sum_over_steps(x, horizon, *, individual):
    """Sum the steps of each channel by weights: `(batch, steps, channels)` to `(batch, channels, horizon)`."""
    steps, channels = x.shape[1:]
    bound = steps**-0.5  # as PyTorch's linear layer starts, in the authors' code
    start = keras.initializers.RandomUniform(-bound, bound)
    x = layers.Permute((2, 1))(x)  # (batch, channels, steps)
    if individual:
        return layers.EinsumDense(
            "bcs,csh->bch",
            (channels, horizon),
            bias_axes="ch",
            kernel_initializer=start,
            bias_initializer=start,
            dtype="float32",
        )(x)
    return layers.Dense(horizon, kernel_initializer=start, bias_initializer=start, dtype="float32")(x)
