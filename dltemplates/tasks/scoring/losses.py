"""Losses that Keras does not have."""

import keras
from keras import ops


class SigmoidSquaredError(keras.losses.Loss):
    """The mean squared error between targets in 0..1 and the sigmoid of logits, both (batch, ...), to (batch, ...)."""

    def call(self, y_true, y_pred):
        return ops.mean(ops.square(ops.sigmoid(y_pred) - y_true), axis=-1)


class PerceptronLoss(keras.losses.Loss):
    """The perceptron criterion: how far on the wrong side of its line a neuron has each example; 0 where it is right.

    `-(target - fired) * sum`, where the neuron fires if `sum > 0`. Its gradient is Rosenblatt's rule, so one example a
    step of gradient descent is his algorithm: the weights move by `rate * (target - fired) * input`. They do so on the
    line too, as with weights of 0, if the neuron was to fire, though an example is 0 far from it there.
    Rosenblatt 1958, https://doi.org/10.1037/h0042519; as a loss in Bishop 2006, section 4.1.7.

    Targets 0 or 1 and weighted sums, both (batch, neurons), to (batch,), 0 and up.
    """

    def call(self, y_true, y_pred):
        fired = ops.cast(y_pred > 0, y_pred.dtype)
        error = ops.stop_gradient(ops.cast(y_true, y_pred.dtype) - fired)  # -1, 0 or 1
        return ops.sum(-error * y_pred, axis=-1)
