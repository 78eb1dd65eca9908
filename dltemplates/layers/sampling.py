"""Gaussian sampling with the reparameterization trick.

Kingma, Welling: "Auto-Encoding Variational Bayes", ICLR 2014, https://arxiv.org/abs/1312.6114, section 2.4.
"""

import keras
from keras import layers, ops, random


@keras.saving.register_keras_serializable("dltemplates")
class Sampling(layers.Layer):
    """Sample `mean + exp(log_variance / 2) * noise` in training, and return the mean otherwise.

    Two tensors (batch, units) to one. An exported network returns the mean, since its file would repeat one sample.
    """

    def __init__(self, *, seed: int | None = None, **options):
        super().__init__(**options)
        self.seed = seed
        self.generator = random.SeedGenerator(seed)

    def call(self, inputs, training=False):
        mean, log_variance = inputs
        if not training:
            return mean
        return mean + ops.exp(log_variance / 2) * self.noise(mean)

    def noise(self, reference):
        """Sample a standard normal tensor with the shape and dtype of another."""
        return random.normal(ops.shape(reference), dtype=reference.dtype, seed=self.generator)

    def compute_output_shape(self, input_shape):
        return input_shape[0]

    def get_config(self):
        return {**super().get_config(), "seed": self.seed}
