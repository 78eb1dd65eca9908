"""What every training algorithm offers to the loop that runs it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from typing import Any, ClassVar, Protocol

import keras
import tensorflow as tf

from dltemplates.training.algorithms.descent import sum_over_replicas

VALIDATION_SEED_OFFSET = 2**31 - 1  # from here on are the steps of validation, in the seed of what is drawn


class MakeOptimizer(Protocol):
    """Makes an optimizer by a template, its schedule over the whole training."""

    def __call__(self, steps_per_batch: int = 1) -> keras.optimizers.Optimizer:
        """Make one that takes so many steps for each batch."""


class Algorithm(ABC):
    """What happens to a batch.

    Each has a class method `make(model, make_optimizer, template, **options)`, which prepares it for training in the
    scope of the strategy; the options are those of the stage's plan, `tasks/stage_plan.py`.

    Every replica takes its part of the batch. Figures are kept as sums over examples, `totals`, so that they add up
    over replicas, and are part of a checkpoint.

    Attributes:
        model: The assembled model, which is kept and exported.
        optimizer: The one whose steps are counted.
        totals: The sums of the figures since `reset`: float64 (n,), in which counts stay exact. First the loss, then
            the number of examples.
        compared: Names of the figures that are told of training examples too as they stand when an epoch ends, beside
            those of validation: during it they would be of other weights at every step.
    """

    model: keras.Model
    optimizer: keras.optimizers.Optimizer
    totals: Any = None
    train_metrics_at_epoch_end: ClassVar[tuple[str, ...]] = ()

    @abstractmethod
    def build(self, targets: Any) -> None:
        """Make what depends on the shapes of a batch's targets (`tf.TensorSpec`s), in the scope of the strategy."""

    def initialize_from_data(self, batches: Iterable[Any]) -> None:
        """Look at some training examples before the first step, and set what is to begin as they are.

        Called outside of the replicas, with whole batches; again if the training is interrupted before that step.
        """
        return  # most have nothing to look at

    @property
    @abstractmethod
    def variables(self) -> dict[str, list[Any]]:
        """All that the training's future depends on, in groups."""

    @abstractmethod
    def train(self, inputs: Any, targets: Any, weights: Any) -> None:
        """Take one step on this replica's part of a batch; it comes as `Task.batch` gives it."""

    @abstractmethod
    def evaluate(self, inputs: Any, targets: Any, weights: Any) -> None:
        """Add the figures of this replica's part of a batch to the totals; elements of weight 0 do not count."""

    @abstractmethod
    def figures(self) -> dict[str, float]:
        """The loss, first, and the other figures so far."""

    def reset(self) -> None:
        """Begin the figures anew."""
        self.totals.assign(tf.zeros_like(self.totals))

    def mean_loss(self) -> float:
        """The loss so far."""
        summed, rows = self.totals.numpy()[:2]
        return float(summed / rows)

    def _validation_step(self) -> Any:
        """What takes the place of the step in the seed of a batch of validation: each of them draws other numbers."""
        return VALIDATION_SEED_OFFSET + tf.cast(self.totals[1], tf.int64)

    def _make_totals(self, size: int) -> None:
        self.totals = tf.Variable(
            tf.zeros(size, tf.float64),
            trainable=False,
            aggregation=tf.VariableAggregation.ONLY_FIRST_REPLICA,
            name="totals",
        )

    def _add(self, sums: Any) -> None:
        """Add this replica's sums, and those of all others, to the totals."""
        self.totals.assign_add(tf.cast(sum_over_replicas(sums), tf.float64))


def draw_rows(distribution: Callable[..., Any], reference: Any, seed: int, step: Any, turn: int) -> Any:
    """This replica's rows of random numbers that are drawn for the whole batch.

    Args:
        distribution: Such as `tf.random.stateless_normal`.
        reference: A tensor of this replica's rows, (n, units).
        seed: The training's.
        step: Which step they are for, an integer tensor.
        turn: Which of the draws of that step, below 64.

    Returns:
        As many rows as in `reference`, of as many numbers.
    """
    context = tf.distribute.get_replica_context()
    rows, size = tf.shape(reference)[0], reference.shape[-1]
    seeds = tf.stack([tf.constant(seed * 64 + turn, tf.int64), tf.cast(step, tf.int64)])
    return own_rows(distribution([rows * context.num_replicas_in_sync, size], seeds), reference)


def own_rows(whole: Any, reference: Any) -> Any:
    """This replica's rows of those of all, (batch, units): as many as `reference` has."""
    rows = tf.shape(reference)[0]
    first = rows * tf.distribute.get_replica_context().replica_id_in_sync_group
    return tf.ensure_shape(whole[first : first + rows], [None, whole.shape[-1]])


def rows_of_all(own: Any) -> Any:
    """The rows of all replicas, (batch, units), of each one's own: what `own_rows` undoes."""
    context = tf.distribute.get_replica_context()
    if context.num_replicas_in_sync == 1:
        return own
    rows, place = tf.shape(own)[0], context.replica_id_in_sync_group
    before, after = rows * place, rows * (context.num_replicas_in_sync - 1 - place)
    return context.all_reduce(tf.distribute.ReduceOp.SUM, tf.pad(own, [[before, after], [0, 0]]))
