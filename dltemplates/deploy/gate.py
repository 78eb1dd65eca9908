"""The gate: whether an exported system scores as well as the same system in Keras, and how sure that is.

Tango: "Equivalence test and confidence interval for the difference in proportions for the paired-sample design",
Statistics in Medicine 17, 1998, pages 891-908. Efron, Tibshirani: "An Introduction to the Bootstrap", 1993, chapter 13.
"""

from __future__ import annotations

import math

import numpy as np
from pydantic import BaseModel

from dltemplates.deploy.budget import Budget
from dltemplates.tasks.scoring.evaluation import Evaluation, ScoreOf
from dltemplates.tasks.scoring.intervals import MIN_UNITS, count_units, draw_weights, mean_of, quantiles

CONFIDENCE = 0.9  # of the two-sided interval of the drop


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
    """Return the interval of the drop by a paired bootstrap over units; None if the score cannot be resampled."""
    functions = [_resampled(each) for each in (keras, file)]
    if functions[0] is None or functions[1] is None:
        return None
    keras_score, file_score = functions[0], functions[1]
    drops = [budget.drop(keras_score(weights), file_score(weights)) for weights in draw_weights(keras)]
    return quantiles(np.concatenate(drops), CONFIDENCE)


def _resampled(evaluation: Evaluation) -> ScoreOf | None:
    """Return the first score as a function of weights (draws, n), or the mean error in its place; None without both."""
    name = next(iter(evaluation.scores))
    if name in evaluation.score_of:
        return evaluation.score_of[name]
    return None if evaluation.errors is None else mean_of(evaluation.errors)
