"""Contrastive divergence: train a restricted Boltzmann machine to dream of what it is shown.

Hinton: "Training Products of Experts by Minimizing Contrastive Divergence", Neural Computation 14(8), 2002,
https://doi.org/10.1162/089976602760128018; persistent chains as in Tieleman: "Training Restricted Boltzmann Machines
using Approximations to the Likelihood Gradient", ICML 2008, https://doi.org/10.1145/1390156.1390290.
"""

from __future__ import annotations

from typing import Any

import keras
import tensorflow as tf

from dltemplates.layers.restricted_boltzmann import RestrictedBoltzmann
from dltemplates.tasks.assemble import PREPROCESSING
from dltemplates.tasks.task import Task
from dltemplates.template import Template
from dltemplates.training.steps.algorithm import (
    Algorithm,
    MakeOptimizer,
    draw_rows,
    summed_over_replicas,
    take_summed_gradients,
)


class ContrastiveDivergence(Algorithm):
    """One machine, which may stand on top of others that are trained already.

        v0 = what is shown                          h0 ~ p(h | v0)
        k times:  v ~ p(v | h)                      h ~ p(h | v)
        kernel += rate * (v0' p(h | v0) - v' p(h | v)) / batch

    With `persistent` the chain goes on from step to step, rather than to begin at what is shown. What is drawn is a
    function of the seed, the step and the place in the batch.
    """

    NAMES = ("free_energy",)

    def __init__(
        self,
        model: keras.Model,
        machine: RestrictedBoltzmann,
        make_optimizer: MakeOptimizer,
        *,
        seed: int,
        steps: int = 1,
        persistent: bool = False,
        weight_decay: float = 0.0,
    ):
        """Prepare for training, in the scope of the strategy.

        Args:
            model: The assembled model that the machine is a layer of.
            machine: The machine.
            make_optimizer: Makes the optimizer.
            seed: Of what is drawn.
            steps: How often the chain goes back and forth; the k of CD-k.
            persistent: Whether the chain goes on from step to step.
            weight_decay: Times half the squared norm of the weights between the layers.
        """
        self.model, self.machine = model, machine
        network = model.get_layer(model.name)
        below = keras.Model(network.input, network.get_layer(machine.name).input)
        self.below = keras.Model(model.input, below(model.get_layer(PREPROCESSING).output))
        self.seed, self.steps, self.persistent, self.weight_decay = seed, steps, persistent, weight_decay
        self.trained = [machine.kernel, machine.hidden_bias, machine.visible_bias]
        self.optimizer = make_optimizer()
        self.optimizer.build(self.trained)
        take_summed_gradients(self.optimizer)
        self.chain: Any = None

    @classmethod
    def make(cls, model: keras.Model, task: Task, make_optimizer: MakeOptimizer, template: Template) -> Algorithm:
        from dltemplates.tasks.representation import Representation

        assert isinstance(task, Representation)
        machine = model.get_layer(model.name).get_layer("hidden")
        return cls(model, machine, make_optimizer, seed=template.seed, **task.divergence)

    def begin(self, targets: tf.TensorSpec) -> None:
        self._make_totals(2 + len(self.NAMES))

    @property
    def variables(self) -> dict[str, list[Any]]:
        return {"model": self.model.variables, "optimizer": self.optimizer.variables, "totals": [self.totals]}

    def train(self, inputs: Any, targets: Any, weight: Any) -> None:
        shown = self.below(inputs, training=False)
        explained = self.machine(shown)
        dreamt, _ = self._dream(shown, explained)
        differences = [self._statistics(dreamt, self.machine(dreamt)), self._statistics(shown, explained)]
        rows = tf.cast(tf.shape(weight)[0], tf.float32)
        whole = rows * tf.distribute.get_replica_context().num_replicas_in_sync
        gradients = [(dream - real) / whole for dream, real in zip(*differences, strict=True)]
        self._add(self._sums(shown, weight))
        kernel, *biases = summed_over_replicas(gradients)
        self.optimizer.apply([kernel + self.weight_decay * self.machine.kernel, *biases], self.trained)

    def evaluate(self, inputs: Any, targets: Any, weight: Any) -> None:
        self._add(self._sums(self.below(inputs, training=False), weight))

    def figures(self) -> dict[str, float]:
        """`loss` is the squared error of what one step back and forth gives, `free_energy` that of the examples."""
        loss, rows, energy = self.totals.numpy()
        return {"loss": float(loss / rows), "free_energy": float(energy / rows)}

    def _dream(self, shown: Any, explained: Any) -> tuple[Any, Any]:
        """Go back and forth between the layers: what is seen in the end, and the hidden units that it came from."""
        step = self.optimizer.iterations.value
        hidden, seen = explained, shown
        for turn in range(self.steps):
            drawn = draw_rows(tf.random.stateless_uniform, hidden, self.seed, step, turn)
            on = tf.cast(drawn < hidden, hidden.dtype)
            seen = self.machine.visible(on)
            hidden = self.machine(seen)
        return seen, hidden

    @staticmethod
    def _statistics(visible: Any, hidden: Any) -> list[Any]:
        """What the energy's gradient is made of, summed over the batch: for the kernel and for either bias."""
        pairs = tf.matmul(visible, hidden, transpose_a=True)
        return [pairs, tf.reduce_sum(hidden, axis=0), tf.reduce_sum(visible, axis=0)]

    def _sums(self, shown: Any, weight: Any) -> Any:
        back = self.machine.visible(self.machine(shown))
        errors = tf.reduce_mean(tf.square(shown - back), axis=1)
        energies = self.machine.free_energy(shown)
        return tf.reduce_sum(tf.stack([errors, tf.ones_like(weight), energies]) * weight, axis=1)
