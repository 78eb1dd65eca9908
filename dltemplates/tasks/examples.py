"""What a serving model is run on: the data, what another serving model makes of the data, or noise."""

from __future__ import annotations

import numpy as np

from dltemplates.datasets.source import SPLITS, Dataset, Source
from dltemplates.datasets.spec import Value
from dltemplates.runtimes import KerasPredictor, Predictor
from dltemplates.tasks.contract import ServingModel

MOST_MADE = 2_000  # examples of noise in a split


class MadeSource:
    """A source of what a network gives for the examples of another."""

    def __init__(self, source: Source, predictor: Predictor):
        self.source = source
        self.predictor = predictor

    def __len__(self) -> int:
        return len(self.source)

    def read(self, indices: np.ndarray) -> dict[str, np.ndarray]:
        """Read the examples at `indices` (n,)."""
        arrays = self.source.read(indices)
        return self.predictor({value.name: arrays[value.name] for value in self.predictor.contract.inputs})


class NoiseSource:
    """A source of noise, and of classes that it is to become, each drawn from its index."""

    def __init__(self, count: int, inputs: tuple[Value, ...], first: int):
        self.count = count
        self.inputs = inputs
        self.first = first

    def __len__(self) -> int:
        return self.count

    def read(self, indices: np.ndarray) -> dict[str, np.ndarray]:
        """Draw the examples at `indices` (n,)."""
        noise, *others = self.inputs
        draws = [np.random.default_rng(self.first + int(index)).normal(size=noise.shape) for index in indices]
        arrays = {noise.name: np.array(draws, np.float32)}
        return arrays | {value.name: (indices % len(value.classes or ())).astype(value.dtype) for value in others}


def examples_for(serving: ServingModel, dataset: Dataset) -> Dataset:
    """The dataset that holds the inputs of a serving model.

    Args:
        serving: It.
        dataset: The data that its run was trained on.
    """
    inputs = serving.contract.inputs
    if inputs[0].kind == "noise":
        firsts = {split: place * 10**9 for place, split in enumerate(SPLITS)}  # no noise in two splits
        made = {s: NoiseSource(min(len(source), MOST_MADE), inputs, firsts[s]) for s, source in dataset.splits.items()}
        return Dataset(dataset.spec, dict(made))
    if serving.after is None:
        return dataset
    before = examples_for(serving.after, dataset)
    predictor = KerasPredictor(serving.after.model, serving.after.contract)
    splits = {split: MadeSource(source, predictor) for split, source in before.splits.items()}
    return Dataset(dataset.spec, dict(splits))
