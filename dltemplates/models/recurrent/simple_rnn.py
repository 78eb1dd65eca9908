"""Plain recurrent network (RNN, Elman network).

Elman: "Finding Structure in Time", Cognitive Science 14(2), 1990, https://doi.org/10.1207/s15516709cog1402_1.

The network reads a sequence step by step. Its state h is its memory: each step computes a new state from the row x and
the old state, h = tanh(W x + U h + b).

It forgets soon. The gradient from the last step to an early one is a product of one matrix per step: U, times a slope
of tanh that is at most 1. The product of many such matrices vanishes or explodes (Bengio, Simard, Frasconi: "Learning
Long-Term Dependencies with Gradient Descent is Difficult", IEEE Transactions on Neural Networks 5(2), 1994,
https://doi.org/10.1109/72.279181). The gates of `lstm` and `gru` are the remedy. Here U starts orthogonal, as in Keras,
so that at first its product keeps its size.

A layer with n units and m numbers per step has n(m + n + 1) parameters, a quarter of an LSTM's.

docs/memory.md explains the network with figures.
"""

import keras
from keras import layers

from dltemplates.models.ranges import Counts, NumOutputs, Share, checked
from dltemplates.models.recurrent.stack import recurrent_network


@checked
def simple_rnn(
    input_shape: tuple[int | None, int],
    num_outputs: NumOutputs,
    *,
    units: Counts = (32,),
    dropout_rate: Share = 0.0,
    name: str = "simple_rnn",
) -> keras.Model:
    """Build plain recurrent layers and a dense layer on the last output.

    Args:
        input_shape: (steps, channels) of a sequence; steps None for sequences of different lengths, with a mask.
        num_outputs: Number of values to forecast, or of classes.
        units: Number of units in each layer; `[32, 32]` is two layers.
        dropout_rate: Share of activations dropped after each layer, in [0, 1).
        name: Name of the model.

    Returns:
        A functional model: `(batch, *input_shape)` float32 to `(batch, num_outputs)` float32 logits.

    Raises:
        ValueError: If `input_shape` is not a sequence, `units` is empty or not positive, `num_outputs` is less
            than 1, or `dropout_rate` is out of range.
    """
    return recurrent_network(name, input_shape, num_outputs, layers.SimpleRNN, units=units, dropout_rate=dropout_rate)
