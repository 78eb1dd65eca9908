"""Variational training: maximize the evidence lower bound (ELBO).

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
    """Negative ELBO as the loss: the reconstruction loss plus the KL divergence to the standard normal distribution.

        latent ~ N(mean, variance) of the encoder
        loss = -log p(example | latent) + KL(N(mean, variance) || N(0, 1))

    Both terms are sums in nats, over the values of the example and over the latent units. With the loss
    `cross_entropy` each value is a pixel's probability of being white. With `mse` each value is normally distributed
    with variance 1/2, so `-log p = (value - output)^2 + log(pi) / 2`. The loss omits the constant: the ELBO is lower
    than the negative loss by 0.572 per value.

    Validation samples the latent vector too, since the mean alone would give better reconstructions than the bound
    allows. Random numbers depend only on the seed, the step and the place in the batch.
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
