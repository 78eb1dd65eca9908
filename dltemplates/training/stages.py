"""The stages of a training: each owns an algorithm and runs its steps."""

from __future__ import annotations

import itertools
import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any

import keras
import numpy as np

from dltemplates.compat import schedule_of
from dltemplates.datasets.padding import example_lengths
from dltemplates.datasets.pipeline import TrainingOrder
from dltemplates.datasets.source import Dataset
from dltemplates.template import Template
from dltemplates.training.algorithms.algorithm import Algorithm
from dltemplates.training.data import TrainingData
from dltemplates.training.speed.loop import StepLoop
from dltemplates.training.strategy import Distribution

Tick = Callable[[int, int], None]
"""Receiver of a preparation's progress: how many examples are done, and how many there are."""


def no_tick(done: int, total: int) -> None:
    """Ignore the progress."""


class Stage(ABC):
    """A part of a training with one algorithm.

    Attributes:
        model: The model to train, save and export.
        name: Name of the trained part of the network, and prefix of its metrics; empty for the whole network.
        steps: Number of steps.
        steps_per_epoch: Number of steps in each epoch; the last one may be shorter.
        epochs_per_validation: Number of epochs from one validation to the next; the last step is followed by one too.
        first_epoch: The stage's first epoch, counted from 0 over the whole training.
        first_step: The stage's first step, counted from 0 over the whole training.
        keeps_weights: Whether the weights after one of its epochs may be those of the run.
    """

    first_epoch = 0
    first_step = 0
    keeps_weights = False

    def __init__(
        self, model: keras.Model, *, name: str, steps: int, steps_per_epoch: int, epochs_per_validation: int = 1
    ):
        self.model = model
        self.name = name
        self.steps = steps
        self.steps_per_epoch = steps_per_epoch
        self.epochs_per_validation = epochs_per_validation

    @property
    def end_epoch(self) -> int:
        """The stage's end (exclusive), in epochs of the training."""
        return self.first_epoch + self.epochs_by(self.end_step)

    @property
    def end_step(self) -> int:
        """The stage's end (exclusive), in steps of the training."""
        return self.first_step + self.steps

    def epochs_by(self, step: int) -> int:
        """Return the number of epochs of this stage, begun or finished, by a step of the training."""
        return math.ceil((step - self.first_step) / self.steps_per_epoch)

    def steps_to_validation(self, step: int) -> int:
        """Return the number of steps from a step of the training to the next validation."""
        period = self.epochs_per_validation * self.steps_per_epoch
        return min(period - (step - self.first_step) % period, self.end_step - step)

    def follows_validation(self, step: int) -> bool:
        """Return whether the stage begins at a step of the training, or has just been validated."""
        return (step - self.first_step) % (self.epochs_per_validation * self.steps_per_epoch) == 0

    @property
    @abstractmethod
    def variables(self) -> dict[str, list[Any]]:
        """All variables to save for resuming, in groups; the group `model` holds the model's."""

    def build(self) -> None:
        """Create the variables that depend on the data's shapes, in the strategy's scope."""
        return  # an environment has no batches

    @property
    def description(self) -> str:
        """The layers that it trains, for messages."""
        return f"{self.name} alone" if self.name else "the whole network"

    @abstractmethod
    def open(self, step: int, tick: Tick = no_tick) -> None:
        """Prepare to run from a step of the training.

        Args:
            step: The step.
            tick: Called during long preparations; may raise `KeyboardInterrupt`.
        """

    @abstractmethod
    def run(self, count: int) -> int:
        """Run at most `count` steps, and return their number, at least 1."""

    @abstractmethod
    def validate(self) -> dict[str, float]:
        """Return the validation metrics of the current weights, including `loss`."""

    @abstractmethod
    def reset(self) -> None:
        """Reset the training metrics at the start of an epoch."""

    @abstractmethod
    def mean_loss(self) -> float:
        """Return the mean training loss since `reset`."""

    @abstractmethod
    def metrics(self) -> dict[str, float]:
        """Return the training metrics since `reset`, including `loss`."""

    @abstractmethod
    def learning_rate(self) -> float:
        """Return the learning rate of the last step."""

    @property
    def steps_per_call(self) -> int:
        """Number of steps to run per call of `run`."""
        return 1

    @property
    def can_resume(self) -> bool:
        """Whether a training can be resumed from this step."""
        return True

    def extra_state(self) -> bytes:
        """Return bytes that a checkpoint must hold besides the variables."""
        return b""

    def restore(self, state: bytes) -> None:
        """Restore the stage from the bytes of `extra_state`."""
        return  # most stages have only variables

    def train_metrics_at_epoch_end(self, validation_metrics: dict[str, float]) -> dict[str, float]:
        """Return further metrics that compare training with validation at the end of an epoch.

        Args:
            validation_metrics: The result of `validate`.
        """
        return {}

    def add_prefix(self, metrics: dict[str, float]) -> dict[str, float]:
        """Return metrics under their names in the history: prefixed with the stage's name."""
        return {f"{self.name}_{name}" if self.name else name: value for name, value in metrics.items()}


