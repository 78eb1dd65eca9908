"""From sources to batches: the only place that shuffles, augments, weighs, batches and prefetches.

The order of training is a pure function of `(seed, epoch, position)`, augmentation one of `(seed, step, place in the
batch)`. So a training's place in its data is its step number, and to resume is to begin at that step; and a part of a
batch is made without making the rest.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import tensorflow as tf

from dltemplates.datasets.augment.images import augment_images, by_name, count_draws
from dltemplates.datasets.augment.mixing import mix_images, mix_values
from dltemplates.datasets.augment.transform import CropFlip, is_spatial
from dltemplates.datasets.reading import read_batches
from dltemplates.datasets.source import Source
from dltemplates.datasets.spec import DatasetSpec, gives_back, image_of
from dltemplates.settings import Augment

AHEAD = 2  # batches that wait for the network
IMAGE_ONLY = ("crop_padding", "randaugment", "rotation", "mixup", "cutmix")  # move or mix the image alone

Example = dict[str, Any]


class MakeBatch(Protocol):
    """A function from the raw arrays of a batch to what a step takes: `Task.batch`."""

    def __call__(self, example: Example, *, training: bool) -> tuple[Any, Any, Any]:
        """Return inputs, targets and weights."""


@dataclass(frozen=True)
class Shard:
    """Which parts of each batch are made here: all batches are cut into equal parts, one for each replica.

    Attributes:
        parts: Into how many.
        own: Those made here, in turn: step 0's `own[0]`, step 0's `own[1]`, step 1's `own[0]`, and so on.
    """

    parts: int = 1
    own: range = range(1)

    def numbers(self, steps: range) -> range:
        """The numbers of the parts that are made here in some steps, counted from step 0."""
        return range(steps.start * len(self.own), steps.stop * len(self.own))

    def place(self, number: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """The step and the part that a number stands for."""
        return number // len(self.own), self.own.start + number % len(self.own) * self.own.step


@dataclass(frozen=True)
class TrainingOrder:
    """Which example stands at which place of an endless training.

    The stream of positions runs on over the ends of epochs, so every batch is full and every example is seen once in
    `examples` positions.

    Attributes:
        examples: Number of training examples.
        batch_size: Examples per step, at most `examples`.
        seed: The template's seed.
        only: The examples it is about, (examples,) int64, where they are not all.
    """

    examples: int
    batch_size: int
    seed: int
    only: np.ndarray | None = None

    @property
    def steps_per_epoch(self) -> int:
        """Steps in which every example is seen."""
        return math.ceil(self.examples / self.batch_size)

    def indices(self, step: tf.Tensor) -> tf.Tensor:
        """The examples of a step: (batch_size,) int64."""
        position = step * self.batch_size + tf.range(self.batch_size, dtype=tf.int64)
        epoch = position // self.examples
        columns = [tf.fill([self.batch_size], tf.constant(self.seed, tf.int64)), epoch, tf.zeros_like(epoch)]
        # tf.random.experimental.index_shuffle, which pads the seed along the wrong axis when there is one per index.
        places = tf.raw_ops.RandomIndexShuffle(
            index=position % self.examples,
            seed=tf.stack(columns, axis=1),
            max_index=tf.constant(self.examples - 1, tf.int64),
        )
        return places if self.only is None else tf.gather(self.only, places)

    def draws(self, step: tf.Tensor, count: int) -> tf.Tensor:
        """The numbers in [0, 1) that augment a step: (batch_size, count)."""
        return tf.random.stateless_uniform([self.batch_size, count], tf.stack([self.seed, step]))


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
    """Make the batches of some steps of a training, or parts of each.

    Args:
        source: The training split.
        spec: Its spec.
        order: Which example stands where.
        steps: The steps to make.
        batch: Turns raw examples, their images augmented, into inputs, targets and weights: `Task.batch`.
        augment: Random changes of the images. A crop or a flip moves all that lies on an image, such as boxes; the
            other changes are of the first input alone.
        class_weights: Weight of each class (classes,), for targets that are classes.
        shard: Which parts of each batch are made here; they hold the very rows that the whole batch holds there.

    Returns:
        `(inputs, targets, weights)` for each step and part, as `batch` gives them; images float32 or uint8, 0..255.
        Weights have the structure of the targets, (batch,) or with further axes of a target.

    Raises:
        ValueError: If the batch cannot be cut into those parts, the targets cannot be mixed, or there is no image to
            augment, or something lies on the image that a change would not move.
    """
    image = image_of(spec)
    if image is None and augment != Augment():
        raise ValueError(
            "`train.augment` changes images. Received: data whose inputs are "
            f"{', '.join(value.name for value in spec.inputs)}. Leave it out."
        )
    _check_moves(spec, augment)
    mixes = bool(augment.mixup or augment.cutmix)
    rows = _rows(order.batch_size, shard.parts, mixes)
    if mixes:
        _check_mixable(batch, spec)
    crop_flip = CropFlip.of_training(image, augment) if image else None
    is_given_back = gives_back(spec)

    def part_of(number):
        """The indices and the draws of the rows of one part."""
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
        if not is_given_back:  # else the target is the mixed image itself
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
    most: int | None = None,
) -> tf.data.Dataset:
    """Make the batches of a whole split, in order, or parts of each.

    All are of one length: the last batch is filled up by its last example, which there has weight 0.

    Args:
        source: The split.
        spec: Its spec.
        batch_size: Examples per batch, rounded up to a multiple of the parts; of a smaller split, no more than it has.
        batch: Turns raw examples into inputs, targets and weights: `Task.batch`.
        shard: Which parts of each batch are made here.
        most: How many examples at most, evenly spread, since files come class by class; None for all.

    Returns:
        `(inputs, targets, weights)` for each batch and part, of known cardinality.
    """
    image = image_of(spec)
    examples = len(source) if most is None else min(most, len(source))
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


def weighted(made: tuple[Any, Any, Any], row_weights: tf.Tensor) -> tuple[Any, Any, Any]:
    """Multiply the weights of a batch by one weight for each example.

    Args:
        made: Inputs, targets and weights, as `Task.batch` gives them.
        row_weights: (batch,).

    Returns:
        Inputs, targets and weights; where there were no weights, `row_weights` for each of the targets.
    """
    inputs, targets, weights = made
    if weights is None:
        is_several = isinstance(targets, dict)
        return inputs, targets, dict.fromkeys(targets, row_weights) if is_several else row_weights

    def multiply(weight: tf.Tensor) -> tf.Tensor:
        return weight * tf.reshape(row_weights, [-1, *[1] * (len(weight.shape) - 1)])

    return inputs, targets, tf.nest.map_structure(multiply, weights)


def _batches(examples: tf.data.Dataset, numbers: range, finish: Callable[..., tuple]) -> tf.data.Dataset:
    """Finish the batches of those numbers."""
    batches = tf.data.Dataset.zip(tf.data.Dataset.range(numbers.start, numbers.stop), examples)
    batches = batches.map(finish, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True)
    return batches.apply(tf.data.experimental.assert_cardinality(len(numbers))).prefetch(AHEAD)


def _rows(batch_size: int, parts: int, mixes: bool) -> int:
    """The length of each part of a batch."""
    if batch_size % parts:
        raise ValueError(
            f"`train.batch_size` must be a multiple of the number of replicas. Received: {batch_size} for {parts}. "
            f"Try --set train.batch_size={parts * max(1, batch_size // parts)}."
        )
    rows = batch_size // parts
    if mixes and parts > 1 and rows % 2:
        raise ValueError(
            "`mixup` and `cutmix` pair neighbours, so each replica's part of a batch must be even. "
            f"Received: {batch_size} in {parts} parts of {rows}. Try --set train.batch_size={parts * (rows + 1)}."
        )
    return rows


def _check_moves(spec: DatasetSpec, augment: Augment) -> None:
    """Refuse what would move or mix the image, but not the boxes that lie on it."""
    lying = [*spec.inputs[1:], *(() if gives_back(spec) else spec.targets)]
    names = [feature.name for feature in lying if is_spatial(feature)]
    used = [setting for setting in IMAGE_ONLY if getattr(augment, setting)]
    if names and used:
        raise ValueError(
            f"{', '.join(f'`train.augment.{setting}`' for setting in used)} would change the image, but not what lies "
            f"on it. Received: data with {', '.join(names)}. Leave out {', '.join(used)}; `random_crop` and `flip` "
            "move all alike."
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
