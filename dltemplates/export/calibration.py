"""The examples that set the ranges of integer formats."""

from __future__ import annotations

import numpy as np

from dltemplates.datasets.source import Dataset
from dltemplates.runtimes import Arrays
from dltemplates.tasks.contract import Contract


def calibration(contract: Contract, dataset: Dataset, count: int) -> Arrays:
    """Read training examples, evenly spread by index.

    Of an image input, two examples come again with one pixel at either end of a byte's range, so that the range of the
    input is exactly that; whole images of black and white would stretch the ranges behind it too.

    Args:
        contract: The inputs, in float.
        dataset: Its `train` split is read.
        count: How many examples; fewer if there are fewer.

    Returns:
        The raw inputs by name, each (n + 2, ...).
    """
    source = dataset.split("train")
    indices = np.linspace(0, len(source) - 1, min(count, len(source))).round().astype(np.int64)
    arrays = source.read(np.concatenate([indices, indices[[0, -1]]]))
    inputs = {
        value.name: np.array(arrays[value.name], dtype=str if value.dtype == "string" else value.dtype)
        for value in contract.inputs
    }
    for value in contract.inputs:
        if value.kind == "image":
            inputs[value.name][-2, 0, 0] = 0
            inputs[value.name][-1, 0, 0] = 255
    return inputs
