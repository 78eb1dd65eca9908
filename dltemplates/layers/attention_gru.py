"""A recurrent cell that looks at a whole other sequence in each step.

Bahdanau, Cho, Bengio: "Neural Machine Translation by Jointly Learning to Align and Translate", ICLR 2015,
https://arxiv.org/abs/1409.0473, section 3.1 and appendix A.1.2.
"""

from typing import Any

import keras
from keras import layers, ops


@keras.saving.register_keras_serializable("dltemplates")
class AttentionGRUCell(layers.Layer):
    """One step of a GRU that also reads a weighted sum of a memory: the context.

    The memory has a row for each token of the source. The score of a row is `v . tanh(W h + key)`, where h is the state
    before the step, and the keys are the memory times another matrix. A softmax over the scores gives the weights.

    Memory, keys and mask are states that never change, so that `keras.layers.RNN` hands them to each step.

    Attributes:
        units: Number of units of the state.
        context: Width of a row of the memory.
        masked_score: Score of a row that is padding. In int8, scores share one scale: -1e9 leaves nothing of the
            others, -20 does.
    """

    def __init__(self, units: int, context: int, *, masked_score: float = -1e9, **kwargs: Any):
        super().__init__(**kwargs)
        self.units, self.context, self.masked_score = units, context, masked_score
        self.state_size = [units, context, units, 1]  # of the state, and of each row of memory, keys and mask
        self.output_size = units + context
        self.gru = layers.GRUCell(units, name="gru", dtype=self.dtype_policy)
        self.query = layers.Dense(units, use_bias=False, name="query", dtype=self.dtype_policy)
        self.score = layers.Dense(1, use_bias=False, name="score", dtype=self.dtype_policy)

    def build(self, input_shape: Any) -> None:
        """Create the weights for inputs (batch, channels)."""
        self.gru.build((None, input_shape[-1] + self.context))
        self.query.build((None, self.units))
        self.score.build((None, None, self.units))

    def call(self, inputs: Any, states: Any, training: bool | None = None) -> Any:
        """Run one step.

        Args:
            inputs: The row of the step (batch, channels).
            states: The state (batch, units), memory (batch, length, context), keys (batch, length, units), and mask
                (batch, length), 1 for a token and 0 for padding.
            training: Whether this is a training step.

        Returns:
            The new state beside the context, (batch, units + context), and the new states.
        """
        state, memory, keys, mask = states
        weights = ops.cast(self.attention_weights(state, keys, mask), memory.dtype)
        context = ops.sum(ops.expand_dims(weights, -1) * memory, axis=1)  # (batch, context)
        state, _ = self.gru(ops.concatenate([inputs, context], axis=-1), [state], training=training)
        return ops.concatenate([state, context], axis=-1), [state, memory, keys, mask]

    def attention_weights(self, state: Any, keys: Any, mask: Any) -> Any:
        """Return how much a step takes from each row of the memory, float32 (batch, length).

        The weights of a step sum to 1. The arguments are the states of `call`; `state` is that before the step.
        """
        scores = self.score(ops.tanh(keys + ops.expand_dims(self.query(state), 1)))[..., 0]  # (batch, length)
        return ops.softmax(ops.where(mask > 0, ops.cast(scores, "float32"), self.masked_score))

    def get_config(self) -> dict[str, Any]:
        """Return the arguments of the constructor."""
        return super().get_config() | {
            "units": self.units,
            "context": self.context,
            "masked_score": self.masked_score,
        }
