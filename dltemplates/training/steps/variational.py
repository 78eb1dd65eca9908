"""Variational training: raise the evidence lower bound (ELBO) of the examples.

Kingma, Welling: "Auto-Encoding Variational Bayes", ICLR 2014, https://arxiv.org/abs/1312.6114, equation 10.
"""

from __future__ import annotations

from typing import Any

import keras
import tensorflow as tf

from dltemplates.tasks.assemble import PREPROCESSING
from dltemplates.training.steps.supervised import Supervised


class Variational(Supervised):
    """The loss of an example is what its reconstruction lacks, and how far its codes are from a standard normal one.

        codes ~ N(mean, variance) of the encoder
        loss  = -log p(example | code) + KL(N(mean, variance) || N(0, 1))

    Both are sums, over the values of the example and the units of the code, in nats.
    """

    parts = ("reconstruction", "kl")

    def __init__(self, model: keras.Model, *args: Any, **options: Any):
        super().__init__(model, *args, **options)
        network = model.get_layer(model.name)
        encoder = network.get_layer("encoder")
        names = ("mean", "log_variance", "code")
        distribution = keras.Model(encoder.input, [encoder.get_layer(name).output for name in names])
        mean, log_variance, code = distribution(model.get_layer(PREPROCESSING).output)
        self.whole = keras.Model(model.input, [network.get_layer("decoder")(code), mean, log_variance])

    def objective(self, inputs: Any, targets: Any, *, training: bool) -> tuple[Any, Any, list[Any]]:
        logits, mean, log_variance = self.whole(inputs, training=training)
        values = tf.cast(tf.size(logits[0]), tf.float32)
        reconstruction = values * self._loss_of_each(targets, logits)
        kl = 0.5 * tf.reduce_sum(mean**2 + tf.exp(log_variance) - log_variance - 1, axis=1)
        return reconstruction + kl, logits, [reconstruction, kl]
