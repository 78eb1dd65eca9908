"""Class ids."""

from __future__ import annotations

from typing import Literal

import numpy as np

from dltemplates.features.feature import Arrays, WithClasses, WithColumns

MAX_LISTED_CLASSES = 20  # classes that an error lists


class ClassId(WithClasses, WithColumns):
    """One class id; or one per position, such as per box, with -1 for no class.

    Attributes:
        counts: Examples of each class in the training split.
    """

    kind: Literal["class"] = "class"
    counts: tuple[int, ...] | None = None

    def read(self, class_name: str) -> Arrays:
        """Turn a class name into its id: (1,), keyed by the feature's name.

        Raises:
            ValueError: If there is no such class.
        """
        if class_name not in self.classes:
            raise ValueError(
                f"`{self.name}` must be one of {', '.join(self.classes[:MAX_LISTED_CLASSES])}"
                f"{', ...' if len(self.classes) > MAX_LISTED_CLASSES else ''}. Received: {class_name!r}. "
                "Choose one of them."
            )
        return {self.name: np.array([self.classes.index(class_name)], self.dtype)}

    def count(self, ids: np.ndarray) -> np.ndarray:
        """Count the examples of each class: (classes,) of ids (n, *shape)."""
        return np.bincount(ids[ids >= 0], minlength=len(self.classes))

    def renumber(self, ids: np.ndarray, classes: tuple[str, ...]) -> np.ndarray:
        """Translate ids (n, *shape) into those of another class list, which contains all of these classes."""
        new_ids = {name: new_id for new_id, name in enumerate(classes)}
        table = np.array([new_ids[name] for name in self.classes])
        return np.where(ids < 0, ids, table[ids])

    def with_classes(self, classes: tuple[str, ...]) -> ClassId:
        """Return this feature with another list of classes."""
        return self.model_copy(update={"classes": classes})
