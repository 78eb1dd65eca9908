"""The gate: whether an exported system scores as well as the same system in Keras, and how sure that is.

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
MIN_UNITS = 10  # a score of fewer units says nothing
DRAWS = 2_000


class GateResult(BaseModel):
    """The gate's result on validation.

    Attributes:
        units: Number of independent units: images, rows, blocks of a series.
        allowed: Greatest drop, in the score's unit.
        lost: Units that Keras gets right and the file wrong, if the score is a share of right units.
        gained: Units that Keras gets wrong and the file right, if the score is a share of right units.
        interval: 90% interval of the drop; None if unknown.
        proven: Whether the whole interval is within the budget; None if unknown.
        failure: Why the file is refused; None if it passes.
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
        """A line for the report: whether the interval proves that the drop is within the budget."""
        if self.interval is None:
            return None
        low, high = self.interval
        if self.proven:
            return f"proven: the drop is below {self.allowed:.3g} (90% interval {low:.3g} to {high:.3g})"
        return (
            f"not proven: with {self.units} examples, the drop may be as large as {high:.2g} "
            f"(90% interval {low:.3g} to {high:.3g})"
        )


def decide(keras: Evaluation, file: Evaluation, budget: Budget) -> GateResult:
    """Compare the first score of the exported files with Keras's, on the same examples.

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
    if keras.is_accuracy and keras.errors is not None and file.errors is not None:
        return _decide_share(name, keras.errors == 0, file.errors == 0, allowed)
    drop = budget.drop(float_score, score)
    interval = bootstrap_interval(keras, file, budget)
    failure = None
    if not budget.holds(float_score, score):
        failure = (
            f"over budget: {name} on validation is {score:.4f}, and {float_score:.4f} in Keras: a drop of {drop:.4f}; "
            f"at most {budget.text} is allowed. To allow more, raise --max-drop"
        )
    proven = None if interval is None else interval[1] <= allowed
    return result.model_copy(update={"interval": interval, "proven": proven, "failure": failure})


def _decide_share(name: str, keras: np.ndarray, file: np.ndarray, allowed: float) -> GateResult:
    """Compare the share of right units; both arrays (n,) hold whether each unit is right."""
    units = len(keras)
    lost, gained = int((keras & ~file).sum()), int((file & ~keras).sum())
    limit = max(1, math.floor(allowed * units + 1e-9))
    failure = None
    if lost - gained > limit:
        failure = (
            f"over budget: {name} on validation: of {units} examples, {lost} are right only in Keras and {gained} only "
            f"in the file; a net loss of at most {limit} is allowed. To allow more, raise --max-drop"
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
    """Return Tango's score interval for the difference of two shares of the same units.

    Args:
        lost: Units that only the first gets right.
        gained: Units that only the second gets right.
        units: Number of all units.
        confidence: Confidence of the two-sided interval.

    Returns:
        The lower and the upper end of (first share - second share), in [-1, 1].
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

    estimate, edge = (lost - gained) / units, 1e-12
    ends = []
    for sign, end in ((1, -1.0), (-1, 1.0)):
        outermost = end * (1 - edge)
        start = estimate + (edge if sign < 0 else -edge)
        if abs(start) >= 1 or sign * statistic(outermost) < critical:
            ends.append(end)
        elif sign * statistic(start) >= critical:
            ends.append(estimate)
        else:
            ends.append(float(brentq(lambda x, sign=sign: sign * statistic(x) - critical, start, outermost)))
    return ends[0], ends[1]


def bootstrap_interval(keras: Evaluation, file: Evaluation, budget: Budget) -> tuple[float, float] | None:
    """Return the interval of the drop by a paired bootstrap over units; None if a subset cannot be scored."""
    members = _unit_rows(keras)
    random = np.random.default_rng(0)
    drops = np.empty(DRAWS)
    for draw in range(DRAWS):
        chosen = random.integers(0, len(members), len(members))
        rows = chosen if keras.units is None else np.concatenate([members[unit] for unit in chosen])
        scores = [_subset_score(each, rows) for each in (keras, file)]
        if scores[0] is None or scores[1] is None:
            return None
        drops[draw] = budget.drop(scores[0], scores[1])
    drops = drops[np.isfinite(drops)]  # a draw may lack a class
    if len(drops) < DRAWS / 2:
        return None
    low, high = np.quantile(drops, [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
    return float(low), float(high)


def _unit_rows(evaluation: Evaluation) -> list[np.ndarray]:
    """Return the indices of the examples of each unit."""
    if evaluation.units is None:
        return [np.array([row]) for row in range(len(evaluation))]
    _, unit_indices, counts = np.unique(evaluation.units, return_inverse=True, return_counts=True)
    return np.split(np.argsort(unit_indices, kind="stable"), np.cumsum(counts)[:-1])


def _subset_score(evaluation: Evaluation, rows: np.ndarray) -> float | None:
    if evaluation.score_of is not None:
        return evaluation.score_of(rows)
    return None if evaluation.errors is None else float(evaluation.errors[rows].mean())
