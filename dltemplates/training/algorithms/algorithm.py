"""The interface of training algorithms."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from typing import Any, ClassVar, Protocol

import keras
import tensorflow as tf

from dltemplates.training.algorithms.descent import sum_over_replicas

VALIDATION_SEED_OFFSET = 2**31 - 1  # validation steps get random seeds from here on


class MakeOptimizer(Protocol):
    """Function that builds a template's optimizer, with its schedule over the whole training."""

    def __call__(self, steps_per_batch: int = 1) -> keras.optimizers.Optimizer:
        """Build an optimizer that takes `steps_per_batch` steps per batch."""


class Algorithm(ABC):
    """Base class of algorithms that learn from batches.

    A class method `make(model, make_optimizer, template, **options)` builds the algorithm in the strategy's scope. The
    options come from the stage's plan, `tasks/stage_plan.py`.

    Every replica trains on its part of the batch. Metrics are sums over examples, `totals`, so that they add up over
    replicas and fit into a checkpoint.

    Attributes:
        model: The assembled model to save and export.
        optimizer: The optimizer. Its iterations count the steps.
        totals: Sums of the metrics since `reset`, float64 (n,) for exact counts: the loss, the number of examples, and
            more.
        train_metrics_at_epoch_end: Names of the metrics to compute also on training examples after each epoch. During
            the epoch the weights change at every step.
    """

    model: keras.Model
    optimizer: keras.optimizers.Optimizer
    totals: Any = None
    train_metrics_at_epoch_end: ClassVar[tuple[str, ...]] = ()

    @abstractmethod
    def build(self, targets: Any) -> None:
        """Create the variables that depend on the targets' shapes (`tf.TensorSpec`s), in the strategy's scope."""

    def initialize_from_data(self, batches: Iterable[Any]) -> None:
        """Initialize variables from some training examples, before the first step.

        Called outside the replicas with whole batches, and again if the training is interrupted before the first step.
        """
        return  # most algorithms need no data

    @property
    @abstractmethod
    def variables(self) -> dict[str, list[Any]]:
        """All variables to save for resuming, in groups."""

    @abstractmethod
    def train(self, inputs: Any, targets: Any, weights: Any) -> None:
        """Take one step on this replica's part of a batch, as returned by `Task.batch`."""

    @abstractmethod
    def evaluate(self, inputs: Any, targets: Any, weights: Any) -> None:
        """Add the metrics of this replica's part of a batch to the totals, without elements of weight 0."""

    @abstractmethod
    def metrics(self) -> dict[str, float]:
        """Return the metrics since `reset`, the loss first."""

    def reset(self) -> None:
        """Reset the metrics."""
        self.totals.assign(tf.zeros_like(self.totals))

    def mean_loss(self) -> float:
        """Return the mean loss since `reset`."""
        loss, rows = self.totals.numpy()[:2]
        return float(loss / rows)

    def _validation_step(self) -> Any:
        """Return the step for the random seed of a validation batch; each batch gets another one."""
        return VALIDATION_SEED_OFFSET + tf.cast(self.totals[1], tf.int64)

    def _make_totals(self, size: int) -> None:
        self.totals = tf.Variable(
            tf.zeros(size, tf.float64),
            trainable=False,
            aggregation=tf.VariableAggregation.ONLY_FIRST_REPLICA,
            name="totals",
        )

    def _add(self, sums: Any) -> None:
        """Add the sums of all replicas to the totals."""
        self.totals.assign_add(tf.cast(sum_over_replicas(sums), tf.float64))


def draw_rows(distribution: Callable[..., Any], reference: Any, seed: int, step: Any, draw: int) -> Any:
    """Draw random numbers for the whole batch, and return this replica's rows.

    Args:
        distribution: A random function, such as `tf.random.stateless_normal`.
        reference: A tensor of this replica's rows, (n, units).
        seed: Seed of the training.
        step: Number of the step, an integer tensor.
        draw: Number of the draw within the step, 0 to 63.

    Returns:
        Random numbers of the shape of `reference`.
    """
    context = tf.distribute.get_replica_context()
    rows, size = tf.shape(reference)[0], reference.shape[-1]
    seeds = tf.stack([tf.constant(seed * 64 + draw, tf.int64), tf.cast(step, tf.int64)])
    return own_rows(distribution([rows * context.num_replicas_in_sync, size], seeds), reference)


def own_rows(whole: Any, reference: Any) -> Any:
    """Return this replica's rows of the whole batch, (batch, units); as many as `reference` has."""
    rows = tf.shape(reference)[0]
    first = rows * tf.distribute.get_replica_context().replica_id_in_sync_group
    return tf.ensure_shape(whole[first : first + rows], [None, whole.shape[-1]])


def rows_of_all(own: Any) -> Any:
    """Gather the rows of all replicas, (batch, units): the inverse of `own_rows`."""
    context = tf.distribute.get_replica_context()
    if context.num_replicas_in_sync == 1:
        return own
    rows, replica = tf.shape(own)[0], context.replica_id_in_sync_group
    before, after = rows * replica, rows * (context.num_replicas_in_sync - 1 - replica)
    return context.all_reduce(tf.distribute.ReduceOp.SUM, tf.pad(own, [[before, after], [0, 0]]))
