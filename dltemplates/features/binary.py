"""Decisions."""

from __future__ import annotations

from typing import ClassVar, Literal

import numpy as np

from dltemplates.features.feature import WithColumns


class Binary(WithColumns):
    """A decision: 0 or 1, equal to Keras's or not.

    Attributes:
        threshold: The score above which it is 1; fitted when training ends.
    """

    is_decision: ClassVar = True

    kind: Literal["binary"] = "binary"
    threshold: float | None = None

    def differences(self, expected: np.ndarray, given: np.ndarray) -> np.ndarray:
        """Return of each example 1 where a decision differs, else 0: float64 (n,)."""
        return (given != expected).reshape(len(given), -1).any(axis=1).astype(np.float64)
