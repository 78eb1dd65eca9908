"""Supervised training: descend the gradient of a loss between outputs and targets."""

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
    """What a part of a batch gives.

    Attributes:
        sums: The weighted sum of the losses of each output.
        outputs: What the metrics look at.
        loss_terms: The sums of the figures beside the losses.
        penalty: The penalty on the weights of the model.
    """

    sums: dict[str, Any]
    outputs: Any
    loss_terms: list[Any]
    penalty: Any


class Supervised(Algorithm):
    """One model, one optimizer, a loss for each output of the model.

    The loss of an output is the weighted sum over the elements of its targets, divided by the number of elements whose
    weight is not 0 in the whole batch; where there is none it is 0. An element is an example, or a token, a box, a
    pixel of it: whatever the task gives a weight. The loss function is averaged over all axes behind those of the
    weights.

    Attributes:
        loss_terms: Names of the figures that `losses_of` returns beside the losses.
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
        """Prepare for training, in the scope of the strategy.

        Args:
            model: The network, raw inputs to logits, or to a dict of outputs, those of auxiliary classifiers among
                them.
            losses: On targets and outputs, element by element; of several outputs, by name: they are added.
            metrics: Their states must be sums over elements, as those of Keras's are; of several outputs, by name.
            optimizer: Not yet built.
            auxiliary_weight: Weight of the loss of each auxiliary classifier, in training alone.
        """
        self.model, self.optimizer = model, optimizer
        self.auxiliary_weight = auxiliary_weight
        self.losses: dict[str, keras.losses.Loss] = losses if isinstance(losses, dict) else {WHOLE: losses}
        for loss in self.losses.values():
            loss.reduction = "none"  # summed below, so that padding and parts of a batch count as they should
        by_output = metrics if isinstance(metrics, dict) else {WHOLE: metrics}
        self.metrics = [(output, metric) for output, several in by_output.items() for metric in several]
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
        for name, metric in self.metrics:
            metric.update_state(_one_example(_of(targets, name)), _one_example(_of(outputs, name)))
            metric.reset_state()
        self._states = [[np.zeros(v.shape, v.dtype) for v in metric.variables] for _, metric in self.metrics]
        sizes = [state.size for states in self._states for state in states]
        self._make_totals(2 * len(self.losses) + len(self.loss_terms) + sum(sizes))

    @property
    def variables(self) -> dict[str, list[Any]]:
        return {"model": self.model.variables, "optimizer": self.optimizer.variables, "totals": [self.totals]}

    def losses_of(self, inputs: Any, targets: Any, weights: Any, *, training: bool) -> tuple[dict[str, Any], Any, list]:
        """Compute the losses of a batch.

        Returns:
            For each output the loss of its elements, of the shape of its weights; the outputs that the metrics look at;
            and each example's share of the figures that `loss_terms` names, (batch,) each.
        """
        outputs = self.model(inputs, training=training)
        main = logits_of(outputs)
        losses = {
            name: loss_of_elements(loss, _of(targets, name), _of(main, name), _of(weights, name))
            for name, loss in self.losses.items()
        }
        if training:
            for auxiliary in auxiliary_of(outputs):
                own = loss_of_elements(self.losses[WHOLE], targets, auxiliary, weights)
                losses[WHOLE] += self.auxiliary_weight * own
        return losses, main, []

    def train(self, inputs: Any, targets: Any, weights: Any) -> None:
        whole = {name: sum_over_replicas(_count(_of(weights, name))) for name in self.losses}

        def loss():
            batch = self._forward(inputs, targets, weights, training=True)
            shares = [tf.math.divide_no_nan(batch.sums[name], whole[name]) for name in batch.sums]
            penalty = batch.penalty / tf.distribute.get_replica_context().num_replicas_in_sync
            return tf.add_n(shares) + penalty, self._totals(batch, targets, weights)

        self._add(self.descent.step(loss))

    def evaluate(self, inputs: Any, targets: Any, weights: Any) -> None:
        batch = self._forward(inputs, targets, weights, training=False)
        self._add(self._totals(batch, targets, weights))

    def figures(self) -> dict[str, float]:
        totals = self.totals.numpy()
        figures = {"loss": self.mean_loss()}
        if len(self.losses) > 1:
            figures |= {f"{name}_loss": _mean(totals, place) for place, name in enumerate(self.losses)}
        place = 2 * len(self.losses)
        for name in self.loss_terms:
            figures[name] = float(totals[place] / totals[1])
            place += 1
        for (_, metric), states in zip(self.metrics, self._states, strict=True):
            for variable, state in zip(metric.variables, states, strict=True):
                variable.assign(totals[place : place + state.size].reshape(state.shape).astype(state.dtype))
                place += state.size
            figures[metric.name] = float(metric.result())
        return figures

    def mean_loss(self) -> float:
        totals = self.totals.numpy()
        return sum(_mean(totals, place) for place in range(len(self.losses)))

    def _forward(self, inputs: Any, targets: Any, weights: Any, *, training: bool) -> Forward:
        losses, outputs, loss_terms = self.losses_of(inputs, targets, weights, training=training)
        penalties = self.model.losses
        return Forward(
            sums={name: tf.reduce_sum(each * _of(weights, name)) for name, each in losses.items()},
            outputs=outputs,
            loss_terms=[tf.reduce_sum(part * weights) for part in loss_terms],
            penalty=tf.add_n(penalties) if penalties else tf.constant(0.0),
        )

    def _totals(self, batch: Forward, targets: Any, weights: Any) -> Any:
        """Return what this replica's part of a batch adds to the totals; the penalty counts with the first output."""
        penalty, totals = batch.penalty, []
        for name, summed in batch.sums.items():
            count = _count(_of(weights, name))
            totals += [summed + penalty * count, count]
            penalty = 0.0
        totals = [tf.stack([*totals, *batch.loss_terms])]
        for (name, metric), states in zip(self.metrics, self._states, strict=True):
            counted = tf.cast(_of(weights, name) != 0, tf.float32)
            zeros = [tf.constant(state) for state in states]
            output = _of(batch.outputs, name)
            added = metric.stateless_update_state(zeros, _of(targets, name), output, sample_weight=counted)
            totals += [tf.reshape(tf.cast(value, tf.float32), [-1]) for value in added]
        return tf.cast(tf.concat(totals, axis=0), tf.float64)


