"""The kinds of columns, and the doubts about them."""

import datetime
import re

import numpy as np
import pandas as pd
import pytest
import sklearn.datasets

from conftest import AnyTarget, load_data
from dltemplates.datasets.load import load_dataset
from dltemplates.datasets.tables.column_kinds import ColumnKind, detect
from dltemplates.datasets.tables.row_inputs import read_rows
from dltemplates.datasets.tables.targets import target_kind
from dltemplates.features import Column, classes_of
from dltemplates.settings import DatasetSettings

ROWS = 40


@pytest.fixture
def load(tmp_path):
    """Return a function that writes a table and loads it; the target is the last column by default."""

    def write_and_load(frame, task=AnyTarget.name, separator=",", reference=None, **settings):
        if reference is None:
            settings = {"target": str(frame.columns[-1])} | settings
        path = tmp_path / "table.csv"
        frame.to_csv(path, index=False, sep=separator)
        return load_data(DatasetSettings(name=str(path), **{"validation": 0.1} | settings), task, reference=reference)

    return write_and_load


def kind_of(*texts, setting=None):
    values = pd.Series(texts, dtype=object)
    return detect("x", values, values, setting)


@pytest.mark.parametrize("count", [1, 2, 40])
@pytest.mark.parametrize(
    ("kind", "format", "texts"),
    [
        ("number", "1234,5", ["36,5", "37,0"]),
        ("number", "1234.5%", ["36%", "37%"]),
        ("number", "$1,234.5", ["$1,200", "$950.50"]),
        ("number", "13:30", ["13:30", "9:05"]),
        ("date", "%Y.%m.%d", ["2024.01.31", "2024.1.5"]),
        ("date", "%Y. %m. %d.", ["2024. 1. 31.", "2024. 12. 1."]),
        ("date", "%Y년 %m월 %d일", ["2024년 1월 31일", "2024년 12월 1일"]),
        ("date", "%Y년%m월%d일", ["2024년1월31일"]),
        ("date", "%d.%m.%Y", ["31.01.2024", "1.12.2024"]),
        ("date", "%d.%m.%Y %H:%M", ["31.01.2024 13:30"]),
        ("date", "%m/%d/%Y", ["01/31/2024", "1/5/2024"]),
        ("date", "%m/%d/%Y %I:%M %p", ["01/31/2024 1:30 PM"]),
        ("date", "%m/%d/%y", ["1/31/24", "1/5/24"]),
        ("date", "%d %b %Y", ["31 Jan 2024", "5 Feb 2024"]),
        ("date", None, ["2024-1-31", "2024-12-1"]),
        ("date", None, ["2024-01-31", "2024-12-01"]),
        ("number", None, ["36.5", "0.25", "1e-05", "-3", "0"]),
        ("number", None, ["1.125", "2.250"]),
        ("category", None, ["red", "blue"]),
        ("category", None, ["<=50K", ">50K"]),
        ("category", None, ["A-1", "A-2"]),
    ],
)
def test_one_meaning_is_read_without_a_doubt(kind, format, texts, count):
    assert kind_of(*texts[:count], *texts[-1:] * count, None, setting=None) == ColumnKind(kind, format)


