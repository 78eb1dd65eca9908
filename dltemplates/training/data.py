"""The batches of a training: what each stage and each validation reads."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import tensorflow as tf

from dltemplates.datasets.pipeline import Shard, TrainingOrder, evaluation_batches, training_batches
from dltemplates.datasets.source import Dataset, Source
from dltemplates.settings import Augment
from dltemplates.tasks.task import Task

EVALUATION_BATCH = 256
LOOKED_AT = 10_000  # training examples, before the first step of an algorithm that asks for them


@dataclass(frozen=True)
class TrainingData:
    """A dataset as batches, on the devices of one process.

    Attributes:
        dataset: The data as the task looks at it.
        task: Makes the batches.
        augment: Random changes of the training images.
        class_weights: Weight of each class, or None.
        shard: Which parts of each batch are made here.
    """

    dataset: Dataset
    task: Task
    augment: Augment
    class_weights: np.ndarray | None
    shard: Shard

    @cached_property
    def monitor_subset(self) -> Source:
        """The examples of the validation split of which the monitored figure is taken."""
        return self.task.monitor_subset(self.dataset.split("validation"))

    def training(self, order: TrainingOrder, steps: range) -> tf.data.Dataset:
        """Return this process's parts of the batches of some steps of a stage."""
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
        """Return this process's parts of a split, no more of it than is watched, and how many steps they make."""
        parts = self.shard.parts
        batches = evaluation_batches(
            self.monitor_subset if split == "validation" else self.dataset.split(split),
            self.dataset.spec,
            batch_size=max(1, EVALUATION_BATCH // parts) * parts,
            batch=self.task.batch,
            shard=self.shard,
            most=len(self.monitor_subset),
        )
        return batches, int(batches.cardinality()) // len(self.shard.own)

    def first(self) -> tf.data.Dataset:
        """Return the first training examples, the same on every worker."""
        source = self.dataset.split("train")
        options: Any = {"batch_size": EVALUATION_BATCH, "batch": self.task.batch, "most": LOOKED_AT}
        return evaluation_batches(source, self.dataset.spec, **options)
