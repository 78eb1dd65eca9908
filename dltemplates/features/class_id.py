"""Class ids."""

from __future__ import annotations

from typing import Literal

import numpy as np

from dltemplates.features.feature import Arrays, WithClasses, WithColumns

MAX_LISTED_CLASSES = 20  # classes that an error lists


class ClassId(WithClasses, WithColumns):
    """One class: its id; or one for each of several places, such as boxes, -1 where there is none.

    Attributes:
        counts: Examples of each class in the training split.
    """

    kind: Literal["class"] = "class"
    counts: tuple[int, ...] | None = None

    def read(self, given: str) -> Arrays:
        """Read the name of a class: its id (1,) by the feature's name.

        Raises:
            ValueError: If there is no such class.
        """
        if given not in self.classes:
            raise ValueError(
                f"`{self.name}` must be one of {', '.join(self.classes[:MAX_LISTED_CLASSES])}"
                f"{', ...' if len(self.classes) > MAX_LISTED_CLASSES else ''}. Received: {given!r}. Choose one of them."
            )
        return {self.name: np.array([self.classes.index(given)], self.dtype)}

    def count(self, ids: np.ndarray) -> np.ndarray:
        """Count the examples of each class: (classes,) of ids (n, *shape)."""
        return np.bincount(ids[ids >= 0], minlength=len(self.classes))

    def renumber(self, ids: np.ndarray, classes: tuple[str, ...]) -> np.ndarray:
        """Return ids (n, *shape) of these classes as those of another list, which holds them all."""
        of = {name: place for place, name in enumerate(classes)}
        places = np.array([of[name] for name in self.classes])
        return np.where(ids < 0, ids, places[ids])

    def with_classes(self, classes: tuple[str, ...]) -> ClassId:
        """Return this feature with another list of classes."""
        return self.model_copy(update={"classes": classes})