@pytest.mark.parametrize(
    ("texts", "kind", "format", "doubt"),
    [
        (["1,234"], "number", "1,234.5", 
         "'1,234' is read as 1234, but may be 1.234: say .*x=decimal_point for 1234, or =decimal_comma for 1.234"),
        (["950", "1.200"], None, None, None),
        (["1.200 €"], "number", "1234.5 €", "'1.200 €' is read as 1.2, but may be 1200: say .*=decimal_point for 1.2"),
        (["007", "12"], "number", None, "'007' looks like a name or a code: say .*columns.x=category, or =number"),
        (["02139", "10001"], "number", None, "'02139' looks like a name"),
        (["12E4", "13"], "number", None, "'12E4' looks like a name"),
        (["007,5"], "number", "1234,5", "'007,5' looks like a name"),
        (["20240131", "20241231"], "number", None, "'20240131' looks like a date: write it like 2024-12-31, or say"),
        (["01/02/2024", "3/4/2024"], "category", None, 
         "dates, such as '01/02/2024', of 2 meanings: say .*=day_first or =month_first, or =category"),
        (["24.01.31"], "category", None, "of 2 meanings: say .*=day_first or =year_first"),
        (["01/02/03"], "category", None, "of 3 meanings: say .*=day_first or =month_first or =year_first"),
        (["36,5", "36.5"], "category", None, "'36,5' and '36.5' are not numbers of one form: write all numbers alike"),
        (["$5", "€5", "$6"], "category", None, "'\\$5' and '€5' are not numbers of one form"),
        (["36%", "37%", "few"], "category", None, "'36%' and 'few' are not numbers of one form"),
        (["2024.01.31", "31.01.2024"], "category", None, "looks like dates, such as '2024.01.31': write them all like"),
    ],
)  # fmt: skip
def test_another_meaning_is_doubted_aloud(texts, kind, format, doubt):
    if kind is None:  # a doubt of the whole table, below
        assert kind_of(*texts) == ColumnKind("number")
        return
    found = kind_of(*texts)
    assert (found.kind, found.format) == (kind, format)
    assert re.search(doubt, found.doubt)
    assert "skip" not in found.doubt


@pytest.mark.parametrize(
    ("setting", "texts", "expected"),
    [
        ("decimal_point", ["1,234"], ColumnKind("number", "1,234.5")),
        ("decimal_comma", ["1,234"], ColumnKind("number", "1234,5")),
        ("decimal_point", ["1.234"], ColumnKind("number")),
        ("decimal_comma", ["1.234"], ColumnKind("number", "1.234,5")),
        ("day_first", ["01/02/2024"], ColumnKind("date", "%d/%m/%Y")),
        ("month_first", ["01/02/2024"], ColumnKind("date", "%m/%d/%Y")),
        ("year_first", ["01/02/03"], ColumnKind("date", "%y/%m/%d")),
        ("year_first", ["24.01.31"], ColumnKind("date", "%y.%m.%d")),
        ("number", ["007"], ColumnKind("number")),
        ("number", ["36,5"], ColumnKind("number", "1234,5")),
        ("date", ["2024.01.31"], ColumnKind("date", "%Y.%m.%d")),
        ("category", ["36,5"], ColumnKind("category")),
        ("skip", ["01/02/2024"], ColumnKind("skip")),
    ],
)
def test_a_setting_ends_each_doubt(setting, texts, expected):
    assert kind_of(*texts, setting=setting) == expected


def test_other_splits_decide_between_two_meanings():
    train, more = pd.Series(["1,234"]), pd.Series(["1,234", "1,5"])
    assert detect("x", train, more, None) == ColumnKind("number", "1234,5")
    train, more = pd.Series(["01/02/2024"]), pd.Series(["01/02/2024", "01/31/2024"])
    assert detect("x", train, more, None) == ColumnKind("date", "%m/%d/%Y")


