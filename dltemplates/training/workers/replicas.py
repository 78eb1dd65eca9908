"""The model that each of several replicas trains, so that together they do what one does alone, but for rounding.

Three things go silently wrong otherwise: batch normalization sees only its replica's part of the batch, every replica
draws the same noise, and gradients are clipped before they are summed (see `algorithms/descent.py` for the last).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import tensorflow as tf
from keras import layers

from dltemplates.compat import flatten_layers, holds_seed_generator
from dltemplates.layers import sampling
from dltemplates.models.recursion import deep_networks
from dltemplates.training.algorithms.descent import sum_over_replicas

RATES = ("rate", "stddev", "dropout", "recurrent_dropout")


@deep_networks()
def for_replicas(model: keras.Model) -> keras.Model:
    """Copy a model, its layers exchanged for those that see the whole batch; the same variables with the same values.

    Raises:
        ValueError: If a layer cannot be made to do on several devices what it does on one.
    """
    copy = keras.models.clone_model(model, clone_function=_exchange, recursive=True)
    for layer in flatten_layers(copy):
        if isinstance(layer, layers.BatchNormalization):
            layer.synchronized = True
        if type(layer) is layers.BatchNormalization:
            # Not a copy: a layer within a layer has no other way in, and only how the batch is measured differs.
            layer.__class__ = BatchNormalization
        _check_noise(layer)
    for old, new in zip(flatten_layers(model), flatten_layers(copy), strict=True):
        new.trainable = old.trainable  # of a layer within a layer, no configuration tells
    for old, new in zip(model.variables, copy.variables, strict=True):  # the states of random generators too
        new.assign(old)
    return copy


def _exchange(layer: layers.Layer) -> layers.Layer:
    config = layer.get_config()
    for plain, whole in WHOLE_BATCH.items():
        if type(layer) is plain:
            return whole.from_config(config)
    return type(layer).from_config(config)


def draws_noise(layer: layers.Layer) -> bool:
    """Whether what a layer does in training is random."""
    rates = [getattr(layer, name) for name in RATES if hasattr(layer, name)]
    return holds_seed_generator(layer) and (not rates or any(rates))


def _check_noise(layer: layers.Layer) -> None:
    if draws_noise(layer) and not isinstance(layer, (WholeBatchNoise, Sampling)):
        known = ", ".join(plain.__name__ for plain in WHOLE_BATCH)
        raise ValueError(
            "On several devices every random layer must draw what it draws on one. Received: "
            f"{layer.name}, a {type(layer).__name__}; known are {known}. Train on one device, or without its dropout."
        )


class BatchNormalization(layers.BatchNormalization):
    """Batch normalization (Ioffe 2015) of the whole batch, whose variance takes two passes over the replicas.

    Keras's own, `synchronized`, subtracts the square of the mean from the mean of the squares: where the mean is large
    beside the deviation, few digits are left. Tried with Keras 3.15, which asks `_moments` for both; a later version
    that does not would fall back to its own, and the test of several devices would fail.
    """

    def _moments(self, inputs: Any, mask: Any) -> tuple[Any, Any]:
        """Return the mean and the variance of each channel over all replicas, (channels,) each, in float32."""
        if mask is not None:
            mask = tf.broadcast_to(tf.cast(mask, "bool")[..., tf.newaxis], tf.shape(inputs))
            count = self._total(tf.ones_like(inputs), mask)
        else:
            count = tf.cast(tf.size(inputs) // inputs.shape[self.axis], inputs.dtype)
        total, count = sum_over_replicas([self._total(inputs, mask), count])
        mean = tf.math.divide_no_nan(total, count)
        # Differences from the mean add up to 0, and with them the gradient that would go through it.
        squares = tf.math.squared_difference(inputs, tf.stop_gradient(mean))
        (total,) = sum_over_replicas([self._total(squares, mask)])
        variance = tf.math.divide_no_nan(total, count)
        return tf.reshape(mean, [-1]), tf.reshape(variance, [-1])

    def _total(self, values: Any, mask: Any) -> Any:
        """Sum each channel in this replica, axis by axis: a long sum in one go loses digits on a processor."""
        if mask is not None:
            values = tf.where(mask, values, 0.0)
        channels = self.axis % len(values.shape)
        for axis in reversed(range(len(values.shape))):
            if axis != channels:
                values = tf.reduce_sum(values, axis, keepdims=True)
        return values


class WholeBatchNoise(layers.Layer):
    """A layer whose noise is drawn for the whole batch on every replica, which takes the part that is its own.

    The noise of such layers is a function of ones: `call(ones, training=True)` of the plain layer.
    """

    def call(self, inputs: Any, training: bool = False) -> Any:
        if not training:
            return inputs
        draw = super().call
        noise = _own_rows(inputs, lambda shape: draw(self.neutral(shape, inputs.dtype), training=True))
        return self.join(inputs, noise)

    def neutral(self, shape: Any, dtype: Any) -> Any:
        """What the layer turns into its pure noise."""
        return tf.ones(shape, dtype)

    def join(self, inputs: Any, noise: Any) -> Any:
        return inputs * noise


def _own_rows(inputs: Any, draw: Callable[[Any], Any]) -> Any:
    """This replica's rows of what is drawn for the whole batch, of which `inputs` are its part."""
    context = tf.distribute.get_replica_context()
    replicas = context.num_replicas_in_sync if context else 1
    rows = tf.shape(inputs)[0]
    whole = draw(tf.concat([[rows * replicas], tf.shape(inputs)[1:]], axis=0))
    first = rows * context.replica_id_in_sync_group if context else 0
    return tf.ensure_shape(whole[first : first + rows], inputs.shape)


class Dropout(WholeBatchNoise, layers.Dropout):
    """Dropout (Srivastava 2014) of the whole batch."""


class SpatialDropout1D(WholeBatchNoise, layers.SpatialDropout1D):
    """Dropout of whole channels of sequences."""


class SpatialDropout2D(WholeBatchNoise, layers.SpatialDropout2D):
    """Dropout of whole channels of images (Tompson 2015)."""


class GaussianDropout(WholeBatchNoise, layers.GaussianDropout):
    """Multiplicative Gaussian noise."""


class GaussianNoise(WholeBatchNoise, layers.GaussianNoise):
    """Additive Gaussian noise."""

    def neutral(self, shape: Any, dtype: Any) -> Any:
        return tf.zeros(shape, dtype)

    def join(self, inputs: Any, noise: Any) -> Any:
        return inputs + noise


class Sampling(sampling.Sampling):
    """A draw from a distribution for each example of the whole batch."""

    def noise(self, reference: Any) -> Any:
        return _own_rows(
            reference, lambda shape: keras.random.normal(shape, dtype=reference.dtype, seed=self.generator)
        )


WHOLE_BATCH: dict[type, Any] = {
    plain: whole
    for whole in (Dropout, SpatialDropout1D, SpatialDropout2D, GaussianDropout, GaussianNoise)
    for plain in [getattr(layers, whole.__name__)]
} | {sampling.Sampling: Sampling}
