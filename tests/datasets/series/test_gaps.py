"""Series with missing dates, repeated dates and empty cells, and series with known inputs."""

import numpy as np
import pandas as pd
import pytest

from conftest import load_data
from dltemplates.datasets.series.csv_series import next_window
from dltemplates.datasets.series.regular import frequency_with_gaps
from dltemplates.features import columns_of
from dltemplates.features.calendar import calendar_names, calendar_parts, calendar_values
from dltemplates.settings import DatasetSettings

ROWS = 60


def settings(**given):
    table = {key: given.pop(key) for key in ("target", "name") if key in given}
    series = {"window": 6, "horizon": 3, "season_length": 1} | given
    return DatasetSettings(**({"name": "mine.csv", "target": "sales", "validation": 0.25} | table), series=series)


def table(rows=ROWS, **columns):
    """Return hours; `sales` counts the rows, so a value tells its row."""
    hours = pd.date_range("2024-01-01", periods=rows, freq="h").strftime("%Y-%m-%d %H:%M")
    price = 10 + np.arange(rows) % 7
    return pd.DataFrame({"hour": hours, "price": price, "sales": np.arange(rows) * 1.0} | columns)


@pytest.fixture
def load(tmp_path):
    """Return a function that writes a series and loads it."""

    def write_and_load(frame, given, **more):
        frame.to_csv(tmp_path / "mine.csv", index=False)
        return load_data(given.model_copy(update={"name": str(tmp_path / "mine.csv")}), **more)

    return write_and_load


def all_rows(dataset):
    """Return the rows of a dataset, (rows, channels), from its splits, whose windows may overlap."""
    train, validation, test = (dataset.split(split) for split in ("train", "validation", "test"))
    return np.concatenate([train.rows, validation.rows[validation.reach :], test.rows[test.reach :]])


def gaps():
    """Return a series without the rows 10, 11 and 20, and with an empty cell in row 40."""
    frame = table()
    frame.loc[40, "sales"] = None
    return frame.drop(index=[10, 11, 20])


@pytest.mark.parametrize(("fill", "found"), [("previous", [9, 9, 19, 39]), ("linear", [10, 11, 20, 40])])
def test_gaps_are_filled_by_the_rule_and_said(load, fill, found):
    dataset = load(gaps(), settings(fill=fill))
    rows = all_rows(dataset)
    assert rows.shape == (ROWS, 2)
    np.testing.assert_allclose(rows[[10, 11, 20, 40], 1], found, rtol=1e-6)
    cells, dates = dataset.spec.warnings[:2]
    assert cells.startswith("1 empty cell, the first in row 38 of `sales`")
    assert cells.endswith(f"fill={fill}")
    assert dates.startswith("3 missing dates in `hour`, one row each `h`, the first 2024-01-01 10:00:00")
    again = load(gaps(), settings(), reference=dataset.spec)  # the rule is kept with the network
    np.testing.assert_array_equal(all_rows(again), rows)
    assert again.spec.warnings[:2] == (cells, dates)


def test_previous_never_uses_a_later_row(load):
    changed = gaps()
    changed.loc[changed.index > 20, "sales"] += 5
    first, second = (all_rows(load(frame, settings(fill="previous"))) for frame in (gaps(), changed))
    np.testing.assert_array_equal(first[:21], second[:21])
    first, second = (all_rows(load(frame, settings(fill="linear"))) for frame in (gaps(), changed))
    assert first[20, 1] != second[20, 1]


@pytest.mark.parametrize(("repeated", "value"), [("first", 5.0), ("mean", 55.0)])
def test_rows_of_one_date_are_merged_by_the_rule(load, repeated, value):
    frame = table()
    twice = pd.concat([frame.iloc[:6], frame.iloc[5:6].assign(sales=105.0), frame.iloc[6:]])
    dataset = load(twice, settings(repeated=repeated))
    assert all_rows(dataset)[5, 1] == value
    assert dataset.spec.warnings[0].startswith("1 repeated date in `hour`, the first 2024-01-01 05:00:00: the ")


def test_rows_before_the_first_complete_one_are_left_out_and_the_end_repeats(load):
    frame = table()
    frame.loc[:2, "price"] = None
    frame.loc[ROWS - 2 :, "price"] = None
    rows = all_rows(dataset := load(frame, settings(fill="linear")))
    assert (len(rows), rows[0, 1]) == (ROWS - 3, 3)
    assert rows[-1, 0] == rows[-3, 0]
    assert "the first 3 rows of the series, not complete: left out" in dataset.spec.warnings


