"""What a sensor and a file do to noise: no pixel is darker than black or brighter than white."""

import keras
from keras import layers, ops


@keras.saving.register_keras_serializable("dltemplates")
class Saturation(layers.Layer):
    """Bring each value to the nearest one between 0 and 1 in training, behind layers that add noise.

    Elsewhere there is no noise, and values are given as they are.
    """

    def call(self, inputs, training=False):
        return ops.clip(inputs, 0, 1) if training else inputs

    def compute_output_shape(self, input_shape):
        return input_shape
