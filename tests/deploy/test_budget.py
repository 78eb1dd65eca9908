import math

import pytest

from dltemplates.deploy.budget import Budget


@pytest.mark.parametrize(
    ("text", "direction", "before", "after", "holds"),
    [
        ("0.01", "max", 0.95, 0.94, True),
        ("0.01", "max", 0.95, 0.939, False),
        ("0.01", "max", 0.95, 0.99, True),
        ("1%", "max", 0.5, 0.494, False),
        ("1%", "max", 0.5, 0.495, True),
        ("1%", "min", 20.0, 20.2, True),
        ("1%", "min", 20.0, 20.3, False),
        ("1%", "max", -20.0, -20.2, True),
        ("0", "max", 0.95, 0.95, True),
        ("0", "max", 0.95, 0.9499, False),
        ("0.01", "max", 0.95, math.nan, False),
        ("0.01", "min", math.nan, 0.1, False),
    ],
)
def test_a_drop_within_the_budget_is_allowed(text, direction, before, after, holds):
    assert Budget(text, direction).holds(before, after) == holds


def test_a_budget_is_a_number_or_a_share():
    with pytest.raises(ValueError, match="`max_drop` must be a number"):
        Budget("-1%", "max")
