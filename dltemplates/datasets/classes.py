"""The classes of data in the order of a trained network, whatever order the loader gives them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from dltemplates.datasets.source import Arrays, Dataset, Source, Wrapper, column
from dltemplates.datasets.spec import IOSpec
from dltemplates.features import ClassId, Labels


class Renumbered(Wrapper):
    """Examples whose classes, or labels, have the places that they have in another list of names."""

    def __init__(self, source: Source, value: ClassId | Labels, classes: tuple[str, ...]):
        super().__init__(source)
        self.value = value
        self.classes = classes

    def read(self, indices: np.ndarray) -> Arrays:
        """Read the examples at `indices` (n,)."""
        arrays = self.source.read(indices)
        return arrays | {self.value.name: self.value.renumber(arrays[self.value.name], self.classes)}

    def column(self, name: str) -> np.ndarray:
        array = column(self.source, name)
        return self.value.renumber(array, self.classes) if name == self.value.name else array


def with_classes_of(reference: IOSpec, dataset: Dataset, *, must_know: bool = True) -> Dataset:
    """Return a dataset whose classes have the ids that they have in a trained network.

    Args:
        reference: The spec or the contract of the network.
        dataset: The data, which may hold some of the classes, in any order.
        must_know: Whether the network must know all of them; else a target with others stays as it is.

    Raises:
        ValueError: If there are others; names them.
    """
    known = {value.name: value for value in reference.targets if isinstance(value, ClassId | Labels)}
    for value in dataset.spec.targets:
        other = known.get(value.name)
        if other is None or not isinstance(value, ClassId | Labels):
            continue
        if other.kind != value.kind or other.classes == value.classes:
            continue
        classes, names = other.classes, value.classes
        if unknown := [name for name in names if name not in classes]:
            if not must_know:
                continue
            raise ValueError(
                f"The data must have the classes of the network, {_few(classes)}. Received: {_few(unknown)}, which "
                "it was not trained on. Rename them, or choose other data by --data."
            )
        splits: dict[str, Source] = {
            split: Renumbered(source, value, classes) for split, source in dataset.splits.items()
        }
        targets = tuple(value.with_classes(classes) if target is value else target for target in dataset.spec.targets)
        dataset = replace(dataset, spec=dataset.spec.model_copy(update={"targets": targets}), splits=splits)
    return dataset


def _few(names: tuple[str, ...] | list[str]) -> str:
    return ", ".join(names[:10]) + (", ..." if len(names) > 10 else "")
