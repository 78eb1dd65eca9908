"""Training batches in NumPy, without TensorFlow, for `tools/train_jax.py`: order, augmentation and weights."""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Iterator
from typing import Any

import numpy as np

from dltemplates.train_settings import Augment

SHUFFLE, AUGMENT = 0, 1  # independent random streams of one seed


def flip(images: np.ndarray, draws: np.ndarray, amount: float) -> np.ndarray:
    return np.where(draws[:, 0, None, None, None] < 0.5, images[:, :, ::-1], images)


def crop(images: np.ndarray, draws: np.ndarray, amount: int) -> np.ndarray:
    height, width = images.shape[1:3]
    padded = np.pad(images, ((0, 0), (amount, amount), (amount, amount), (0, 0)))
    corners = (draws[:, 1:3] * (2 * amount + 1)).astype(int)
    places = zip(padded, corners, strict=True)
    return np.stack([image[row : row + height, column : column + width] for image, (row, column) in places])


def rotate(images: np.ndarray, draws: np.ndarray, amount: float) -> np.ndarray:
    from scipy.ndimage import affine_transform

    middle = (np.array(images.shape[1:]) - 1) / 2
    turned = np.empty_like(images)
    for image, angle, out in zip(images, (2 * draws[:, 3] - 1) * (amount * math.pi / 180), turned, strict=True):
        cosine, sine = math.cos(angle), math.sin(angle)
        matrix = np.array([[cosine, sine, 0], [-sine, cosine, 0], [0, 0, 1]])
        affine_transform(image, matrix, middle - matrix @ middle, output=out, order=1, mode="grid-constant")
    return turned


def brighten(images: np.ndarray, draws: np.ndarray, amount: float) -> np.ndarray:
    return np.clip(images + ((2 * draws[:, 4] - 1) * (amount * 255))[:, None, None, None], 0, 255)


def change_contrast(images: np.ndarray, draws: np.ndarray, amount: float) -> np.ndarray:
    mean = images.mean(axis=(1, 2, 3), keepdims=True)
    return np.clip((images - mean) * (1 + (2 * draws[:, 5] - 1) * amount)[:, None, None, None] + mean, 0, 255)


AUGMENTATIONS = {  # in the order of dltemplates/datasets/augment/images.py, which needs TensorFlow
    "flip": flip,
    "crop_padding": crop,
    "rotation": rotate,
    "brightness": brighten,
    "contrast": change_contrast,
}


def augment_images(images: np.ndarray, draws: np.ndarray, settings: Augment) -> np.ndarray:
    """Augment images (batch, height, width, channels), 0..255, with random numbers in [0, 1), (batch, 6); float32."""
    images = images.astype(np.float32)
    for name, change in AUGMENTATIONS.items():
        if amount := getattr(settings, name):
            images = change(images, draws.astype(np.float32), amount).astype(np.float32)
    return images


def check_augment(settings: Augment) -> None:
    """Check that NumPy has all augmentations.

    Raises:
        ValueError: If one is missing; the message names it.
    """
    requested = {name for name, value in settings if value != Augment.model_fields[name].default}
    if unknown := sorted(requested - set(AUGMENTATIONS)):
        raise ValueError(
            f"Without TensorFlow, `train.augment` can be {', '.join(AUGMENTATIONS)}. Received: {', '.join(unknown)}. "
            f"Set it to its default: --set train.augment.{unknown[0]}=..."
        )


def order_of_steps(examples: int, batch_size: int, seed: int) -> Iterator[np.ndarray]:
    """Yield the example indices of each step, endlessly: full batches, each example once per epoch, epochs joined."""

    @functools.lru_cache(maxsize=2)
    def shuffled(epoch: int) -> np.ndarray:
        return np.random.default_rng((seed, SHUFFLE, epoch)).permutation(examples)

    for step in itertools.count():
        positions = range(step * batch_size, (step + 1) * batch_size)
        yield np.array([shuffled(position // examples)[position % examples] for position in positions])


def training_batches(dataset, task, template) -> Iterator[tuple[np.ndarray, Any, np.ndarray]]:
    """Yield `(images, targets, sample_weight)` endlessly, determined by the template's seed."""
    (image,), (target,) = dataset.spec.inputs, dataset.spec.targets
    source, settings = dataset.split("train"), template.train
    weights = class_weights(target, settings.class_weight)
    for step, indices in enumerate(order_of_steps(len(source), settings.batch_size, template.seed)):
        examples = source.read(indices)
        images, raw = examples[image.name], examples[target.name]
        if settings.augment != Augment():
            draws = np.random.default_rng((template.seed, AUGMENT, step)).random((len(indices), 6))
            images = augment_images(images, draws, settings.augment)
        weight = np.ones(len(raw), np.float32) if weights is None else weights[raw]
        yield images, np.asarray(task.encode(raw)), weight


def class_weights(target, setting: str) -> np.ndarray | None:
    """Return weights that balance the classes, or None where the template sets `none`.

    Raises:
        ValueError: If the targets are not classes.
    """
    if setting == "none":
        return None
    if target.kind != "class" or target.counts is None:
        raise ValueError(
            f"`train.class_weight` needs one class per example. Received: targets of kind `{target.kind}`. "
            "Try --set train.class_weight=none."
        )
    counts = np.array(target.counts, np.float32)
    return counts.sum() / (len(counts) * counts)
