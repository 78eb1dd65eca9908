"""Intervals of scores: Wilson's for shares, the bootstrap's for others, none without units."""

import math

import numpy as np
import pytest
from sklearn.metrics import average_precision_score, roc_auc_score

from dltemplates.tasks.scoring import ranking
from dltemplates.tasks.scoring.evaluation import Evaluation
from dltemplates.tasks.scoring.intervals import (
    MIN_DRAWS,
    ScoreInterval,
    draw_weights,
    format_score,
    mean_of,
    quantiles,
    score_interval,
    score_intervals,
    share_interval,
)


def mean_score(errors, units=None):
    """Return an evaluation whose score is the mean error."""
    errors = np.array(errors, float)
    return Evaluation({"mae": errors.mean()}, count=len(errors), units=units, score_of={"mae": mean_of(errors)})


def test_a_share_has_wilsons_interval():
    """Values of Wilson's formula, computed by hand."""
    interval = share_interval(14, 16)
    z, n, p = 1.959964, 16, 14 / 16
    center, half = p + z * z / (2 * n), z * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
    expected = (center - half) / (1 + z * z / n), (center + half) / (1 + z * z / n)
    assert (interval.low, interval.high) == pytest.approx(expected, abs=1e-6)
    assert str(interval) == "14 of 16, 0.64 to 0.97"


@pytest.mark.parametrize(("right", "units"), [(0, 5), (5, 5), (1, 1), (0, 1), (9_990, 10_000)])
def test_the_interval_of_a_share_stays_within_0_and_1(right, units):
    interval = share_interval(right, units)
    assert 0 <= interval.low <= right / units <= interval.high <= 1
    assert interval.low < interval.high


def test_no_units_have_no_interval():
    interval = share_interval(0, 0)
    assert (interval.low, interval.high, interval.range, str(interval)) == (None, None, "", "0 of 0")
    evaluation = Evaluation({"precision": 0.0}, count=3, shares={"precision": np.zeros(0, bool)})
    assert str(score_interval(evaluation, "precision")) == "0 of 0"


def test_wilsons_interval_has_its_coverage():
    random = np.random.default_rng(0)
    held = [
        interval.low <= 0.9 <= interval.high
        for interval in (share_interval(int(right), 60) for right in random.binomial(60, 0.9, 500))
    ]
    assert 0.92 <= np.mean(held) <= 0.98


def test_a_mean_has_the_interval_of_the_normal_distribution():
    errors = np.random.default_rng(0).exponential(size=1_000)
    interval = score_interval(mean_score(errors), "mae")
    half = 1.96 * errors.std() / math.sqrt(1_000)
    assert (interval.low, interval.high) == pytest.approx((errors.mean() - half, errors.mean() + half), abs=0.01)
    assert interval == score_interval(mean_score(errors), "mae")  # seeded
    assert interval.right is None
    assert str(interval).startswith("n = 1,000, ")


def test_dependent_examples_count_by_their_units():
    """Ten equal errors in each of 40 blocks say as much as 40 errors."""
    errors = np.random.default_rng(0).exponential(size=40)
    blocks = np.repeat(np.arange(40), 10)
    single, grouped = mean_score(errors), mean_score(np.repeat(errors, 10), blocks)
    one, many = score_interval(single, "mae"), score_interval(grouped, "mae")
    assert (one.low, one.high) == pytest.approx((many.low, many.high))
    assert str(many).startswith("n = 40 blocks, ")
    assert str(score_interval(mean_score(errors, np.zeros(40, int)), "mae")) == "n = 1 block"
    share = Evaluation({"recall": 0.5}, count=400, units=blocks, shares={"recall": np.arange(400) < 200})
    assert str(score_interval(share, "recall")) == "n = 40 blocks"  # not Wilson's: examples are dependent


def test_a_score_that_cannot_be_resampled_has_a_number_only():
    assert str(score_interval(Evaluation({"fid": 3.0}, count=100), "fid")) == "n = 100"
    assert str(score_interval(mean_score([0.5]), "mae")) == "n = 1"  # one unit has no spread


def test_an_interval_of_mostly_undefined_draws_is_unknown():
    assert quantiles(np.array([1.0, np.nan, np.nan]), 0.95) is None
    undefined = Evaluation({"roc_auc": 1.0}, count=9, score_of={"roc_auc": lambda w: np.full(len(w), np.nan)})
    assert str(score_intervals(undefined)["roc_auc"]) == "n = 9"


@pytest.mark.parametrize(
    ("low", "high", "right", "text"),
    [
        (0.6397, 0.9651, 14, "0.64 to 0.97"),
        (0.98431, 0.99949, 358, "0.984 to 0.999"),
        (0.1, 0.9, 1, "0.10 to 0.90"),
        (47_812.3, 49_588.8, None, "47,812 to 49,589"),
        (14.13, 23.81, None, "14.1 to 23.8"),
        (0.00123, 0.00187, None, "0.00123 to 0.00187"),
        (2.5, 2.5, None, "2.5 to 2.5"),
    ],
)
def test_an_interval_is_written_with_two_digits_of_its_width(low, high, right, text):
    assert ScoreInterval(units=400, right=right, low=low, high=high).range == text


def test_many_units_are_drawn_less_often():
    evaluation = mean_score(np.ones(200_000))
    batches = list(draw_weights(evaluation))
    assert sum(map(len, batches)) == MIN_DRAWS
    assert max(batch.nbytes for batch in batches) <= 2**25
    assert all((batch.sum(axis=1) == 200_000).all() for batch in batches)


@pytest.mark.parametrize("ties", [False, True])
def test_rankings_agree_with_scikit_learn(ties):
    random = np.random.default_rng(0)
    truth, score = random.integers(0, 2, 80), random.normal(size=80)
    score = score.round(0 if ties else 6)
    weights = random.integers(0, 3, (5, 80)).astype(float)
    for ours, theirs in ((ranking.roc_auc, roc_auc_score), (ranking.average_precision, average_precision_score)):
        expected = [theirs(truth, score, sample_weight=row) for row in weights]
        assert ours(truth, score, weights) == pytest.approx(expected)


def test_a_ranking_without_one_class_is_undefined():
    weights = np.array([[1.0, 1.0, 0.0, 0.0]])
    truth, score = np.array([0, 0, 1, 1]), np.arange(4.0)
    assert np.isnan(ranking.roc_auc(truth, score, weights)).all()
    assert np.isnan(ranking.average_precision(truth, score, weights)).all()


def test_fewer_than_ten_units_have_no_interval_of_a_bootstrap():
    few, enough = (score_interval(mean_score(np.arange(count)), "mae") for count in (9, 10))
    assert (str(few), few.low) == ("n = 9", None)
    assert enough.low < 4.5 < enough.high


def test_a_score_has_few_digits():
    numbers = [0.0, 0.98765432, -0.5, 49989.12345, 2.5e-7, 5.97e29, float("nan")]
    assert [format_score(number) for number in numbers] == [
        "0.0000", "0.9877", "-0.5000", "49989.1234", "2.5e-07", "5.97e+29", "nan",
    ]  # fmt: skip
