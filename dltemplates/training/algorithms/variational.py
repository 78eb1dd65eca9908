"""Variational training: raise the evidence lower bound (ELBO) of the examples.

Kingma, Welling: "Auto-Encoding Variational Bayes", ICLR 2014, https://arxiv.org/abs/1312.6114, equation 10.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import keras
import tensorflow as tf

from dltemplates.tasks.variational import parts_of
from dltemplates.template import Template
from dltemplates.training.algorithms.algorithm import MakeOptimizer, draw_rows
from dltemplates.training.algorithms.supervised import WHOLE, Supervised, loss_of_elements

if TYPE_CHECKING:
    from dltemplates.tasks.task import Losses, Metrics


class Variational(Supervised):
    """The loss of an example is what its reconstruction lacks, and how far its codes are from a standard normal one.

        code ~ N(mean, variance) of the encoder
        loss = -log p(example | code) + KL(N(mean, variance) || N(0, 1))

    Both are sums, over the values of the example and the units of the code, in nats. With the task's `cross_entropy`
    the values are pixels, each white with a probability. With its `mse` each is normally distributed with variance 1/2,
    and of its `-log p = (value - made)^2 + log(pi) / 2` the constant is left out: the bound itself is lower than the
    negative loss by 0.572 a value.

    In validation a code is drawn too: at the mean alone the reconstruction would look better than the bound allows.
    What is drawn is a function of the seed, the step and the place in the batch.
    """

    loss_terms = ("reconstruction", "kl")

    def __init__(self, model: keras.Model, *args: Any, seed: int, **options: Any):
        super().__init__(model, *args, **options)
        self.seed = seed
        self.encoder, self.decoder = parts_of(model)

    @classmethod
    def make(
        cls,
        model: keras.Model,
        make_optimizer: MakeOptimizer,
        template: Template,
        *,
        losses: Losses,
        metrics: Metrics,
    ) -> Variational:
        return cls(model, losses, metrics, make_optimizer(), seed=template.seed)

    def losses_of(self, inputs: Any, targets: Any, weights: Any, *, training: bool) -> tuple[dict[str, Any], Any, list]:
        mean, log_variance = self.encoder(inputs, training=training)
        step = self.optimizer.iterations.value if training else self._validation_step()
        noise = draw_rows(tf.random.stateless_normal, mean, self.seed, step, 0)
        logits = self.decoder(mean + tf.exp(log_variance / 2) * noise, training=training)
        values = tf.cast(tf.size(logits[0]), tf.float32)
        reconstruction = values * loss_of_elements(self.losses[WHOLE], targets, logits, weights)
        kl = 0.5 * tf.reduce_sum(mean**2 + tf.exp(log_variance) - log_variance - 1, axis=1)
        return {WHOLE: reconstruction + kl}, logits, [reconstruction, kl]
