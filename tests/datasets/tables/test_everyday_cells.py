"""Cells of everyday tables that are easy to read wrong."""

from __future__ import annotations

import re

import numpy as np
import pandas as pd
import pytest

from dltemplates.datasets.tables.column_kinds import detect
from dltemplates.datasets.tables.csv_file import read_csv
from dltemplates.datasets.tables.csv_table import csv_table
from dltemplates.datasets.tables.dates import read_dates
from dltemplates.datasets.tables.row_inputs import read_rows
from dltemplates.features import Category, Column, Number
from dltemplates.settings import DatasetSettings

INPUTS = [
    Number(name="features", dtype="float32", shape=(1,), columns=(Column(name="x", format="1234,5"),)),
    Category(
        name="categories",
        dtype="int32",
        shape=(1,),
        columns=(Column(name="color", kind="category", place=1, vocabulary=("red",)),),
    ),
]


def kind_of(*cells: str):
    values = pd.Series(cells * 10)
    return detect("part", values, values, None)


def write(folder, text):
    path = folder / "table.csv"
    path.write_text(text)
    return path


def test_a_stray_quote_does_not_swallow_rows(tmp_path):
    rows = [f"{row},a" for row in range(200)]
    rows[10], rows[150] = '10,"big', '150,"big'
    with pytest.raises(ValueError, match=r"must end with a quote, .*table\.csv, where this is not so from line 12 on"):
        read_csv(write(tmp_path, "x,t\n" + "\n".join(rows)))
    assert read_csv(write(tmp_path, 'x,t\n"1" ,"a, b" \n2,c')).table.to_numpy().tolist() == [["1", "a, b"], ["2", "c"]]


def test_columns_without_a_name_get_free_ones(tmp_path):
    table = read_csv(write(tmp_path, ",Unnamed: 0,a\n1,2,3\n4,5,6")).table
    assert list(table) == ["Unnamed: 1", "Unnamed: 0", "a"]


def test_a_typed_row_of_two_meanings_is_refused():
    ((_, arrays, unknown, _),) = read_rows("3,5;red", INPUTS)
    assert (arrays["features"].tolist(), unknown) == ([[3.5]], [])
    with pytest.raises(ValueError, match=r"one meaning\. Received: 3, 5;violet; or 3,5, violet\. Write name=value"):
        read_rows("3,5;violet", INPUTS)
    ((_, arrays, unknown, _),) = read_rows("x=3,5;color=violet", INPUTS)
    assert (arrays["features"].tolist(), unknown) == ([[3.5]], ["color"])


@pytest.mark.parametrize("text", ["1;red\n2;red", "x=3;x=4;color=red", "missing.CSV"])
def test_a_typed_row_that_is_none_is_refused(text):
    with pytest.raises(ValueError, match=r"Received: .*(1;red|x=3|missing)"):
        read_rows(text, INPUTS)


def test_two_digit_years_to_come_are_doubted():
    found = kind_of("31.12.65", "17.08.99")
    assert (found.kind, found.format) == ("date", "%d.%m.%y")
    assert "the year of '31.12.65' is read as 2065: write years with four digits" in found.doubt
    assert kind_of("31.12.05", "17.08.99").doubt is None


@pytest.mark.parametrize("cells", [("1234-01", "1234-02"), ("7000-10", "7000-11"), ("2024-13", "2024-01")])
def test_codes_are_no_months(cells):
    assert kind_of(*cells).kind == "category"


@pytest.mark.parametrize(
    ("cells", "example"),
    [(("20240105", "20240106"), "2024-12-31"), (("202401", "202412"), "2024-12"), (("2024.01", "2024.02"), "2024-12")],
)
def test_numbers_that_look_like_dates_are_doubted(cells, example):
    for more in ((), ("NA",)):
        found = kind_of(*cells, *more)
        assert found.kind == "number"
        assert re.search(f"{re.escape(cells[0])}' looks like a (date|month): write it like {example}, or", found.doubt)


@pytest.mark.parametrize("cells", [("05-Jan-24", "31-Dec-23"), ("05-JAN-2024", "31-DEC-2023")])
def test_dates_of_spreadsheets_and_databases_are_read(cells):
    assert kind_of(*cells).kind == "date"
    days = read_dates(pd.Series(cells), kind_of(*cells).format)
    assert days.dt.strftime("%Y-%m-%d").tolist() == ["2024-01-05", "2023-12-31"]


@pytest.mark.parametrize("cells", [("2024-01-05 (Mo)", "2024-01-06 (Di)"), ("2024-01-05 Team A", "2024-01-06 Team B")])
def test_text_that_only_begins_with_a_date_is_not_refused(cells):
    found = kind_of(*cells)
    assert found.kind == "category"
    assert "looks like dates" in found.doubt


@pytest.mark.parametrize("cell", ["today", "now", "2024", "2024.3"])
def test_words_and_years_are_no_dates(cell):
    assert read_dates(pd.Series([cell])).isna().all()


def test_classes_that_may_be_numbers_are_doubted(tmp_path):
    rows = [f"{row};{cell}" for row, cell in enumerate(["1,500", "2,250", "3,125"] * 20)]
    dataset = csv_table(write(tmp_path, "a;y\n" + "\n".join(rows)), DatasetSettings(name="table.csv", target="y"))
    assert any("'1,500' is read as 1500, but may be 1.5" in warning for warning in dataset.spec.warnings)
    assert np.ptp([len(source) for source in dataset.splits.values()]) == 0


def test_a_number_of_no_form_is_named_once():
    assert "because '($5.00)' is not a number: write" in kind_of("($5.00)", "$6.00", "$7.00").doubt


@pytest.mark.parametrize("cells", [("10 kg", "12 kg"), ("10°C", "-5.5°C"), ("20 m²", "35 m²")])
def test_numbers_with_a_unit_are_doubted(cells):
    found = kind_of(*cells)
    assert found.kind == "category"
    assert f"looks like numbers with a unit, such as '{cells[0]}': write the numbers alone" in found.doubt


@pytest.mark.parametrize(
    "cells", [("01/2024", "12/2024"), ("Jan 2024", "Dec 2024"), ("2024-Q1", "2024-Q2"), ("2024년 1월", "2024년 2월")]
)
def test_months_of_other_forms_are_doubted(cells):
    found = kind_of(*cells)
    assert found.kind == "category"
    assert f"looks like dates, such as '{cells[0]}'" in found.doubt


@pytest.mark.parametrize(
    "cells", [("room 2024", "room 2025"), ("A4", "B5"), ("red", "blue"), ("4WD", "2WD", "RWD", "FWD", "AWD")]
)
def test_names_with_digits_are_not_doubted(cells):
    found = kind_of(*cells)
    assert (found.kind, found.doubt) == ("category", None)
