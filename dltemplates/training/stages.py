"""The stages of a training: in each, one thing happens to every batch."""

from __future__ import annotations

from dataclasses import dataclass, replace

import keras
import numpy as np

from dltemplates.datasets.pipeline import TrainingOrder
from dltemplates.datasets.spec import DatasetSpec, image_of
from dltemplates.layers import RestrictedBoltzmann
from dltemplates.template import Template
from dltemplates.training.algorithms.algorithm import Algorithm
from dltemplates.training.algorithms.contrastive_divergence import ContrastiveDivergence
from dltemplates.training.optimizers import make_sgd


@dataclass(frozen=True)
class Stage:
    """A part of a training in which one thing happens to every batch.

    Attributes:
        algorithm: That.
        order: Which example stands at which place of it.
        epochs: How many it lasts.
        first_epoch: The epoch that it begins with, counted from 0.
        first_step: The step that it begins with, counted from 0.
        name: The part of the network that it trains; empty in the last one, which trains all.
    """

    algorithm: Algorithm
    order: TrainingOrder
    epochs: int
    first_epoch: int = 0
    first_step: int = 0
    name: str = ""

    @property
    def steps_per_epoch(self) -> int:
        return self.order.steps_per_epoch

    @property
    def last_epoch(self) -> int:
        """The epoch that it ends before."""
        return self.first_epoch + self.epochs

    @property
    def last_step(self) -> int:
        """The step that it ends before."""
        return self.first_step + self.epochs * self.steps_per_epoch

    def named(self, figures: dict[str, float]) -> dict[str, float]:
        """Figures as they are called in the history: those of one part of the network are not those of another."""
        return {f"{self.name}_{name}" if self.name else name: value for name, value in figures.items()}


def in_turn(stages: list[Stage]) -> tuple[Stage, ...]:
    """The stages, each beginning where the one before it ends."""
    for place in range(1, len(stages)):
        before = stages[place - 1]
        stages[place] = replace(stages[place], first_epoch=before.last_epoch, first_step=before.last_step)
    return tuple(stages)


def pretraining(model: keras.Model, template: Template, spec: DatasetSpec, examples: int) -> list[Stage]:
    """The training of each restricted Boltzmann machine of a network by itself, from the one that sees the examples.

    Args:
        model: The assembled model.
        template: What is trained; there are no such stages unless it says so.
        spec: The data.
        examples: Number of training examples.

    Raises:
        ValueError: If there is no such machine in the network, or what it would see is no image.
    """
    settings = template.train.pretrain
    if settings is None:
        return []
    machines = [layer for layer in model.get_layer(model.name).layers if isinstance(layer, RestrictedBoltzmann)]
    if not machines:
        raise ValueError(
            f"`train.pretrain` is for networks of restricted Boltzmann machines. Received: {model.name}, which holds "
            "none. Leave it out, or take model `dbn`."
        )
    if image_of(spec) is None:
        raise ValueError(
            "`train.pretrain` is for values between 0 and 1, such as pixels. Received: data whose inputs are "
            f"{', '.join(value.name for value in spec.inputs)}. Leave it out, or choose images."
        )
    order = make_order(template, examples)
    stages = []
    for place, machine in enumerate(machines):
        algorithm = ContrastiveDivergence(
            model,
            machine,
            lambda: make_sgd(settings.optimizer, settings.learning_rate, steps_per_epoch=order.steps_per_epoch),
            seed=template.seed + place,
            steps=settings.steps,
            weight_decay=settings.weight_decay,
        )
        stages.append(Stage(algorithm, order, settings.epochs, name=machine.name))
    return stages


def make_order(template: Template, examples: int, only: np.ndarray | None = None) -> TrainingOrder:
    """Say which example stands at which place of a stage.

    Args:
        template: What is trained.
        examples: Number of training examples.
        only: Those that the stage sees, where it does not see all.

    Raises:
        ValueError: If there are fewer than a batch.
    """
    examples = examples if only is None else len(only)
    batch_size = template.train.batch_size
    if batch_size > examples:
        raise ValueError(
            f"`train.batch_size` must be at most the number of training examples, {examples}. "
            f"Received: {batch_size}. Try --set train.batch_size={max(1, examples // 8)}."
        )
    return TrainingOrder(examples, batch_size, template.seed, only)


def labelled_examples(template: Template, examples: int) -> np.ndarray | None:
    """The training examples whose label is used, ascending; None for all.

    Raises:
        ValueError: If there are not as many.
    """
    labels = template.train.labels
    if labels is None:
        return None
    if labels > examples:
        raise ValueError(
            f"`train.labels` must be at most the number of training examples, {examples}. Received: {labels}. "
            "Leave it out to use all."
        )
    drawn = np.random.default_rng(template.dataset.split_seed).permutation(examples)
    return np.sort(drawn[:labels])
