"""The examples that set the ranges of integer formats."""

from __future__ import annotations

import numpy as np

from dltemplates.datasets.source import Source, index_batches
from dltemplates.features import Binary, Feature
from dltemplates.runtimes import Arrays, examples_per_call
from dltemplates.tasks.serving.contract import Contract


def calibration(contract: Contract, source: Source, count: int) -> Arrays:
    """Read training examples, evenly spread by index.

    Two examples come again, changed as each feature's `calibrate` says.

    A network that decides what is unlike all that it was trained on must tell so in integers too: its examples come
    again with noise on them that is worth twice its threshold.

    Args:
        contract: The inputs, in float.
        source: Training examples, as the part takes them.
        count: How many examples; fewer if there are fewer.

    Returns:
        The raw inputs by name, each (n + 2, ...), or twice as many.
    """
    indices = np.linspace(0, len(source) - 1, min(count, len(source))).round().astype(np.int64)
    chosen = np.concatenate([indices, indices[[0, -1]]])
    decisions = [value for value in contract.outputs if isinstance(value, Binary)]
    thresholds = [value.threshold for value in decisions if value.threshold is not None]
    batches = list(index_batches(len(chosen), examples_per_call(contract)))
    total = len(chosen) * (2 if thresholds else 1)
    inputs = {  # texts as objects, until the longest is known
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
            array[rows + len(chosen)] = _unusual(value, array[rows], thresholds[0], random)
    return {name: array.astype(str) if array.dtype == object else array for name, array in inputs.items()}


def _unusual(value: Feature, usual: np.ndarray, threshold: float, random: np.random.Generator) -> np.ndarray:
    """Add noise whose mean square, of pixels between 0 and 1 or in deviations, is twice the threshold."""
    noise = random.normal(size=usual.shape) * np.sqrt(2 * threshold) * value.unit
    return value.clip(usual + noise).astype(usual.dtype)
