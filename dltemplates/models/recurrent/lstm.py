"""Long short-term memory (LSTM).

Hochreiter, Schmidhuber: "Long Short-Term Memory", Neural Computation 9(8), 1997,
https://doi.org/10.1162/neco.1997.9.8.1735; the forget gate: Gers, Schmidhuber, Cummins: "Learning to Forget: Continual
Prediction with LSTM", Neural Computation 12(10), 2000, https://doi.org/10.1162/089976600300015015.

A recurrent network reads a sequence row by row and carries a state along. In a plain recurrent network the gradient
vanishes or explodes on its way back through many rows. In an LSTM the state is a cell that changes by addition and is
multiplied only by its gate, so that the gradient survives. Three gates, each with a sigmoid per cell, read the row and
the previous output. The input gate controls how much is written into the cells, the forget gate (of 2000) how much
stays, the output gate how much is output. For a row x, with separate weights W, U and b for each gate and for the
written values: i, f, o = sigmoid(W x + U h + b); c = f * c + i * tanh(W x + U h + b); h = o * tanh(c).

A layer with n cells and m numbers per row has 4n(m + n + 1) parameters, for sequences of any length.
"""

import keras
from keras import layers

from dltemplates.models.checks import check_sequence_shape
from dltemplates.models.ranges import Counts, NumOutputs, Share, checked


@checked
def lstm(
    input_shape: tuple[int, int],
    num_outputs: NumOutputs,
    *,
    units: Counts = (32,),
    dropout_rate: Share = 0.0,
    name: str = "lstm",
) -> keras.Model:
    """Build LSTM layers and a dense layer on the last output.

    Args:
        input_shape: (rows, channels) of a sequence.
        num_outputs: Number of values to forecast, or of classes.
        units: Number of cells in each layer.
        dropout_rate: Share of activations dropped after each layer, in [0, 1).
        name: Name of the model.

    Returns:
        A functional model: `(batch, *input_shape)` float32 to `(batch, num_outputs)` float32 logits.

    Raises:
        ValueError: If `input_shape` is not a sequence, `units` is empty or not positive, `num_outputs` is less
            than 1, or `dropout_rate` is out of range.
    """
    check_sequence_shape(name, input_shape)
    x = inputs = keras.Input(input_shape, name="inputs")
    for number, width in enumerate(units, start=1):
        x = layers.LSTM(width, return_sequences=number < len(units))(x)  # (batch, [rows,] width)
        x = layers.Dropout(dropout_rate)(x)
    logits = layers.Dense(num_outputs, dtype="float32", name="logits")(x)
    return keras.Model(inputs, logits, name=name)
