"""Categories of a table."""

from __future__ import annotations

from typing import Literal

import numpy as np

from dltemplates.features.feature import DRAWN, WithColumns


class Category(WithColumns):
    """Category ids, or their texts, one per column."""

    kind: Literal["category"] = "category"

    def texts(self, ids: np.ndarray) -> np.ndarray:
        """Turn ids (n, columns) back into text; id 0 (unknown or missing) becomes empty text."""
        texts = [np.array(("", *column.vocabulary)) for column in self.columns or ()]
        return np.stack([texts[position][ids[:, position]] for position in range(len(texts))], axis=1)

    def encode(self, array: np.ndarray) -> np.ndarray:
        """Encode as any feature does; encode texts as UTF-8 bytes."""
        return np.char.encode(array, "utf-8") if self.dtype == "string" else super().encode(array)

    def stress(self, example: np.ndarray, random: np.random.Generator) -> np.ndarray:
        """Return random ids (19, columns), or their texts."""
        sizes = [len(column.vocabulary) for column in self.columns or ()]
        ids = random.integers(0, sizes, (DRAWN + 3, len(sizes)), endpoint=True)
        return self.texts(ids) if self.dtype == "string" else ids.astype(self.dtype)
