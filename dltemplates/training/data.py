"""The batches of a training, for its stages and its validation."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import tensorflow as tf

from dltemplates.datasets.pipeline import Shard, TrainingOrder, evaluation_batches, training_batches
from dltemplates.datasets.source import Dataset, Source
from dltemplates.tasks.task import Task
from dltemplates.train_settings import Augment

EVALUATION_BATCH = 256
MAX_FIRST_EXAMPLES = 10_000  # training examples that an algorithm may read before the first step


@dataclass(frozen=True)
class TrainingData:
    """A dataset as batches, on the devices of one process.

    Attributes:
        dataset: The data, adapted to the task.
        task: The task, which builds the batches.
        augment: Random augmentation of the training images.
        class_weights: Weight of each class, or None.
        shard: The parts of each batch that this process prepares.
    """

    dataset: Dataset
    task: Task
    augment: Augment
    class_weights: np.ndarray | None
    shard: Shard
    _evaluations: dict[str, tuple[tf.data.Dataset, int]] = field(default_factory=dict, init=False, repr=False)

    @cached_property
    def monitor_subset(self) -> Source:
        """The validation examples of the monitored metric."""
        return self.task.monitor_subset(self.dataset.split("validation"))

    def training(self, order: TrainingOrder, steps: range) -> tf.data.Dataset:
        """Return this process's parts of the batches of a range of steps."""
        return training_batches(
            self.dataset.split("train"),
            self.dataset.spec,
            order,
            steps=steps,
            batch=self.task.batch,
            augment=self.augment,
            class_weights=self.class_weights,
            shard=self.shard,
        )

    def evaluation(self, split: str) -> tuple[tf.data.Dataset, int]:
        """Return this process's batches of a split, at most `len(monitor_subset)` examples, and the number of steps."""
        if split not in self._evaluations:  # built once: for a small network, building takes longer than evaluating
            self._evaluations[split] = self._evaluation(split)
        return self._evaluations[split]

    def _evaluation(self, split: str) -> tuple[tf.data.Dataset, int]:
        parts = self.shard.parts
        batches = evaluation_batches(
            self.monitor_subset if split == "validation" else self.dataset.split(split),
            self.dataset.spec,
            batch_size=max(1, EVALUATION_BATCH // parts) * parts,
            batch=self.task.batch,
            shard=self.shard,
            max_examples=len(self.monitor_subset),
        )
        return batches, int(batches.cardinality()) // len(self.shard.own)

    def first(self) -> tf.data.Dataset:
        """Return the first training examples, the same on every worker."""
        source = self.dataset.split("train")
        options: Any = {"batch_size": EVALUATION_BATCH, "batch": self.task.batch, "max_examples": MAX_FIRST_EXAMPLES}
        return evaluation_batches(source, self.dataset.spec, **options)
