"""Padding of sequences and texts of different lengths."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from dltemplates.datasets.ragged import Ragged
from dltemplates.datasets.series.sequences import SERIES
from dltemplates.datasets.source import Arrays, ArraySource, Source, column, origin
from dltemplates.datasets.spec import DatasetSpec
from dltemplates.features import Feature, Length, Series, Tokens
from dltemplates.features.tokens import lengths_of


def has_padding(value: Feature, features: Sequence[Feature]) -> bool:
    """Return whether an array of an example may end with padding."""
    if isinstance(value, Tokens):
        return True
    return isinstance(value, Series) and any(isinstance(other, Length) for other in features)


def crop_padding(arrays: Arrays, features: Sequence[Feature]) -> Arrays:
    """Return a batch with no more padding than its longest sequences and texts need; others unchanged."""
    arrays = dict(arrays)
    for value in features:
        if isinstance(value, Length):
            arrays[SERIES] = arrays[SERIES][:, : arrays[value.name].max()]
        elif isinstance(value, Tokens):
            arrays[value.name] = arrays[value.name][:, : max(1, lengths_of(arrays[value.name]).max())]
    return arrays


def example_lengths(source: Source, spec: DatasetSpec) -> np.ndarray | None:
    """Return a number for each example, (n,): those with close numbers have similar lengths; None if all have one.

    For one sequence or text it is the length. Pairs of texts come in the order of the length of the target, and those
    with equal ones in the order of the source.
    """
    base, indices = origin(source)
    combined = None
    for value in (*spec.targets, *spec.inputs):
        if isinstance(value, Length):
            return column(source, value.name)
        array = base.arrays.get(value.name) if isinstance(base, ArraySource) else None
        if isinstance(value, Tokens) and isinstance(array, Ragged):
            lengths = np.diff(array.offsets)[indices]
            combined = lengths if combined is None else combined * (lengths.max(initial=0) + 1) + lengths
    return combined
