"""Supervised training: gradient descent on a loss between outputs and targets."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import keras
import numpy as np
import tensorflow as tf

from dltemplates.tasks.assemble import auxiliary_of, logits_of
from dltemplates.template import Template
from dltemplates.training.algorithms.algorithm import Algorithm, MakeOptimizer
from dltemplates.training.algorithms.descent import Descent, sum_over_replicas

if TYPE_CHECKING:
    from dltemplates.tasks.task import Losses, Metrics

WHOLE = ""  # the name of a network's only output


@dataclass(frozen=True)
class Forward:
    """The results of a forward pass on a part of a batch.

    Attributes:
        sums: The weighted sum of the losses, by output.
        outputs: The outputs for the metrics.
        loss_terms: The sums of the loss terms.
        penalty: The penalty on the model's weights.
    """

    sums: dict[str, Any]
    outputs: Any
    loss_terms: list[Any]
    penalty: Any


class Supervised(Algorithm):
    """Supervised training of one model with one optimizer, and a loss for each output.

    The loss of an output is the weighted sum over its elements, divided by the number of elements with a nonzero weight
    in the whole batch, or 0 without any. An element is an example, or a token, box or pixel of it: anything that the
    task gives a weight. The loss is averaged over all axes after the weights' axes.

    Attributes:
        loss_terms: Names of the terms that `losses_of` returns besides the losses.
    """

    loss_terms: tuple[str, ...] = ()

    def __init__(
        self,
        model: keras.Model,
        losses: Losses,
        metrics: Metrics,
        optimizer: keras.optimizers.Optimizer,
        *,
        auxiliary_weight: float = 0.0,
    ):
        """Prepare for training, in the strategy's scope.

        Args:
            model: The network from raw inputs to logits, or to a dict of outputs including auxiliary classifiers.
            losses: The loss of targets and outputs; with several outputs, a dict by output. They are added.
            metrics: Metrics whose states are sums over elements, as in Keras; with several outputs, a dict by output.
            optimizer: The optimizer, not yet built.
            auxiliary_weight: Weight of each auxiliary classifier's loss, in training only.
        """
        self.model, self.optimizer = model, optimizer
        self.auxiliary_weight = auxiliary_weight
        self.losses: dict[str, keras.losses.Loss] = losses if isinstance(losses, dict) else {WHOLE: losses}
        for loss in self.losses.values():
            loss.reduction = "none"  # summed below, to count padding and parts of a batch correctly
        by_output = metrics if isinstance(metrics, dict) else {WHOLE: metrics}
        self.keras_metrics = [(output, metric) for output, several in by_output.items() for metric in several]
        self.descent = Descent(optimizer, model.trainable_variables)
        self._states: list[list[np.ndarray]] = []

    @classmethod
    def make(
        cls,
        model: keras.Model,
        make_optimizer: MakeOptimizer,
        template: Template,
        *,
        losses: Losses,
        metrics: Metrics,
    ) -> Supervised:
        return cls(model, losses, metrics, make_optimizer(), auxiliary_weight=template.train.auxiliary_weight)

    def build(self, targets: Any) -> None:
        outputs = logits_of(self.model.output)
        for name, metric in self.keras_metrics:
            metric.update_state(
                _one_example(_part_of_output(targets, name)), _one_example(_part_of_output(outputs, name))
            )
            metric.reset_state()
        self._states = [[np.zeros(v.shape, v.dtype) for v in metric.variables] for _, metric in self.keras_metrics]
        sizes = [state.size for states in self._states for state in states]
        self._make_totals(2 * len(self.losses) + len(self.loss_terms) + sum(sizes))

    @property
    def variables(self) -> dict[str, list[Any]]:
        return {"model": self.model.variables, "optimizer": self.optimizer.variables, "totals": [self.totals]}

    def losses_of(self, inputs: Any, targets: Any, weights: Any, *, training: bool) -> tuple[dict[str, Any], Any, list]:
        """Compute the losses of a batch.

        Returns:
            The losses of the elements by output, of the weights' shape; the outputs for the metrics; and the values of
            `loss_terms` for each example, (batch,) each.
        """
        outputs = self.model(inputs, training=training)
        main = logits_of(outputs)
        losses = {
            name: loss_of_elements(
                loss, _part_of_output(targets, name), _part_of_output(main, name), _part_of_output(weights, name)
            )
            for name, loss in self.losses.items()
        }
        if training:
            for auxiliary in auxiliary_of(outputs):
                own = loss_of_elements(self.losses[WHOLE], targets, auxiliary, weights)
                losses[WHOLE] += self.auxiliary_weight * own
        return losses, main, []

    def train(self, inputs: Any, targets: Any, weights: Any) -> None:
        whole = {name: sum_over_replicas(_count(_part_of_output(weights, name))) for name in self.losses}

        def loss():
            batch = self._forward(inputs, targets, weights, training=True)
            shares = [tf.math.divide_no_nan(batch.sums[name], whole[name]) for name in batch.sums]
            penalty = batch.penalty / tf.distribute.get_replica_context().num_replicas_in_sync
            return tf.add_n(shares) + penalty, self._totals(batch, targets, weights)

        self._add(self.descent.step(loss))

    def evaluate(self, inputs: Any, targets: Any, weights: Any) -> None:
        batch = self._forward(inputs, targets, weights, training=False)
        self._add(self._totals(batch, targets, weights))

    def metrics(self) -> dict[str, float]:
        totals = self.totals.numpy()
        scores = {"loss": self.mean_loss()}
        if len(self.losses) > 1:
            scores |= {f"{name}_loss": _mean(totals, index) for index, name in enumerate(self.losses)}
        index = 2 * len(self.losses)
        for name in self.loss_terms:
            scores[name] = float(totals[index] / totals[1])
            index += 1
        for (_, metric), states in zip(self.keras_metrics, self._states, strict=True):
            for variable, state in zip(metric.variables, states, strict=True):
                variable.assign(totals[index : index + state.size].reshape(state.shape).astype(state.dtype))
                index += state.size
            scores[metric.name] = float(metric.result())
        return scores

    def mean_loss(self) -> float:
        totals = self.totals.numpy()
        return sum(_mean(totals, index) for index in range(len(self.losses)))

    def _forward(self, inputs: Any, targets: Any, weights: Any, *, training: bool) -> Forward:
        losses, outputs, loss_terms = self.losses_of(inputs, targets, weights, training=training)
        penalties = self.model.losses
        return Forward(
            sums={name: tf.reduce_sum(each * _part_of_output(weights, name)) for name, each in losses.items()},
            outputs=outputs,
            loss_terms=[tf.reduce_sum(part * weights) for part in loss_terms],
            penalty=tf.add_n(penalties) if penalties else tf.constant(0.0),
        )

    def _totals(self, batch: Forward, targets: Any, weights: Any) -> Any:
        """Return the addition of this replica's batch to the totals; the penalty counts towards the first output."""
        penalty, totals = batch.penalty, []
        for name, summed in batch.sums.items():
            count = _count(_part_of_output(weights, name))
            totals += [summed + penalty * count, count]
            penalty = 0.0
        totals = [tf.stack([*totals, *batch.loss_terms])]
        for (name, metric), states in zip(self.keras_metrics, self._states, strict=True):
            has_weight = tf.cast(_part_of_output(weights, name) != 0, tf.float32)
            zeros = [tf.constant(state) for state in states]
            output = _part_of_output(batch.outputs, name)
            added = metric.stateless_update_state(
                zeros, _part_of_output(targets, name), output, sample_weight=has_weight
            )
            totals += [tf.reshape(tf.cast(value, tf.float32), [-1]) for value in added]
        return tf.cast(tf.concat(totals, axis=0), tf.float64)


