"""The stages of a training: each owns an algorithm and runs its steps."""

from __future__ import annotations

import itertools
from abc import ABC, abstractmethod
from typing import Any

import keras
import numpy as np

from dltemplates.compat import schedule_of
from dltemplates.datasets.pipeline import TrainingOrder
from dltemplates.template import Template
from dltemplates.training.algorithms.algorithm import Algorithm
from dltemplates.training.data import TrainingData
from dltemplates.training.speed.loop import StepLoop
from dltemplates.training.strategy import Distribution


class Stage(ABC):
    """A part of a training with one algorithm.

    Attributes:
        model: The model that is trained, which is kept and exported.
        name: The part of the network that it trains, which its figures are named after; empty for the whole network.
        epochs: How many it lasts.
        steps_per_epoch: Steps in each of them.
        first_epoch: The epoch of the training that it begins with, counted from 0.
        first_step: The step of the training that it begins with, counted from 0.
    """

    first_epoch = 0
    first_step = 0

    def __init__(self, model: keras.Model, *, name: str, epochs: int, steps_per_epoch: int):
        self.model = model
        self.name = name
        self.epochs = epochs
        self.steps_per_epoch = steps_per_epoch

    @property
    def last_epoch(self) -> int:
        """The epoch that it ends before."""
        return self.first_epoch + self.epochs

    @property
    def last_step(self) -> int:
        """The step that it ends before."""
        return self.first_step + self.epochs * self.steps_per_epoch

    @property
    @abstractmethod
    def variables(self) -> dict[str, list[Any]]:
        """All variables that the stage's future depends on, in groups; those of the model as `model`."""

    def build(self) -> None:
        """Make what depends on the shapes of the data, in the scope of the strategy."""
        return  # an environment has no batches to look at

    @abstractmethod
    def open(self, step: int) -> None:
        """Prepare to run from a step of the training on."""

    @abstractmethod
    def run(self, count: int) -> int:
        """Run at most `count` steps, and return how many were run, at least 1."""

    @abstractmethod
    def validate(self) -> dict[str, float]:
        """Return the figures on validation, of the weights as they stand; `loss` is among them."""

    @abstractmethod
    def reset(self) -> None:
        """Begin the figures of training anew, as an epoch begins."""

    @abstractmethod
    def mean_loss(self) -> float:
        """Return the mean training loss since `reset`."""

    @abstractmethod
    def figures(self) -> dict[str, float]:
        """Return the figures of training since `reset`; `loss` is among them."""

    @abstractmethod
    def learning_rate(self) -> float:
        """Return the learning rate of the last step."""

    @property
    def fitting(self) -> int:
        """How many steps fit into one call of `run`, as far as is known."""
        return 1

    @property
    def can_resume(self) -> bool:
        """Whether a training can be resumed from where the stage stands now."""
        return True

    def extra_state(self) -> bytes:
        """Return what a checkpoint must keep beside the variables."""
        return b""

    def restore(self, state: bytes) -> None:
        """Bring the stage to where it was when `extra_state` was called."""
        return  # most have nothing but their variables

    def train_metrics_at_epoch_end(self, validated: dict[str, float]) -> dict[str, float]:
        """Return further figures that compare training with validation as an epoch ends.

        Args:
            validated: The figures of `validate`.
        """
        return {}

    def named(self, figures: dict[str, float]) -> dict[str, float]:
        """Return figures as they are called in the history: those of one part of the network bear its name."""
        return {f"{self.name}_{name}" if self.name else name: value for name, value in figures.items()}


