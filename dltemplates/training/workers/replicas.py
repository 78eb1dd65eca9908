"""A model for several replicas, which together train as one device does, up to rounding.

A plain model would train wrongly without an error: batch normalization sees only its replica's part of the batch, and
every replica draws the same noise. `algorithms/descent.py` handles a third fault, gradients clipped before they are
summed.
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
from dltemplates.models.weights import refresh
from dltemplates.training.algorithms.descent import sum_over_replicas

RATES = ("rate", "stddev", "dropout", "recurrent_dropout")


@deep_networks()
def for_replicas(model: keras.Model) -> keras.Model:
    """Copy a model, with the same weights and with layers that work on the whole batch.

    Raises:
        ValueError: If a layer would behave differently on several devices than on one.
    """
    copy = keras.models.clone_model(model, clone_function=_replace_layer, recursive=True)
    for layer in flatten_layers(copy):
        if isinstance(layer, layers.BatchNormalization):
            layer.synchronized = True
        if type(layer) is layers.BatchNormalization:
            # Change the class in place: a layer within a layer cannot be replaced. Only the batch statistics differ.
            layer.__class__ = BatchNormalization
        _check_noise(layer)
    for old, new in zip(flatten_layers(model), flatten_layers(copy), strict=True):
        new.trainable = old.trainable  # the config lacks it for a layer within a layer
    for old, new in zip(model.variables, copy.variables, strict=True):  # including the states of random generators
        new.assign(old)
    refresh(copy)
    return copy


def _replace_layer(layer: layers.Layer) -> layers.Layer:
    config = layer.get_config()
    for plain, whole in WHOLE_BATCH.items():
        if type(layer) is plain:
            return whole.from_config(config)
    return type(layer).from_config(config)


def draws_noise(layer: layers.Layer) -> bool:
    """Return whether a layer draws random numbers in training."""
    rates = [getattr(layer, name) for name in RATES if hasattr(layer, name)]
    return holds_seed_generator(layer) and (not rates or any(rates))


def _check_noise(layer: layers.Layer) -> None:
    if draws_noise(layer) and not isinstance(layer, (WholeBatchNoise, Sampling)):
        known = ", ".join(plain.__name__ for plain in WHOLE_BATCH)
        raise ValueError(
            "On several devices a random layer must draw the same numbers as on one device. "
            f"Received: {layer.name}, a {type(layer).__name__}; supported are {known}. "
            "Train on one device, or drop its dropout."
        )


class BatchNormalization(layers.BatchNormalization):
    """Batch normalization (Ioffe 2015) of the whole batch, with a variance from two passes over the replicas.

    Keras's `synchronized` subtracts the squared mean from the mean of the squares. This loses digits where the mean is
    much larger than the standard deviation. Keras 3.15 calls `_moments` for both; if a later version does not, the test
    on several devices fails.
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
        # Differences from the mean sum to 0, and so does the gradient through the mean.
        squares = tf.math.squared_difference(inputs, tf.stop_gradient(mean))
        (total,) = sum_over_replicas([self._total(squares, mask)])
        variance = tf.math.divide_no_nan(total, count)
        return tf.reshape(mean, [-1]), tf.reshape(variance, [-1])

    def _total(self, values: Any, mask: Any) -> Any:
        """Sum each channel in this replica, axis by axis: one long sum loses digits on a CPU."""
        if mask is not None:
            values = tf.where(mask, values, 0.0)
        channels = self.axis % len(values.shape)
        for axis in reversed(range(len(values.shape))):
            if axis != channels:
                values = tf.reduce_sum(values, axis, keepdims=True)
        return values


class WholeBatchNoise(layers.Layer):
    """A layer that draws noise for the whole batch on every replica, and uses its replica's rows.

    The noise of a plain layer is `call(ones, training=True)`.
    """

    def call(self, inputs: Any, training: bool = False) -> Any:
        if not training:
            return inputs
        draw = super().call
        noise = _own_rows(inputs, lambda shape: draw(self.neutral(shape, inputs.dtype), training=True))
        return self.join(inputs, noise)

    def neutral(self, shape: Any, dtype: Any) -> Any:
        """Return the input for which the plain layer returns its noise alone."""
        return tf.ones(shape, dtype)

    def join(self, inputs: Any, noise: Any) -> Any:
        return inputs * noise


def _own_rows(inputs: Any, draw: Callable[[Any], Any]) -> Any:
    """Draw for the whole batch, and return the rows of this replica, as many as `inputs` has."""
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
    """Gaussian sampling for the whole batch."""

    def noise(self, reference: Any) -> Any:
        return _own_rows(
            reference, lambda shape: keras.random.normal(shape, dtype=reference.dtype, seed=self.generator)
        )


WHOLE_BATCH: dict[type, Any] = {
    plain: whole
    for whole in (Dropout, SpatialDropout1D, SpatialDropout2D, GaussianDropout, GaussianNoise)
    for plain in [getattr(layers, whole.__name__)]
} | {sampling.Sampling: Sampling}