def loss_of_elements(loss: keras.losses.Loss, targets: Any, outputs: Any, weights: Any) -> Any:
    """Compute the loss of each element.

    Args:
        loss: A loss without reduction, from targets and outputs (batch, ...) to losses (batch, ...).
        targets: The targets.
        outputs: The network's outputs.
        weights: The elements' weights, (batch,) or with further axes.

    Returns:
        The losses, of the weights' shape; averaged over all further axes.

    Raises:
        ValueError: If the first axes of the loss differ from those of the weights.
    """
    each = loss(targets, outputs)
    rank = len(weights.shape)
    if not each.shape[:rank].is_compatible_with(weights.shape) or len(each.shape) < rank:
        raise ValueError(
            f"A task's weights must have the first axes of the loss. Received: weights {weights.shape} "
            f"for a loss {each.shape}. Change `Task.batch`."
        )
    return tf.reduce_mean(tf.reshape(each, tf.concat([tf.shape(weights), [-1]], axis=0)), axis=-1)


def _part_of_output(structure: Any, output: str) -> Any:
    """Return an output's part of a dict; a model with one output has no dicts."""
    return structure[output] if output else structure


def _count(weights: Any) -> Any:
    """Return the number of elements with a nonzero weight, float32."""
    return tf.reduce_sum(tf.cast(weights != 0, tf.float32))


def _mean(totals: np.ndarray, output: int) -> float:
    """Return the mean loss of an output, by its index; 0 if no element had a weight."""
    summed, count = totals[2 * output : 2 * output + 2]
    return float(summed / count) if count else 0.0


def _one_example(spec: Any) -> Any:
    """Return zeros in the shape of a batch of one example; axes of unknown length get length 1."""
    return tf.zeros([1, *(size or 1 for size in spec.shape[1:])], spec.dtype)
