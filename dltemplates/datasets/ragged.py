"""Arrays of different lengths, stored one after the other and padded per batch."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


class Ragged:
    """One array per example, (rows, ...), with a different number of rows each.

    Indexing works as on an array (examples, length, ...), and returns such arrays.

    Attributes:
        values: The rows of all examples, (total, ...); may be a memory map.
        offsets: Start of each example, and the end: (examples + 1,) int64.
        length: Rows of each example after padding.
        fill: The number in padding rows.

    Raises:
        ValueError: If the offsets do not match the values, or an example has more rows than `length`.
    """

    def __init__(self, values: np.ndarray, offsets: np.ndarray, *, length: int | None = None, fill: float = 0):
        rows = np.diff(offsets)
        if not len(offsets) or offsets[0] != 0 or offsets[-1] != len(values) or (rows < 0).any():
            raise ValueError(
                f"Offsets must start at 0, never decrease, and end at the number of rows. Received: {len(offsets)} of "
                f"them for {len(values)} rows. Give the start of each example, and the end."
            )
        longest = int(rows.max(initial=0))
        if length is not None and longest > length:
            raise ValueError(
                f"An example must have at most {length} rows. Received: {longest}. Raise `length`, or drop rows."
            )
        self.values = values
        self.offsets = offsets
        self.length = longest if length is None else length
        self.fill = fill

    @classmethod
    def of(cls, arrays: Sequence[np.ndarray], *, length: int | None = None, fill: float = 0) -> Ragged:
        """Store the examples' arrays, each (rows, ...), one after the other."""
        offsets = np.cumsum([0, *map(len, arrays)], dtype=np.int64)
        return cls(np.concatenate(arrays), offsets, length=length, fill=fill)

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape after padding: (examples, length, ...)."""
        return (len(self), self.length, *self.values.shape[1:])

    @property
    def dtype(self) -> np.dtype:
        """Dtype of the values."""
        return self.values.dtype

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def __getitem__(self, indices: np.ndarray | slice) -> np.ndarray:
        """Return some examples, padded: (n, length, ...)."""
        begins, ends = self.offsets[:-1][indices], self.offsets[1:][indices]
        rows = begins[:, None] + np.arange(self.length)
        is_row = rows < ends[:, None]
        padded = np.full((*rows.shape, *self.values.shape[1:]), self.fill, self.dtype)
        padded[is_row] = self.values[rows[is_row]]
        return padded

    def rows(self, index: int) -> np.ndarray:
        """Return the rows of one example, without padding."""
        return self.values[self.offsets[index] : self.offsets[index + 1]]

    def take(self, indices: np.ndarray) -> Ragged:
        """Return the examples at `indices` (n,) alone, in that order."""
        counts = np.diff(self.offsets)[indices]
        offsets = np.cumsum([0, *counts], dtype=np.int64)
        places = np.arange(offsets[-1]) + np.repeat(self.offsets[:-1][indices] - offsets[:-1], counts)
        return Ragged(self.values[places], offsets, length=self.length, fill=self.fill)
