"""The column to predict: named, of a usual name, or an error that lists the columns."""

import re

import numpy as np
import pandas as pd
import pytest

from conftest import load_data
from dltemplates.datasets.spec import describe_target, target_column
from dltemplates.datasets.target_names import usual_target
from dltemplates.settings import DatasetSettings


@pytest.mark.parametrize("name", ["label", "Target", "CLASS", "y", "Y"])
def test_a_usual_name_is_taken_in_any_letter_case(name):
    assert usual_target(["size", name, "colour"], data="table") == name


def test_without_a_usual_name_the_columns_and_the_setting_are_listed():
    columns = ["PassengerId", "Survived", "home town"]
    expected = (
        r"A table needs the name of the column to predict\. Received: no `dataset\.target`\. The columns are "
        r"PassengerId, Survived, home town\. Add one of them, such as --set 'dataset\.target=home town'"
    )
    with pytest.raises(ValueError, match=expected):
        usual_target(columns, data="table")


def test_two_usual_names_are_doubtful():
    with pytest.raises(ValueError, match=r"Received: 2 columns with a usual name, y, Label\. .*dataset\.target=Label"):
        usual_target(["y", "x", "Label"], data="series")


def test_a_wide_table_is_not_listed_whole():
    with pytest.raises(ValueError, match=r"c0, .*c19 and 80 more\. Add") as error:
        usual_target([f"c{place}" for place in range(100)], data="table")
    assert "c20," not in str(error.value)


@pytest.fixture
def people(tmp_path):
    """Write a table whose last column is no target, and return its path."""
    random = np.random.default_rng(0)
    ages = random.normal(40, 9, 60).round(1)
    frame = pd.DataFrame({"age": ages, "rich": ["no", "yes"] * 30, "children": [0, 1, 2] * 20, "height": ages + 100.25})
    frame.to_csv(tmp_path / "people.csv", index=False)
    return str(tmp_path / "people.csv")


@pytest.mark.parametrize("task", ["classification", "regression"])
def test_a_task_with_a_target_stops_without_its_name(people, task):
    with pytest.raises(ValueError, match=r"needs the name of the column to predict.*age, rich, children, height"):
        load_data(people, task)


def test_a_task_without_a_target_needs_no_name(people, tmp_path):
    frame = pd.read_csv(people).drop(columns="rich")
    frame.to_csv(tmp_path / "numbers.csv", index=False)
    spec = load_data(str(tmp_path / "numbers.csv"), "reconstruction").spec
    assert len(spec.inputs[0].columns) == 3
    assert describe_target(spec) is None


@pytest.mark.parametrize(
    ("task", "target", "line"),
    [
        ("classification", "rich", "predicts rich, one of 2 classes: no, yes"),
        ("regression", "height", "predicts height, a number"),
        ("regression", "children", "predicts children, a number"),
        ("classification", "children", "predicts children, one of 3 classes: 0, 1, 2"),
    ],
)
def test_a_regression_takes_whole_numbers_and_a_target_is_described(people, task, target, line):
    spec = load_data(DatasetSettings(name=people, target=target), task).spec
    assert describe_target(spec) == line
    assert target_column(spec) == target


def test_a_regression_of_words_is_refused_with_the_task_that_fits(people):
    command = re.escape(f"`dlt run table_classification --data {people} --set dataset.target=rich`")
    expected = rf"Task regression predicts numbers\. Received: rich, which has text\. Try {command}\.$"
    with pytest.raises(ValueError, match=expected):
        load_data(DatasetSettings(name=people, target="rich"), "regression")


def test_a_classification_of_decimals_is_refused_with_the_task_that_fits(people):
    command = re.escape(f"`dlt run table_regression --data {people} --set dataset.target=height`")
    expected = rf"Task classification predicts classes\. Received: height, which has numbers\. Try {command}; or, if "
    with pytest.raises(ValueError, match=expected):
        load_data(DatasetSettings(name=people, target="height"), "classification")


def test_classes_that_the_user_chose_are_no_numbers(people):
    table = {"columns": {"children": "category"}}
    with pytest.raises(ValueError, match=r"set dataset\.table\.columns\.children=number"):
        load_data(DatasetSettings(name=people, target="children", table=table), "regression")


def test_a_target_of_one_value_is_refused(tmp_path):
    rows = pd.DataFrame({"size": np.arange(40) + 0.5, "price": 7.5})
    rows.to_csv(tmp_path / "flat.csv", index=False)
    with pytest.raises(ValueError, match=r"target must vary\. Received: `price`, the same in all 40 rows.*target=NAME"):
        load_data(DatasetSettings(name=str(tmp_path / "flat.csv"), target="price"), "regression")


def write_series(folder, **columns):
    days = pd.date_range("2024-01-01", periods=120).strftime("%Y-%m-%d")
    pd.DataFrame({"day": days, **columns}).to_csv(folder / "series.csv", index=False)
    return str(folder / "series.csv")


def test_the_only_column_of_numbers_of_a_series_is_forecast(tmp_path):
    path = write_series(tmp_path, sold=np.sin(np.arange(120)))
    spec = load_data(DatasetSettings(name=path, series={"window": 8, "horizon": 2}), "forecasting").spec
    assert describe_target(spec) == "predicts sold, its next 2 values"


def test_a_series_of_several_columns_needs_a_name(tmp_path):
    path = write_series(tmp_path, sold=np.sin(np.arange(120)), bought=np.cos(np.arange(120)))
    series = {"window": 8}
    with pytest.raises(ValueError, match=r"A series needs .*The columns are sold, bought\..*dataset\.target=bought"):
        load_data(DatasetSettings(name=path, series=series), "forecasting")
    spec = load_data(DatasetSettings(name=path, series=series, target="sold"), "forecasting").spec
    assert describe_target(spec) == "predicts sold, its next 1 value"


def test_a_series_shorter_than_its_season_is_refused(tmp_path):
    path = write_series(tmp_path, sold=np.sin(np.arange(120)))
    series = {"window": 8, "season_length": 365}
    with pytest.raises(ValueError, match=r"Received: .* of 120 rows in train\. Lower .*season_length \(365\)"):
        load_data(DatasetSettings(name=path, series=series), "forecasting")
