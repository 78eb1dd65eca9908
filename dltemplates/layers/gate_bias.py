"""Biases with which the gates of an LSTM or a GRU keep their state for a chosen number of steps at first.

Tallec, Ollivier: "Can recurrent neural networks warp time?", ICLR 2018, https://arxiv.org/abs/1804.11188, section 3.
"""

import keras
from keras import ops


@keras.saving.register_keras_serializable("dltemplates")
class GateBias(keras.initializers.Initializer):
    """Gate biases for memories of 1 to `steps` steps; each unit gets another length, at even distances.

    A gate of sigmoid(log(t)) keeps t / (t + 1) of the state at each step, so that the state lasts about t steps. The
    paper draws the lengths at random.
    """

    def __init__(self, steps: int):
        """Create the initializer.

        Args:
            steps: Greatest number of steps that the state lasts.
        """
        self.steps = steps

    def __call__(self, shape, dtype=None):
        """Return the biases of an LSTM, (4 * units,), or of a GRU, (2, 3 * units)."""
        is_lstm = len(shape) == 1
        units = shape[-1] // (4 if is_lstm else 3)
        keep = ops.log(ops.linspace(1.0, max(self.steps - 1.0, 1.0), units, dtype=dtype))
        rest = ops.zeros((2 * units,), dtype=dtype)
        if is_lstm:  # input gate, forget gate, new value, output gate
            return ops.concatenate([-keep, keep, rest])
        update_first = ops.concatenate([keep, rest])  # update gate, reset gate, candidate
        return ops.stack([update_first, ops.zeros_like(update_first)])  # of the row, of the state

    def get_config(self):
        return {"steps": self.steps}