class DatasetStage(Stage):
    """A stage that is trained on the batches of a dataset.

    Attributes:
        algorithm: What happens to each batch.
        data: The batches.
        order: Which example stands at which place.
    """

    def __init__(
        self,
        algorithm: Algorithm,
        data: TrainingData,
        order: TrainingOrder,
        distribution: Distribution,
        *,
        epochs: int,
        name: str = "",
        jit_compile: bool = False,
    ):
        """Prepare the stage.

        Args:
            algorithm: What happens to each batch.
            data: The batches.
            order: Which example stands at which place.
            distribution: The devices.
            epochs: How many it lasts.
            name: The part of the network that it trains.
            jit_compile: Whether steps are compiled by XLA.
        """
        super().__init__(algorithm.model, name=name, epochs=epochs, steps_per_epoch=order.steps_per_epoch)
        self.algorithm = algorithm
        self.order = order
        self.data, self._distribution = data, distribution
        self._train = StepLoop(distribution, algorithm.train, jit_compile=jit_compile)
        self._evaluate = StepLoop(distribution, algorithm.evaluate, jit_compile=jit_compile)
        self._batches: Any = None

    @property
    def variables(self) -> dict[str, list[Any]]:
        return self.algorithm.variables

    @property
    def fitting(self) -> int:
        return self._train.fitting

    def batches(self, first_step: int) -> Any:
        """Return this process's parts of the batches from a step of the training to the end of the stage."""
        return self.data.training(self.order, range(first_step - self.first_step, self.last_step - self.first_step))

    def build(self) -> None:
        _, targets, _ = self.batches(self.first_step).element_spec
        self.algorithm.build(targets)

    def open(self, step: int) -> None:
        if step == self.first_step:
            self.algorithm.initialize_from_data(self.data.first())
        self._batches = self._distribution.iterator(self.batches(step))

    def run(self, count: int) -> int:
        with self._distribution.translate_worker_errors():
            self._train(self._batches, count)
        return count

    def validate(self) -> dict[str, float]:
        return self._figures_of("validation")

    def train_metrics_at_epoch_end(self, validated: dict[str, float]) -> dict[str, float]:
        if not self.algorithm.train_metrics_at_epoch_end:
            return {}
        again = self._figures_of("train")
        figures = {name: again[name] for name in self.algorithm.train_metrics_at_epoch_end}
        return figures | {
            f"{name}_gap": validated[name] - again[name] for name in self.algorithm.train_metrics_at_epoch_end
        }

    def _figures_of(self, split: str) -> dict[str, float]:
        self.algorithm.reset()
        batches, steps = self.data.evaluation(split)
        with self._distribution.translate_worker_errors():
            self._evaluate.run_all(self._distribution.iterator(batches), steps)
        return self.algorithm.figures()

    def reset(self) -> None:
        self.algorithm.reset()

    def mean_loss(self) -> float:
        return self.algorithm.mean_loss()

    def figures(self) -> dict[str, float]:
        return self.algorithm.figures()

    def learning_rate(self) -> float:
        return learning_rate_of(self.algorithm.optimizer)


def learning_rate_of(optimizer: keras.optimizers.Optimizer) -> float:
    """Return the learning rate of the last step that was taken; a loss scale may have left some out."""
    schedule = schedule_of(optimizer)
    if schedule is not None:
        return float(schedule(max(0, int(np.asarray(optimizer.iterations)) - 1)))
    return float(str(np.asarray(optimizer.learning_rate)))  # 0.001 as float32, not its nearest double


def in_turn(stages: list[Stage]) -> tuple[Stage, ...]:
    """Let each stage begin where the one before it ends."""
    for before, stage in itertools.pairwise(stages):
        stage.first_epoch, stage.first_step = before.last_epoch, before.last_step
    return tuple(stages)


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


def labeled_examples(template: Template, examples: int) -> np.ndarray | None:
    """Return the training examples whose label is used, ascending; None for all.

    Raises:
        ValueError: If there are not as many.
    """
    labels = template.train.num_labeled
    if labels is None:
        return None
    if labels > examples:
        raise ValueError(
            f"`train.num_labeled` must be at most the number of training examples, {examples}. Received: {labels}. "
            "Leave it out to use all."
        )
    drawn = np.random.default_rng(template.dataset.split_seed).permutation(examples)
    return np.sort(drawn[:labels])
