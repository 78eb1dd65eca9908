"""Gradient descent on one or several replicas: gradient tape, loss scale, sum over replicas, optimizer.

Every replica computes its share of the whole batch's loss. Gradients are summed over the replicas and then clipped. So
several devices take the same step as one device, up to rounding.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import keras
import tensorflow as tf

from dltemplates.compat import take_summed_gradients


class Descent:
    """Gradient descent with one optimizer on a list of variables.

    Attributes:
        optimizer: The optimizer, built in the strategy's scope.
        variables: The Keras variables to update.
    """

    def __init__(self, optimizer: keras.optimizers.Optimizer, variables: Sequence[keras.Variable]):
        self.optimizer = optimizer
        self.variables = list(variables)
        optimizer.build(self.variables)
        take_summed_gradients(optimizer)

    def step(self, loss: Callable[[], tuple[Any, Any]]) -> Any:
        """Take a step down the gradient of a loss.

        Args:
            loss: Function to call under a gradient tape. Returns this replica's share of the loss, a scalar, and any
                further values of the forward pass.

        Returns:
            The second value of `loss`.
        """
        with tf.GradientTape() as tape:
            share, extra = loss()
            scaled = self.optimizer.scale_loss(share)
        gradients = tape.gradient(scaled, [variable.value for variable in self.variables])
        indices = [index for index, gradient in enumerate(gradients) if gradient is not None]
        summed = sum_over_replicas([gradients[index] for index in indices])
        self.optimizer.apply(summed, [self.variables[index] for index in indices])
        return extra

    def apply(self, gradients: Sequence[Any]) -> None:
        """Take a step with given gradients of the whole batch, one for each variable."""
        self.optimizer.apply([self.optimizer.scale_loss(gradient) for gradient in gradients], self.variables)


def sum_over_replicas(values: Any) -> Any:
    """Sum a tensor, or each of a list of tensors, over all replicas."""
    context = tf.distribute.get_replica_context()
    if context.num_replicas_in_sync == 1:
        return values
    return context.all_reduce(tf.distribute.ReduceOp.SUM, values)
