"""The input pipeline, from sources to batches: the only place that shuffles, augments, weights, batches and prefetches.

The order of training is a pure function of `(seed, epoch, position)`, buckets of sequences by length one of `(seed,
window of batches)`, and augmentation one of `(seed, step, position in the batch)`. So the step number is the only data
state: training resumes by starting at its step, and each replica's part of a batch can be built alone.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import tensorflow as tf

from dltemplates.datasets.augment.images import augment_images, by_name, count_draws
from dltemplates.datasets.augment.mixing import mix_images, mix_values
from dltemplates.datasets.augment.transform import CropFlip, is_spatial
from dltemplates.datasets.reading import read_batches
from dltemplates.datasets.source import Source
from dltemplates.datasets.spec import DatasetSpec, image_of, reconstructs_input
from dltemplates.train_settings import Augment

AHEAD = 2  # prefetched batches
BUCKETS = 32  # batches that share their examples, sorted by length: more save little padding
IMAGE_ONLY = ("crop_padding", "randaugment", "rotation", "mixup", "cutmix")  # change the image, but not its boxes

Example = dict[str, Any]


class MakeBatch(Protocol):
    """A function from the raw arrays of a batch to the inputs of a training step: `Task.batch`."""

    def __call__(self, example: Example, *, training: bool) -> tuple[Any, Any, Any]:
        """Return inputs, targets and weights."""


@dataclass(frozen=True)
class Shard:
    """The parts of each batch to build in this process: each replica gets an equal part.

    Attributes:
        parts: Number of parts in a batch.
        own: Parts to build here, in order: step 0's `own[0]`, step 0's `own[1]`, step 1's `own[0]`, and so on.
    """

    parts: int = 1
    own: range = range(1)

    def numbers(self, steps: range) -> range:
        """Return the numbers of this process's parts in some steps, counted from step 0."""
        return range(steps.start * len(self.own), steps.stop * len(self.own))

    def place(self, number: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Return the step and the part with a number, one of `numbers`."""
        return number // len(self.own), self.own.start + number % len(self.own) * self.own.step


@dataclass(frozen=True)
class TrainingOrder:
    """The order of examples in an endless training.

    The stream of positions crosses the ends of epochs. So every batch is full, and every `examples` positions hold
    each example once.

    Attributes:
        examples: Number of training examples.
        batch_size: Examples per step, at most `examples`.
        seed: The template's seed.
        only: Indices of the training examples in the source, (examples,) int64; None for all.
        lengths: Length of each example of the source, (n,), to put sequences of similar lengths into one batch; None if
            all have one length.
    """

    examples: int
    batch_size: int
    seed: int
    only: np.ndarray | None = None
    lengths: np.ndarray | None = None

    @property
    def steps_per_epoch(self) -> int:
        """Number of steps that cover every example."""
        return math.ceil(self.examples / self.batch_size)

    def indices(self, step: tf.Tensor) -> tf.Tensor:
        """Return the indices of a step's examples: (batch_size,) int64.

        With lengths, the examples of some batches in a row are sorted by length, cut into batches again, and these are
        shuffled.
        """
        if self.lengths is None:
            return self._shuffled(step * self.batch_size + tf.range(self.batch_size, dtype=tf.int64))
        batches = max(1, min(BUCKETS, self.examples // self.batch_size))  # at most an epoch
        window = step // batches
        size = batches * self.batch_size
        indices = self._shuffled(window * size + tf.range(size, dtype=tf.int64))
        ordered = tf.gather(indices, tf.argsort(tf.gather(self.lengths, indices), stable=True))
        place = _shuffle((step % batches)[None], batches, [self.seed, window[None], tf.ones([1], tf.int64)])
        return tf.reshape(ordered, [batches, self.batch_size])[place[0]]

    def _shuffled(self, position: tf.Tensor) -> tf.Tensor:
        """Return the index of the example at each position (n,) of the training."""
        epoch = position // self.examples
        places = _shuffle(position % self.examples, self.examples, [self.seed, epoch, tf.zeros_like(epoch)])
        return places if self.only is None else tf.gather(self.only, places)

    def draws(self, step: tf.Tensor, count: int) -> tf.Tensor:
        """Draw the numbers in [0, 1) that augment a step: (batch_size, count)."""
        return tf.random.stateless_uniform([self.batch_size, count], tf.stack([self.seed, step]))


def _shuffle(index: tf.Tensor, count: int, seed: Sequence[Any]) -> tf.Tensor:
    """Return the places of some indices (n,) in a shuffle of `count`.

    Args:
        index: The indices.
        count: The number of shuffled places.
        seed: A number, and two for each index, (n,).
    """
    # As tf.random.experimental.index_shuffle, which pads the seed along the wrong axis when each index has its own.
    columns = [tf.fill(index.shape, tf.constant(seed[0], tf.int64)), *seed[1:]]
    return tf.raw_ops.RandomIndexShuffle(
        index=index, seed=tf.stack(columns, axis=1), max_index=tf.constant(count - 1, tf.int64)
    )


def training_batches(
    source: Source,
    spec: DatasetSpec,
    order: TrainingOrder,
    *,
    steps: range,
    batch: MakeBatch,
    augment: Augment,
    class_weights: np.ndarray | None = None,
    shard: Shard = Shard(),
) -> tf.data.Dataset:
    """Build the training batches of some steps, or parts of them.

    Args:
        source: The training split.
        spec: Its spec.
        order: The order of the examples.
        steps: The steps to build.
        batch: Function from raw examples, with augmented images, to inputs, targets and weights: `Task.batch`.
        augment: Random changes of images. A crop or a flip also moves everything that lies on an image, such as boxes;
            other changes affect the first input alone.
        class_weights: Weight of each class, (classes,), for class targets.
        shard: The parts of each batch to build here; they hold exactly the rows of the whole batch at their positions.

    Returns:
        `(inputs, targets, weights)` for each step and part, as `batch` returns them; images are float32 or uint8,
        0..255. Weights have the structure of the targets, each (batch,) or with further axes of its target.

    Raises:
        ValueError: If the batch does not divide into the parts, the targets cannot be mixed, there is no image to
            augment, or a change would not move something that lies on the image.
    """
    image = image_of(spec)
    if image is None and augment != Augment():
        raise ValueError(
            "`train.augment` changes images. Received: data with the inputs "
            f"{', '.join(value.name for value in spec.inputs)}. Leave it out."
        )
    _check_moves(spec, augment)
    mixes = bool(augment.mixup or augment.cutmix)
    rows = _rows(order.batch_size, shard.parts, mixes)
    if mixes:
        _check_mixable(batch, spec)
    crop_flip = CropFlip.of_training(image, augment) if image else None
    reconstructs = reconstructs_input(spec)

    def part_of(number):
        """Return the indices and the draws of one part's rows."""
        step, part = shard.place(number)
        own = slice(part * rows, (part + 1) * rows)
        return order.indices(step)[own], order.draws(step, count_draws(augment))[own]

    def plan(number):
        indices, draws = part_of(number)
        return indices, crop_flip.draw(by_name(draws)) if crop_flip else None

    def finish(number, example):
        row_weights = tf.ones([rows])
        if class_weights is not None:
            row_weights = tf.gather(class_weights, example[spec.targets[0].name])
        if image is None:
            return weighted(batch(example, training=True), row_weights)
        _, draws = part_of(number)
        images = augment_images(example[image.name], draws, augment)
        if not mixes:
            return weighted(batch({**example, image.name: images}, training=True), row_weights)
        images, share = mix_images(images, draws, augment)
        inputs, targets, weights = weighted(batch({**example, image.name: images}, training=True), row_weights)
        if not reconstructs:  # otherwise the target is the mixed image itself
            targets = mix_values(targets, share)
        return inputs, targets, mix_values(weights, share)

    return _batches(
        read_batches(source, spec, shard.numbers(steps), plan, crop_flip, rows=rows), shard.numbers(steps), finish
    )


def evaluation_batches(
    source: Source,
    spec: DatasetSpec,
    *,
    batch_size: int,
    batch: MakeBatch,
    shard: Shard = Shard(),
    max_examples: int | None = None,
) -> tf.data.Dataset:
    """Build the batches of a whole split, in order, or parts of them.

    All batches have one length. Copies of the last example, with weight 0, fill up the last batch.

    Args:
        source: The split.
        spec: Its spec.
        batch_size: Examples per batch, rounded up to a multiple of the parts; at most the size of the split.
        batch: Function from raw examples to inputs, targets and weights: `Task.batch`.
        shard: The parts of each batch to build here.
        max_examples: Maximum number of examples, evenly spread, because files are sorted by class; None for all.

    Returns:
        `(inputs, targets, weights)` for each batch and part, of known cardinality.
    """
    image = image_of(spec)
    examples = len(source) if max_examples is None else min(max_examples, len(source))
    rows = math.ceil(min(batch_size, examples) / shard.parts)
    steps = range(math.ceil(examples / (rows * shard.parts)))
    crop_flip = CropFlip.whole(image) if image else None

    def positions(number):
        step, part = shard.place(number)
        return (step * shard.parts + part) * rows + tf.range(rows, dtype=tf.int64)

    def plan(number):
        return tf.minimum(positions(number), examples - 1) * len(source) // examples, tf.zeros([rows, 3], tf.int32)

    def finish(number, example):
        return weighted(batch(example, training=False), tf.cast(positions(number) < examples, tf.float32))

    return _batches(
        read_batches(source, spec, shard.numbers(steps), plan, crop_flip, rows=rows), shard.numbers(steps), finish
    )


def weighted(batch: tuple[Any, Any, Any], row_weights: tf.Tensor) -> tuple[Any, Any, Any]:
    """Multiply the weights of a batch by one weight per example.

    Args:
        batch: Inputs, targets and weights, as `Task.batch` returns them.
        row_weights: (batch,).

    Returns:
        Inputs, targets and weights; if `batch` has no weights, `row_weights` for each target.
    """
    inputs, targets, weights = batch
    if weights is None:
        is_several = isinstance(targets, dict)
        return inputs, targets, dict.fromkeys(targets, row_weights) if is_several else row_weights

    def multiply(weight: tf.Tensor) -> tf.Tensor:
        return weight * tf.reshape(row_weights, [-1, *[1] * (len(weight.shape) - 1)])

    return inputs, targets, tf.nest.map_structure(multiply, weights)


def _batches(examples: tf.data.Dataset, numbers: range, finish: Callable[..., tuple]) -> tf.data.Dataset:
    """Apply `finish` to each batch, and prefetch."""
    batches = tf.data.Dataset.zip(tf.data.Dataset.range(numbers.start, numbers.stop), examples)
    batches = batches.map(finish, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True)
    return batches.apply(tf.data.experimental.assert_cardinality(len(numbers))).prefetch(AHEAD)


def _rows(batch_size: int, parts: int, mixes: bool) -> int:
    """Return the rows per part of a batch."""
    if batch_size % parts:
        raise ValueError(
            f"`train.batch_size` must be a multiple of the number of replicas. Received: {batch_size} for {parts}. "
            f"Try --set train.batch_size={parts * max(1, batch_size // parts)}."
        )
    rows = batch_size // parts
    if mixes and parts > 1 and rows % 2:
        raise ValueError(
            "`mixup` and `cutmix` mix neighbouring rows, so each replica's part of a batch must be even. "
            f"Received: {batch_size} in {parts} parts of {rows}. Try --set train.batch_size={parts * (rows + 1)}."
        )
    return rows


def _check_moves(spec: DatasetSpec, augment: Augment) -> None:
    """Refuse changes that would move or mix the image but not the boxes on it."""
    others = [*spec.inputs[1:], *(() if reconstructs_input(spec) else spec.targets)]
    names = [feature.name for feature in others if is_spatial(feature)]
    used = [setting for setting in IMAGE_ONLY if getattr(augment, setting)]
    if names and used:
        raise ValueError(
            f"{', '.join(f'`train.augment.{setting}`' for setting in used)} would change the image, but not the fields "
            f"on it. Received: data with {', '.join(names)}. Leave out {', '.join(used)}; `random_crop` and `flip` "
            "move all of them."
        )


def _check_mixable(batch: MakeBatch, spec: DatasetSpec) -> None:
    example = {value.name: tf.zeros([2, *value.shape], value.dtype) for value in (*spec.inputs, *spec.targets)}
    _, targets, _ = batch(example, training=True)
    for part in tf.nest.flatten(targets):
        if not tf.as_dtype(part.dtype).is_floating:
            raise ValueError(
                "`mixup` and `cutmix` mix targets, which must be encoded as floats. Received: "
                f"{tf.as_dtype(part.dtype).name} for a target of kind `{spec.targets[0].kind}`. "
                "Leave `train.augment.mixup` and `train.augment.cutmix` at 0."
            )
