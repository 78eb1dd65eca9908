"""Tables written in any dialect, encoding and form are read back, or doubted aloud."""

from __future__ import annotations

import csv
import datetime
import io
from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from dltemplates.datasets.names import clean
from dltemplates.datasets.tables.csv_table import csv_table
from dltemplates.settings import DatasetSettings

CURRENCIES = ("${}", "{} €", "{}원")
ALPHABETS = {"utf-8": "abé한글;,|\t\n\"' ", "cp949": 'ab한글서울;,\n" ', "cp1252": 'abéüß;,\n" '}
ENCODINGS = {"utf-8": "utf-8", "utf-8-sig": "utf-8", "utf-16": "utf-8", "cp949": "cp949", "cp1252": "cp1252"}
DAY_FORMS = {  # form -> whether it has one meaning on all days
    "{0}-{1:02}-{2:02}": True,
    "{0}.{1:02}.{2:02}": True,
    "{0}. {1}. {2}.": True,
    "{0}년 {1}월 {2}일": True,
    "{0}/{1:02}/{2:02}": True,
    "{2:02}.{1:02}.{0}": True,
    "{1:02}/{2:02}/{0}": False,
    "{2}/{1}/{0}": False,
    "{1}/{2}/{3:02}": False,
    "{3:02}.{1:02}.{2:02}": False,
}
SAID = ("read as missing numbers: ", "texts of column ")  # counts of NA; texts that become one line
EPOCH = datetime.date(1970, 1, 1)


@dataclass
class Rendered:
    """A column of a table: its cells as text, their values, and whether they have one meaning."""

    cells: list[str]
    values: list[float | str | None]
    has_one_meaning: bool


@st.composite
def numbers(draw, rows, separator):
    places = draw(st.integers(0, 3))
    thousands, decimal = draw(st.sampled_from([("", "."), ("", ","), (",", "."), (".", ","), (" ", ","), ("'", ".")]))
    unit = draw(st.sampled_from(["{}", "{}", "{}%", "{} %", *CURRENCIES]))
    assume(places < 3 or unit not in CURRENCIES)  # no currency has three decimals
    # `1.234` is a plain number in a file with commas; only one with `;` shows that it may be 1234
    assume(places or thousands != "." or separator == ";" or unit != "{}")
    values = [round(value, places) for value in draw(rows_of(st.floats(-2e6, 2e6), rows))]
    marks = str.maketrans({",": thousands, ".": decimal})
    cells = [unit.format(f"{value:,.{places}f}".translate(marks)) for value in values]
    return Rendered(cells, values, places in (1, 2) or (places == 0 and thousands in ("", " ", "'")))


@st.composite
def times(draw, rows, separator):
    minutes = draw(rows_of(st.integers(0, 24 * 60 - 1), rows))
    cells = [f"{minute // 60:02}:{minute % 60:02}" for minute in minutes]
    return Rendered(cells, [minute / 60 for minute in minutes], True)


@st.composite
def dates(draw, rows, separator):
    form, has_one_meaning = draw(st.sampled_from(sorted(DAY_FORMS.items())))
    days = draw(rows_of(st.dates(datetime.date(1990, 1, 1), datetime.date(2029, 12, 31)), rows))
    cells = [form.format(day.year, day.month, day.day, day.year % 100) for day in days]
    return Rendered(cells, [(day - EPOCH).days for day in days], has_one_meaning)


@st.composite
def categories(draw, rows, separator, alphabet):
    words = st.text(alphabet, min_size=1, max_size=8).map(lambda text: f"w{text}w")
    choices = draw(st.lists(words, min_size=1, max_size=4))
    cells = draw(rows_of(st.sampled_from(choices), rows))
    return Rendered(cells, [clean(cell) for cell in cells], True)  # without line breaks and tabs


def rows_of(values, rows):
    return st.lists(values, min_size=rows, max_size=rows)


