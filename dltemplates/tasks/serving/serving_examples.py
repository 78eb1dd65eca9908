"""What a serving model is run on: the data, what another serving model makes of the data, or noise."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from dltemplates.datasets.source import ALL, SPLITS, Arrays, Mapped, Source
from dltemplates.features import Category, Noise, classes_of
from dltemplates.runtimes import KerasPredictor
from dltemplates.tasks.serving.contract import Contract, ServingModel

MAX_GENERATED = 2_000  # examples of noise in a split


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
        return min(len(self.real), MAX_GENERATED)

    def read(self, indices: np.ndarray) -> dict[str, np.ndarray]:
        """Draw the examples at `indices` (n,)."""
        noise, *others = self.contract.inputs
        assert isinstance(noise, Noise)
        arrays = {noise.name: np.stack([noise.draw(self.first + int(index)) for index in indices])}
        arrays |= {value.name: (indices % len(classes_of(value))).astype(value.dtype) for value in others}
        if targets := self.contract.targets:
            # Evenly spread: files come class by class.
            spread = indices * (len(self.real) // len(self))
            real = self.real.read(spread)
            arrays |= {value.name: real[value.name] for value in targets if value.name not in arrays}
        return arrays


def contract_examples(contract: Contract, split: str, source: Source) -> Source:
    """Return the inputs and targets of a contract for the examples of a split.

    Args:
        contract: Where its first input is noise, that is drawn, other in each split; categories that it takes as text
            are turned back into it.
        split: The name of the split.
        source: The examples of the data.
    """
    first, *_ = contract.inputs
    if isinstance(first, Noise):
        return NoiseSource(source, contract, (*SPLITS, ALL).index(split) * 10**9)  # no noise in two splits
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
    """Return the `examples` of a part that takes what another part gives, as Keras gives it."""
    predictor = KerasPredictor(serving.model, serving.contract)

    def run(arrays: Arrays, _: np.ndarray) -> Arrays:
        return predictor({value.name: arrays[value.name] for value in predictor.contract.inputs})

    return lambda split, source: Mapped(part_examples(serving, split, source), run)


def system_examples(servings: Mapping[str, ServingModel], split: str, source: Source) -> Source:
    """Return what a system is scored on: the examples of its whole network, or where it has none those of the data."""
    whole = servings.get("")
    return source if whole is None else part_examples(whole, split, source)
