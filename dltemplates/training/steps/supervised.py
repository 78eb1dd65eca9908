"""Supervised training: descend the gradient of a loss between outputs and targets."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from dltemplates.compat import take_summed_gradients
from dltemplates.tasks.assemble import auxiliary_of, logits_of
from dltemplates.tasks.task import SupervisedTask, Task
from dltemplates.template import Template
from dltemplates.training.steps.algorithm import (
    Algorithm,
    MakeOptimizer,
    summed_over_replicas,
)


class Supervised(Algorithm):
    """One model, one loss, one optimizer.

    Gradients are summed over the replicas before they are clipped, so that several devices descend as one does.

    Attributes:
        parts: Names of the figures that `objective` gives beside the loss.
    """

    parts: tuple[str, ...] = ()

    def __init__(
        self,
        model: keras.Model,
        loss: keras.losses.Loss,
        metrics: Sequence[keras.metrics.Metric],
        optimizer: keras.optimizers.Optimizer,
        *,
        auxiliary_weight: float = 0.0,
    ):
        """Prepare for training, in the scope of the strategy.

        Args:
            model: The network, raw inputs to logits, or to a dict of them with those of auxiliary classifiers.
            loss: On targets and logits, example by example.
            metrics: Their states must be sums over examples, as those of Keras's are.
            optimizer: Not yet built.
            auxiliary_weight: Weight of the loss of each auxiliary classifier, in training alone.
        """
        self.model, self.optimizer, self.metrics = model, optimizer, metrics
        self.auxiliary_weight = auxiliary_weight
        self.loss = loss
        self.loss.reduction = "none"  # summed below, so that padding and parts of a batch count as they should
        optimizer.build(model.trainable_variables)
        take_summed_gradients(optimizer)
        self._states: list[list[np.ndarray]] = []

    @classmethod
    def make(cls, model: keras.Model, task: Task, make_optimizer: MakeOptimizer, template: Template) -> Supervised:
        assert isinstance(task, SupervisedTask)
        weight = template.train.auxiliary_weight
        return cls(model, task.loss(), task.metrics(), make_optimizer(), auxiliary_weight=weight)

    def begin(self, targets: tf.TensorSpec) -> None:
        targets = tf.zeros((1, *targets.shape[1:]), targets.dtype)
        outputs = tf.zeros((1, *logits_of(self.model.output).shape[1:]))
        for metric in self.metrics:
            metric.update_state(targets, outputs)
            metric.reset_state()
        self._states = [[np.zeros(v.shape, v.dtype) for v in metric.variables] for metric in self.metrics]
        size = 2 + len(self.parts) + sum(state.size for states in self._states for state in states)
        self._make_totals(size)

    @property
    def variables(self) -> dict[str, list[Any]]:
        return {"model": self.model.variables, "optimizer": self.optimizer.variables, "totals": [self.totals]}

    def objective(self, inputs: Any, targets: Any, *, training: bool) -> tuple[Any, Any, list[Any]]:
        """What is descended.

        Returns:
            The loss of each example (batch,), the logits that the metrics look at, and each example's share of the
            figures that `parts` names, (batch,) each.
        """
        outputs = self.model(inputs, training=training)
        logits = logits_of(outputs)
        each = self._loss_of_each(targets, logits)
        if training:
            for auxiliary in auxiliary_of(outputs):
                each += self.auxiliary_weight * self._loss_of_each(targets, auxiliary)
        return each, logits, []

    def train(self, inputs: Any, targets: Any, weight: Any) -> None:
        replicas = tf.distribute.get_replica_context().num_replicas_in_sync
        rows = tf.cast(tf.shape(weight)[0], tf.float32)
        with tf.GradientTape() as tape:
            each, logits, parts = self.objective(inputs, targets, training=True)
            penalty = self._penalty()
            summed = tf.reduce_sum(each * weight)
            loss = summed / (rows * replicas) + penalty / replicas
            scaled = self.optimizer.scale_loss(loss)
        variables = self.model.trainable_variables
        gradients = tape.gradient(scaled, [variable.value for variable in variables])
        reached = [place for place, gradient in enumerate(gradients) if gradient is not None]
        gradients, variables = [gradients[i] for i in reached], [variables[i] for i in reached]
        self._add(self._totals(summed + penalty * rows, rows, parts, targets, logits, None))
        self.optimizer.apply(summed_over_replicas(gradients), variables)

    def evaluate(self, inputs: Any, targets: Any, weight: Any) -> None:
        each, logits, parts = self.objective(inputs, targets, training=False)
        rows = tf.reduce_sum(weight)
        summed = tf.reduce_sum(each * weight)
        self._add(self._totals(summed + self._penalty() * rows, rows, parts, targets, logits, weight))

    def figures(self) -> dict[str, float]:
        totals = self.totals.numpy()
        figures = {"loss": float(totals[0] / totals[1])}
        place = 2 + len(self.parts)
        figures |= {name: float(total / totals[1]) for name, total in zip(self.parts, totals[2:place], strict=True)}
        for metric, states in zip(self.metrics, self._states, strict=True):
            for variable, state in zip(metric.variables, states, strict=True):
                variable.assign(totals[place : place + state.size].reshape(state.shape).astype(state.dtype))
                place += state.size
            figures[metric.name] = float(metric.result())
        return figures

    def _penalty(self) -> Any:
        penalties = self.model.losses
        return tf.add_n(penalties) if penalties else tf.constant(0.0)

    def _loss_of_each(self, targets: Any, logits: Any) -> Any:
        """The loss of each example: (batch,)."""
        each = self.loss(targets, logits)  # (batch, ...)
        return tf.reduce_mean(tf.reshape(each, [tf.shape(each)[0], -1]), axis=1)

    def _totals(self, loss: Any, rows: Any, figures: list[Any], targets: Any, logits: Any, weight: Any) -> Any:
        """What this part of a batch adds to the sums."""
        weights = tf.ones_like(figures[0]) if figures and weight is None else weight
        parts = [tf.stack([loss, rows, *(tf.reduce_sum(figure * weights) for figure in figures)])]
        for metric, states in zip(self.metrics, self._states, strict=True):
            zeros = [tf.constant(state) for state in states]
            added = metric.stateless_update_state(zeros, targets, logits, sample_weight=weight)
            parts += [tf.reshape(tf.cast(value, tf.float32), [-1]) for value in added]
        return tf.cast(tf.concat(parts, axis=0), tf.float64)
