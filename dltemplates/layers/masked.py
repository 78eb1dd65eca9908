"""Layers for sequences of different lengths, which are padded to one length and carry a Keras mask.

With these layers, padding does not change the output of a network. Without a mask they work as Keras's own layers.
"""

import keras
from keras import layers, ops


@keras.saving.register_keras_serializable("dltemplates")
class MaskedConv1D(layers.Conv1D):
    """Convolution that reads padding as zeros and passes the mask on, with stride 1 and padding "same" or "causal"."""

    supports_masking = True

    def call(self, inputs, mask=None):
        if mask is not None:
            inputs = inputs * ops.cast(ops.expand_dims(mask, -1), inputs.dtype)
        return super().call(inputs)


@keras.saving.register_keras_serializable("dltemplates")
class MaskedMaxPooling1D(layers.MaxPooling1D):
    """Max pooling that ignores padding and passes the mask on, with stride 1 and padding "same"."""

    supports_masking = True

    def call(self, inputs, mask=None):
        return super().call(_sink_padding(inputs, mask))


@keras.saving.register_keras_serializable("dltemplates")
class MaskedGlobalMaxPooling1D(layers.GlobalMaxPooling1D):
    """The largest value of each channel over the steps that are no padding."""

    supports_masking = True

    def call(self, inputs, mask=None):
        return super().call(_sink_padding(inputs, mask))

    def compute_mask(self, inputs, previous_mask):
        return None


@keras.saving.register_keras_serializable("dltemplates")
class LastStep(layers.Layer):
    """The last step of each sequence that is no padding: `(batch, steps, channels)` to `(batch, channels)`."""

    def call(self, inputs, mask=None):
        if mask is None:
            return inputs[:, -1]
        mask = ops.cast(mask, inputs.dtype)  # (batch, steps)
        following = ops.pad(mask, ((0, 0), (0, 1)))[:, 1:]
        is_last = mask - mask * following
        return ops.sum(inputs * ops.expand_dims(is_last, -1), axis=1)

    def compute_mask(self, inputs, previous_mask):
        return None


def _sink_padding(inputs, mask):
    """Set padding to the least value of its channel, since minus infinity would spoil the range of integer files."""
    if mask is None:
        return inputs
    return ops.where(ops.expand_dims(mask, -1), inputs, ops.min(inputs, axis=1, keepdims=True))
