"""Class ids."""

from __future__ import annotations

from typing import Literal

from dltemplates.features.feature import WithClasses, WithColumns


class ClassId(WithClasses, WithColumns):
    """One class: its id; or one for each of several places, such as boxes, -1 where there is none.

    Attributes:
        counts: Examples of each class in the training split.
    """

    kind: Literal["class"] = "class"
    counts: tuple[int, ...] | None = None