def test_the_form_travels_to_new_rows(load, tmp_path):
    sizes, days = np.linspace(0.5, 20, ROWS), pd.date_range("2024-01-01", periods=ROWS)
    target = {"label": ["yes", "no"] * (ROWS // 2)}
    local = {"size": [f"{size:.1f}".replace(".", ",") for size in sizes], "day": days.strftime("%Y. %m. %d.")}
    dataset = load(pd.DataFrame(local | target), separator=";")
    plain = load(pd.DataFrame({"size": sizes, "day": days.strftime("%Y-%m-%d")} | target))
    assert dataset.spec.fingerprint == plain.spec.fingerprint
    assert dataset.spec.warnings == ('table.csv: separator ";"',)
    assert [column.format for column in dataset.spec.inputs[0].columns] == ["1234,5", "%Y. %m. %d."]
    ((_, expected, _, _),) = read_rows("3.5,2024-02-03", plain.spec.inputs)
    for row in ("3,5;2024. 2. 3.", "size=3,5;day=2024. 2. 3.", '"3,5",2024. 2. 3.'):
        ((_, arrays, _, _),) = read_rows(row, dataset.spec.inputs)
        np.testing.assert_array_equal(arrays["features"], expected["features"])
    colours = pd.DataFrame({"size": local["size"], "colour": ["red", "blue"] * (ROWS // 2)} | target)
    inputs = load(colours).spec.inputs
    for row, size in (("3,5;red", 3.5), ("3,red", 3), ('"3,5",red', 3.5)):
        ((_, arrays, unknown, _),) = read_rows(row, inputs)
        assert (arrays["features"][0, 0], unknown) == (size, [])
    with pytest.raises(ValueError, match=r"A row must have one meaning\. Received: 3, 5;green; or 3,5, green\."):
        read_rows("3,5;green", inputs)
    assert read_rows("size=3,5;colour=green", inputs)[0][2] == ["colour"]
    new = tmp_path / "new.csv"
    new.write_text('day,size\n2024. 2. 3.,"3,5"\n2024. 2. 3.,3.5\n')
    with pytest.raises(ValueError, match=r"`size` must hold finite numbers like 1234,5\. Received: '3\.5' in row 2"):
        read_rows(new, dataset.spec.inputs)


def test_a_point_is_doubted_in_a_file_with_decimal_commas(load):
    thousands = [f"{1000 + 7 * n:,}".replace(",", ".") for n in range(ROWS)]
    frame = pd.DataFrame({"size": "x", "area": thousands, "label": ["yes", "no"] * (ROWS // 2)})
    doubt = r"column `area`: '1.000' is read as 1, but may be 1000: say .*area=decimal_point for 1, or =decimal_comma"
    assert load(frame).spec.warnings == ()
    assert any(re.search(doubt, warning) for warning in load(frame, separator=";").spec.warnings)
    (warning,) = load(frame.assign(size=["36,5", "37,5"] * (ROWS // 2))).spec.warnings
    assert re.search(doubt, warning)
    (warning,) = load(frame.assign(area=["950", *thousands[1:]])).spec.warnings
    assert "'1.007' is read as 1.007, but may be 1007" in warning
    settled = {"columns": {"area": "decimal_comma"}}
    dataset = load(frame, separator=";", table=settled)
    assert dataset.spec.warnings == ('table.csv: separator ";"',)
    assert dataset.spec.inputs[0].columns[0].median > 1000
    target = load(frame[["label", "area"]], separator=";")
    assert any(re.search(doubt, warning) for warning in target.spec.warnings)


@pytest.mark.parametrize("count", [21, 40])
def test_a_target_of_another_form_is_numbers(load, count):
    sizes = np.arange(count) + 0.5
    frame = pd.DataFrame({"x": range(count), "price": [f"{1000 * size:,.2f} €" for size in sizes]})
    dataset = load(frame, "regression")
    (target,) = dataset.spec.targets
    assert target.columns == (Column(name="price", format="1,234.5 €"),)
    prices = np.concatenate([dataset.split(split).column(target.name)[:, 0] for split in dataset.splits])
    assert sorted(prices) == (1000 * sizes).tolist()
    again = load(frame, "regression", reference=dataset.spec)
    assert again.spec.targets == dataset.spec.targets
    with pytest.raises(
        ValueError, match=r"finite, up to 3.4e\+38, like 1,234\.5 €\. Received: '500\.0' in row 1 of `price`"
    ):
        load(frame.assign(price=1000 * sizes), "regression", reference=dataset.spec)


def test_a_target_is_doubted_aloud(load):
    frame = pd.DataFrame({"x": range(ROWS), "y": [f"{n},{n:03}" for n in range(1, ROWS + 1)]})
    (doubt,) = load(frame, "regression").spec.warnings
    assert "'1,001' is read as 1001, but may be 1.001" in doubt
    assert load(frame, "regression", table={"columns": {"y": "decimal_comma"}}).spec.warnings == ()
    dates = pd.date_range("2024-01-01", periods=2).strftime("%d/%m/%Y").tolist()
    dataset = load(frame.assign(y=dates * (ROWS // 2)))
    assert classes_of(dataset.spec.targets[0]) == tuple(dates)
    assert re.search(
        "the target `y` is read as classes, but looks like dates, such as '01/01/2024'", dataset.spec.warnings[0]
    )
    with pytest.raises(
        ValueError, match=r"must be numbers, or classes\. Received: '36,5' in `y`, which is mostly numbers"
    ):
        load(frame.assign(y=["36,5", "1.5"] * (ROWS // 2)))


def test_a_few_percentages_are_classes_but_numbers_in_a_regression(load):
    frame = pd.DataFrame({"x": range(ROWS), "y": ["10%", "20%"] * (ROWS // 2)})
    dataset = load(frame)
    assert classes_of(dataset.spec.targets[0]) == ("10%", "20%")
    assert load(frame, "regression").spec.targets[0].kind == "number"
    with pytest.raises(ValueError, match="or set the kind of the column, --set dataset.table.columns.y=number"):
        load(frame, "regression", table={"columns": {"y": "category"}})


def test_an_older_network_detects_its_target_as_before():
    frames = {"train": pd.DataFrame({"y": ["36,5", "37,5"] * ROWS})}
    settings = DatasetSettings(name="table.csv")
    assert target_kind("y", frames, settings).kind == "number"
    assert target_kind("y", frames, settings, rules=2) == ColumnKind("category")


def test_months_are_dates(load):
    months = [f"{2020 + n // 12}-{n % 12 + 1:02}" for n in range(ROWS)]
    frame = pd.DataFrame({"month": months, "label": ["yes", "no"] * (ROWS // 2)})
    first = load(frame.assign(month=[f"{month}-01" for month in months])).spec
    spec = load(frame).spec
    assert (spec.fingerprint, spec.warnings) == (first.fingerprint, ())
    numbered = [f"2024-{n % 13 + 1:02}" for n in range(ROWS)]  # there is no month 13
    assert detect("part", pd.Series(numbered), pd.Series(numbered), None).kind == "category"


def test_dates_of_each_country_are_the_same_days(load):
    days = [datetime.date(2023, 12, 20) + datetime.timedelta(n) for n in range(ROWS)]
    target = {"label": ["yes", "no"] * (ROWS // 2)}
    plain = load(pd.DataFrame({"day": [str(day) for day in days]} | target)).spec
    for text in ("{0}.{1:02}.{2:02}", "{0}년 {1}월 {2}일", "{0}. {1}. {2}.", "{2:02}.{1:02}.{0}", "{1:02}/{2:02}/{0}"):
        frame = pd.DataFrame({"day": [text.format(day.year, day.month, day.day) for day in days]} | target)
        spec = load(frame).spec
        assert (spec.fingerprint, spec.warnings) == (plain.fingerprint, ())


def clean_tables():
    """Return the tables of scikit-learn, and others written by its functions."""
    named = ("iris", "wine", "breast_cancer", "diabetes", "digits", "linnerud")
    tables = {name: getattr(sklearn.datasets, f"load_{name}")(as_frame=True).frame for name in named}
    for name in ("blobs", "moons", "circles", "classification", "regression", "friedman1", "friedman2", "friedman3"):
        rows, target = getattr(sklearn.datasets, f"make_{name}")(n_samples=200, random_state=0)
        tables[name] = pd.DataFrame(rows).add_prefix("x").assign(y=target)
        tables[f"{name} with two decimals"] = tables[name].round(2)
        tables[f"{name} with three decimals"] = tables[name].round(3)
    return tables


CLEAN = clean_tables()


@pytest.mark.parametrize("name", CLEAN)
def test_a_clean_table_gives_no_warning(tmp_path, name):
    path = tmp_path / "table.csv"
    for separator in ",\t":
        CLEAN[name].to_csv(path, index=False, sep=separator)
        warnings = load_dataset(DatasetSettings(name=str(path))).spec.warnings
        assert [warning for warning in warnings if "separator" not in warning] == []