def test_a_prediction_fills_gaps_by_the_rule_of_the_network(load, tmp_path):
    spec = load(gaps(), settings(fill="previous")).spec
    table().drop(index=[57]).to_csv(tmp_path / "later.csv", index=False)
    found = next_window(tmp_path / "later.csv", spec, 3)
    assert found.window[0, :, 1].tolist() == [54, 55, 56, 56, 58, 59]
    assert found.filled[0].startswith("1 missing date in `hour`")
    strict = load(table(), settings()).spec
    with pytest.raises(ValueError, match=r"1 missing date.*train with --set dataset\.series\.fill=previous"):
        next_window(tmp_path / "later.csv", strict, 3)


@pytest.mark.parametrize(
    ("frame", "given", "match"),
    [
        (gaps(), {}, r"nothing in row 38 of `sales`.*series\.fill=previous or =linear"),
        (gaps().drop(index=40), {}, "4 missing dates in `hour`.*2024-01-01 10:00.*after row 10.*=linear.*hour=skip"),
        (table().drop(index=range(5, 50)), {"fill": "linear"}, "At least half.*45 missing dates"),
        (table(price=None), {"fill": "linear"}, r"must have numbers. Received: `price`, which is empty.*price=skip"),
        (table().assign(hour=lambda f: f.hour.where(f.index != 7, "2024-01-01 07:20")), {}, "evenly spaced. Received"),
        (table(hour=pd.date_range("2024-01-01", periods=6).repeat(10)), {}, "54 repeated dates"),
        (table(sales="many"), {}, r"Received: many in row 1 of `sales`, and 59 more\. Correct it"),
        (table().rename(columns={"hour": "2023-12-31 23:00", "price": "9", "sales": "-1"}), {}, "names of its col"),
        (table(), {"target": ("sales", "visits")}, r"`dataset\.target`.*Received: visits\. There are: price, sales"),
        (table(), {"known": ("cost",)}, r"`dataset\.series\.known`.*Received: cost\. There are: price, sales"),
        (table(), {"known": ("sales",)}, "known or forecast, not both. Received: sales"),
        (table(), {"known": ("price", "sales")}, "known or forecast, not both. Received: all columns"),
        (table(), {"known": ("price",), "horizon": 7}, r"window 6, horizon 7\. Try --set dataset\.series\.window=7"),
        (table().drop(columns="hour"), {"calendar": ("hour",)}, r"`dataset\.series\.calendar`.*without dates"),
        (table(sales=1.0), {"target": "*"}, "Received: `sales`, the same in all 60 rows"),
    ],
)  # fmt: skip
def test_series_that_break_a_rule_are_refused(load, frame, given, match):
    with pytest.raises(ValueError, match=match) as error:
        load(frame, settings(**given))
    assert "\n" not in str(error.value)


def test_irregular_dates_have_no_frequency():
    assert frequency_with_gaps(pd.DatetimeIndex(["2024-01-01", "2024-01-02", "2024-01-04", "2024-01-09"])) is None
    days = pd.date_range("2024-01-01", periods=40).delete([3, 7, 20])
    assert frequency_with_gaps(days) == "D"


def test_calendar_values_match_their_formula():
    dates = np.array(["2024-03-05T06:30", "2023-12-31T23:59"], "datetime64[ns]")  # a Tuesday, a Sunday
    names = calendar_names(["minute", "hour", "weekday", "day", "yearday", "month"])
    angles = [
        [30 / 60, 6 / 24, 1 / 7, 4 / 31, 64 / 366, 2 / 12],
        [59 / 60, 23 / 24, 6 / 7, 30 / 31, 364 / 366, 11 / 12],
    ]
    turns = 2 * np.pi * np.array(angles)
    expected = np.stack([np.sin(turns), np.cos(turns)], axis=-1).reshape(2, -1)
    np.testing.assert_allclose(calendar_values(dates, names), expected, atol=1e-6)
    assert calendar_parts(names) == ("minute", "hour", "weekday", "day", "yearday", "month")


