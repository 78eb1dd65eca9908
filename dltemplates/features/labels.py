"""Multi-label targets."""

from __future__ import annotations

from typing import Literal

import numpy as np

from dltemplates.features.feature import WithClasses


class Labels(WithClasses):
    """Any number of labels: one 0/1 flag per label.

    Attributes:
        counts: Training examples with each label.
    """

    kind: Literal["labels"] = "labels"
    counts: tuple[int, ...] | None = None

    def count(self, flags: np.ndarray) -> np.ndarray:
        """Count the examples per label: (labels,) from flags (n, labels)."""
        return flags.sum(axis=0)

    def renumber(self, flags: np.ndarray, classes: tuple[str, ...]) -> np.ndarray:
        """Translate flags (n, labels) into those of another label list, which contains all of these labels."""
        renumbered = np.zeros((len(flags), len(classes)), flags.dtype)
        new_ids = {name: new_id for new_id, name in enumerate(classes)}
        for place, name in enumerate(self.classes):
            renumbered[:, new_ids[name]] = np.maximum(renumbered[:, new_ids[name]], flags[:, place])
        return renumbered

    def with_classes(self, classes: tuple[str, ...]) -> Labels:
        """Return this feature with another list of labels."""
        return self.model_copy(update={"classes": classes, "shape": (len(classes),)})
