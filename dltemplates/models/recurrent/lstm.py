"""Long short-term memory (LSTM).

Hochreiter, Schmidhuber: "Long Short-Term Memory", Neural Computation 9(8), 1997,
https://doi.org/10.1162/neco.1997.9.8.1735; the forget gate: Gers, Schmidhuber, Cummins: "Learning to Forget: Continual
Prediction with LSTM", Neural Computation 12(10), 2000, https://doi.org/10.1162/089976600300015015.

A recurrent network reads a sequence step by step and carries a state along. In a plain one (`simple_rnn`) each step
multiplies the state by weights, so that the gradient vanishes or explodes on its way back through many steps. An LSTM
carries two vectors: its output h, and a memory, the cells c. A cell changes by addition, and only a gate multiplies it.
With an open gate, the gradient passes through many steps unchanged.

A gate is a number between 0 (closed) and 1 (open) for each cell. Three gates read the row x of the step and the
previous output h:

- Input gate, i = sigmoid(W_i x + U_i h + b_i): how much of the new value is written into the cell.
- Forget gate, f = sigmoid(W_f x + U_f h + b_f): how much of the old cell stays; 1 keeps it, 0 erases it.
- Output gate, o = sigmoid(W_o x + U_o h + b_o): how much of the cell is output.

The new value is g = tanh(W_g x + U_g h + b_g). Then c = f * c + i * g and h = o * tanh(c). With f = 1 and i = 0, a cell
keeps its value for any number of steps. The bias b_f starts at 1 and the others at 0, so that at first 0.73 of a cell
stays at each step (Jozefowicz, Zaremba, Sutskever: "An Empirical Exploration of Recurrent Network Architectures", ICML
2015). That is little after 50 steps: `memory` opens the forget gates wider.

A layer with n cells and m numbers per step has 4n(m + n + 1) parameters, for sequences of any length.

docs/memory.md explains the network with figures.
"""

import functools

import keras
from keras import layers

from dltemplates.layers.gate_bias import GateBias
from dltemplates.models.ranges import Count, Counts, NumOutputs, Share, checked
from dltemplates.models.recurrent.stack import recurrent_network


@checked
def lstm(
    input_shape: tuple[int | None, int],
    num_outputs: NumOutputs,
    *,
    units: Counts = (32,),
    dropout_rate: Share = 0.0,
    memory: Count | None = None,
    name: str = "lstm",
) -> keras.Model:
    """Build LSTM layers and a dense layer on the last output.

    Args:
        input_shape: (steps, channels) of a sequence; steps None for sequences of different lengths, with a mask.
        num_outputs: Number of values to forecast, or of classes.
        units: Number of cells in each layer; `[32, 32]` is two layers.
        dropout_rate: Share of activations dropped after each layer, in [0, 1).
        memory: Steps that the state should last at first, such as the length of the sequence. It opens the gates that
            keep the state; none leaves them as in Keras.
        name: Name of the model.

    Returns:
        A functional model: `(batch, *input_shape)` float32 to `(batch, num_outputs)` float32 logits.

    Raises:
        ValueError: If `input_shape` is not a sequence, `units` is empty or not positive, `num_outputs` is less
            than 1, or `dropout_rate` or `memory` is out of range.
    """
    biases = {"bias_initializer": GateBias(memory), "unit_forget_bias": False} if memory else {}
    layer = functools.partial(layers.LSTM, **biases)
    return recurrent_network(name, input_shape, num_outputs, layer, units=units, dropout_rate=dropout_rate)
