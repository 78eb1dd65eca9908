"""From sources to batches: the only place that shuffles, augments, weighs, batches and prefetches.

The order of training is a pure function of `(seed, epoch, position)`, augmentation one of `(seed, step, place in the
batch)`. So a training's place in its data is its step number, and to resume is to begin at that step; and a part of a
batch is made without making the rest.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import tensorflow as tf

from dltemplates.datasets.augment import augment_images, by_name, count_draws
from dltemplates.datasets.mixing import mix
from dltemplates.datasets.reading import read_batches
from dltemplates.datasets.source import Source
from dltemplates.datasets.spec import DatasetSpec, Value, gives_back, image_of
from dltemplates.datasets.view import View
from dltemplates.settings import Augment

AHEAD = 2  # batches that wait for the network


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
    encode: Callable[[Any], Any],
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
        encode: Turns a batch of raw targets into what the loss takes.
        augment: Random changes of the images; of other inputs there are none. An image that is to be given back is its
            own target as it was changed.
        class_weights: Weight of each class (classes,), for targets that are classes.
        shard: Which parts of each batch are made here; they hold the very rows that the whole batch holds there.

    Returns:
        `(inputs, targets, sample_weight)` for each step and part; images float32 or uint8, 0..255. Several inputs come
        as a dictionary, by name.

    Raises:
        ValueError: If the batch cannot be cut into those parts, the targets cannot be mixed, or there is no image to
            augment.
    """
    image, target = image_of(spec), spec.targets[0]
    if image is None and augment != Augment():
        raise ValueError(
            "`train.augment` changes images. Received: data whose inputs are "
            f"{', '.join(value.name for value in spec.inputs)}. Leave it out."
        )
    mixes = bool(augment.mixup or augment.cutmix)
    rows = _rows(order.batch_size, shard.parts, mixes)
    if mixes:
        _check_mixable(encode, target)
    view = View.of_training(image, augment) if image else None
    is_given_back = gives_back(spec)

    def part_of(number):
        """The indices and the draws of the rows of one part."""
        step, part = shard.place(number)
        own = slice(part * rows, (part + 1) * rows)
        return order.indices(step)[own], order.draws(step, count_draws(augment))[own]

    def plan(number):
        indices, draws = part_of(number)
        return indices, view.places(by_name(draws)) if view else None

    def finish(number, example):
        inputs, raw = inputs_of(spec, example), example[target.name]
        targets = encode(raw)
        weight = tf.ones(tf.shape(raw)[:1]) if class_weights is None else tf.gather(class_weights, raw)
        if image is None:
            return inputs, targets, weight
        _, draws = part_of(number)
        inputs = augment_images(inputs, draws, augment)
        if mixes:
            inputs, targets, weight = mix(inputs, targets, weight, draws, augment)
        if is_given_back:
            targets = encode(inputs)
        return inputs, targets, weight

    return _batches(
        read_batches(source, spec, shard.numbers(steps), plan, view, rows=rows), shard.numbers(steps), finish
    )


def evaluation_batches(
    source: Source,
    spec: DatasetSpec,
    *,
    batch_size: int,
    encode: Callable[[Any], Any],
    shard: Shard = Shard(),
    most: int | None = None,
) -> tf.data.Dataset:
    """Make the batches of a whole split, in order, or parts of each.

    All are of one length: the last batch is filled up by its last example, which there has weight 0.

    Args:
        source: The split.
        spec: Its spec.
        batch_size: Examples per batch, rounded up to a multiple of the parts; of a smaller split, no more than it has.
        encode: Turns a batch of raw targets into what the loss takes.
        shard: Which parts of each batch are made here.
        most: How many examples at most, evenly spread, since files come class by class; None for all.

    Returns:
        `(inputs, targets, sample_weight)` for each batch and part, of known cardinality.
    """
    image, target = image_of(spec), spec.targets[0]
    examples = len(source) if most is None else min(most, len(source))
    rows = math.ceil(min(batch_size, examples) / shard.parts)
    steps = range(math.ceil(examples / (rows * shard.parts)))
    view = View.whole(image) if image else None

    def positions(number):
        step, part = shard.place(number)
        return (step * shard.parts + part) * rows + tf.range(rows, dtype=tf.int64)

    def plan(number):
        return tf.minimum(positions(number), examples - 1) * len(source) // examples, tf.zeros([rows, 3], tf.int32)

    def finish(number, example):
        weight = tf.cast(positions(number) < examples, tf.float32)
        return inputs_of(spec, example), encode(example[target.name]), weight

    return _batches(
        read_batches(source, spec, shard.numbers(steps), plan, view, rows=rows), shard.numbers(steps), finish
    )


def inputs_of(spec: DatasetSpec, example: dict[str, Any]) -> Any:
    """What a model is given of an example: its one input, or a dictionary of them."""
    inputs = {value.name: example[value.name] for value in spec.inputs}
    return inputs if len(inputs) > 1 else next(iter(inputs.values()))


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


def _check_mixable(encode: Callable[[Any], Any], target: Value) -> None:
    encoded = encode(tf.zeros([2, *target.shape], target.dtype))
    for part in tf.nest.flatten(encoded):
        if not tf.as_dtype(part.dtype).is_floating:
            raise ValueError(
                "`mixup` and `cutmix` mix targets, which must be encoded as floats. "
                f"Received: {tf.as_dtype(part.dtype).name} for a target of kind `{target.kind}`. "
                "Leave `train.augment.mixup` and `train.augment.cutmix` at 0."
            )
