"""Binary decisions."""

from __future__ import annotations

from typing import ClassVar, Literal

import numpy as np

from dltemplates.features.feature import WithColumns


class Binary(WithColumns):
    """A binary decision, 0 or 1. An exported file's decision either equals Keras's or is wrong.

    Attributes:
        threshold: Decide 1 for a score above it; fitted after training.
    """

    is_decision: ClassVar = True

    kind: Literal["binary"] = "binary"
    threshold: float | None = None

    def differences(self, expected: np.ndarray, actual: np.ndarray) -> np.ndarray:
        """Return 1 for each example whose decision differs, else 0: float64 (n,)."""
        return (actual != expected).reshape(len(actual), -1).any(axis=1).astype(np.float64)
