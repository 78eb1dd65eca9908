"""The check that a network for sequences of different lengths ignores their padding."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from dltemplates.datasets.series.sequences import unequal_lengths
from dltemplates.datasets.spec import DatasetSpec
from dltemplates.features import Length, WithStatistics

if TYPE_CHECKING:
    import keras

SEQUENCES, STEPS = 16, 64  # number of random sequences, and at most their steps with padding
LEVEL = 3.0  # deviation of the sequences' means
TOLERANCE = 1e-4  # of the outputs, relative to the largest if that is above 1


def have_padding(spec: DatasetSpec) -> bool:
    """Return whether the examples are sequences of different lengths."""
    return isinstance(spec.inputs[-1], Length)


def check_padding(model: keras.Model, spec: DatasetSpec) -> None:
    """Run an assembled model on random sequences, with and without padding.

    Args:
        model: The model, from raw inputs.
        spec: The spec of the data, with lengths.

    Raises:
        ValueError: If the outputs differ.
    """
    series, length = spec.inputs
    assert isinstance(series, WithStatistics)
    longest, channels = series.shape
    padded, steps = min(longest, STEPS), min(longest, STEPS) // 2 or 1
    random = np.random.default_rng(0)
    levels = random.normal(0, LEVEL, (SEQUENCES, 1, channels))  # the padding, 0, must differ from the steps
    standard = levels + random.normal(size=(SEQUENCES, padded, channels))
    sequences = (standard * np.array(series.std) + np.array(series.mean)).astype(np.float32)
    lengths = np.full(SEQUENCES, steps, np.int32)
    arrays = [{series.name: sequences[:, :count], length.name: lengths} for count in (steps, padded)]
    plain, with_padding = (_flat(model(each, training=False)) for each in arrays)
    if not np.abs(plain - with_padding).max() <= TOLERANCE * max(1.0, np.abs(plain).max()):
        raise ValueError(unequal_lengths(f"Model `{model.name}`", spec))


def _flat(outputs: object) -> np.ndarray:
    import keras

    return np.concatenate([np.ravel(tensor) for tensor in keras.tree.flatten(outputs)])
