"""Noise."""

from __future__ import annotations

from typing import Literal

import numpy as np

from dltemplates.features.feature import Arrays, Feature


class Noise(Feature):
    """Standard normal numbers, the input of a generator."""

    kind: Literal["noise"] = "noise"

    def draw(self, seed: int) -> np.ndarray:
        """Draw numbers from a seed: float32 (*shape). NumPy draws them, so every runtime gets the same."""
        return np.random.default_rng(seed).normal(size=self.shape).astype(np.float32)

    def read(self, text_or_seed: str | int) -> Arrays:
        """Turn a seed or a list of numbers into noise.

        Args:
            text_or_seed: A seed, such as `7`; or as many comma-separated numbers as the noise has.

        Returns:
            float32 (1, *shape), keyed by name.

        Raises:
            ValueError: If it is neither a seed nor the right count of numbers.
        """
        text = str(text_or_seed).strip()
        return {self.name: (self.draw(int(text)) if text.isdecimal() else self.numbers(text))[None]}

    def numbers(self, text: str) -> np.ndarray:
        """Parse comma-separated numbers: float32 (*shape).

        Raises:
            ValueError: If a cell is not a number, or the count is wrong.
        """
        count = int(np.prod(self.shape))
        try:
            numbers = np.array([float(cell) for cell in text.split(",")], np.float32)
        except ValueError:
            raise ValueError(
                f"`{self.name}` must be a seed, or {count} numbers. Received: {text!r}. Try a seed such as 0."
            ) from None
        if len(numbers) != count or not np.isfinite(numbers).all():
            raise ValueError(
                f"`{self.name}` must be {count} finite numbers, separated by commas. Received: {len(numbers)} of "
                f"them, {text!r}. Give {count}, or a seed such as 0."
            )
        return numbers.reshape(self.shape)
