"""Labels."""

from __future__ import annotations

from typing import Literal

import numpy as np

from dltemplates.features.feature import WithClasses


class Labels(WithClasses):
    """Any number of labels: a 0/1 flag for each.

    Attributes:
        counts: Examples with each label in the training split.
    """

    kind: Literal["labels"] = "labels"
    counts: tuple[int, ...] | None = None

    def count(self, flags: np.ndarray) -> np.ndarray:
        """Count the examples with each label: (labels,) of flags (n, labels)."""
        return flags.sum(axis=0)

    def renumber(self, flags: np.ndarray, classes: tuple[str, ...]) -> np.ndarray:
        """Return flags (n, labels) of these labels as those of another list, which holds them all."""
        moved = np.zeros((len(flags), len(classes)), flags.dtype)
        of = {name: place for place, name in enumerate(classes)}
        moved[:, [of[name] for name in self.classes]] = flags
        return moved

    def with_classes(self, classes: tuple[str, ...]) -> Labels:
        """Return this feature with another list of labels."""
        return self.model_copy(update={"classes": classes, "shape": (len(classes),)})
