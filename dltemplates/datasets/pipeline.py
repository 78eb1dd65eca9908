"""From sources to batches: the only place that shuffles, augments, weighs, batches and prefetches.

The order of training is a pure function of `(seed, epoch, position)`, augmentation one of `(seed, step, place in the
batch)`. So a training's place in its data is its step number, and to resume is to begin at that step.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import tensorflow as tf

from dltemplates.datasets.augment import DRAWS, augment_images
from dltemplates.datasets.source import Source
from dltemplates.datasets.spec import DatasetSpec, Value
from dltemplates.settings import Augment


@dataclass(frozen=True)
class TrainingOrder:
    """Which example stands at which place of an endless training.

    The stream of positions runs on over the ends of epochs, so every batch is full and every example is seen once in
    `examples` positions.

    Attributes:
        examples: Number of training examples.
        batch_size: Examples per step, at most `examples`.
        seed: The template's seed.
    """

    examples: int
    batch_size: int
    seed: int

    def indices(self, step: tf.Tensor) -> tf.Tensor:
        """The examples of a step: (batch_size,) int64."""
        position = step * self.batch_size + tf.range(self.batch_size, dtype=tf.int64)
        epoch = position // self.examples
        columns = [tf.fill([self.batch_size], tf.constant(self.seed, tf.int64)), epoch, tf.zeros_like(epoch)]
        # tf.random.experimental.index_shuffle, which pads the seed along the wrong axis when there is one per index.
        return tf.raw_ops.RandomIndexShuffle(
            index=position % self.examples,
            seed=tf.stack(columns, axis=1),
            max_index=tf.constant(self.examples - 1, tf.int64),
        )

    def draws(self, step: tf.Tensor) -> tf.Tensor:
        """The numbers in [0, 1) that augment a step: (batch_size, DRAWS)."""
        return tf.random.stateless_uniform([self.batch_size, DRAWS], tf.stack([self.seed, step]))


def training_batches(
    source: Source,
    spec: DatasetSpec,
    order: TrainingOrder,
    *,
    steps: range,
    encode: Callable[[Any], Any],
    augment: Augment,
    class_weights: np.ndarray | None = None,
) -> tf.data.Dataset:
    """Make the batches of some steps of a training.

    Args:
        source: The training split.
        spec: Its spec.
        order: Which example stands where.
        steps: The steps to make.
        encode: Turns a batch of raw targets into what the loss takes.
        augment: Random changes of the images.
        class_weights: Weight of each class (classes,), for targets that are classes.

    Returns:
        `(inputs, targets, sample_weight)` for each step; images float32 or uint8, 0..255.
    """
    numbers = tf.data.Dataset.range(steps.start, steps.stop)
    examples = _examples(source, spec, numbers.map(order.indices), order.batch_size)
    (image,), (target,) = spec.inputs, spec.targets

    def finish(step, example):
        images, raw = example[image.name], example[target.name]
        if augment != Augment():
            images = augment_images(images, order.draws(step), augment)
        weight = tf.ones(tf.shape(raw)[:1]) if class_weights is None else tf.gather(class_weights, raw)
        return images, encode(raw), weight

    batches = tf.data.Dataset.zip(numbers, examples)
    return batches.map(finish, num_parallel_calls=tf.data.AUTOTUNE).prefetch(tf.data.AUTOTUNE)


def evaluation_batches(
    source: Source, spec: DatasetSpec, *, batch_size: int, encode: Callable[[Any], Any]
) -> tf.data.Dataset:
    """Make the batches of a whole split, in order: `(inputs, targets)`, the last one as long as what is left."""
    indices = tf.data.Dataset.range(len(source)).batch(batch_size)
    (image,), (target,) = spec.inputs, spec.targets
    examples = _examples(source, spec, indices, batch_size)
    examples = examples.apply(tf.data.experimental.assert_cardinality(-(-len(source) // batch_size)))
    return examples.map(lambda example: (example[image.name], encode(example[target.name]))).prefetch(tf.data.AUTOTUNE)


def _examples(source: Source, spec: DatasetSpec, indices: tf.data.Dataset, batch_size: int) -> tf.data.Dataset:
    """Read batches of indices, each example by itself and in parallel where the source has a TensorFlow reader."""
    if hasattr(source, "tensorflow_reader"):
        read_one = source.tensorflow_reader()
        return (
            indices.unbatch().map(read_one, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True).batch(batch_size)
        )

    values = {value.name: value for value in (*spec.inputs, *spec.targets)}
    sample = source.read(np.arange(1))
    names = list(values)

    def read(batch):
        arrays = tf.numpy_function(
            lambda rows: [source.read(rows)[name] for name in names],
            [batch],
            [sample[name].dtype for name in names],
            stateful=False,
        )
        return {name: _with_shape(array, values[name]) for name, array in zip(names, arrays, strict=True)}

    return indices.map(read, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True)


def _with_shape(array: tf.Tensor, value: Value) -> tf.Tensor:
    array.set_shape((None, *value.shape))
    return array
