"""Gradient descent on one or several replicas: the tape, the loss scale, the sum over replicas, the optimizer.

Every replica computes its share of the loss of the whole batch; gradients are summed over the replicas before they are
clipped. So several devices take the step that one device takes, up to rounding.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import keras
import tensorflow as tf

from dltemplates.compat import take_summed_gradients


class Descent:
    """Steps of one optimizer on some variables.

    Attributes:
        optimizer: The optimizer, built in the scope of the strategy.
        variables: The Keras variables that it changes.
    """

    def __init__(self, optimizer: keras.optimizers.Optimizer, variables: Sequence[keras.Variable]):
        self.optimizer = optimizer
        self.variables = list(variables)
        optimizer.build(self.variables)
        take_summed_gradients(optimizer)

    def step(self, loss: Callable[[], tuple[Any, Any]]) -> Any:
        """Take a step down the gradient of a loss.

        Args:
            loss: Called under a gradient tape. Returns this replica's share of the loss, a scalar, and what else the
                caller wants to have of the forward pass.

        Returns:
            The second value of `loss`.
        """
        with tf.GradientTape() as tape:
            share, more = loss()
            scaled = self.optimizer.scale_loss(share)
        gradients = tape.gradient(scaled, [variable.value for variable in self.variables])
        reached = [place for place, gradient in enumerate(gradients) if gradient is not None]
        summed = sum_over_replicas([gradients[place] for place in reached])
        self.optimizer.apply(summed, [self.variables[place] for place in reached])
        return more

    def apply(self, gradients: Sequence[Any]) -> None:
        """Take a step by gradients of the whole batch that no tape recorded, one for each variable."""
        self.optimizer.apply([self.optimizer.scale_loss(gradient) for gradient in gradients], self.variables)


def sum_over_replicas(values: Any) -> Any:
    """Return the sums over all replicas of this replica's tensors (a list of tensors, or one)."""
    context = tf.distribute.get_replica_context()
    if context.num_replicas_in_sync == 1:
        return values
    return context.all_reduce(tf.distribute.ReduceOp.SUM, values)
