"""Adversarial training: a generator and a discriminator take turns.

Goodfellow et al.: "Generative Adversarial Nets", NIPS 2014, https://arxiv.org/abs/1406.2661, algorithm 1; with the loss
of Gulrajani et al.: "Improved Training of Wasserstein GANs", NIPS 2017, https://arxiv.org/abs/1704.00028, algorithm 1.
"""

from __future__ import annotations

from typing import Any

import keras
import tensorflow as tf
from keras.layers import BatchNormalization

from dltemplates.compat import flatten_layers
from dltemplates.template import Template
from dltemplates.training.algorithms.algorithm import (
    Algorithm,
    MakeOptimizer,
    draw_rows,
)
from dltemplates.training.algorithms.descent import Descent

PENALTY_DRAWS = 32  # the first draw (see `draw_rows`) for the gradient penalty


class Adversarial(Algorithm):
    """A generator and a discriminator, each with its own optimizer.

        for each of the batch's `critic_steps` parts of real images:
            descend the discriminator's loss on them and on as many generated images
        descend the generator's loss on generated images

    The noise depends only on the seed, the step and the place in the batch. So training resumes exactly, and several
    devices draw the same noise as one.
    """

    def __init__(
        self,
        model: keras.Model,
        make_optimizer: MakeOptimizer,
        *,
        seed: int,
        wasserstein: bool = False,
        critic_steps: int = 1,
        penalty: float = 10.0,
    ):
        """Prepare for training, in the strategy's scope.

        Args:
            model: The network with the layers `generator` and `discriminator`.
            make_optimizer: Function that builds an optimizer; called once for each of the two.
            seed: Seed of the noise.
            wasserstein: Train the discriminator as a critic with a gradient penalty; otherwise it returns logits.
            critic_steps: Number of discriminator steps per generator step.
            penalty: Weight of the critic's gradient penalty.
        """
        self.model = model
        network = model.get_layer(model.name)
        self.generator, self.discriminator = network.get_layer("generator"), network.get_layer("discriminator")
        self.latent = self.generator.inputs[0].shape[-1]
        self.is_conditional = len(self.generator.inputs) > 1
        self.seed, self.wasserstein, self.critic_steps, self.penalty = seed, wasserstein, critic_steps, penalty
        self.names = ("pair_accuracy", "penalty") if wasserstein else ("real_accuracy", "generated_accuracy")
        self.optimizer, self.discriminator_optimizer = make_optimizer(), make_optimizer(critic_steps)
        self.generator_descent = Descent(self.optimizer, self.generator.trainable_variables)
        self.discriminator_descent = Descent(self.discriminator_optimizer, self.discriminator.trainable_variables)

    @classmethod
    def make(
        cls,
        model: keras.Model,
        make_optimizer: MakeOptimizer,
        template: Template,
        *,
        wasserstein: bool,
        critic_steps: int,
        penalty: float,
    ) -> Adversarial:
        """Prepare for training, with the options of the constructor.

        Raises:
            ValueError: If the network or the batch size does not fit the options.
        """
        rows = template.train.batch_size // tf.distribute.get_strategy().num_replicas_in_sync
        layers = flatten_layers(model.get_layer(model.name).get_layer("discriminator"))
        if wasserstein and any(isinstance(layer, BatchNormalization) for layer in layers):
            raise ValueError(
                "A critic must score each image alone, for the gradient penalty at each image. Received: batch "
                f"normalization in the discriminator of `{model.name}`. Take model `wgan_gp`, or --set task.loss=gan."
            )
        if rows % critic_steps:
            raise ValueError(
                f"Each device's part of a batch must be a multiple of `critic_steps`, {critic_steps}. Received: {rows}."
                f" Try --set train.batch_size={template.train.batch_size * critic_steps}."
            )
        options: dict[str, Any] = {"wasserstein": wasserstein, "critic_steps": critic_steps, "penalty": penalty}
        return cls(model, make_optimizer, seed=template.seed, **options)

    def build(self, targets: Any) -> None:
        self._make_totals(3 + len(self.names))

    @property
    def variables(self) -> dict[str, list[Any]]:
        return {
            "model": self.model.variables,
            "optimizer": self.optimizer.variables,
            "discriminator_optimizer": self.discriminator_optimizer.variables,
            "totals": [self.totals],
        }

    def train(self, inputs: Any, targets: Any, weights: Any) -> None:
        real = scale(inputs)
        labels = tf.cast(targets, tf.int32) if self.is_conditional else None
        step = self.optimizer.iterations.value
        parts, label_parts = self._parts(real), self._parts(labels)
        means = []
        for critic_step, (part, part_labels) in enumerate(zip(parts, label_parts, strict=True)):
            means.append(self._train_discriminator(part, part_labels, (step, critic_step)))
        generator_loss = self._train_generator(parts[0], label_parts[0], (step, self.critic_steps))
        rows = tf.cast(tf.shape(weights)[0], tf.float32)
        loss, *others = tf.unstack(tf.reduce_mean(tf.stack(means), axis=0))
        self._add(tf.stack([loss, 1.0, generator_loss, *others]) * rows)

    def evaluate(self, inputs: Any, targets: Any, weights: Any) -> None:
        labels = tf.cast(targets, tf.int32) if self.is_conditional else None
        real, draw = scale(inputs), (self._validation_step(), 0)
        generated = self._generate(inputs, labels, draw, training=False)
        real_logits, generated_logits = (
            self._discriminate(images, labels, training=False)[:, 0] for images in (real, generated)
        )
        loss = self._loss(real_logits, 1.0) + self._loss(generated_logits, 0.0)
        others = self._correct(real_logits, generated_logits)
        if self.wasserstein:
            others.append(self.penalty * self._gradient_penalty(real, generated, labels, draw, training=False))
        each = tf.stack([loss, tf.ones_like(weights), self._loss(generated_logits, 1.0), *others])
        self._add(tf.reduce_sum(each * weights, axis=1))

    def metrics(self) -> dict[str, float]:
        """Return the metrics; `loss` is the discriminator's, without a critic's `penalty`.

        The accuracies are the shares of real and of generated images that the discriminator classifies correctly. A
        critic's outputs have no threshold: its `pair_accuracy` is the share of pairs where the real image gets a
        larger output than the generated one.
        """
        loss, rows, *others = self.totals.numpy()
        means = {name: float(total / rows) for name, total in zip(("generator_loss", *self.names), others, strict=True)}
        return {"loss": float(loss / rows), **means}

    def _parts(self, rows: Any) -> list[Any]:
        """Split a batch into parts for the discriminator's steps, the same for any number of replicas."""
        return [
            None if rows is None else rows[critic_step :: self.critic_steps] for critic_step in range(self.critic_steps)
        ]

    def _train_discriminator(self, real: Any, labels: Any, draw: tuple[Any, int]) -> Any:
        """Take a step of the discriminator; return its loss and the means of the metrics in `names`."""
        generated = self._generate(real, labels, draw, training=True)

        def loss_on_both():
            real_logits, generated_logits = (
                self._discriminate(images, labels, training=True)[:, 0] for images in (real, generated)
            )
            loss = tf.reduce_mean(self._loss(real_logits, 1.0) + self._loss(generated_logits, 0.0))
            penalty = []
            if self.wasserstein:
                each = self._gradient_penalty(real, generated, labels, draw, training=True)
                penalty = [self.penalty * tf.reduce_mean(each)]
            shares = [tf.reduce_mean(correct) for correct in self._correct(real_logits, generated_logits)]
            means = tf.stack([loss, *shares, *penalty])
            return _replica_share(tf.add_n([loss, *penalty]), self.discriminator), means

        return self.discriminator_descent.step(loss_on_both)

    def _train_generator(self, reference: Any, labels: Any, draw: tuple[Any, int]) -> Any:
        """Take a step of the generator; return its loss."""

        def loss_on_generated():
            generated = self._generate(reference, labels, draw, training=True)
            loss = tf.reduce_mean(self._loss(self._discriminate(generated, labels, training=True)[:, 0], 1.0))
            return _replica_share(loss, self.generator), loss

        return self.generator_descent.step(loss_on_generated)

    def _loss(self, logits: Any, target: float) -> Any:
        """Return the loss of each image for a target: real (1) or generated (0)."""
        if self.wasserstein:
            return logits * (1 - 2 * target)
        return tf.nn.sigmoid_cross_entropy_with_logits(tf.fill(tf.shape(logits), target), logits)

    def _correct(self, real_logits: Any, generated_logits: Any) -> list[Any]:
        """Return 1 for each image, or pair of images, that was classified correctly, and 0 for the others."""
        correct = [real_logits > generated_logits] if self.wasserstein else [real_logits > 0, generated_logits <= 0]
        return [tf.cast(each, tf.float32) for each in correct]

    def _gradient_penalty(
        self, real: Any, generated: Any, labels: Any, draw: tuple[Any, int], *, training: bool
    ) -> Any:
        """Return (norm of the critic's gradient - 1)^2, at a random point between each real and generated image."""
        step, critic_step = draw
        one = tf.zeros([tf.shape(real)[0], 1])
        uniform = draw_rows(tf.random.stateless_uniform, one, self.seed, step, critic_step + PENALTY_DRAWS)
        share = uniform[:, :, None, None]
        images = share * real + (1 - share) * generated
        with tf.GradientTape() as tape:
            tape.watch(images)
            outputs = self._discriminate(images, labels, training=training)
        gradients = tf.reshape(tape.gradient(outputs, images), [tf.shape(real)[0], -1])
        return tf.square(tf.sqrt(tf.reduce_sum(gradients**2, axis=1) + 1e-12) - 1)

    def _generate(self, reference: Any, labels: Any, draw: tuple[Any, int], *, training: bool) -> Any:
        """Generate as many images as `reference` has."""
        step, critic_step = draw
        rows = tf.zeros([tf.shape(reference)[0], self.latent])
        noise = draw_rows(tf.random.stateless_normal, rows, self.seed, step, critic_step)
        return self.generator([noise, labels] if self.is_conditional else noise, training=training)

    def _discriminate(self, images: Any, labels: Any, *, training: bool) -> Any:
        return self.discriminator([images, labels] if self.is_conditional else images, training=training)


def scale(images: Any) -> Any:
    """Scale images from 0..255 to [-1, 1]."""
    return tf.cast(images, tf.float32) / 127.5 - 1


def _replica_share(loss: Any, network: keras.Model) -> Any:
    """Return this replica's share of a loss plus the penalty on a network's weights."""
    return tf.add_n([loss, *network.losses]) / tf.distribute.get_replica_context().num_replicas_in_sync
