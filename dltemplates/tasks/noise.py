"""Noise on the examples that a network is judged by, the same at every look."""

from __future__ import annotations

import numpy as np

from dltemplates.datasets.source import Arrays, Dataset, Source, Wrapper, column, fitted
from dltemplates.datasets.spec import DatasetSpec
from dltemplates.features import AnyFeature

CLEAN = "clean"


class Noisy(Wrapper):
    """Examples whose input has noise, drawn from each one's index, beside the input without it.

    Attributes:
        value: The input.
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
        made = value.clip(clean + value.unit * self.noise * draws)
        return arrays | {CLEAN: clean, value.name: made.astype(np.float32)}

    def column(self, name: str) -> np.ndarray:
        if name == self.value.name and self.noise:
            return super().column(name)
        return column(self.source, self.value.name if name == CLEAN else name)

    def fitted(self, spec: DatasetSpec) -> Source:
        return Noisy(fitted(self.source, spec), spec.inputs[0], self.noise)


def noisy(dataset: Dataset, noise: float) -> Dataset:
    """The dataset whose target is its input, without the noise that its examples have.

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
    targets = (value.model_copy(update={"name": CLEAN}), value)
    splits: dict[str, Source] = {split: Noisy(source, value, noise) for split, source in dataset.splits.items()}
    return Dataset(dataset.spec.model_copy(update={"targets": targets}), splits)


def without_noise(source: Source) -> Source:
    """The examples without their noise, as they are trained on: there, the network adds its own."""
    return Noisy(source.source, source.value, 0.0) if isinstance(source, Noisy) else source