class DatasetStage(Stage):
    """A stage that trains on batches of a dataset.

    Attributes:
        algorithm: The algorithm to run on each batch.
        data: The batches.
        order: The order of the training examples.
    """

    def __init__(
        self,
        algorithm: Algorithm,
        data: TrainingData,
        order: TrainingOrder,
        distribution: Distribution,
        *,
        steps: int,
        epochs_per_validation: int = 1,
        name: str = "",
        jit_compile: bool = False,
    ):
        """Prepare the stage.

        Args:
            algorithm: The algorithm to run on each batch.
            data: The batches.
            order: The order of the training examples.
            distribution: The devices.
            steps: Number of steps.
            epochs_per_validation: Number of epochs from one validation to the next.
            name: Name of the trained part of the network; empty for the whole network.
            jit_compile: Compile the steps with XLA.
        """
        super().__init__(
            algorithm.model,
            name=name,
            steps=steps,
            steps_per_epoch=order.steps_per_epoch,
            epochs_per_validation=epochs_per_validation,
        )
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
    def steps_per_call(self) -> int:
        return self._train.steps_per_call

    def batches(self, first_step: int) -> Any:
        """Return this process's part of each batch, from a step of the training to the end of the stage."""
        return self.data.training(self.order, range(first_step - self.first_step, self.end_step - self.first_step))

    def build(self) -> None:
        _, targets, _ = self.batches(self.first_step).element_spec
        self.algorithm.build(targets)

    def open(self, step: int, tick: Tick = no_tick) -> None:
        if step == self.first_step:
            self.algorithm.initialize_from_data(self.data.first())
        self._batches = self._distribution.iterator(self.batches(step))

    def run(self, count: int) -> int:
        with self._distribution.translate_worker_errors():
            self._train(self._batches, count)
        return count

    def validate(self) -> dict[str, float]:
        return self._figures_of("validation")

    def train_metrics_at_epoch_end(self, validation_metrics: dict[str, float]) -> dict[str, float]:
        names = self.algorithm.train_metrics_at_epoch_end
        if not names:
            return {}
        train_metrics = self._figures_of("train")
        gaps = {f"{name}_gap": validation_metrics[name] - train_metrics[name] for name in names}
        return {name: train_metrics[name] for name in names} | gaps

    def _figures_of(self, split: str) -> dict[str, float]:
        self.algorithm.reset()
        batches, steps = self.data.evaluation(split)
        with self._distribution.translate_worker_errors():
            self._evaluate.run_all(self._distribution.iterator(batches), steps)
        return self.algorithm.metrics()

    def reset(self) -> None:
        self.algorithm.reset()

    def mean_loss(self) -> float:
        return self.algorithm.mean_loss()

    def metrics(self) -> dict[str, float]:
        return self.algorithm.metrics()

    def learning_rate(self) -> float:
        return learning_rate_of(self.algorithm.optimizer)


def learning_rate_of(optimizer: keras.optimizers.Optimizer) -> float:
    """Return the learning rate of the last step that was not skipped by loss scaling."""
    schedule = schedule_of(optimizer)
    if schedule is not None:
        return float(schedule(max(0, int(np.asarray(optimizer.iterations)) - 1)))
    return float(str(np.asarray(optimizer.learning_rate)))  # float32 0.001 as 0.001, not as 0.0010000000474974513


def chain_stages(stages: list[Stage]) -> tuple[Stage, ...]:
    """Let each stage begin where the one before it ends; the last one decides on the run's weights."""
    stages[-1].keeps_weights = True
    for before, stage in itertools.pairwise(stages):
        stage.first_epoch, stage.first_step = before.end_epoch, before.end_step
    return tuple(stages)


def make_order(template: Template, dataset: Dataset, only: np.ndarray | None = None) -> TrainingOrder:
    """Return the order of the training examples in a stage.

    Args:
        template: The template.
        dataset: The data; its training split has at least one batch, as `with_fitting_batch` ensures.
        only: Indices of the examples to use; None for all.
    """
    train = dataset.split("train")
    lengths = example_lengths(train, dataset.spec)
    examples = len(train) if only is None else len(only)
    return TrainingOrder(examples, template.train.batch_size, template.seed, only, lengths)


def labeled_examples(template: Template, examples: int) -> np.ndarray | None:
    """Return the sorted indices of the training examples whose label is used; None for all.

    Raises:
        ValueError: If `train.num_labeled` is larger than `examples`.
    """
    num_labeled = template.train.num_labeled
    if num_labeled is None:
        return None
    if num_labeled > examples:
        raise ValueError(
            f"`train.num_labeled` must be at most the number of training examples, {examples}. "
            f"Received: {num_labeled}. Leave it out to use all."
        )
    shuffled = np.random.default_rng(template.dataset.split_seed).permutation(examples)
    return np.sort(shuffled[:num_labeled])
