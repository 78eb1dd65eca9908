"""Long short-term memory (LSTM).

Hochreiter, Schmidhuber: "Long Short-Term Memory", Neural Computation 9(8), 1997,
https://doi.org/10.1162/neco.1997.9.8.1735; the forget gate: Gers, Schmidhuber, Cummins: "Learning to Forget: Continual
Prediction with LSTM", Neural Computation 12(10), 2000, https://doi.org/10.1162/089976600300015015.

A recurrent network reads a sequence row by row and carries what it has seen along as its state. In a plain one the
error fades, or explodes, on its way back through many rows. Here the state is a cell that is added to and never
multiplied but by its gate, so that the error comes back whole. Three gates, each as many sigmoids as there are cells,
see the row and the output before: the input gate says what is written into the cells, the forget gate (of 2000) what
stays in them, the output gate what is shown of them. Of a row x, with weights W, U and b of its own for each gate and
for what is written: i, f, o = sigmoid(W x + U h + b); c = f * c + i * tanh(W x + U h + b); h = o * tanh(c).

A layer of n cells that reads m numbers a row has 4n(m + n + 1) parameters, however long the sequence is.
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
    """Build layers of long short-term memory, and a weighted sum of what the last one gives at the end.

    Args:
        input_shape: Rows and channels of a sequence.
        num_outputs: Number of values to forecast, or of classes.
        units: Cells of each layer.
        dropout_rate: Share of activations dropped after each layer, in [0, 1).
        name: Name of the model.

    Returns:
        A functional model: `(batch, *input_shape)` float32 to `(batch, num_outputs)` float32 logits.

    Raises:
        ValueError: If `input_shape` is not that of a sequence, `units` is empty or not positive, `num_outputs` is less
            than 1, or `dropout_rate` is out of range.
    """
    check_sequence_shape(name, input_shape)
    x = inputs = keras.Input(input_shape, name="inputs")
    for place, width in enumerate(units, start=1):
        x = layers.LSTM(width, return_sequences=place < len(units))(x)  # (batch, [rows,] width)
        x = layers.Dropout(dropout_rate)(x)
    logits = layers.Dense(num_outputs, dtype="float32", name="logits")(x)
    return keras.Model(inputs, logits, name=name)
