"""Examples of which some are marked as anomalies."""

from __future__ import annotations

import numpy as np

from dltemplates.datasets.source import Source, Wrapper, column, take
from dltemplates.features import Binary

TRUTH = Binary(name="anomaly", dtype="int64", shape=())


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

    def column(self, name: str) -> np.ndarray:
        return self.mark(column(self.source, self.label)) if name == TRUTH.name else column(self.source, name)

    def mark(self, labels: np.ndarray) -> np.ndarray:
        """Say of classes (n,) which are anomalies: 0 or 1, (n,)."""
        return (labels != self.normal).astype(TRUTH.dtype)


def anomalies_of(source: Source) -> np.ndarray:
    """Which examples of a source are anomalies: 0 or 1, (n,)."""
    return column(source, TRUTH.name)


def normal_of(source: Source) -> Source:
    """The normal examples of a source."""
    return take(source, np.flatnonzero(anomalies_of(source) == 0))


def check_both(truth: np.ndarray, split: str) -> None:
    """Raise a `ValueError` unless there are normal examples and anomalies, as a score needs."""
    counts = np.bincount(truth, minlength=2)
    if not counts.all():
        raise ValueError(
            f"Task anomaly is judged by normal examples and anomalies. Received: {counts[0]} and {counts[1]} in "
            f"{split}. Set more apart, by dataset.validation and dataset.test; or if train is given by itself, give "
            f"{split} too."
        )
