"""Noise."""

from __future__ import annotations

from typing import Literal

import numpy as np

from dltemplates.features.feature import Arrays, Feature


class Noise(Feature):
    """Standard normal numbers, of which a generator makes an example."""

    kind: Literal["noise"] = "noise"

    def draw(self, seed: int) -> np.ndarray:
        """Draw the numbers of a seed: float32 (*shape), by NumPy, so that every runtime gets the same."""
        return np.random.default_rng(seed).normal(size=self.shape).astype(np.float32)

    def read(self, given: str | int) -> Arrays:
        """Read noise.

        Args:
            given: A seed, such as `7`; or as many numbers as the noise has, with commas in between.

        Returns:
            float32 (1, *shape) by name.

        Raises:
            ValueError: If it is neither, or the numbers are too many or too few.
        """
        text = str(given).strip()
        return {self.name: (self.draw(int(text)) if text.isdecimal() else self.numbers(text))[None]}

    def numbers(self, text: str) -> np.ndarray:
        """Read numbers with commas in between: float32 (*shape).

        Raises:
            ValueError: If they are no numbers, or too many or too few.
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
                f"`{self.name}` must be {count} finite numbers, with commas in between. Received: {len(numbers)} of "
                f"them, {text!r}. Give as many, or a seed such as 0."
            )
        return numbers.reshape(self.shape)
