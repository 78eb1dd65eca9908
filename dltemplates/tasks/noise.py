"""Noise on the examples that a network is judged by, the same at every look."""

from __future__ import annotations

import numpy as np

from dltemplates.datasets.source import ALL, Arrays, Dataset, Mapped, Source

CLEAN = "clean"
JUDGED = ("validation", "test", ALL)


def noisy(dataset: Dataset, noise: float) -> Dataset:
    """The dataset whose target is its input, without the noise that all splits but train have: there, training adds it.

    The noise is Gaussian, drawn from each example's index. The input as it is given, with its noise, is a second
    target: what was given tells how much of the noise is gone.

    Args:
        dataset: Of one input.
        noise: Its standard deviation, of values between 0 and 1, or of mean 0 and deviation 1. Of an image, what is
            then darker than black or brighter than white is cut off.
    """
    (value,) = dataset.spec.inputs
    if not noise:
        return Dataset(dataset.spec.model_copy(update={"targets": (value,)}), dataset.splits)
    target = value.model_copy(update={"name": CLEAN})

    def keep(arrays: Arrays, _: np.ndarray) -> Arrays:
        return arrays | {CLEAN: arrays[value.name]}

    def disturb(arrays: Arrays, indices: np.ndarray) -> Arrays:
        clean = arrays[value.name]
        draws = np.stack([np.random.default_rng(int(index)).normal(size=clean.shape[1:]) for index in indices])
        if value.kind == "image":
            made = np.clip(clean + 255 * noise * draws, 0, 255)
        else:
            made = clean + np.array(value.std) * noise * draws
        return arrays | {CLEAN: clean, value.name: made.astype(np.float32)}

    splits: dict[str, Source] = {
        split: Mapped(source, disturb if split in JUDGED else keep) for split, source in dataset.splits.items()
    }
    return Dataset(dataset.spec.model_copy(update={"targets": (target, value)}), splits)
