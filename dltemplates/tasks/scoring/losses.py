"""Losses that Keras does not have."""

import keras
from keras import ops


class SigmoidSquaredError(keras.losses.Loss):
    """Mean squared error between targets in [0, 1] and the sigmoid of logits, over the last axis."""

    def call(self, y_true, y_pred):
        return ops.mean(ops.square(ops.sigmoid(y_pred) - y_true), axis=-1)


class PerceptronLoss(keras.losses.Loss):
    """Perceptron criterion: the distance of each misclassified example from the boundary; 0 if classified correctly.

    `-(target - fired) * sum`, where the neuron fires if `sum > 0`. Its gradient is Rosenblatt's rule, so gradient
    descent with one example per step is his algorithm: the weights move by `rate * (target - fired) * input`. With
    zero weights `sum` is 0, and so is the loss. The gradient is not 0 if the target is 1, so the weights still move.
    Rosenblatt 1958, https://doi.org/10.1037/h0042519; as a loss in Bishop 2006, section 4.1.7.

    Targets 0 or 1 and weighted sums, both (batch, neurons), to losses (batch,), at least 0.
    """

    def call(self, y_true, y_pred):
        fired = ops.cast(y_pred > 0, y_pred.dtype)
        error = ops.stop_gradient(ops.cast(y_true, y_pred.dtype) - fired)  # -1, 0 or 1
        return ops.sum(-error * y_pred, axis=-1)


class SmoothedTokenLoss(keras.losses.Loss):
    """Cross-entropy of tokens with label smoothing, without a vector of the vocabulary's size for each target.

    `(1 - s) * nll(target) + s * mean(nll(all tokens))`, with the smoothing s (Szegedy 2016, section 7). Targets are ids
    (batch, length), outputs logits (batch, length, vocabulary), and losses (batch, length).
    """

    def __init__(self, label_smoothing: float, name: str = "smoothed_token_loss"):
        super().__init__(name=name)
        self.label_smoothing = label_smoothing

    def call(self, y_true, y_pred):
        logs = ops.log_softmax(y_pred)
        of_target = ops.take_along_axis(logs, ops.expand_dims(y_true, -1), axis=-1)[..., 0]
        return (self.label_smoothing - 1) * of_target - self.label_smoothing * ops.mean(logs, axis=-1)
