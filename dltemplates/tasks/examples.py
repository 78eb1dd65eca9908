"""What a serving model is run on: the data, what another serving model makes of the data, or noise."""

from __future__ import annotations

import numpy as np

from dltemplates.datasets.source import SPLITS, Dataset, Source
from dltemplates.datasets.spec import Value
from dltemplates.runtimes import KerasPredictor, Predictor
from dltemplates.tasks.contract import Contract, ServingModel

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


class TextSource:
    """A source whose categories are text."""

    def __init__(self, source: Source, value: Value):
        self.source = source
        self.value = value

    def __len__(self) -> int:
        return len(self.source)

    def read(self, indices: np.ndarray) -> dict[str, np.ndarray]:
        """Read the examples at `indices` (n,)."""
        arrays = self.source.read(indices)
        return {**arrays, self.value.name: category_texts(self.value, arrays[self.value.name])}


def category_texts(value: Value, ids: np.ndarray) -> np.ndarray:
    """Turn ids of categories (n, columns) back into text; that of 0, not known or missing, is empty."""
    texts = [np.array(("", *column.vocabulary)) for column in value.columns or ()]
    return np.stack([texts[place][ids[:, place]] for place in range(len(texts))], axis=1)


def as_taken(contract: Contract, dataset: Dataset) -> Dataset:
    """The dataset with its categories as text, where that is what a network takes."""
    text = next((value for value in contract.inputs if value.dtype == "string"), None)
    if text is None:
        return dataset
    return Dataset(dataset.spec, {split: TextSource(source, text) for split, source in dataset.splits.items()})


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
        return as_taken(serving.contract, dataset)
    before = examples_for(serving.after, dataset)
    predictor = KerasPredictor(serving.after.model, serving.after.contract)
    splits = {split: MadeSource(source, predictor) for split, source in before.splits.items()}
    return Dataset(dataset.spec, dict(splits))