def test_known_inputs_are_those_of_the_forecast_rows(load):
    dataset = load(table(), settings(known=("price",), calendar=("hour",)))
    series, known = dataset.spec.inputs
    assert (series.shape, known.shape, known.name) == ((6, 2), (3, 3), "known")
    assert [column.calendar for column in columns_of(known)] == [None, "sin of hour", "cos of hour"]
    assert known.mean[1:] == (0, 0)
    assert known.std[1:] == (1, 1)
    for split in ("train", "validation", "test"):
        arrays = dataset.split(split).read(np.arange(len(dataset.split(split))))
        rows = arrays["future"].astype(int)  # a value tells its row
        np.testing.assert_array_equal(arrays["known"][..., 0], 10 + rows % 7)
        np.testing.assert_allclose(arrays["known"][..., 1], np.sin(2 * np.pi * (rows % 24) / 24), atol=1e-6)


def test_a_prediction_takes_known_values_from_the_rows_after_the_series(load, tmp_path):
    longer = table(ROWS + 4)
    longer.loc[ROWS:, "sales"] = None
    spec = load(longer, settings(known=("price",), calendar=("hour",))).spec
    assert sum(spec.sizes.values()) == ROWS - 8 - 2 * 2  # a forecast lies in one split
    longer.to_csv(tmp_path / "longer.csv", index=False)
    found = next_window(tmp_path / "longer.csv", spec, 3)
    assert found.window[0, :, 1].tolist() == [54, 55, 56, 57, 58, 59]
    assert found.known.shape == (1, 3, 3)
    assert found.known[0, :, 0].tolist() == [14, 15, 16]
    np.testing.assert_allclose(found.known[0, :, 1], np.sin(2 * np.pi * np.arange(12, 15) / 24), atol=1e-6)
    assert found.dates[0] == "2024-01-03 12:00:00"
    table(ROWS).to_csv(tmp_path / "short.csv", index=False)
    with pytest.raises(ValueError, match="needs the next 3 values of price. Received: 0 rows after"):
        next_window(tmp_path / "short.csv", spec, 3)
    longer.drop(columns="hour").to_csv(tmp_path / "undated.csv", index=False)
    with pytest.raises(ValueError, match="calendar needs the dates of the series. Received: no column of dates"):
        next_window(tmp_path / "undated.csv", spec, 3)


def test_several_targets_are_read_as_views_of_the_rows(load):
    dataset = load(table(), settings(target="*"))
    future, past, _ = dataset.spec.targets
    assert (future.shape, past.shape) == ((3, 2), (1, 2))
    assert (future.mean, future.std) == (dataset.spec.inputs[0].mean, dataset.spec.inputs[0].std)
    train = dataset.split("train")
    assert train.target is train.rows
    np.testing.assert_array_equal(train.rows.mean(axis=0, dtype=np.float64), future.mean)  # of the training rows
    ordered = load(table(), settings(target=("sales", "price")))
    assert [column.name for column in ordered.spec.targets[0].columns] == ["sales", "price"]
    values = ordered.split("test").read(np.array([0]))["future"]
    np.testing.assert_array_equal(values[0, :, 1], 10 + values[0, :, 0] % 7)


@pytest.mark.data
def test_etth1_has_the_splits_of_the_papers(data_folder):
    dataset = load_data(settings(name="etth1", target=None, window=336, horizon=96, season_length=None))
    assert dataset.spec.sizes == {"train": 8640 - 431, "validation": 2880 - 95, "test": 2880 - 95}
    assert dataset.spec.targets[0].shape == (96, 7)
    assert dataset.spec.targets[1].shape == (24, 7)
    file = pd.read_csv(data_folder / "ett" / "ETTh1.csv").iloc[:, 1:].to_numpy(np.float32)
    test = dataset.split("test")
    first, last = (test.read(np.array([place])) for place in (0, len(test) - 1))
    np.testing.assert_array_equal(first["future"][0], file[11520 : 11520 + 96])
    np.testing.assert_array_equal(first["series"][0], file[11520 - 336 : 11520])
    np.testing.assert_array_equal(last["future"][0], file[14400 - 96 : 14400])
    np.testing.assert_allclose(dataset.spec.inputs[0].mean, file[:8640].mean(axis=0, dtype=np.float64), rtol=1e-6)
    one = load_data(settings(name="etth1", target="OT", window=8, horizon=2))
    assert (one.spec.inputs[0].shape, one.spec.targets[0].shape) == ((8, 7), (2,))
    with pytest.raises(ValueError, match="Received: 2880 rows in validation.*horizon"):
        load_data(settings(name="etth1", target=None, window=8, horizon=2881))
