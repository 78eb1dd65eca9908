"""Noise on the examples that a network is judged by, the same at every look."""

from __future__ import annotations

import numpy as np

from dltemplates.datasets.source import Dataset, Source
from dltemplates.datasets.spec import Value

CLEAN = "clean"
JUDGED = ("validation", "test")


class NoisySource:
    """Examples with Gaussian noise on their input, drawn from each one's index; `clean` is what it was."""

    def __init__(self, source: Source, value: Value, noise: float):
        self.source = source
        self.value = value
        self.noise = noise

    def __len__(self) -> int:
        return len(self.source)

    def read(self, indices: np.ndarray) -> dict[str, np.ndarray]:
        """Read the examples at `indices` (n,)."""
        arrays = self.source.read(indices)
        clean = arrays[self.value.name]
        if not self.noise:
            return arrays | {CLEAN: clean}
        draws = np.stack([np.random.default_rng(int(index)).normal(size=clean.shape[1:]) for index in indices])
        if self.value.kind == "image":
            made = np.clip(clean + 255 * self.noise * draws, 0, 255)
        else:
            made = clean + np.array(self.value.std) * self.noise * draws
        return arrays | {CLEAN: clean, self.value.name: made.astype(np.float32)}


def noisy(dataset: Dataset, noise: float) -> Dataset:
    """The dataset whose target is its input, without the noise that validation and test have.

    The input as it is given, with its noise, is a second target: what was given tells how much of the noise is gone.

    Args:
        dataset: Of one input.
        noise: Its standard deviation, of values between 0 and 1, or of mean 0 and deviation 1.
    """
    (value,) = dataset.spec.inputs
    if not noise:
        return Dataset(dataset.spec.model_copy(update={"targets": (value,)}), dataset.splits)
    target = value.model_copy(update={"name": CLEAN})
    splits = {
        split: NoisySource(source, value, noise if split in JUDGED else 0.0) for split, source in dataset.splits.items()
    }
    return Dataset(dataset.spec.model_copy(update={"targets": (target, value)}), dict(splits))
