"""The input examples of a serving model: the data, another serving model's outputs, or noise."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from dltemplates.datasets.source import ALL, SPLITS, Arrays, Mapped, Source
from dltemplates.features import Category, Noise, classes_of
from dltemplates.runtimes import KerasPredictor
from dltemplates.tasks.serving.contract import Contract, ServingModel

MAX_GENERATED = 2_000  # noise examples in a split


class NoiseSource:
    """Inputs of a generator, noise and class labels, each seeded by its index, with real examples as targets."""

    def __init__(self, real: Source, contract: Contract, first: int):
        """Create the source.

        Args:
            real: Real examples, the targets that generated ones should look like.
            contract: The generator's contract. A target with the name of an input is that input.
            first: The seed of the first example.
        """
        self.real = real
        self.contract = contract
        self.first = first

    def __len__(self) -> int:
        return min(len(self.real), MAX_GENERATED)

    def read(self, indices: np.ndarray) -> dict[str, np.ndarray]:
        """Draw the examples at `indices` (n,)."""
        noise, *others = self.contract.inputs
        assert isinstance(noise, Noise)
        arrays = {noise.name: np.stack([noise.draw(self.first + int(index)) for index in indices])}
        arrays |= {value.name: (indices % len(classes_of(value))).astype(value.dtype) for value in others}
        if targets := self.contract.targets:
            # Evenly spaced, since files are sorted by class.
            spaced = indices * (len(self.real) // len(self))
            real = self.real.read(spaced)
            arrays |= {value.name: real[value.name] for value in targets if value.name not in arrays}
        return arrays


def contract_examples(contract: Contract, split: str, source: Source) -> Source:
    """Return the inputs and targets of a contract for the examples of a split.

    Args:
        contract: If its first input is noise, the noise is random and differs between splits; if it has string
            categories, their ids are converted to text.
        split: The name of the split.
        source: The examples of the data.
    """
    first, *_ = contract.inputs
    if isinstance(first, Noise):
        return NoiseSource(source, contract, (*SPLITS, ALL).index(split) * 10**9)  # so that no two splits share a seed
    text = next((v for v in contract.inputs if isinstance(v, Category) and v.dtype == "string"), None)
    if text is None:
        return source

    def read_as_text(arrays: Arrays, _: np.ndarray) -> Arrays:
        return arrays | {text.name: text.texts(arrays[text.name])}

    return Mapped(source, read_as_text)


def part_examples(serving: ServingModel, split: str, source: Source) -> Source:
    """Return the inputs and targets of a served part for the examples of a split."""
    if serving.examples is not None:
        return serving.examples(split, source)
    return contract_examples(serving.contract, split, source)


def outputs_of(serving: ServingModel) -> Callable[[str, Source], Source]:
    """Return the `examples` of a part whose inputs are another part's outputs, computed by Keras."""
    predictor = KerasPredictor(serving.model, serving.contract)

    def run(arrays: Arrays, _: np.ndarray) -> Arrays:
        return predictor({value.name: arrays[value.name] for value in predictor.contract.inputs})

    return lambda split, source: Mapped(part_examples(serving, split, source), run)


def system_examples(servings: Mapping[str, ServingModel], split: str, source: Source) -> Source:
    """Return the examples to score a system on: of its whole network, or of the data if it has none, or streams."""
    whole = servings.get("")
    return source if whole is None or whole.contract.state else part_examples(whole, split, source)
