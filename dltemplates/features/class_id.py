"""Class ids."""

from __future__ import annotations

from typing import Literal

from dltemplates.features.feature import WithClasses, WithColumns


class ClassId(WithClasses, WithColumns):
    """One class: its id.

    Attributes:
        counts: Examples of each class in the training split.
    """

    kind: Literal["class"] = "class"
    counts: tuple[int, ...] | None = None
