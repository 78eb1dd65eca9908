"""How sure a score is: the number of units behind it, and its 95% interval.

A share of right units has Wilson's interval: Wilson, "Probable Inference, the Law of Succession, and Statistical
Inference", Journal of the American Statistical Association 22, 1927. Other scores have the bootstrap's: Efron,
Tibshirani, "An Introduction to the Bootstrap", 1993, chapter 13.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
from pydantic import BaseModel, ConfigDict

from dltemplates.tasks.scoring.evaluation import Evaluation, ScoreOf

CONFIDENCE = 0.95
MIN_UNITS = 10  # fewer say too little for an interval of a bootstrap, or for the gate
DRAWS = 2_000
MIN_DRAWS = 200
MAX_DRAWN = 10_000_000  # units in all draws; beyond it, there are fewer draws
MIN_WIDTH = 1e-6  # of an interval with two digits of its width
NUMBERS_AT_ONCE = 2**22  # weights in memory


class ScoreInterval(BaseModel):
    """The evidence behind a score.

    Attributes:
        units: Number of independent units: images, rows, blocks of a series.
        of_blocks: Whether a unit is a block of a series, with all examples that begin in it.
        right: Number of right units, if the score is their share.
        low: Lower end of the 95% interval; None if unknown.
        high: Upper end of the 95% interval; None if unknown.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    units: int
    of_blocks: bool = False
    right: int | None = None
    low: float | None = None
    high: float | None = None

    def __str__(self) -> str:
        """Return a phrase such as `14 of 16, 0.64 to 0.97`."""
        blocks = f" block{'' if self.units == 1 else 's'}" if self.of_blocks else ""
        count = f"n = {self.units:,}{blocks}" if self.right is None else f"{self.right:,} of {self.units:,}"
        return f"{count}, {self.range}" if self.range else count

    @property
    def range(self) -> str:
        """The interval, such as `0.64 to 0.97`; empty if unknown."""
        if self.low is None or self.high is None:
            return ""
        width = self.high - self.low
        if width < MIN_WIDTH:
            return f"{self.low:.4g} to {self.high:.4g}"
        digits = max(0 if self.right is None else 2, 1 - math.floor(math.log10(width)))  # two digits of the width
        return f"{self.low:,.{digits}f} to {self.high:,.{digits}f}"


def format_score(figure: float) -> str:
    """Format a score or another metric with few digits."""
    return f"{figure:.4f}" if figure == 0 or 1e-3 <= abs(figure) < 1e7 else f"{figure:.4g}"


def describe_score(score: float, interval: ScoreInterval | None) -> str:
    """Return a score with its evidence, such as `0.8750, 14 of 16, 0.64 to 0.97`."""
    return format_score(score) if interval is None else f"{format_score(score)}, {interval}"


def score_intervals(evaluation: Evaluation) -> dict[str, ScoreInterval]:
    """Return the evidence behind each score of an evaluation."""
    return {name: score_interval(evaluation, name) for name in evaluation.scores}


def score_interval(evaluation: Evaluation, name: str) -> ScoreInterval:
    """Return the evidence behind one score; only the number of units if it cannot be resampled."""
    units = count_units(evaluation)
    if name in evaluation.shares and evaluation.units is None:
        is_right = evaluation.shares[name]
        return share_interval(int(is_right.sum()), len(is_right))
    interval = ScoreInterval(units=units, of_blocks=evaluation.units is not None)
    if name not in evaluation.score_of or units < MIN_UNITS:
        return interval
    score_of = evaluation.score_of[name]
    scores = np.concatenate([score_of(weights) for weights in draw_weights(evaluation)])
    low, high = quantiles(scores, CONFIDENCE) or (None, None)
    return interval.model_copy(update={"low": low, "high": high})


def share_interval(right: int, units: int) -> ScoreInterval:
    """Return Wilson's interval of a share; without an interval if there are no units."""
    if units == 0:
        return ScoreInterval(units=0, right=0)
    from scipy.stats import binomtest

    interval = binomtest(right, units).proportion_ci(confidence_level=CONFIDENCE, method="wilson")
    return ScoreInterval(units=units, right=right, low=float(interval.low), high=float(interval.high))


def mean_of(values: np.ndarray) -> ScoreOf:
    """Return the function from weights (draws, n) to the weighted means (draws,) of values (n,)."""
    return lambda weights: (weights @ values) / weights.sum(axis=1)


def ratio_of(top: np.ndarray, bottom: np.ndarray) -> ScoreOf:
    """Return the function from weights (draws, n) to the ratio (draws,) of two weighted sums, of values (n,) each."""

    def score(weights: np.ndarray) -> np.ndarray:
        below = weights @ bottom
        return np.where(below > 0, (weights @ top) / np.maximum(below, 1e-9), np.nan)

    return score


def count_units(evaluation: Evaluation) -> int:
    """Return the number of independent units of an evaluation."""
    return len(evaluation) if evaluation.units is None else len(np.unique(evaluation.units))


def draw_weights(evaluation: Evaluation) -> Iterator[np.ndarray]:
    """Draw units with replacement, always the same ones for the same number of units.

    Yields:
        How often each example is drawn, float64 (draws, n); several draws at a time.
    """
    count = count_units(evaluation)
    members = None if evaluation.units is None else np.unique(evaluation.units, return_inverse=True)[1]
    draws = max(MIN_DRAWS, min(DRAWS, MAX_DRAWN // count))
    random = np.random.default_rng(0)
    at_once = max(1, NUMBERS_AT_ONCE // len(evaluation))
    for start in range(0, draws, at_once):
        weights = np.stack(
            [
                np.bincount(random.integers(0, count, count), minlength=count).astype(np.float64)
                for _ in range(min(at_once, draws - start))
            ]
        )
        yield weights if members is None else weights[:, members]


def quantiles(scores: np.ndarray, confidence: float) -> tuple[float, float] | None:
    """Return the interval of resampled scores; None if most of them are not finite, since a draw may lack a class."""
    finite = scores[np.isfinite(scores)]
    if len(finite) < len(scores) / 2:
        return None
    low, high = np.quantile(finite, [(1 - confidence) / 2, (1 + confidence) / 2])
    return float(low), float(high)
