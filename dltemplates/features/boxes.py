"""Boxes around the objects in an image."""

from __future__ import annotations

from typing import ClassVar, Literal

import numpy as np

from dltemplates.features.feature import Feature

PADDING = -1.0
WORST = 1.0  # the difference of a box that has no match: as wide as the image


class Boxes(Feature):
    """Up to `most` boxes an example: (most, 4), compared as a set.

    A box is (left, top, right, bottom), each a share of the image's width or height, 0 to 1. A row of -1 is no box: it
    fills the rows that are left. A row whose left edge is below -0.5 is taken as such a row.
    """

    spread: ClassVar[float | None] = 1.0  # the image; rows that are no box do not count

    kind: Literal["boxes"] = "boxes"

    @staticmethod
    def are_boxes(rows: np.ndarray) -> np.ndarray:
        """Return which rows (..., 4) are boxes, and no padding: booleans (...)."""
        return ~(rows[..., 0] < PADDING / 2)  # a row of NaN is no padding

    def differences(self, expected: np.ndarray, given: np.ndarray) -> np.ndarray:
        """Return how far each box is from its match, whatever their order: float64 (n, most, 4).

        The two boxes that are closest in all coordinates are matched first, then the closest of those left. A box
        without a match differs by 1.
        """
        pairs = zip(expected.astype(np.float64), given.astype(np.float64), strict=True)
        return np.stack([self._of_one(boxes, others) for boxes, others in pairs])

    def _of_one(self, expected: np.ndarray, given: np.ndarray) -> np.ndarray:
        differences = np.zeros(expected.shape)
        boxes, others = expected[self.are_boxes(expected)], given[self.are_boxes(given)]
        distances = np.abs(boxes[:, None] - others).max(axis=-1)  # (boxes, others)
        matched = min(distances.shape)
        for place in range(matched):
            row, column = np.unravel_index(np.argmin(distances), distances.shape)
            differences[place] = np.abs(boxes[row] - others[column])
            distances[row], distances[:, column] = np.inf, np.inf
        differences[matched : max(len(boxes), len(others))] = WORST
        return differences
