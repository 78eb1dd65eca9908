"""The gate: whether an exported system does its task as well as the same system in Keras, and how sure that is.

Tango: "Equivalence test and confidence interval for the difference in proportions for the paired-sample design",
Statistics in Medicine 17, 1998, pages 891-908. Efron, Tibshirani: "An Introduction to the Bootstrap", 1993, chapter 13.
"""

from __future__ import annotations

import math

import numpy as np
from pydantic import BaseModel

from dltemplates.deploy.budget import Budget
from dltemplates.tasks.scoring.evaluation import Evaluation

CONFIDENCE = 0.9  # of the two-sided interval of the drop
MIN_UNITS = 10  # with fewer, a score says nothing
DRAWS = 2_000


class GateResult(BaseModel):
    """What the gate found on validation.

    Attributes:
        units: Independent units: pictures, rows, blocks of a series.
        allowed: The greatest drop, in the unit of the score.
        lost: Units that are right in Keras and wrong in the file, where the score is a share of right units.
        gained: Units that are wrong in Keras and right in the file, likewise.
        interval: The 90% interval of the drop; None where it is not known.
        proven: Whether the whole interval is within the budget; None where it is not known.
        failure: Why the file is refused; None where it passes.
    """

    units: int
    allowed: float
    lost: int | None = None
    gained: int | None = None
    interval: tuple[float, float] | None = None
    proven: bool | None = None
    failure: str | None = None

    @property
    def evidence(self) -> str | None:
        """What the interval proves, for a report."""
        if self.interval is None:
            return None
        low, high = self.interval
        if self.proven:
            return f"proven: the drop is below {self.allowed:.3g} (90% interval {low:.3g} to {high:.3g})"
        return f"not proven: {self.units} examples cannot show a drop below {high:.2g}"


def decide(keras: Evaluation, file: Evaluation, budget: Budget) -> GateResult:
    """Compare the first score of a system with that of the same system in Keras, on the same examples.

    Args:
        keras: The evaluation in Keras.
        file: The evaluation of the files.
        budget: Greatest drop of the score.
    """
    (name, float_score), (_, score) = (next(iter(each.scores.items())) for each in (keras, file))
    units = count_units(keras)
    allowed = budget.allowed(float_score)
    result = GateResult(units=units, allowed=allowed)
    if units < MIN_UNITS:
        return result
    if keras.is_share and keras.errors is not None and file.errors is not None:
        return _decide_share(name, keras.errors == 0, file.errors == 0, allowed)
    drop = budget.drop(float_score, score)
    interval = bootstrap_interval(keras, file, budget)
    failure = None
    if not budget.holds(float_score, score):
        failure = (
            f"over budget: {name} on validation is {score:.4f}, {float_score:.4f} in Keras; a drop of {drop:.4f} where "
            f"{budget.text} is allowed. Allow more with --max-drop"
        )
    proven = None if interval is None else interval[1] <= allowed
    return result.model_copy(update={"interval": interval, "proven": proven, "failure": failure})


def _decide_share(name: str, keras: np.ndarray, file: np.ndarray, allowed: float) -> GateResult:
    """Decide about a score that is the share of right units, from whether each is right (n,)."""
    units = len(keras)
    lost, gained = int((keras & ~file).sum()), int((file & ~keras).sum())
    most = max(1, math.floor(allowed * units + 1e-9))
    failure = None
    if lost - gained > most:
        failure = (
            f"over budget: {name} on validation loses {lost} of {units} and gains {gained}, where a loss of {most} is "
            "allowed. Allow more with --max-drop"
        )
    interval = tango_interval(lost, gained, units)
    return GateResult(
        units=units,
        allowed=allowed,
        lost=lost,
        gained=gained,
        interval=interval,
        proven=interval[1] <= allowed,
        failure=failure,
    )


def count_units(evaluation: Evaluation) -> int:
    """Return the number of independent units of an evaluation."""
    return len(evaluation) if evaluation.units is None else len(np.unique(evaluation.units))


def tango_interval(lost: int, gained: int, units: int, confidence: float = CONFIDENCE) -> tuple[float, float]:
    """Return Tango's score interval of the difference of two shares that were found on the same units.

    Args:
        lost: Units that are right by the first and wrong by the second.
        gained: Units that are wrong by the first and right by the second.
        units: All units.
        confidence: Of the two-sided interval.

    Returns:
        The lower and the upper end of the first share less the second, in [-1, 1].
    """
    from scipy.optimize import brentq
    from scipy.stats import norm

    critical = float(norm.ppf((1 + confidence) / 2))

    def statistic(difference: float) -> float:
        a, b = 2 * units, -lost - gained + (2 * units - lost + gained) * difference
        c = -gained * difference * (1 - difference)
        share = (math.sqrt(max(b * b - 4 * a * c, 0.0)) - b) / (2 * a)
        variance = units * (2 * share + difference * (1 - difference))
        return (lost - gained - units * difference) / math.sqrt(max(variance, 1e-300))

    found, edge = (lost - gained) / units, 1e-12
    ends = []
    for sign, end in ((1, -1.0), (-1, 1.0)):
        outermost = end * (1 - edge)
        start = found + (edge if sign < 0 else -edge)
        if abs(start) >= 1 or sign * statistic(outermost) < critical:
            ends.append(end)
        elif sign * statistic(start) >= critical:
            ends.append(found)
        else:
            ends.append(float(brentq(lambda x, sign=sign: sign * statistic(x) - critical, start, outermost)))
    return ends[0], ends[1]


def bootstrap_interval(keras: Evaluation, file: Evaluation, budget: Budget) -> tuple[float, float] | None:
    """Return the interval of the drop by a paired bootstrap over units; None where no score of a part is known."""
    members = _members(keras)
    random = np.random.default_rng(0)
    drops = np.empty(DRAWS)
    for draw in range(DRAWS):
        chosen = random.integers(0, len(members), len(members))
        rows = chosen if keras.units is None else np.concatenate([members[unit] for unit in chosen])
        scores = [_score_of(each, rows) for each in (keras, file)]
        if scores[0] is None or scores[1] is None:
            return None
        drops[draw] = budget.drop(scores[0], scores[1])
    drops = drops[np.isfinite(drops)]  # a draw may lack a class
    if len(drops) < DRAWS / 2:
        return None
    low, high = np.quantile(drops, [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
    return float(low), float(high)


def _members(evaluation: Evaluation) -> list[np.ndarray]:
    """Return the examples of each unit."""
    if evaluation.units is None:
        return [np.array([row]) for row in range(len(evaluation))]
    _, place, counts = np.unique(evaluation.units, return_inverse=True, return_counts=True)
    return np.split(np.argsort(place, kind="stable"), np.cumsum(counts)[:-1])


def _score_of(evaluation: Evaluation, rows: np.ndarray) -> float | None:
    if evaluation.score_of is not None:
        return evaluation.score_of(rows)
    return None if evaluation.errors is None else float(evaluation.errors[rows].mean())
