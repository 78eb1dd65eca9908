"""The hash and the split of each example, stored in a run so that every example keeps its split."""

from __future__ import annotations

import io
import zipfile
from dataclasses import dataclass

import numpy as np

from dltemplates.datasets.source import SPLITS


@dataclass(frozen=True)
class RowSplits:
    """The split of each example that this package split; for a series, of each row.

    Attributes:
        hashes: Hash of each example, uint64 (n,), in training order.
        splits: Position of each example's split in `SPLITS`, uint8 (n,).
        split_bounds: For a series with dates, the start of validation and test, float64 (2,), in days since 1970; else
            empty.
        by_time: Whether the data is a series, whose rows are split by position.
        groups: Hash of each example's group, uint64 (n,); examples of one group share a split. None if equal hashes do.
    """

    hashes: np.ndarray
    splits: np.ndarray
    split_bounds: np.ndarray
    by_time: bool = False
    groups: np.ndarray | None = None

    def to_bytes(self) -> bytes:
        """Return the content of `splits.npz`."""
        file = io.BytesIO()
        np.savez(
            file,
            hashes=self.hashes,
            splits=self.splits,
            bounds=self.split_bounds,
            by_time=np.array(self.by_time),
            groups=self.group_hashes,
        )
        return file.getvalue()

    @property
    def group_hashes(self) -> np.ndarray:
        """Hash of each example's group, uint64 (n,)."""
        return self.hashes if self.groups is None else self.groups

    @classmethod
    def from_bytes(cls, content: bytes, name: str) -> RowSplits:
        """Parse the content of a `splits.npz`.

        Raises:
            ValueError: If it is broken; names the file.
        """
        try:
            with np.load(io.BytesIO(content), allow_pickle=False) as file:
                groups = file.get("groups")
                found = cls(file["hashes"], file["splits"], file["bounds"], bool(file["by_time"]), groups)
        except (ValueError, KeyError, OSError, EOFError, zipfile.BadZipFile) as error:
            raise ValueError(
                f"A run's splits must be valid. Received: {name} ({type(error).__name__}). Restore it, or train again."
            ) from None
        is_right = all(
            array.shape == found.splits.shape and array.dtype == np.uint64
            for array in (found.hashes, found.group_hashes)
        )
        if not is_right or (found.splits >= len(SPLITS)).any():
            raise ValueError(f"A run's splits must be valid. Received: {name}. Restore it, or train again.")
        return found

    def indices(self, split: str) -> np.ndarray:
        """Return the positions of a split's examples, ascending."""
        return np.flatnonzero(self.splits == SPLITS.index(split))

    def find(self, hashes: np.ndarray) -> np.ndarray:
        """Return the stored position of each example; -1 if unknown.

        The first of equal examples gets the position of the first stored one, the second of the second, and so on.
        """
        known, known_order, _ = _sort_with_ranks(self.hashes)
        ordered, order, turn = _sort_with_ranks(hashes)
        first = np.searchsorted(known, ordered, side="left")
        count = np.searchsorted(known, ordered, side="right") - first
        places = np.full(len(hashes), -1)
        is_known = turn < count
        places[order[is_known]] = known_order[(first + turn)[is_known]]
        return places

    def compare(self, hashes: np.ndarray) -> tuple[int, int]:
        """Count the missing and the new examples of the current data, by its hashes."""
        found = int((self.find(hashes) >= 0).sum())
        return len(self.hashes) - found, len(hashes) - found


def all_train(hashes: np.ndarray, groups: np.ndarray) -> RowSplits:
    """Return the rows of a training split that the data has itself."""
    return RowSplits(hashes, np.zeros(len(hashes), np.uint8), np.empty(0), groups=groups)


def _sort_with_ranks(hashes: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the sorted hashes, their original positions, and the number of equal hashes before each."""
    order = np.argsort(hashes, kind="stable")
    ordered = hashes[order]
    return ordered, order, np.arange(len(hashes)) - np.searchsorted(ordered, ordered, side="left")
