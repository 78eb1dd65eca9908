"""Layers for sequences of tokens: positions, class token, mask of the padding, and the mean of the tokens.

Class token and learned positions: Dosovitskiy et al.: "An Image is Worth 16x16 Words: Transformers for Image
Recognition at Scale", ICLR 2021, https://arxiv.org/abs/2010.11929, section 3.1, equation 1. Sinusoidal positions:
Vaswani et al.: "Attention Is All You Need", NeurIPS 2017, https://arxiv.org/abs/1706.03762, section 3.5.
"""

import math

import keras
from keras import layers, ops

LONGEST_WAVE = 10_000  # of the sinusoidal positions, times 2 pi


@keras.saving.register_keras_serializable("dltemplates")
class ClassToken(layers.Layer):
    """Add one learned token in front of every sequence: `(batch, length, units)` to `(batch, length + 1, units)`.

    It belongs to no patch. Its output of the encoder describes the whole image.
    """

    def build(self, input_shape):
        self.token = self.add_weight(shape=(1, 1, input_shape[-1]), initializer="zeros", name="token")

    def call(self, inputs):
        token = ops.broadcast_to(self.token, (ops.shape(inputs)[0], 1, inputs.shape[-1]))
        return ops.concatenate([token, inputs], axis=1)


@keras.saving.register_keras_serializable("dltemplates")
class PositionEmbedding(layers.Layer):
    """Add a learned vector for each position of a sequence, `(batch, length, units)`.

    Of several sequences per example, `(batch, groups, length, units)`, all get the same vectors.
    """

    def __init__(self, length: int | None = None, **kwargs):
        """Create the layer.

        Args:
            length: Length of the longest sequence; None for sequences of one length.
            kwargs: Options of `keras.Layer`.
        """
        super().__init__(**kwargs)
        self.length = length

    def build(self, input_shape):
        initializer = keras.initializers.RandomNormal(stddev=0.02)
        shape = (*[1] * (len(input_shape) - 2), self.length or input_shape[-2], input_shape[-1])
        self.position = self.add_weight(shape=shape, initializer=initializer, name="position")

    def call(self, inputs):
        longest, length = self.position.shape[-2], inputs.shape[-2]
        if length is not None and length > longest:
            raise ValueError(
                f"A sequence may have at most {longest} positions. Received: {length}. Cut it, or build the network "
                f"with a larger `sequence_length`."
            )
        return inputs + self.position[..., : ops.shape(inputs)[-2], :]

    def vectors(self, length):
        """Return the vectors of the first `length` positions, (length, units)."""
        return ops.reshape(self.position, self.position.shape[-2:])[:length]

    def get_config(self):
        return super().get_config() | {"length": self.length}


@keras.saving.register_keras_serializable("dltemplates")
class SinusoidalPositions(layers.Layer):
    """Add sines and cosines of the position to a sequence of any length, `(batch, length, units)`.

    Units 2i and 2i + 1 get sin and cos of `position / 10000 ** (2i / units)`: waves that grow from 2 pi positions to
    10,000 times as many. The number of units is even.
    """

    def build(self, input_shape):
        self.units = input_shape[-1]
        if self.units % 2:
            raise ValueError(
                f"Sinusoidal positions need an even number of units. Received: {self.units}. Try {self.units + 1}."
            )

    def call(self, inputs):
        return inputs + ops.cast(self.vectors(ops.shape(inputs)[1]), inputs.dtype)

    def vectors(self, length):
        """Return the vectors of the first `length` positions, (length, units), float32."""
        positions = ops.expand_dims(ops.arange(length, dtype="float32"), 1)
        rates = ops.exp(ops.arange(0, self.units, 2, dtype="float32") * (-math.log(LONGEST_WAVE) / self.units))
        angles = positions * rates  # (length, units / 2)
        return ops.reshape(ops.stack([ops.sin(angles), ops.cos(angles)], axis=-1), (-1, self.units))


@keras.saving.register_keras_serializable("dltemplates")
class PaddingMask(layers.Layer):
    """Return which ids are tokens, and which are padding (id 0): ids to booleans of the same shape."""

    def call(self, ids):
        return ops.not_equal(ids, 0)


@keras.saving.register_keras_serializable("dltemplates")
class TokenMean(layers.Layer):
    """Average the tokens that are no padding: `(batch, length, units)` to `(batch, units)`, float32; 0 if none is."""

    def call(self, tokens, is_token):
        weights = ops.expand_dims(ops.cast(is_token, "float32"), -1)  # (batch, length, 1)
        return ops.sum(ops.cast(tokens, "float32") * weights, axis=1) / ops.maximum(ops.sum(weights, axis=1), 1)
