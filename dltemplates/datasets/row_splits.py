"""What a run keeps of its data: the hash and the split of each example, so that each is found in its split again."""

from __future__ import annotations

import io
import zipfile
from dataclasses import dataclass

import numpy as np

from dltemplates.datasets.source import SPLITS


@dataclass(frozen=True)
class RowSplits:
    """The split of each example that was split here; of a series, of each row.

    Attributes:
        hashes: Of the examples, uint64 (n,), in the order of the training.
        splits: The place of each one's split in `SPLITS`, uint8 (n,).
        bounds: Of a series with dates, when validation and test begin, float64 (2,), in days since 1970; else empty.
        by_time: Whether it is a series, whose rows are split by their places.
    """

    hashes: np.ndarray
    splits: np.ndarray
    split_bounds: np.ndarray
    by_time: bool = False

    def to_bytes(self) -> bytes:
        """Return the content of `splits.npz`."""
        file = io.BytesIO()
        np.savez(file, hashes=self.hashes, splits=self.splits, bounds=self.split_bounds, by_time=np.array(self.by_time))
        return file.getvalue()

    @classmethod
    def from_bytes(cls, content: bytes, name: str) -> RowSplits:
        """Read the content of a `splits.npz`.

        Raises:
            ValueError: If it is something else; names the file.
        """
        try:
            with np.load(io.BytesIO(content), allow_pickle=False) as file:
                found = cls(file["hashes"], file["splits"], file["bounds"], bool(file["by_time"]))
        except (ValueError, KeyError, OSError, EOFError, zipfile.BadZipFile) as error:
            raise ValueError(
                f"A run's splits must be whole. Received: {name} ({type(error).__name__}). Restore it, or train again."
            ) from None
        is_right = found.hashes.shape == found.splits.shape and found.hashes.dtype == np.uint64
        if not is_right or (found.splits >= len(SPLITS)).any():
            raise ValueError(f"A run's splits must be whole. Received: {name}. Restore it, or train again.")
        return found

    def indices(self, split: str) -> np.ndarray:
        """Return the places of the examples of a split, ascending."""
        return np.flatnonzero(self.splits == SPLITS.index(split))

    def find(self, hashes: np.ndarray) -> np.ndarray:
        """Return the place here of each example that is given, -1 for one that is not here.

        Of equal examples the first that is given is the first here, and so on.
        """
        known, known_order, _ = _turns(self.hashes)
        given, order, turn = _turns(hashes)
        first = np.searchsorted(known, given, side="left")
        count = np.searchsorted(known, given, side="right") - first
        places = np.full(len(hashes), -1)
        is_known = turn < count
        places[order[is_known]] = known_order[(first + turn)[is_known]]
        return places

    def compare(self, hashes: np.ndarray) -> tuple[int, int]:
        """Count the examples that are gone, and those that are new, where `hashes` are those of the data now."""
        found = int((self.find(hashes) >= 0).sum())
        return len(self.hashes) - found, len(hashes) - found


def _turns(hashes: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The hashes sorted, the place of each before that, and how many equal ones come before it."""
    order = np.argsort(hashes, kind="stable")
    ordered = hashes[order]
    return ordered, order, np.arange(len(hashes)) - np.searchsorted(ordered, ordered, side="left")
