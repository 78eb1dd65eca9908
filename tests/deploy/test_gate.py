"""The gate: failures, the confidence interval, and counting by units."""

import math

import numpy as np
import pytest

from dltemplates.deploy.budget import Budget
from dltemplates.deploy.gate import bootstrap_interval, decide, tango_interval
from dltemplates.tasks.scoring.evaluation import Evaluation


def share(wrong, units, name="accuracy"):
    """Return an evaluation whose score is the share of right units."""
    errors = np.isin(np.arange(units), list(wrong)).astype(float)
    right = errors == 0
    outputs = {"probabilities": np.zeros((units, 2))}
    return Evaluation(
        {name: float(right.mean())},
        outputs=outputs,
        errors=errors,
        is_accuracy=True,
        shares={name: right},
    )


def mean(errors, units=None, **options):
    """Return an evaluation whose score is the mean error."""
    return Evaluation(
        {"mae": float(np.mean(errors))}, errors=np.array(errors), count=len(errors), units=units, **options
    )


@pytest.mark.parametrize(
    ("lost", "gained", "units", "budget", "passes"),
    [
        (0, 0, 100, "0.01", True),
        (1, 0, 49, "0.01", True),  # one unit is always allowed
        (2, 0, 49, "0.01", False),
        (2, 1, 49, "0.01", True),  # gained units count
        (3, 0, 300, "0.01", True),
        (4, 0, 300, "0.01", False),
        (30, 0, 300, "0.1", True),
        (31, 0, 300, "0.1", False),
        (0, 50, 300, "0.01", True),
    ],
)
def test_a_share_may_lose_as_many_units_as_the_budget_allows(lost, gained, units, budget, passes):
    keras, file = share(range(gained), units), share(range(gained, gained + lost), units)
    result = decide(keras, file, Budget(budget, "max"))
    assert (result.failure is None) == passes
    assert (result.lost, result.gained, result.units) == (lost, gained, units)
    if not passes:
        assert f"of {units} examples, {lost} are right only in Keras and {gained} only in the file" in result.failure


@pytest.mark.parametrize(
    ("drop", "passes"), [(0.0, True), (0.019, True), (0.021, False), (math.nan, False), (-1.0, True)]
)
def test_a_mean_score_may_drop_by_the_budget(drop, passes):
    keras = mean(np.ones(50))
    file = mean(np.ones(50) + drop)
    result = decide(keras, file, Budget("2%", "min"))
    assert (result.failure is None) == passes


def test_fewer_than_ten_units_pass_without_a_score():
    result = decide(share([], 9), share(range(9), 9), Budget("0.01", "max"))
    assert (result.failure, result.interval, result.units) == (None, None, 9)
    overlapping = np.arange(90) // 10
    assert (
        decide(mean(np.ones(90), overlapping), mean(np.ones(90) * 5, overlapping), Budget("1%", "min")).failure is None
    )
    assert decide(mean(np.ones(90)), mean(np.ones(90) * 5), Budget("1%", "min")).failure is not None


@pytest.mark.parametrize(("units", "proven"), [(267, False), (268, True)])
def test_268_unchanged_units_prove_a_drop_below_1_percent(units, proven):
    result = decide(share([], units), share([], units), Budget("0.01", "max"))
    assert (result.failure, result.proven) == (None, proven)
    assert result.evidence.startswith("proven" if proven else f"not proven: with {units} examples, the drop may be")


def test_evidence_states_the_smallest_provable_drop():
    result = decide(share([], 49), share([], 49), Budget("0.01", "max"))
    expected = "with 49 examples, the drop may be as large as 0.052 (90% interval -0.0523 to 0.0523)"
    assert result.evidence == f"not proven: {expected}"


@pytest.mark.parametrize(
    ("lost", "gained", "units"), [(0, 0, 50), (3, 1, 60), (12, 4, 50), (0, 5, 20), (20, 20, 90), (5, 0, 5)]
)
def test_tangos_interval_contains_the_difference_and_is_symmetric(lost, gained, units):
    low, high = tango_interval(lost, gained, units)
    assert -1 <= low <= (lost - gained) / units <= high <= 1
    assert tango_interval(gained, lost, units) == pytest.approx((-high, -low), abs=1e-6)
    narrow = tango_interval(lost, gained, units, confidence=0.5)
    assert low <= narrow[0] <= narrow[1] <= high


def test_tangos_interval_has_its_coverage():
    """Draw pairs with a known difference, and count how often the interval contains it."""
    random = np.random.default_rng(0)
    lost, gained, units = 0.06, 0.02, 150
    counts = random.multinomial(units, [lost, gained, 1 - lost - gained], size=600)
    held = [low <= lost - gained <= high for low, high in (tango_interval(a, b, units) for a, b, _ in counts)]
    assert 0.87 <= np.mean(held) <= 0.94


def test_the_bootstrap_resamples_pairs_and_whole_units():
    random = np.random.default_rng(0)
    errors = random.exponential(size=400)
    low, high = bootstrap_interval(mean(errors), mean(errors + 0.1), Budget("1%", "min"))
    assert (low, high) == pytest.approx((0.1, 0.1))  # each unit drops by the same amount
    noise = random.normal(0, 0.2, 400)
    low, high = bootstrap_interval(mean(errors), mean(errors + noise), Budget("1%", "min"))
    assert high - low == pytest.approx(2 * 1.645 * 0.2 / 20, rel=0.15)
    grouped = np.repeat(noise[::10], 10)
    units = np.arange(400) // 10
    wide = bootstrap_interval(mean(errors, units), mean(errors + grouped, units), Budget("1%", "min"))
    assert wide[1] - wide[0] > 2 * (high - low)


def test_without_a_score_per_subset_there_is_no_interval():
    keras = Evaluation({"bleu": 30.0}, count=50)
    result = decide(keras, Evaluation({"bleu": 29.9}, count=50), Budget("1%", "max"))
    assert (result.failure, result.interval, result.proven, result.evidence) == (None, None, None, None)
