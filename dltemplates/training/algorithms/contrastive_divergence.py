"""Contrastive divergence (CD-k): train a restricted Boltzmann machine (RBM) with short Gibbs chains.

Hinton: "Training Products of Experts by Minimizing Contrastive Divergence", Neural Computation 14(8), 2002,
https://doi.org/10.1162/089976602760128018. When to sample, the initial biases and the metrics are as in Hinton: "A
Practical Guide to Training Restricted Boltzmann Machines", UTML TR 2010-003, sections 3 to 8. Persistent chains are as
in Tieleman: "Training Restricted Boltzmann Machines using Approximations to the Likelihood Gradient", ICML 2008,
https://doi.org/10.1145/1390156.1390290.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import keras
import tensorflow as tf

from dltemplates.layers.restricted_boltzmann import RestrictedBoltzmann
from dltemplates.tasks.assemble import PREPROCESSING
from dltemplates.template import Template
from dltemplates.training.algorithms.algorithm import (
    Algorithm,
    MakeOptimizer,
    draw_rows,
    own_rows,
    rows_of_all,
)
from dltemplates.training.algorithms.descent import Descent, sum_over_replicas


class ContrastiveDivergence(Algorithm):
    """Contrastive divergence for one RBM, possibly on top of others that are trained already.

        v0 = visible units of the examples
        h ~ p(h | v0)
        k times:  v = p(v | h),  h ~ p(h | v)
        kernel       += rate * (v0' p(h | v0) - v' p(h | v)) / batch
        hidden bias  += rate * (sum p(h | v0) - sum p(h | v)) / batch
        visible bias += rate * (sum v0 - sum v) / batch

    Persistent chains start from the `h` of the step before instead of the examples, and sample `v ~ p(v | h)`, to
    reach every mode of the model. Random numbers depend only on the seed, the step and the place in the batch.
    """

    train_metrics_at_epoch_end = ("free_energy",)

    def __init__(
        self,
        model: keras.Model,
        machine: RestrictedBoltzmann,
        make_optimizer: MakeOptimizer,
        *,
        seed: int,
        gibbs_steps: int = 1,
        chains: int | None = None,
        weight_decay: float = 0.0,
    ):
        """Create the algorithm, in the scope of the strategy.

        Args:
            model: The assembled model; the RBM is one of its layers.
            machine: The RBM.
            make_optimizer: Creates the optimizer.
            seed: Seed of the random numbers.
            gibbs_steps: Gibbs steps of a chain; the k of CD-k.
            chains: Number of persistent chains, one for each example of a batch; None restarts chains at the examples.
            weight_decay: L2 penalty: half of this times the squared norm of the kernel.
        """
        self.model, self.machine = model, machine
        network = model.get_layer(model.name)
        below = keras.Model(network.input, network.get_layer(machine.name).input)
        self.below = keras.Model(model.input, below(model.get_layer(PREPROCESSING).output))
        self.seed, self.gibbs_steps, self.chains, self.weight_decay = seed, gibbs_steps, chains, weight_decay
        self.trained = [machine.kernel, machine.hidden_bias, machine.visible_bias]
        self.optimizer = make_optimizer()
        self.descent = Descent(self.optimizer, self.trained)
        self.chain: Any = None

    @classmethod
    def make(
        cls,
        model: keras.Model,
        make_optimizer: MakeOptimizer,
        template: Template,
        *,
        machine: str,
        gibbs_steps: int,
        weight_decay: float,
        persistent: bool = False,
        rbm_index: int = 0,
    ) -> ContrastiveDivergence:
        """Create the algorithm for one RBM of a network.

        Args:
            model: The assembled model.
            make_optimizer: Creates the optimizer.
            template: The template.
            machine: Name of the RBM's layer.
            gibbs_steps: As in the constructor.
            weight_decay: As in the constructor.
            persistent: Whether the chains are persistent.
            rbm_index: Position of the RBM in the network; each RBM has its own random numbers.
        """
        return cls(
            model,
            model.get_layer(model.name).get_layer(machine),
            make_optimizer,
            seed=template.seed + rbm_index,
            gibbs_steps=gibbs_steps,
            chains=template.train.batch_size if persistent else None,
            weight_decay=weight_decay,
        )

    def build(self, targets: Any) -> None:
        self._make_totals(3)
        if self.chains:
            # All hidden units are off: the first sample depends on the visible biases alone.
            self.chain = tf.Variable(
                tf.zeros([self.chains, self.machine.units]),
                trainable=False,
                aggregation=tf.VariableAggregation.ONLY_FIRST_REPLICA,
                name="chain",
            )

    @property
    def variables(self) -> dict[str, list[Any]]:
        chain = {"chain": [self.chain]} if self.chains else {}
        return {
            "model": self.model.variables,
            "optimizer": self.optimizer.variables,
            "totals": [self.totals],
            **chain,
        }

    def initialize_from_data(self, batches: Iterable[Any]) -> None:
        """Set the visible biases to the log odds of each pixel in the examples (Hinton 2010, section 8)."""
        rows, on = 0.0, 0.0
        for inputs, _, weight in batches:
            rows += tf.reduce_sum(weight)
            on += tf.linalg.matvec(self._visible_units(inputs), weight, transpose_a=True)
        share = (on + 1) / (rows + 2)  # smoothed, so that a pixel that was never on has a finite bias
        self.machine.visible_bias.assign(tf.math.log(share / (1 - share)))

    def train(self, inputs: Any, targets: Any, weights: Any) -> None:
        v0 = self._visible_units(inputs)
        h0 = self.machine.hidden(v0)
        hidden = own_rows(self.chain, v0) if self.chains else self._draw(h0, 0)
        vk, hk = self._gibbs_chain(hidden)
        if self.chains:
            self.chain.assign(rows_of_all(self._draw(hk, 0)))
        rows = tf.cast(tf.shape(weights)[0], tf.float32)
        batch_size = rows * tf.distribute.get_replica_context().num_replicas_in_sync
        both = zip(self._statistics(vk, hk), self._statistics(v0, h0), strict=True)
        kernel, *biases = sum_over_replicas([(negative - positive) / batch_size for negative, positive in both])
        self._add(self._sums(v0, h0, weights, tf.zeros_like(weights)))
        gradients = [kernel + self.weight_decay * self.machine.kernel, *biases]
        self.descent.apply(gradients)

    def evaluate(self, inputs: Any, targets: Any, weights: Any) -> None:
        v0 = self._visible_units(inputs)
        self._add(self._sums(v0, self.machine.hidden(v0), weights, self.machine.free_energy(v0)))

    def metrics(self) -> dict[str, float]:
        """Return `loss`, the squared error after one Gibbs step, and `free_energy`, the mean over examples."""
        loss, rows, energy = self.totals.numpy()
        return {"loss": float(loss / rows), "free_energy": float(energy / rows)}

    def _visible_units(self, inputs: Any) -> Any:
        """Return the visible units of a batch: (batch, visible)."""
        return tf.cast(self.below(inputs, training=False), tf.float32)

    def _gibbs_chain(self, hidden: Any) -> tuple[Any, Any]:
        """Run a Gibbs chain from binary hidden units.

        Returns:
            The visible units at its end, (batch, visible), and the probabilities of the hidden ones, (batch, units).
        """
        vk = hk = hidden
        for gibbs_step in range(self.gibbs_steps):
            hidden = self._draw(hk, 2 * gibbs_step) if gibbs_step else hidden
            vk = self.machine.visible(hidden)
            vk = self._draw(vk, 2 * gibbs_step + 1) if self.chains else vk
            hk = self.machine.hidden(vk)
        return vk, hk

    def _draw(self, probabilities: Any, draw: int) -> Any:
        """Sample binary units, 0 or 1, from their probabilities."""
        drawn = draw_rows(tf.random.stateless_uniform, probabilities, self.seed, self.optimizer.iterations.value, draw)
        return tf.cast(drawn < probabilities, tf.float32)

    @staticmethod
    def _statistics(visible: Any, hidden: Any) -> list[Any]:
        """Return the gradient of the energy, summed over the batch: for the kernel, the hidden and the visible bias."""
        pairs = tf.matmul(visible, hidden, transpose_a=True)
        return [pairs, tf.reduce_sum(hidden, axis=0), tf.reduce_sum(visible, axis=0)]

    def _sums(self, v0: Any, h0: Any, weights: Any, energies: Any) -> Any:
        """Return the sums that a batch adds to the totals; training passes energies of 0."""
        errors = tf.reduce_mean(tf.square(v0 - self.machine.visible(h0)), axis=1)
        return tf.reduce_sum(tf.stack([errors, tf.ones_like(weights), energies]) * weights, axis=1)
