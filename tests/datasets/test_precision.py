"""Numbers that float32 cannot tell apart."""

import numpy as np
import pytest

from dltemplates.datasets.features import fit_numbers, number_value
from dltemplates.datasets.precision import check_target, offset_of, precision_warning, rounding_error

ROWS = 400
random = np.random.default_rng(0)

TOO_LARGE = {
    "seconds since 1970": 1_700_000_000 + random.integers(0, 60, ROWS),
    "milliseconds since 1970": 1_700_000_000_000 + random.integers(0, 60_000, ROWS),
    "serial numbers": 20_240_000_000 + random.integers(0, 600, ROWS),
    "UTM coordinates": 5_400_000 + random.normal(0, 30, ROWS),
    "degrees in one street": random.normal(48.137, 0.00001, ROWS).round(9),
    "a level and small steps": 1e9 + np.cumsum(random.normal(size=ROWS)),
    "a time, or 0": np.where(np.arange(ROWS) % 50, 1_700_000_000 + random.integers(0, 60, ROWS), 0),
}
HELD = {
    "small whole numbers": random.integers(0, 60_000, ROWS),
    "a normal distribution": random.normal(size=100_000),
    "many magnitudes": np.exp(3 * random.normal(size=ROWS)),
    "years": random.integers(1990, 2024, ROWS),
    "phone numbers": 10_000_000_000 + random.integers(0, 100_000_000, ROWS),
    "UTM coordinates of a country": 5_400_000 + random.normal(0, 30_000, ROWS),
    "air pressure": random.normal(101_325, 800, ROWS),
    "noise of arithmetic": np.array([0.3, 0.1 + 0.2] * 50 + [0.5, 0.7]),
    "a constant, but for noise": np.array([0.3, 0.1 + 0.2] * 50),
    "a constant": np.full(ROWS, 1e9 + 1),
    "one number": np.array([1e9 + 1]),
    "nothing": np.array([]),
}


@pytest.mark.parametrize("name", TOO_LARGE)
def test_an_offset_keeps_the_differences(name):
    numbers = np.asarray(TOO_LARGE[name], np.float64)
    offset = offset_of(numbers)
    assert offset != 0
    centred = (numbers - offset).astype(np.float32)
    assert len(np.unique(centred)) == len(np.unique(numbers)) > len(np.unique(numbers.astype(np.float32)))
    assert offset_of(np.append(numbers, np.nan)) == offset
    assert offset == round(offset, 4)  # the contract's reader sees a round number


@pytest.mark.parametrize("name", HELD)
def test_other_numbers_are_left_alone(name):
    numbers = np.asarray(HELD[name], np.float64)
    assert offset_of(numbers) == 0
    check_target("`x`", numbers)
    assert precision_warning("x", numbers, table="table") is None


def test_numbers_that_no_offset_helps_give_a_warning():
    times = 1_700_000_000 + np.arange(60.0)
    far = np.append(times, 0)  # the network divides by the deviation, which the 0 makes large
    warning = precision_warning("a.t", far, table="series")
    assert warning.startswith("column `a.t`: ")
    assert warning.endswith("--set dataset.series.columns.a.t=skip")
    assert precision_warning("t", times, table="table") is None
    ids = np.full(50, 1.2e18)  # float64 holds one of fifty
    assert precision_warning("t.columns.t", ids + np.arange(50) // 49 * 1e6, table="table", different=50) is not None


def test_a_target_that_float32_rounds_is_refused():
    with pytest.raises(ValueError, match=r"`x`, from 1000000000 to 1000000399\. Subtract .*: 1000000000\."):
        check_target("`x`", 1e9 + np.arange(400.0))
    check_target("`x`", 1e6 + np.arange(400.0))


def test_a_target_of_float32_numbers_is_judged_by_the_error_that_it_may_have():
    level = (1e9 + np.arange(400.0)).astype(np.float32)
    assert rounding_error(level) > 0.1
    with pytest.raises(ValueError, match=r"Received: column 1, from 1000000000 to 1000000384\."):
        fit_numbers(number_value(2), np.stack([np.arange(400, dtype=np.float32), level], axis=1))
    fit_numbers(number_value(1), (1e6 + np.arange(400)).astype(np.float32)[:, None])
