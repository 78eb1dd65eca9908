"""Noise on evaluation examples, the same on every read."""

from __future__ import annotations

import numpy as np

from dltemplates.datasets.source import Arrays, Dataset, Source, Wrapper, column, fitted
from dltemplates.datasets.spec import DatasetSpec
from dltemplates.features import AnyFeature

CLEAN = "clean"


class Noisy(Wrapper):
    """Examples with a noisy input and the clean one; the noise of each is seeded by its index.

    Attributes:
        value: The input feature.
        noise: Standard deviation of the noise; 0 for none.
    """

    def __init__(self, source: Source, value: AnyFeature, noise: float):
        super().__init__(source)
        self.value = value
        self.noise = noise

    def read(self, indices: np.ndarray) -> Arrays:
        """Read the examples at `indices` (n,)."""
        value, arrays = self.value, self.source.read(indices)
        clean = arrays[value.name]
        if not self.noise:
            return arrays | {CLEAN: clean}
        draws = np.stack([np.random.default_rng(int(index)).normal(size=clean.shape[1:]) for index in indices])
        noisy_input = value.clip(clean + value.unit * self.noise * draws)
        return arrays | {CLEAN: clean, value.name: noisy_input.astype(np.float32)}

    def column(self, name: str) -> np.ndarray:
        if name == self.value.name and self.noise:
            return super().column(name)
        return column(self.source, self.value.name if name == CLEAN else name)

    def fitted(self, spec: DatasetSpec) -> Source:
        return Noisy(fitted(self.source, spec), spec.inputs[0], self.noise)


def noisy(dataset: Dataset, noise: float) -> Dataset:
    """Add noise to the input, and make the clean input the target.

    The noise is Gaussian, seeded by each example's index. The noisy input is a second target, to measure how much
    noise the network removes.

    Args:
        dataset: A dataset with one input.
        noise: Standard deviation of the noise, on pixels in [0, 1] or standardized numbers; images are clipped to
            their range.
    """
    (value,) = dataset.spec.inputs
    if not noise:
        return Dataset(dataset.spec.model_copy(update={"targets": (value,)}), dataset.splits)
    targets = (value.model_copy(update={"name": CLEAN}), value)
    splits: dict[str, Source] = {split: Noisy(source, value, noise) for split, source in dataset.splits.items()}
    return Dataset(dataset.spec.model_copy(update={"targets": targets}), splits)


def without_noise(source: Source) -> Source:
    """Return the clean examples for training, where the network adds its own noise."""
    return Noisy(source.source, source.value, 0.0) if isinstance(source, Noisy) else source
