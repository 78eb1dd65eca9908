"""Layers as one TensorFlow operation, forward and backward. The results are those of Keras up to rounding.

Batch normalization: Keras uses a dozen operations, and each reads and writes the whole batch. A step of ResNet-20 on a
CPU takes three quarters of the time in float32, and half of the time in bfloat16.

LSTM: Keras runs a loop of a dozen operations per row, each with an overhead that is long for a small layer.
"""

from __future__ import annotations

from typing import Any

import keras
import tensorflow as tf
from keras import layers

from dltemplates.compat import flatten_layers


class FusedBatchNormalization(layers.BatchNormalization):
    """Batch normalization (Ioffe 2015) of images (batch, height, width, channels), on one device."""

    def call(self, inputs: Any, training: bool = False, mask: Any = None) -> Any:
        if not (training and self.trainable) or mask is not None:
            return super().call(inputs, training=training, mask=mask)
        outputs, mean, variance, *_ = tf.raw_ops.FusedBatchNormV3(
            x=inputs,
            scale=self.gamma.value,
            offset=self.beta.value,
            mean=[],
            variance=[],
            epsilon=self.epsilon,
            is_training=True,
        )
        count = tf.cast(tf.size(inputs) // tf.shape(inputs)[-1], tf.float32)
        variance *= (count - 1) / count  # the operation divides by n - 1, Keras by n
        for moving, value in ((self.moving_mean, mean), (self.moving_variance, variance)):
            moving.assign(moving * self.momentum + value * (1 - self.momentum))
        return outputs


class FusedLSTM(layers.LSTM):
    """LSTM (Hochreiter 1997, Gers 2000) of whole sequences (batch, rows, channels), on a CPU."""

    def call(self, sequences: Any, initial_state: Any = None, mask: Any = None, training: bool = False) -> Any:
        if not training or initial_state is not None or mask is not None:
            return super().call(sequences, initial_state=initial_state, mask=mask, training=training)
        rows = tf.transpose(sequences, (1, 0, 2))
        rows = tf.reverse(rows, [0]) if self.go_backwards else rows
        weights = tf.concat([self.cell.kernel.value, self.cell.recurrent_kernel.value], axis=0)
        outputs = _lstm(rows, weights, self.cell.bias.value)  # (rows, batch, units)
        return tf.transpose(outputs, (1, 0, 2)) if self.return_sequences else outputs[-1]


@tf.custom_gradient
def _lstm(rows: tf.Tensor, weights: tf.Tensor, bias: tf.Tensor) -> Any:
    """Run an LSTM from a state of zeros.

    TensorFlow's own gradient of this operation assumes another order of the gates, that of its first version.

    Args:
        rows: The sequences, (rows, batch, channels).
        weights: Weights of the input and, below them, of the previous output, (channels + units, 4 * units).
        bias: (4 * units,).

    Returns:
        The outputs (rows, batch, units), and the function of their gradient.
    """
    units = tf.shape(bias)[0] // 4
    state, peephole = tf.zeros((tf.shape(rows)[1], units)), tf.zeros(units)
    inputs = {
        "seq_len_max": tf.shape(rows, out_type=tf.int64)[0],
        "x": rows,
        **{"cs_prev": state, "h_prev": state, "w": weights, "b": bias},
        **dict.fromkeys(("wci", "wcf", "wco"), peephole),  # unused
    }
    found = tf.raw_ops.BlockLSTMV2(**inputs, cell_clip=0.0, use_peephole=False)  # a clip of 0 is none

    def gradient(of_outputs: tf.Tensor) -> tuple[tf.Tensor, ...]:
        kept = {name: getattr(found, name) for name in ("i", "cs", "f", "o", "ci", "co", "h")}
        of = tf.raw_ops.BlockLSTMGradV2(
            **inputs, **kept, cs_grad=tf.zeros_like(found.cs), h_grad=of_outputs, use_peephole=False
        )
        return of.x_grad, of.w_grad, of.b_grad

    return found.h, gradient


def fuse(model: keras.Model) -> None:
    """Let each batch normalization and LSTM in a model train as one operation, where the operation supports it."""
    # Not copies: the layers keep their variables and attributes; only `call` differs.
    for layer in flatten_layers(model):
        if _fits_normalization(layer):
            layer.__class__ = FusedBatchNormalization
    recurrent = [layer for layer in flatten_layers(model) if isinstance(layer, layers.RNN)]
    # Other recurrent layers train faster with XLA, which has no form of this operation. GPUs have cuDNN.
    if all(_fits_lstm(layer) for layer in recurrent) and not tf.config.list_physical_devices("GPU"):
        for layer in recurrent:
            layer.__class__ = FusedLSTM


def _fits_lstm(layer: layers.Layer) -> bool:
    """Return whether a layer is Keras's own LSTM with its usual gates, in float32."""
    return (
        type(layer) is layers.LSTM
        and layer.built
        and layer.use_bias
        and (layer.activation, layer.recurrent_activation) == (keras.activations.tanh, keras.activations.sigmoid)
        and not (layer.dropout or layer.recurrent_dropout)
        and not (layer.return_state or layer.stateful)
        and layer.compute_dtype == "float32"
    )


def _fits_normalization(layer: layers.Layer) -> bool:
    """Return whether a layer is Keras's own, on channels-last images, in a precision that the operation supports."""
    return (
        type(layer) is layers.BatchNormalization
        and layer.built
        and layer.input_spec.ndim == 4
        and layer.axis in (-1, 3)
        and layer.scale
        and layer.center
        and not layer.renorm
        and layer.variable_dtype == "float32"
        and layer.compute_dtype in ("float32", "float16", "bfloat16")
    )