@st.composite
def tables(draw):
    """Draw the columns of a table and the dialect of its file."""
    rows = draw(st.integers(8, 16))
    separator = draw(st.sampled_from(",;\t|"))
    encoding = draw(st.sampled_from(sorted(ENCODINGS)))
    alphabet = ALPHABETS[ENCODINGS[encoding]]
    kinds = {"number": numbers, "time": times, "date": dates}
    columns = {}
    for place, kind in enumerate(draw(st.lists(st.sampled_from([*kinds, "text"]), min_size=1, max_size=4))):
        drawn = categories(rows, separator, alphabet) if kind == "text" else kinds[kind](rows, separator)
        column = draw(drawn)
        assume(_encodes(column.cells, encoding))
        for row in draw(st.sets(st.integers(0, rows - 1), max_size=rows - 2)):
            cell = draw(st.sampled_from(["", "NA", "?"]))
            column.cells[row], column.values[row] = cell, cell if (kind, cell) == ("text", "NA") else None
        present = [value for value in column.values if value is not None]
        assume(kind != "text" or 2 * len(set(present)) <= len(present))  # a column of names is left out
        columns[f"{kind}{place}"] = column
    return columns, separator, encoding, draw(st.sampled_from(["\n", "\r\n"]))


def _encodes(cells, encoding):
    try:
        return bool("".join(cells).encode(encoding)) or True
    except UnicodeEncodeError:
        return False


def check(folder, table):
    """Write the table, read it, and compare the values; a wrong one must be doubted aloud."""
    columns, separator, encoding, newline = table
    rows = len(next(iter(columns.values())).cells)
    text = io.StringIO()
    writer = csv.writer(text, delimiter=separator, lineterminator=newline)
    writer.writerow([*columns, "label"])
    labels = ["p", "q"] * (rows // 2) + ["p"] * (rows % 2)
    writer.writerows(zip(*(column.cells for column in columns.values()), labels, strict=True))
    path = folder / "table.csv"
    path.write_bytes(text.getvalue().encode(encoding))
    dataset = load(path, encoding)
    raw = dataset.split("train").raw
    warnings = [warning for warning in dataset.spec.warnings if not warning.startswith(SAID)]
    for name, column in columns.items():
        doubts = [warning for warning in warnings if f"`{name}`" in warning]
        assert not (doubts and column.has_one_meaning)
        assert doubts or same_values(raw[name].tolist(), column.values)
    lines = [warning for warning in warnings if "`" not in warning]
    assert all(line.startswith(("table.csv: separator", "table.csv: encoding")) for line in lines)


def load(path, encoding):
    """Load the table; where two encodings fit, choose the right one."""
    named = {"name": str(path), "target": "label"}
    kept = {"min_frequency": 1}
    try:
        return csv_table(path, DatasetSettings(**named, table=kept))
    except ValueError as error:
        if f"--set dataset.table.encoding={encoding}" not in str(error) or encoding not in ("cp949", "cp1252"):
            raise
    return csv_table(path, DatasetSettings(**named, table=kept | {"encoding": encoding}))


def same_values(found, expected):
    if all(isinstance(value, str | None) for value in expected):
        return [value if isinstance(value, str) else None for value in found] == expected
    wanted = [np.nan if value is None else value for value in expected]
    return np.allclose(found, wanted, rtol=1e-12, atol=1e-12, equal_nan=True)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("properties")


CHECKS = [HealthCheck.too_slow, HealthCheck.filter_too_much]


@settings(max_examples=100, deadline=None, derandomize=True, database=None, suppress_health_check=CHECKS)
@given(table=tables())
def test_a_table_is_read_back_or_doubted(folder, table):
    check(folder, table)


@pytest.mark.slow
@settings(max_examples=2000, deadline=None, database=None, suppress_health_check=CHECKS)
@given(table=tables())
def test_many_tables_are_read_back_or_doubted(folder, table):
    check(folder, table)
