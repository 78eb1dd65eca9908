"""Adversarial training: a generator and a discriminator by turns.

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

SLOPES = 32  # turns from here on are those of the places where the slope is looked at


class Adversarial(Algorithm):
    """Two players, each with an optimizer of its own.

        for each of the batch's `critic_steps` parts of real images:
            descend the discriminator's loss on them and on as many made ones
        descend the generator's loss on made ones

    The noise is a function of the seed, the step and the place in the batch, so that training resumes exactly, and
    several devices draw what one does.
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
        """Prepare for training, in the scope of the strategy.

        Args:
            model: The network of `generator` and `discriminator`.
            make_optimizer: Makes an optimizer; called for each player.
            seed: Of the noise.
            wasserstein: Whether the discriminator is a critic, with a penalty on its slope; else it gives logits.
            critic_steps: Steps of the discriminator for one of the generator.
            penalty: Weight of the penalty on the critic's slope.
        """
        self.model = model
        network = model.get_layer(model.name)
        self.generator, self.discriminator = network.get_layer("generator"), network.get_layer("discriminator")
        self.latent = self.generator.inputs[0].shape[-1]
        self.is_conditional = len(self.generator.inputs) > 1
        self.seed, self.wasserstein, self.critic_steps, self.penalty = seed, wasserstein, critic_steps, penalty
        self.names = ("pair_accuracy", "penalty") if wasserstein else ("real_accuracy", "made_accuracy")
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
        """Prepare for training; the options are those of the constructor.

        Raises:
            ValueError: If the network or the size of a batch does not fit them.
        """
        rows = template.train.batch_size // tf.distribute.get_strategy().num_replicas_in_sync
        layers = flatten_layers(model.get_layer(model.name).get_layer("discriminator"))
        if wasserstein and any(isinstance(layer, BatchNormalization) for layer in layers):
            raise ValueError(
                "A critic judges each image by itself, as the penalty is on its slope at each. Received: batch "
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
        figures = []
        for turn, (part, own) in enumerate(zip(parts, label_parts, strict=True)):
            figures.append(self._train_discriminator(part, own, (step, turn)))
        generator_loss = self._train_generator(parts[0], label_parts[0], (step, self.critic_steps))
        rows = tf.cast(tf.shape(weights)[0], tf.float32)
        loss, *others = tf.unstack(tf.reduce_mean(tf.stack(figures), axis=0))
        self._add(tf.stack([loss, 1.0, generator_loss, *others]) * rows)

    def evaluate(self, inputs: Any, targets: Any, weights: Any) -> None:
        labels = tf.cast(targets, tf.int32) if self.is_conditional else None
        real, draw = scale(inputs), (self._validation_step(), 0)
        made = self._make(inputs, labels, draw, training=False)
        of_real, of_made = (self._judge(images, labels, training=False)[:, 0] for images in (real, made))
        loss = self._loss(of_real, 1.0) + self._loss(of_made, 0.0)
        others = self._told_apart(of_real, of_made)
        if self.wasserstein:
            others.append(self.penalty * self._slope(real, made, labels, draw, training=False))
        each = tf.stack([loss, tf.ones_like(weights), self._loss(of_made, 1.0), *others])
        self._add(tf.reduce_sum(each * weights, axis=1))

    def figures(self) -> dict[str, float]:
        """`loss` is the discriminator's, a critic's without its `penalty`.

        The accuracies are the shares of real and of made images that a discriminator tells rightly. A critic's numbers
        mean nothing but by comparison: `pair_accuracy` is the share of pairs whose real image it gives more than the
        made one.
        """
        loss, rows, *others = self.totals.numpy()
        means = {name: float(total / rows) for name, total in zip(("generator_loss", *self.names), others, strict=True)}
        return {"loss": float(loss / rows), **means}

    def _parts(self, rows: Any) -> list[Any]:
        """The parts of a batch, each for a step of the discriminator; the same ones however many replicas there are."""
        return [None if rows is None else rows[turn :: self.critic_steps] for turn in range(self.critic_steps)]

    def _train_discriminator(self, real: Any, labels: Any, draw: tuple[Any, int]) -> Any:
        """Take a step of the discriminator; its loss, and means of the figures of `names`."""
        made = self._make(real, labels, draw, training=True)

        def loss_on_both():
            of_real, of_made = (self._judge(images, labels, training=True)[:, 0] for images in (real, made))
            loss = tf.reduce_mean(self._loss(of_real, 1.0) + self._loss(of_made, 0.0))
            penalty = []
            if self.wasserstein:
                penalty = [self.penalty * tf.reduce_mean(self._slope(real, made, labels, draw, training=True))]
            shares = [tf.reduce_mean(found) for found in self._told_apart(of_real, of_made)]
            figures = tf.stack([loss, *shares, *penalty])
            return _share(tf.add_n([loss, *penalty]), self.discriminator), figures

        return self.discriminator_descent.step(loss_on_both)

    def _train_generator(self, reference: Any, labels: Any, draw: tuple[Any, int]) -> Any:
        """Take a step of the generator; its loss."""

        def loss_on_made():
            made = self._make(reference, labels, draw, training=True)
            loss = tf.reduce_mean(self._loss(self._judge(made, labels, training=True)[:, 0], 1.0))
            return _share(loss, self.generator), loss

        return self.generator_descent.step(loss_on_made)

    def _loss(self, judged: Any, wanted: float) -> Any:
        """The loss of each image that was to be judged `wanted`: real (1) or made (0)."""
        if self.wasserstein:
            return judged * (1 - 2 * wanted)
        return tf.nn.sigmoid_cross_entropy_with_logits(tf.fill(tf.shape(judged), wanted), judged)

    def _told_apart(self, of_real: Any, of_made: Any) -> list[Any]:
        """Whether each image, or each pair of images, was judged rightly (1) or not (0)."""
        found = [of_real > of_made] if self.wasserstein else [of_real > 0, of_made <= 0]
        return [tf.cast(each, tf.float32) for each in found]

    def _slope(self, real: Any, made: Any, labels: Any, draw: tuple[Any, int], *, training: bool) -> Any:
        """How far the critic's slope is from 1, squared, at a random place between each real and made image."""
        step, turn = draw
        one = tf.zeros([tf.shape(real)[0], 1])
        share = draw_rows(tf.random.stateless_uniform, one, self.seed, step, turn + SLOPES)[:, :, None, None]
        between = share * real + (1 - share) * made
        with tf.GradientTape() as tape:
            tape.watch(between)
            judged = self._judge(between, labels, training=training)
        slopes = tf.reshape(tape.gradient(judged, between), [tf.shape(real)[0], -1])
        return tf.square(tf.sqrt(tf.reduce_sum(slopes**2, axis=1) + 1e-12) - 1)

    def _make(self, reference: Any, labels: Any, draw: tuple[Any, int], *, training: bool) -> Any:
        """As many images as there are in `reference`, of noise."""
        step, turn = draw
        rows = tf.zeros([tf.shape(reference)[0], self.latent])
        noise = draw_rows(tf.random.stateless_normal, rows, self.seed, step, turn)
        return self.generator([noise, labels] if self.is_conditional else noise, training=training)

    def _judge(self, images: Any, labels: Any, *, training: bool) -> Any:
        return self.discriminator([images, labels] if self.is_conditional else images, training=training)


def scale(images: Any) -> Any:
    """Images of 0..255 as the players see them: between -1 and 1."""
    return tf.cast(images, tf.float32) / 127.5 - 1


def _share(loss: Any, network: keras.Model) -> Any:
    """Return this replica's share of a loss and of the penalty on the weights of a network."""
    return tf.add_n([loss, *network.losses]) / tf.distribute.get_replica_context().num_replicas_in_sync
