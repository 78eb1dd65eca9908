"""Examples of which some are marked as anomalies."""

from __future__ import annotations

import numpy as np

from dltemplates.datasets.files import FileSource
from dltemplates.datasets.source import Dataset, Source, Subset, Wrapper, batches_of
from dltemplates.datasets.spec import Value
from dltemplates.datasets.values import with_statistics

TRUTH = Value(name="anomaly", kind="decision", dtype="int64", shape=())


class MarkedSource(Wrapper):
    """Examples of classes, each marked as an anomaly, 1, or normal, 0."""

    def __init__(self, source: Source, label: str, normal: int):
        super().__init__(source)
        self.label = label
        self.normal = normal

    def read(self, indices: np.ndarray) -> dict[str, np.ndarray]:
        """Read the examples at `indices` (n,)."""
        arrays = self.source.read(indices)
        return arrays | {TRUTH.name: self.mark(arrays[self.label])}

    def mark(self, labels: np.ndarray) -> np.ndarray:
        """Say of classes (n,) which are anomalies: 0 or 1, (n,)."""
        return (labels != self.normal).astype(TRUTH.dtype)


def anomalies_of(source: Source) -> np.ndarray:
    """Which examples of a source are anomalies: 0 or 1, (n,)."""
    match source:
        case Subset():
            return anomalies_of(source.source)[source.indices]
        case MarkedSource(source=FileSource() as files):  # whose images need not be read for it
            return source.mark(files.targets)
        case _:
            return np.concatenate([np.zeros(0, np.int64), *(arrays[TRUTH.name] for arrays in batches_of(source))])


def normal_of(source: Source) -> Source:
    """The normal examples of a source."""
    kept = np.flatnonzero(anomalies_of(source) == 0)
    match source:
        case MarkedSource(source=FileSource() as files):  # lest an anomaly stand in for a broken one
            return MarkedSource(files.take(kept), source.label, source.normal)
        case _:
            return Subset(source, kept)


def check_both(truth: np.ndarray, split: str) -> None:
    """Raise a `ValueError` unless there are normal examples and anomalies, as a score needs."""
    counts = np.bincount(truth, minlength=2)
    if not counts.all():
        raise ValueError(
            f"Task anomaly is judged by normal examples and anomalies. Received: {counts[0]} and {counts[1]} in "
            f"{split}. Set more apart, by dataset.validation and dataset.test; or if train is given by itself, give "
            f"{split} too."
        )


def without_anomalies(dataset: Dataset) -> Dataset:
    """The dataset whose training split is normal, with statistics of that alone."""
    kept = normal_of(dataset.split("train"))
    if not len(kept):
        raise ValueError("Task anomaly learns from normal examples. Received: none in train. Choose other data.")
    value, truth = dataset.spec.targets
    if value.kind == "number":
        value = with_statistics(value, np.concatenate([arrays[value.name] for arrays in batches_of(kept)]))
    sizes = dataset.spec.sizes | {"train": len(kept)}
    spec = dataset.spec.model_copy(update={"inputs": (value,), "targets": (value, truth), "sizes": sizes})
    return Dataset(spec, dataset.splits | {"train": kept})
