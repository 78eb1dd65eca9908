"""How much of a task's score an export may cost."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from dltemplates.settings import parse_drop

ROUNDING = 1e-9


@dataclass(frozen=True)
class Budget:
    """Greatest drop of the score.

    Attributes:
        text: As it was given: `0.01`, or `1%` of the float score.
        direction: Whether a larger (`max`) or smaller (`min`) score is better.
    """

    text: str
    direction: Literal["max", "min"]

    def __post_init__(self) -> None:
        """Check it.

        Raises:
            ValueError: If it is no number and no share.
        """
        parse_drop(self.text)

    def drop(self, float_score: float, score: float) -> float:
        """How much worse an export is than Keras; negative where it is better."""
        return float_score - score if self.direction == "max" else score - float_score

    def allowed(self, float_score: float) -> float:
        """The greatest drop, in the score's own unit."""
        value, relative = parse_drop(self.text)
        return value * abs(float_score) if relative else value

    def holds(self, float_score: float, score: float) -> bool:
        """Whether an export is within the budget; never where a score is not a number."""
        return self.drop(float_score, score) <= self.allowed(float_score) + ROUNDING
