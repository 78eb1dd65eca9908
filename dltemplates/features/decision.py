"""Decisions."""

from __future__ import annotations

from typing import Literal

from dltemplates.features.feature import WithColumns


class Decision(WithColumns):
    """A decision: 0 or 1.

    Attributes:
        threshold: The score above which it is 1; fitted when training ends.
    """

    kind: Literal["decision"] = "decision"
    threshold: float | None = None
