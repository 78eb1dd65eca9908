"""Gated recurrent unit (GRU).

Cho et al.: "Learning Phrase Representations using RNN Encoder-Decoder for Statistical Machine Translation", EMNLP 2014,
https://arxiv.org/abs/1406.1078, section 2.3.

A GRU is a smaller LSTM: two gates instead of three, and one state h instead of an output and cells. The new state is a
mix of the old state and a candidate. Where a gate keeps the old state, the gradient passes through many steps.

A gate is a number between 0 and 1 for each unit. Both gates read the row x of the step and the previous state h:

- Update gate, z = sigmoid(W_z x + U_z h + b_z): how much of the old state stays; 1 keeps it, 0 replaces it.
- Reset gate, r = sigmoid(W_r x + U_r h + b_r): how much of the old state the candidate reads.

The candidate is g = tanh(W_g x + b_g + r * (U_g h + d_g)). Then h = z * h + (1 - z) * g. The paper resets h before its
weights, U_g (r * h). Here, as in Keras and cuDNN, the reset follows the weights, which is faster and about as good. At
first z is about 0.5, so that little is left after 10 steps: `memory` opens the update gates wider.

A layer with n units and m numbers per step has 3n(m + n + 2) parameters, for sequences of any length: three quarters of
an LSTM's weights.

docs/memory.md explains the network with figures.
"""

import functools

import keras
from keras import layers

from dltemplates.layers.gate_bias import GateBias
from dltemplates.models.ranges import Count, Counts, NumOutputs, Share, checked
from dltemplates.models.recurrent.stack import recurrent_network


@checked
def gru(
    input_shape: tuple[int | None, int],
    num_outputs: NumOutputs,
    *,
    units: Counts = (32,),
    dropout_rate: Share = 0.0,
    memory: Count | None = None,
    name: str = "gru",
) -> keras.Model:
    """Build GRU layers and a dense layer on the last output.

    Args:
        input_shape: (steps, channels) of a sequence; steps None for sequences of different lengths, with a mask.
        num_outputs: Number of values to forecast, or of classes.
        units: Number of units in each layer; `[32, 32]` is two layers.
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
    biases = {"bias_initializer": GateBias(memory)} if memory else {}
    layer = functools.partial(layers.GRU, **biases)
    return recurrent_network(name, input_shape, num_outputs, layer, units=units, dropout_rate=dropout_rate)
