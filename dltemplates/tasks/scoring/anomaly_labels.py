"""Anomaly labels of examples: 1 for an anomaly, 0 for a normal example."""

from __future__ import annotations

import numpy as np

from dltemplates.datasets.source import Source, Wrapper, column, take
from dltemplates.features import Binary

TRUTH = Binary(name="anomaly", dtype="int64", shape=())


class LabeledSource(Wrapper):
    """Examples with an anomaly label from their class: 0 for the normal class, else 1."""

    def __init__(self, source: Source, label: str, normal: int):
        super().__init__(source)
        self.label = label
        self.normal = normal

    def read(self, indices: np.ndarray) -> dict[str, np.ndarray]:
        """Read the examples at `indices` (n,)."""
        arrays = self.source.read(indices)
        return arrays | {TRUTH.name: self.anomaly_labels(arrays[self.label])}

    def column(self, name: str) -> np.ndarray:
        if name == TRUTH.name:
            return self.anomaly_labels(column(self.source, self.label))
        return column(self.source, name)

    def anomaly_labels(self, classes: np.ndarray) -> np.ndarray:
        """Return the anomaly labels (n,) of class ids (n,)."""
        return (classes != self.normal).astype(TRUTH.dtype)


def anomalies_of(source: Source) -> np.ndarray:
    """Return the anomaly labels of a source: 0 or 1, (n,)."""
    return column(source, TRUTH.name)


def normal_of(source: Source) -> Source:
    """Return the normal examples of a source."""
    return take(source, np.flatnonzero(anomalies_of(source) == 0))


def check_both(truth: np.ndarray, split: str) -> None:
    """Raise a `ValueError` unless a split has normal examples and anomalies, since the scores need both."""
    counts = np.bincount(truth, minlength=2)
    if not counts.all():
        raise ValueError(
            f"Task anomaly is scored on normal examples and anomalies. Received: {counts[0]} and {counts[1]} in "
            f"{split}. Enlarge it with dataset.validation and dataset.test; if train is a file of its own, give a "
            f"file for {split} too."
        )
