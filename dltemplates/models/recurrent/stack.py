"""Recurrent layers in a row, which the networks of this folder share."""

from collections.abc import Callable, Sequence
from typing import Any

import keras
from keras import layers

from dltemplates.models.checks import check_sequence_shape


def recurrent_network(
    name: str,
    input_shape: tuple[int | None, int],
    num_outputs: int,
    layer: Callable[..., keras.Layer],
    *,
    units: Sequence[int],
    dropout_rate: float,
) -> keras.Model:
    """Build recurrent layers and a dense layer on the last output.

    A masked step changes nothing: the layers carry their state over it.

    Args:
        name: Name of the model.
        input_shape: (steps, channels) of a sequence; steps None for any length.
        num_outputs: Number of values to forecast, or of classes.
        layer: Class of the layers, or a function with its arguments: units, and `return_sequences`.
        units: Units of each layer.
        dropout_rate: Share of activations dropped after each layer.

    Returns:
        A functional model: `(batch, steps, channels)` float32 to `(batch, num_outputs)` float32 logits.
    """
    check_sequence_shape(name, input_shape, any_length=True)
    inputs = keras.Input(input_shape, name="inputs")
    logits = recurrent_logits(inputs, num_outputs, layer, units=units, dropout_rate=dropout_rate)
    return keras.Model(inputs, logits, name=name)


def recurrent_logits(
    x: Any, num_outputs: int, layer: Callable[..., keras.Layer], *, units: Sequence[int], dropout_rate: float
) -> Any:
    """Apply recurrent layers to sequences (batch, steps, channels), and a dense layer to the last output.

    The other arguments and the result are those of `recurrent_network`.
    """
    for number, width in enumerate(units, start=1):
        x = layer(width, return_sequences=number < len(units))(x)  # (batch, [steps,] width)
        x = layers.Dropout(dropout_rate)(x)
    return layers.Dense(num_outputs, dtype="float32", name="logits")(x)
