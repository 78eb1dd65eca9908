"""Class ids in the order of a trained network, independent of the loader's order."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from dltemplates.datasets.names import few, same_as
from dltemplates.datasets.source import Arrays, Dataset, Source, Wrapper, column
from dltemplates.datasets.spec import IOSpec
from dltemplates.features import ClassId, Labels


class Renumbered(Wrapper):
    """Examples with class ids, or label flags, in the order of another list of names."""

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


def with_classes_of(reference: IOSpec, dataset: Dataset, *, require_known: bool = True) -> Dataset:
    """Renumber a dataset's classes to the ids of a trained network. Names are compared in one Unicode form.

    Args:
        reference: Spec or contract of the network.
        dataset: The data; it may have some of the network's classes, in any order.
        require_known: Whether unknown classes are an error; otherwise a target with some stays unchanged.

    Raises:
        ValueError: If the network does not know a class; names it.
    """
    known = {value.name: value for value in reference.targets if isinstance(value, ClassId | Labels)}
    for value in dataset.spec.targets:
        other = known.get(value.name)
        if other is None or not isinstance(value, ClassId | Labels):
            continue
        if other.kind != value.kind or other.classes == value.classes:
            continue
        classes = other.classes
        spellings = same_as(classes, value.classes)
        names = tuple(spellings.get(name, name) for name in value.classes)
        if unknown := [name for name in names if name not in classes]:
            if not require_known:
                continue
            raise ValueError(
                f"The data must have the classes of the network, {few(classes)}. Received: {few(unknown)}, which "
                "it was not trained on. Rename them, or choose other data with --data."
            )
        splits: dict[str, Source] = {
            split: Renumbered(source, value.with_classes(names), classes) for split, source in dataset.splits.items()
        }
        targets = tuple(value.with_classes(classes) if target is value else target for target in dataset.spec.targets)
        dataset = replace(dataset, spec=dataset.spec.model_copy(update={"targets": targets}), splits=splits)
    return dataset
