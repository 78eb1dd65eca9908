"""Attention between tokens, with masks.

Vaswani et al.: "Attention Is All You Need", NeurIPS 2017, https://arxiv.org/abs/1706.03762, section 3.2.

Each token asks a query, and each token of the context answers with a key and a value. The score of a query and a key is
their product, divided by the root of their width. A softmax over the scores gives the weights, and the output is the
weighted sum of the values. Several heads do so side by side, each with its part of the units.
"""

import math
from typing import Any

import keras
from keras import layers, ops


@keras.saving.register_keras_serializable("dltemplates")
class MaskedAttention(layers.Layer):
    """Attention of tokens to themselves, to themselves and those before (causal), or to another sequence (cross).

    Keras's `MultiHeadAttention` computes the same. This layer has the parts that a decoder needs which writes one token
    at a time: it keeps the keys and values of earlier tokens, and asks one query. See `tasks/serving/decoding.py`.

    Attributes:
        masked_score: Score of a pair of tokens that is masked. In int8, scores share one scale: -1e9 leaves nothing of
            the others, -20 does, and its weight is still 2e-9 of that of the score 0.
    """

    def __init__(
        self,
        num_heads: int,
        *,
        causal: bool = False,
        dropout_rate: float = 0.0,
        masked_score: float = -1e9,
        kernel_initializer: Any = "glorot_uniform",
        output_initializer: Any = None,
        **kwargs: Any,
    ):
        """Create the layer.

        Args:
            num_heads: Number of heads; the units of the queries must be a multiple.
            causal: Whether each token sees only itself and the tokens before it.
            dropout_rate: Share of the weights dropped in training, in [0, 1).
            masked_score: See the class.
            kernel_initializer: Of the kernels of queries, keys and values.
            output_initializer: Of the kernel of the output; None for the same.
            kwargs: Options of `keras.Layer`.
        """
        super().__init__(**kwargs)
        self.num_heads, self.causal, self.masked_score = num_heads, causal, masked_score
        self.kernel_initializer = keras.initializers.get(kernel_initializer)
        self.output_initializer = keras.initializers.get(output_initializer)
        self.dropout = layers.Dropout(dropout_rate, dtype=self.dtype_policy)

    def build(self, query_shape: Any, context_shape: Any = None) -> None:
        """Create the weights.

        Args:
            query_shape: (batch, length, units).
            context_shape: (batch, context length, units of the context); None for attention to the queries' tokens.

        Raises:
            ValueError: If `num_heads` does not divide the units.
        """
        units = query_shape[-1]
        if units % self.num_heads:
            raise ValueError(
                f"The units must be a multiple of `num_heads`. Received: {units} units, num_heads={self.num_heads}. "
                f"Try {max(units - units % self.num_heads, self.num_heads)} units."
            )
        self.units = units
        self.key_dim = self.value_dim = units // self.num_heads

        def dense(name, initializer, shape):
            layer = layers.Dense(units, kernel_initializer=initializer.clone(), name=name, dtype=self.dtype_policy)
            layer.build(shape)
            return layer

        self.query_dense = dense("query", self.kernel_initializer, query_shape)
        self.key_dense = dense("key", self.kernel_initializer, context_shape or query_shape)
        self.value_dense = dense("value", self.kernel_initializer, context_shape or query_shape)
        self.output_dense = dense("output", self.output_initializer or self.kernel_initializer, query_shape)

    def call(self, query, context=None, key_mask=None, training=None):
        """Return what each token takes from the others.

        Args:
            query: Tokens (batch, length, units).
            context: Tokens (batch, context length, any units) that they attend to; None for themselves.
            key_mask: Booleans (batch, context length), false for tokens that nobody sees; None if all are seen.
            training: Whether to drop weights.

        Returns:
            Tokens (batch, length, units).
        """
        keys, values = self.keys_and_values(query if context is None else context)
        return self.attend(query, keys, values, self._mask(query, keys, key_mask), training=training)

    def attention_weights(self, query, context=None, key_mask=None):
        """Return how much each token takes from each of the context, without dropout.

        Args:
            query: As in `call`.
            context: As in `call`.
            key_mask: As in `call`.

        Returns:
            Weights (batch, heads, length, context length), float32; those of a token sum to 1.
        """
        keys, _ = self.keys_and_values(query if context is None else context)
        return self._weights(query, keys, self._mask(query, keys, key_mask))

    def keys_and_values(self, context):
        """Return the keys and values of tokens (batch, length, units): two of (batch, heads, length, key_dim)."""
        return self._split(self.key_dense(context)), self._split(self.value_dense(context))

    def attend(self, query, keys, values, mask=None, training=None):
        """Return the output for tokens, given keys and values.

        Args:
            query: Tokens (batch, length, units).
            keys: (batch, heads, context length, key_dim).
            values: Like `keys`.
            mask: Booleans that broadcast to (batch, heads, length, context length), true for pairs that are seen.
            training: Whether to drop weights.
        """
        weights = ops.cast(self._weights(query, keys, mask), self.compute_dtype)
        weights = self.dropout(weights, training=training)
        heads = ops.swapaxes(ops.matmul(weights, values), 1, 2)  # (batch, length, heads, key_dim)
        return self.output_dense(ops.reshape(heads, (-1, ops.shape(query)[1], self.units)))

    def _mask(self, query, keys, key_mask):
        mask = None if key_mask is None else ops.expand_dims(key_mask, (1, 2))  # (batch, 1, 1, context length)
        if not self.causal:
            return mask
        causal = causal_mask(ops.shape(query)[1], ops.shape(keys)[2])
        return causal if mask is None else ops.logical_and(mask, causal)

    def _weights(self, query, keys, mask):
        queries = self._split(self.query_dense(query)) * (1 / math.sqrt(self.key_dim))
        scores = ops.cast(ops.matmul(queries, ops.swapaxes(keys, 2, 3)), "float32")
        if mask is not None:
            scores = ops.where(mask, scores, self.masked_score)
        return ops.softmax(scores)

    def _split(self, tokens):
        """Split the units into heads: (batch, length, units) to (batch, heads, length, key_dim)."""
        heads = ops.reshape(tokens, (-1, ops.shape(tokens)[1], self.num_heads, self.key_dim))
        return ops.swapaxes(heads, 1, 2)

    def compute_output_shape(self, query_shape, context_shape=None, key_mask_shape=None):
        """Return the shape of the queries' tokens."""
        return query_shape

    def get_config(self):
        """Return the arguments of the constructor."""
        return super().get_config() | {
            "num_heads": self.num_heads,
            "causal": self.causal,
            "dropout_rate": self.dropout.rate,
            "masked_score": self.masked_score,
            "kernel_initializer": keras.initializers.serialize(self.kernel_initializer),
            "output_initializer": keras.initializers.serialize(self.output_initializer)
            if self.output_initializer
            else None,
        }


def causal_mask(length, context_length):
    """Return which of the context's tokens each token sees, itself and those before: (length, context length)."""
    return ops.expand_dims(ops.arange(context_length), 0) <= ops.expand_dims(ops.arange(length), 1)
