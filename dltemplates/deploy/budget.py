"""The budget: how much worse than Keras an export may score."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeVar

import numpy as np

from dltemplates.settings import parse_drop

ROUNDING = 1e-9
Score = TypeVar("Score", float, np.ndarray)


@dataclass(frozen=True)
class Budget:
    """Greatest drop of the score.

    Attributes:
        text: The user's text: `0.01`, or `1%` of the float score.
        direction: Whether a larger (`max`) or smaller (`min`) score is better.
    """

    text: str
    direction: Literal["max", "min"]

    def __post_init__(self) -> None:
        """Check the text.

        Raises:
            ValueError: If it is neither a number nor a percentage.
        """
        parse_drop(self.text)

    def drop(self, float_score: Score, score: Score) -> Score:
        """Return how much worse an export's score is than Keras's; negative if it is better."""
        return float_score - score if self.direction == "max" else score - float_score

    def allowed(self, float_score: float) -> float:
        """Return the greatest drop, in the score's unit."""
        value, relative = parse_drop(self.text)
        return value * abs(float_score) if relative else value

    def holds(self, float_score: float, score: float) -> bool:
        """Return whether an export is within the budget; False if a score is NaN."""
        return self.drop(float_score, score) <= self.allowed(float_score) + ROUNDING
