"""Saturation of noisy images: no pixel is darker than black or brighter than white."""

import keras
from keras import layers, ops


@keras.saving.register_keras_serializable("dltemplates")
class Saturation(layers.Layer):
    """Clip values to [0, 1] in training, after layers that add noise; return them unchanged otherwise."""

    def call(self, inputs, training=False):
        return ops.clip(inputs, 0, 1) if training else inputs

    def compute_output_shape(self, input_shape):
        return input_shape