def loss_of_elements(loss: keras.losses.Loss, targets: Any, outputs: Any, weights: Any) -> Any:
    """Compute a loss for each element that has a weight.

    Args:
        loss: A loss without reduction: targets and outputs (batch, ...) to (batch, ...).
        targets: What the outputs should be.
        outputs: What the network gives.
        weights: (batch,), or with further axes.

    Returns:
        The losses, of the shape of the weights; the mean over further axes.

    Raises:
        ValueError: If the loss has fewer axes than the weights, or other ones.
    """
    each = loss(targets, outputs)
    rank = len(weights.shape)
    if not each.shape[:rank].is_compatible_with(weights.shape) or len(each.shape) < rank:
        raise ValueError(
            f"A task's weights must have the axes of the loss, or the first of them. Received: weights {weights.shape} "
            f"for a loss {each.shape}. Change `Task.batch`."
        )
    return tf.reduce_mean(tf.reshape(each, tf.concat([tf.shape(weights), [-1]], axis=0)), axis=-1)


def _of(structure: Any, output: str) -> Any:
    """Return what belongs to an output; a model of one output has no dictionaries."""
    return structure[output] if output else structure


def _count(weights: Any) -> Any:
    """Return the number of elements whose weight is not 0, float32."""
    return tf.reduce_sum(tf.cast(weights != 0, tf.float32))


def _mean(totals: np.ndarray, output: int) -> float:
    """Return the mean loss of an output, by its place; 0 where no element counted."""
    summed, count = totals[2 * output : 2 * output + 2]
    return float(summed / count) if count else 0.0


def _one_example(spec: Any) -> Any:
    """Return zeros of the shape of one example of a batch; axes of unknown length get length 1."""
    return tf.zeros([1, *(size or 1 for size in spec.shape[1:])], spec.dtype)
