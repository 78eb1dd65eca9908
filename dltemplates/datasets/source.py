"""Where examples come from: a source is read by index, a dataset is its named splits."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from dltemplates.datasets.spec import DatasetSpec

SPLITS = ("train", "validation", "test")
ALL = "all"  # the name of all of them together
READ_AT_ONCE = 256

Arrays = dict[str, np.ndarray]


class Source(Protocol):
    """Examples with random access.

    `read` is the reference. A source of files is read by the pipeline through TensorFlow operations, which a test holds
    equal to it.
    """

    def __len__(self) -> int: ...

    def read(self, indices: np.ndarray) -> Arrays:
        """Read the examples at `indices` (n,) as arrays by name, each (n, ...), inputs and targets alike."""
        ...


@dataclass(frozen=True)
class Dataset:
    """The splits `train`, `validation` and `test` of a dataset, and the spec they share."""

    spec: DatasetSpec
    splits: dict[str, Source]

    def split(self, name: str) -> Source:
        """The source of one split.

        Raises:
            ValueError: If there is no such split.
        """
        if name not in self.splits:
            raise ValueError(f"Unknown split. Received: {name!r}. There are: {', '.join(self.splits)}.")
        return self.splits[name]


class ArraySource:
    """Examples held in arrays (or memory maps) of one length."""

    def __init__(self, arrays: Arrays):
        self.arrays = arrays

    def __len__(self) -> int:
        return len(next(iter(self.arrays.values())))

    def read(self, indices: np.ndarray) -> Arrays:
        """Read the examples at `indices` (n,)."""
        return {name: array[indices] for name, array in self.arrays.items()}


class Wrapper:
    """Another look at the examples of a source.

    Attributes:
        source: The source.
    """

    def __init__(self, source: Source):
        self.source = source

    def __len__(self) -> int:
        return len(self.source)


class Subset(Wrapper):
    """Some of the examples of a source.

    Attributes:
        indices: Which of its examples, (n,).
    """

    def __init__(self, source: Source, indices: np.ndarray):
        super().__init__(source)
        self.indices = indices

    def __len__(self) -> int:
        return len(self.indices)

    def read(self, indices: np.ndarray) -> Arrays:
        """Read the examples at `indices` (n,)."""
        return self.source.read(self.indices[indices])


class Joined:
    """The examples of several sources, one after the other.

    Attributes:
        sources: Those.
    """

    def __init__(self, sources: Sequence[Source]):
        self.sources = sources
        self._ends = np.cumsum([len(source) for source in sources])

    def __len__(self) -> int:
        return int(self._ends[-1])

    def read(self, indices: np.ndarray) -> Arrays:
        """Read the examples at `indices` (n,)."""
        where = np.searchsorted(self._ends, indices, side="right")
        parts = [
            source.read(indices[where == place] - (self._ends[place] - len(source)))
            for place, source in enumerate(self.sources)
            if (where == place).any()
        ]
        back = np.argsort(np.argsort(where, kind="stable"), kind="stable")
        return {name: np.concatenate([part[name] for part in parts])[back] for name in parts[0]}


class Mapped(Wrapper):
    """The examples of a source, changed.

    Attributes:
        change: Takes the arrays of some examples and their indices (n,), and gives the arrays that they are to have.
    """

    def __init__(self, source: Source, change: Callable[[Arrays, np.ndarray], Arrays]):
        super().__init__(source)
        self.change = change

    def read(self, indices: np.ndarray) -> Arrays:
        """Read the examples at `indices` (n,)."""
        return self.change(self.source.read(indices), indices)


def batches_of(source: Source) -> Iterator[Arrays]:
    """The examples of a source in order, a few hundred at once."""
    for start in range(0, len(source), READ_AT_ONCE):
        yield source.read(np.arange(start, min(start + READ_AT_ONCE, len(source))))
