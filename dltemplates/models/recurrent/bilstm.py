"""Bidirectional LSTM.

Schuster, Paliwal: "Bidirectional Recurrent Neural Networks", IEEE Transactions on Signal Processing 45(11), 1997,
https://doi.org/10.1109/78.650093; with LSTM: Graves, Schmidhuber: "Framewise phoneme classification with bidirectional
LSTM and other neural network architectures", Neural Networks 18(5), 2005,
https://doi.org/10.1016/j.neunet.2005.06.042.

Each layer has two LSTMs (`dlt show lstm` explains their gates). One reads the sequence from its first step to its last,
the other from its last to its first. Their outputs stand side by side, so that every step knows its past and its
future. This suits a sequence that is complete before it is read, such as a recorded heartbeat. It cannot run on a
stream, whose future is not known yet.

A layer with n cells in each direction and m numbers per step has 8n(m + n + 1) parameters and 2n outputs.
"""

import keras
from keras import layers

from dltemplates.models.ranges import Counts, NumOutputs, Share, checked
from dltemplates.models.recurrent.stack import recurrent_network


@checked
def bilstm(
    input_shape: tuple[int | None, int],
    num_outputs: NumOutputs,
    *,
    units: Counts = (32,),
    dropout_rate: Share = 0.0,
    name: str = "bilstm",
) -> keras.Model:
    """Build bidirectional LSTM layers and a dense layer on the last output.

    Args:
        input_shape: (steps, channels) of a sequence; steps None for sequences of different lengths, with a mask.
        num_outputs: Number of values to forecast, or of classes.
        units: Number of cells in each direction of each layer; `[32, 32]` is two layers.
        dropout_rate: Share of activations dropped after each layer, in [0, 1).
        name: Name of the model.

    Returns:
        A functional model: `(batch, *input_shape)` float32 to `(batch, num_outputs)` float32 logits.

    Raises:
        ValueError: If `input_shape` is not a sequence, `units` is empty or not positive, `num_outputs` is less
            than 1, or `dropout_rate` is out of range.
    """

    def layer(width: int, *, return_sequences: bool) -> keras.Layer:
        return layers.Bidirectional(layers.LSTM(width, return_sequences=return_sequences))

    return recurrent_network(name, input_shape, num_outputs, layer, units=units, dropout_rate=dropout_rate)
