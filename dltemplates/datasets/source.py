"""Sources of examples, read by index, and datasets, their named splits.

A loader returns sources of raw values: a table's numbers and texts as written, images as stored. After the features
are fitted, `fitted` returns sources of the network's inputs.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, Self

import numpy as np

from dltemplates.datasets.ragged import Ragged
from dltemplates.datasets.spec import DatasetSpec
from dltemplates.features import Arrays

if TYPE_CHECKING:
    from dltemplates.datasets.splitting.row_splits import RowSplits

SPLITS = ("train", "validation", "test")
ALL = "all"  # the name for all splits together
READ_AT_ONCE = 256
BYTES_AT_ONCE = 2**22  # float32 bytes of a batch; a network's activations take several times as much


class Source(Protocol):
    """Examples with random access.

    `read` is the reference. The pipeline reads a source of files through TensorFlow operations; a test checks that both
    are equal.
    """

    def __len__(self) -> int: ...

    def read(self, indices: np.ndarray) -> Arrays:
        """Read the examples at `indices` (n,): arrays by name, each (n, ...), inputs and targets alike."""
        ...


@dataclass(frozen=True)
class Dataset:
    """Named splits of examples with a shared spec.

    Attributes:
        spec: Their inputs and targets.
        splits: `train`, `validation` and `test`, or those that the data has.
        rows: The split of each row, if this package split the data.
        note: A remark on the data for the user, in one line; None for no remark.
    """

    spec: DatasetSpec
    splits: dict[str, Source]
    rows: RowSplits | None = None
    note: str | None = None

    def split(self, name: str) -> Source:
        """Return the source of one split.

        Raises:
            ValueError: If there is no such split.
        """
        if name not in self.splits:
            raise ValueError(f"Unknown split. Received: {name!r}. There are: {', '.join(self.splits)}.")
        return self.splits[name]


class BaseSource:
    """A source that can be split and fitted; all sources of this package are."""

    def __len__(self) -> int:
        raise NotImplementedError

    def read(self, indices: np.ndarray) -> Arrays:
        """Read the examples at `indices` (n,)."""
        raise NotImplementedError

    def take(self, indices: np.ndarray) -> Source:
        """Return the examples at `indices` (n,) alone, in that order."""
        return Subset(self, indices)

    def fitted(self, spec: DatasetSpec) -> Source:
        """Return a source that reads the inputs of the fitted `spec`."""
        return self

    def column(self, name: str) -> np.ndarray:
        """Return one array of all examples, (n, ...), without reading the others."""
        return np.concatenate([arrays[name] for arrays in batches_of(self)])

    @property
    def keys(self) -> Sequence[str] | None:
        """Texts that identify the examples; None if their positions do."""
        return None


class ArraySource(BaseSource):
    """Examples in arrays, memory maps or ragged arrays of one length."""

    def __init__(self, arrays: Mapping[str, Any]):
        self.arrays = arrays

    def __len__(self) -> int:
        return len(next(iter(self.arrays.values())))

    def read(self, indices: np.ndarray) -> Arrays:
        """Read the examples at `indices` (n,)."""
        return {name: array[indices] for name, array in self.arrays.items()}

    def column(self, name: str) -> np.ndarray:
        array = self.arrays[name]
        return array[:] if isinstance(array, Ragged) else array


class Wrapper(BaseSource):
    """A view of a source with the same number and order of examples.

    Attributes:
        source: The wrapped source.
    """

    def __init__(self, source: Source):
        self.source = source

    def __len__(self) -> int:
        return len(self.source)

    def over(self, source: Source) -> Self:
        """Return the same view of another source."""
        other = copy.copy(self)
        other.source = source
        return other

    def take(self, indices: np.ndarray) -> Source:
        return self.over(take(self.source, indices))

    def fitted(self, spec: DatasetSpec) -> Source:
        return self.over(fitted(self.source, spec))


class Subset(Wrapper):
    """Some of the examples of a source.

    Attributes:
        indices: Positions of the examples, (n,).
    """

    def __init__(self, source: Source, indices: np.ndarray):
        super().__init__(source)
        self.indices = indices

    def __len__(self) -> int:
        return len(self.indices)

    def read(self, indices: np.ndarray) -> Arrays:
        """Read the examples at `indices` (n,)."""
        return self.source.read(self.indices[indices])

    def take(self, indices: np.ndarray) -> Source:
        return Subset(self.source, self.indices[indices])

    def column(self, name: str) -> np.ndarray:
        return column(self.source, name)[self.indices]


class Joined(BaseSource):
    """The examples of several sources, concatenated.

    Attributes:
        sources: The sources.
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
        return {name: array[back] for name, array in join_batches(parts).items()}

    def fitted(self, spec: DatasetSpec) -> Source:
        return Joined([fitted(source, spec) for source in self.sources])

    def column(self, name: str) -> np.ndarray:
        return np.concatenate([column(source, name) for source in self.sources])


class Mapped(Wrapper):
    """A source with changed examples.

    Attributes:
        change: Function from the arrays of some examples and their indices (n,) to their new arrays.
    """

    def __init__(self, source: Source, change: Callable[[Arrays, np.ndarray], Arrays]):
        super().__init__(source)
        self.change = change

    def read(self, indices: np.ndarray) -> Arrays:
        """Read the examples at `indices` (n,)."""
        return self.change(self.source.read(indices), indices)


def take(source: Source, indices: np.ndarray) -> Source:
    """Return the examples of a source at `indices` (n,) alone, in that order."""
    return source.take(indices) if isinstance(source, BaseSource) else Subset(source, indices)


def fitted(source: Source, spec: DatasetSpec) -> Source:
    """Return a source that reads the inputs of the fitted `spec`."""
    return source.fitted(spec) if isinstance(source, BaseSource) else source


def column(source: Source, name: str) -> np.ndarray:
    """Return one array of all examples of a source, (n, ...)."""
    if isinstance(source, BaseSource):
        return source.column(name)
    return np.concatenate([arrays[name] for arrays in batches_of(source)])


def origin(source: Source) -> tuple[Source, np.ndarray]:
    """Return the source below all wrappers, and the indices (n,) of its visible examples."""
    if isinstance(source, Subset):
        base, indices = origin(source.source)
        return base, indices[source.indices]
    if isinstance(source, Wrapper):
        return origin(source.source)
    return source, np.arange(len(source))


def examples_at_once(numbers: int, max_examples: int) -> int:
    """Return the number of examples per batch: fewer than `max_examples` if they are large.

    Args:
        numbers: Count of numbers in one example.
        max_examples: Batch size for small examples.
    """
    return min(max_examples, max(1, BYTES_AT_ONCE // (4 * max(numbers, 1))))


def index_batches(total: int, size: int) -> Iterator[np.ndarray]:
    """Yield the indices from 0 to `total` in batches of `size`."""
    for start in range(0, total, size):
        yield np.arange(start, min(start + size, total))


def batches_of(source: Source) -> Iterator[Arrays]:
    """Yield the examples of a source in order, in batches of a few hundred; fewer if they are large."""
    if not len(source):
        return
    numbers = sum(array.size for array in source.read(np.arange(1)).values())
    size = examples_at_once(numbers, READ_AT_ONCE)
    for rows in index_batches(len(source), size):
        yield source.read(rows)


def join_batches(batches: Sequence[Arrays]) -> Arrays:
    """Concatenate batches of examples."""
    return {name: np.concatenate([batch[name] for batch in batches]) for name in batches[0]}
