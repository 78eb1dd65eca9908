"""Boxes around the objects in an image."""

from __future__ import annotations

from typing import ClassVar, Literal

import numpy as np

from dltemplates.features.feature import Feature

PADDING = -1.0
WORST = 1.0  # the difference of an unmatched box: as wide as the image


class Boxes(Feature):
    """Up to `max_boxes` boxes per example: (max_boxes, 4), compared as a set.

    A box is (left, top, right, bottom), each a share of the image's width or height, 0 to 1. Rows of -1 are padding. A
    row counts as padding if its left edge is below -0.5.
    """

    spread: ClassVar[float | None] = 1.0  # the image's width; padding does not count

    kind: Literal["boxes"] = "boxes"

    @staticmethod
    def are_boxes(rows: np.ndarray) -> np.ndarray:
        """Return whether each row (..., 4) is a box, not padding: booleans (...)."""
        return ~(rows[..., 0] < PADDING / 2)  # a row of NaN is not padding

    def differences(self, expected: np.ndarray, actual: np.ndarray) -> np.ndarray:
        """Return the distance of each box to its match, in any order: float64 (n, max_boxes, 4).

        Match the two boxes closest in all coordinates first, then the closest of the rest. A box without a match
        differs by 1.
        """
        pairs = zip(expected.astype(np.float64), actual.astype(np.float64), strict=True)
        return np.stack([self._of_one(boxes, others) for boxes, others in pairs])

    def _of_one(self, expected: np.ndarray, actual: np.ndarray) -> np.ndarray:
        differences = np.zeros(expected.shape)
        boxes, others = expected[self.are_boxes(expected)], actual[self.are_boxes(actual)]
        distances = np.abs(boxes[:, None] - others).max(axis=-1)  # (boxes, others)
        matched = min(distances.shape)
        for position in range(matched):
            row, column = np.unravel_index(np.argmin(distances), distances.shape)
            differences[position] = np.abs(boxes[row] - others[column])
            distances[row], distances[:, column] = np.inf, np.inf
        differences[matched : max(len(boxes), len(others))] = WORST
        return differences
