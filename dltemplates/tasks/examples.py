"""What a serving model is run on: the data, what another serving model makes of the data, or noise."""

from __future__ import annotations

import numpy as np

from dltemplates.datasets.seeds import draw
from dltemplates.datasets.source import ALL, SPLITS, Arrays, Dataset, Mapped, Source
from dltemplates.datasets.spec import Value
from dltemplates.runtimes import KerasPredictor
from dltemplates.tasks.contract import Contract, ServingModel

MOST_MADE = 2_000  # examples of noise in a split


class NoiseSource:
    """A source of noise, and of classes that it is to become, each drawn from its index, beside real examples."""

    def __init__(self, real: Source, contract: Contract, first: int):
        """Prepare to draw.

        Args:
            real: Examples of the data, of which the contract's targets are taken: what is to be made looks like them.
            contract: That of the generator. A target of the name of an input is what was asked for.
            first: The seed of the first one.
        """
        self.real = real
        self.contract = contract
        self.first = first

    def __len__(self) -> int:
        return min(len(self.real), MOST_MADE)

    def read(self, indices: np.ndarray) -> dict[str, np.ndarray]:
        """Draw the examples at `indices` (n,)."""
        noise, *others = self.contract.inputs
        arrays = {noise.name: np.stack([draw(self.first + int(index), noise.shape) for index in indices])}
        arrays |= {value.name: (indices % len(value.classes or ())).astype(value.dtype) for value in others}
        if targets := self.contract.targets:
            # Evenly spread: files come class by class.
            spread = indices * (len(self.real) // len(self))
            real = self.real.read(spread)
            arrays |= {value.name: real[value.name] for value in targets if value.name not in arrays}
        return arrays


def is_generator(contract: Contract) -> bool:
    """Whether something is made of noise."""
    return contract.inputs[0].kind == "noise"


def noise_for(contract: Contract, dataset: Dataset) -> Dataset:
    """The dataset that holds the noise for a generator, another in each split.

    Args:
        contract: That of the generator.
        dataset: The data whose like it makes.
    """
    firsts = {split: place * 10**9 for place, split in enumerate((*SPLITS, ALL))}  # no noise in two splits
    made = {split: NoiseSource(source, contract, firsts[split]) for split, source in dataset.splits.items()}
    return Dataset(dataset.spec, dict(made))


def category_texts(value: Value, ids: np.ndarray) -> np.ndarray:
    """Turn ids of categories (n, columns) back into text; that of 0, not known or missing, is empty."""
    texts = [np.array(("", *column.vocabulary)) for column in value.columns or ()]
    return np.stack([texts[place][ids[:, place]] for place in range(len(texts))], axis=1)


def as_taken(contract: Contract, dataset: Dataset) -> Dataset:
    """The dataset with its categories as text, where that is what a network takes."""
    text = next((value for value in contract.inputs if value.dtype == "string"), None)
    if text is None:
        return dataset

    def read_as_text(arrays: Arrays, _: np.ndarray) -> Arrays:
        return arrays | {text.name: category_texts(text, arrays[text.name])}

    return Dataset(dataset.spec, {split: Mapped(source, read_as_text) for split, source in dataset.splits.items()})


def examples_for(serving: ServingModel, dataset: Dataset) -> Dataset:
    """The dataset that holds the inputs of a serving model.

    Args:
        serving: It.
        dataset: The data that its run was trained on.
    """
    if is_generator(serving.contract):
        return noise_for(serving.contract, dataset)
    if serving.after is None:
        return as_taken(serving.contract, dataset)
    before = examples_for(serving.after, dataset)
    predictor = KerasPredictor(serving.after.model, serving.after.contract)

    def run(arrays: Arrays, _: np.ndarray) -> Arrays:
        return predictor({value.name: arrays[value.name] for value in predictor.contract.inputs})

    return Dataset(dataset.spec, {split: Mapped(source, run) for split, source in before.splits.items()})
