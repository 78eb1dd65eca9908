"""Labels."""

from __future__ import annotations

from typing import Literal

from dltemplates.features.feature import WithClasses


class Labels(WithClasses):
    """Any number of labels: a 0/1 flag for each.

    Attributes:
        counts: Examples with each label in the training split.
    """

    kind: Literal["labels"] = "labels"
    counts: tuple[int, ...] | None = None
