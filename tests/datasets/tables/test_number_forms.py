"""Numbers of other forms than `1234.5`."""

import numpy as np
import pandas as pd
import pytest

from dltemplates.datasets.tables.columns import are_numbers
from dltemplates.datasets.tables.number_forms import BODIES, HOURS, decimal_of, number_forms, parse_numbers

VALUES = [0.5, 12.0, 999.25, 1234.5, 1234567.0, -48000.75]


def series(texts):
    return pd.Series(texts, dtype=object)


def written(value, thousands, decimal, places=2):
    return f"{value:,.{places}f}".translate(str.maketrans(",.", thousands + decimal))


@pytest.mark.parametrize("separators", [",.", ".,", " .", " ,", "'.", "',"])
@pytest.mark.parametrize("unit", ["{}", "${}", "{}%", "{} €", "€ {}", "{}원", "USD {}", "{} kr"])
def test_separators_and_units_are_found(separators, unit):
    thousands, decimal = separators
    texts = series([unit.format(written(value, thousands, decimal)) for value in VALUES])
    (form,) = number_forms(texts)
    assert form == unit.format(f"1{thousands}234{decimal}5").replace("원", " 원").replace("€ ", "€").replace(
        "USD ", "USD"
    )
    assert parse_numbers(texts, form).tolist() == VALUES
    assert number_forms(texts, decimal) == [form]
    assert number_forms(texts, {",": ".", ".": ","}[decimal]) == []


ONE_MEANING = {
    "decimal comma": (["36,5", "7", "-0,25"], "1234,5", [36.5, 7, -0.25]),
    "a comma without a digit after it": (["36,", ",5"], "1234,5", [36, 0.5]),
    "percent": (["36%", "40 %"], "1234.5%", [36, 40]),
    "percent with points": (["0.125%", "2.250%"], "1234.5%", [0.125, 2.25]),
    "two commas": (["1,234", "1,234,567"], "1,234.5", [1234, 1234567]),
    "a point after a comma": (["1,234", "1,234.5"], "1,234.5", [1234, 1234.5]),
    "two points": (["1.234", "1.234.567"], "1.234,5", [1234, 1234567]),
    "a zero before the comma": (["0,123", "1,234"], "1234,5", [0.123, 1.234]),
    "another comma": (["1,234", "36,5"], "1234,5", [1.234, 36.5]),
    "points and commas": (["1.234", "36,5"], "1.234,5", [1234, 36.5]),
    "won": (["1,234원", "₩5,000"][:1], "1,234.5 원", [1234]),
    "dollars": (["$1,234", "-$5", "$-6"], "$1,234.5", [1234, -5, -6]),
    "a narrow space": (["1\u202f234", "56\u00a0789"], "1 234.5", [1234, 56789]),
    "a true minus": (["\u22121,5", "2,5"], "1234,5", [-1.5, 2.5]),
    "a curved apostrophe": (["1\u2019234"], "1'234.5", [1234]),
    "an exponent": (["1,5E+03", "2,5"], "1234,5", [1500, 2.5]),
    "times": (["13:30", "9:15", "25:00"], "13:30", [13.5, 9.25, 25]),
    "times with seconds": (["0:00:36"], "13:30:00", [0.01]),
    "times of half a day": (["1:30 PM", "12:00 am", "12:15pm"], "1:30 PM", [13.5, 0, 12.25]),
    "points": (["36.5", "1.234"], None, [36.5, 1.234]),
}


@pytest.mark.parametrize("name", ONE_MEANING)
def test_the_rest_of_a_column_decides(name):
    texts, form, values = ONE_MEANING[name]
    assert number_forms(series(texts)) == [form]
    np.testing.assert_allclose(parse_numbers(series(texts), form), values, rtol=1e-15)


@pytest.mark.parametrize(
    ("texts", "forms"),
    [
        (["1,234", "999"], ["1,234.5", "1234,5"]),
        (["1,234", "12345"], ["1,234.5", "1234,5"]),
        (["1,234 €"], ["1,234.5 €", "1234,5 €"]),
        (["1.234 €"], ["1234.5 €", "1.234,5 €"]),
        (["1.125%", "1.200%"], ["1234.5%", "1.234,5%"]),
    ],
)
def test_numbers_of_two_meanings_have_two_forms(texts, forms):
    assert number_forms(series(texts)) == forms
    assert [number_forms(series(texts), decimal) for decimal in ".,"] == [[form] for form in forms]
    assert {decimal_of(form) for form in forms} == {".", ","}


@pytest.mark.parametrize(
    "texts",
    [
        [], ["x"], ["36,5", "36.5"], ["1,23,456"], ["12,34.5"], ["$5", "€5"], ["$5", "5"], ["36%", "36"], ["5-"],
        ["1-2"], ["--5"], ["-$-5"], ["13:30", "13.5"], ["13:60"], ["9:5"], ["1:30", "1:30 PM"], ["13:30 PM"], ["%"],
        ["$"], ["e5"],
        ["010 123 456"], ["1 23"], ["192.168.0.1"], ["5 kg"], ["<=50K"], ["1/2"], ["31.01.2024"], ["1,2,3"], ["inf €"],
    ],
)  # fmt: skip
def test_other_texts_are_no_numbers(texts):
    assert number_forms(series(texts)) == []


@pytest.mark.parametrize("form", [*BODIES, *HOURS, "1.234,5 €", "$1,234.5", "1234.5%"])
def test_a_form_reads_its_own_example_and_nothing_else(form):
    numbers = parse_numbers(series([form, None, "x", "", "1;5"]), form)
    assert np.isfinite(numbers[0])
    assert numbers[1:].isna().all()


def test_new_rows_are_read_by_the_form_alone():
    """A form never takes a number that another form writes otherwise."""
    for form, text in (
        ("1234,5", "1.234"), ("1234,5", "36.5"), ("1.234,5", "36.5"), ("1,234.5", "36,5"), ("1234.5%", "36"),
        ("1.234,5 €", "5"), ("$1,234.5", "5 $"), ("13:30", "13.5"), (None, "36,5"),
    ):  # fmt: skip
        assert parse_numbers(series([text]), form).isna().all()
    assert parse_numbers(series(["1.234,5", "1234,5"]), "1234,5").tolist() == [1234.5, 1234.5]
    assert parse_numbers(series(["1234", "1,234"]), "1,234.5").tolist() == [1234, 1234]


def test_an_unknown_form_is_refused():
    with pytest.raises(ValueError, match=r"must be like 1\.234,5\. Received: '12'"):
        parse_numbers(series(["1"]), "12")


def test_classes_may_be_numbers_of_any_form():
    assert are_numbers(["36%", "40%"])
    assert are_numbers(["36,5", "40"])
    assert not are_numbers(["36%", "40"])
    assert not are_numbers([])
