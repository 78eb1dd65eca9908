"""Calibration examples, which set the ranges of the integer formats."""

from __future__ import annotations

import numpy as np

from dltemplates.datasets.source import Source, index_batches
from dltemplates.features import Binary, Feature
from dltemplates.runtimes import Arrays, examples_per_call
from dltemplates.tasks.serving.contract import Contract


def calibration(contract: Contract, source: Source, count: int) -> Arrays:
    """Read training examples, evenly spaced by index.

    Append copies of the first and the last example, which each feature's `calibrate` changes.

    The ranges of an anomaly detector must also cover anomalies. So append a copy of each of its examples, with noise
    whose mean square is twice the threshold.

    Args:
        contract: The float inputs.
        source: Training examples with the inputs of the part.
        count: Number of examples; fewer if there are fewer.

    Returns:
        The raw inputs by name, each (n + 2, ...), or (2n + 4, ...) for an anomaly detector.
    """
    indices = np.linspace(0, len(source) - 1, min(count, len(source))).round().astype(np.int64)
    chosen = np.concatenate([indices, indices[[0, -1]]])
    decisions = [value for value in contract.outputs if isinstance(value, Binary)]
    thresholds = [value.threshold for value in decisions if value.threshold is not None]
    batches = list(index_batches(len(chosen), examples_per_call(contract)))
    total = len(chosen) * (2 if thresholds else 1)
    inputs = {  # strings as objects, until the longest is known
        value.name: np.empty((total, *value.shape), object if value.dtype == "string" else value.dtype)
        for value in contract.inputs
    }
    for rows in batches:
        arrays = source.read(chosen[rows])
        for name, array in inputs.items():
            array[rows] = arrays[name]
    for value in contract.inputs:
        array = inputs[value.name]
        value.calibrate(array[: len(chosen)])
        random = np.random.default_rng(0)
        for rows in batches if thresholds else ():
            array[rows + len(chosen)] = _add_noise(value, array[rows], thresholds[0], random)
    return {name: array.astype(str) if array.dtype == object else array for name, array in inputs.items()}


def _add_noise(value: Feature, array: np.ndarray, threshold: float, random: np.random.Generator) -> np.ndarray:
    """Add noise whose mean square is twice the threshold, for pixels in [0, 1] or standardized numbers."""
    noise = random.normal(size=array.shape) * np.sqrt(2 * threshold) * value.unit
    return value.clip(array + noise).astype(array.dtype)
