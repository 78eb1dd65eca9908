"""The examples that set the ranges of integer formats."""

from __future__ import annotations

import numpy as np

from dltemplates.datasets.source import Source
from dltemplates.features import Decision, Feature
from dltemplates.runtimes import Arrays
from dltemplates.tasks.contract import Contract


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
    arrays = source.read(np.concatenate([indices, indices[[0, -1]]]))
    inputs = {
        value.name: np.array(arrays[value.name], dtype=str if value.dtype == "string" else value.dtype)
        for value in contract.inputs
    }
    decisions = [value for value in contract.outputs if isinstance(value, Decision)]
    thresholds = [value.threshold for value in decisions if value.threshold is not None]
    for value in contract.inputs:
        value.calibrate(inputs[value.name])
        if thresholds:
            usual = inputs[value.name]
            inputs[value.name] = np.concatenate([usual, _unusual(value, usual, thresholds[0])])
    return inputs


def _unusual(value: Feature, usual: np.ndarray, threshold: float) -> np.ndarray:
    """Examples with noise whose mean square, of pixels between 0 and 1 or in deviations, is twice the threshold."""
    noise = np.random.default_rng(0).normal(size=usual.shape) * np.sqrt(2 * threshold) * value.unit
    return value.clip(usual + noise).astype(usual.dtype)
