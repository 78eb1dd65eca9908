"""Class token and position embedding of a Vision Transformer.

Dosovitskiy et al.: "An Image is Worth 16x16 Words: Transformers for Image Recognition at Scale", ICLR 2021,
https://arxiv.org/abs/2010.11929, section 3.1, equation 1.
"""

import keras
from keras import layers, ops


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
    """Add a learned vector for each position of a sequence of fixed length, `(batch, length, units)`.

    Of several sequences per example, `(batch, groups, length, units)`, all get the same vectors.
    """

    def build(self, input_shape):
        initializer = keras.initializers.RandomNormal(stddev=0.02)
        shape = (*[1] * (len(input_shape) - 2), *input_shape[-2:])
        self.position = self.add_weight(shape=shape, initializer=initializer, name="position")

    def call(self, inputs):
        return inputs + self.position
