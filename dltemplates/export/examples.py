"""What a serving model is checked on: the data, or what another serving model makes of the data."""

from __future__ import annotations

import numpy as np

from dltemplates.datasets.source import Dataset, Source
from dltemplates.runtimes import KerasPredictor, Predictor
from dltemplates.tasks.contract import ServingModel


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


def examples_for(serving: ServingModel, dataset: Dataset) -> Dataset:
    """The dataset that holds the inputs of a serving model.

    Args:
        serving: It.
        dataset: The data that its run was trained on.
    """
    if serving.after is None:
        return dataset
    before = examples_for(serving.after, dataset)
    predictor = KerasPredictor(serving.after.model, serving.after.contract)
    splits = {split: MadeSource(source, predictor) for split, source in before.splits.items()}
    return Dataset(dataset.spec, dict(splits))
