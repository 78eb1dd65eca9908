"""Series read from CSV files, and the windows cut from them."""

import hashlib
import re

import numpy as np
import pandas as pd
import pytest

from conftest import load_data
from dltemplates.datasets.series.csv_series import SUNSPOTS, next_window, series_dataset
from dltemplates.datasets.series.regular import frequency_with_gaps
from dltemplates.datasets.series.times import date_texts, following, frequency_of, season_of, times_of
from dltemplates.datasets.series.windows import WindowSource
from dltemplates.datasets.source import SPLITS
from dltemplates.datasets.tables.dates import DAY, MONTH, is_dates
from dltemplates.settings import DatasetSettings

ROWS = 60


def settings(**given):
    series = {key: given.pop(key) for key in ("window", "horizon", "season_length", "columns") if key in given}
    series = {"window": 6, "horizon": 3, "season_length": 1} | series
    return DatasetSettings(**({"name": "mine.csv", "target": "sales", "series": series, "validation": 0.25} | given))


def table(rows=ROWS, **columns):
    """Return months from 1995 on; `sales` counts the rows, so a value tells its row."""
    dates = pd.date_range("1995-01", periods=rows, freq="MS").strftime("%Y-%m")
    return pd.DataFrame({"month": dates, "heat": np.cos(np.arange(rows)), "sales": np.arange(rows) * 1.0} | columns)


@pytest.fixture
def load(file):
    """Return a function that writes a series and loads it as a dataset."""

    def write_and_load(frame, given=None, reference=None, whole=False, task="forecasting"):
        named = (given or settings()).model_copy(update={"name": str(file(frame))})
        return load_data(named, task, reference=reference, whole=whole)

    return write_and_load


def everything(dataset, split):
    source = dataset.split(split)
    return source.read(np.arange(len(source)))


@pytest.fixture
def file(tmp_path):
    def write(frame):
        frame.to_csv(tmp_path / "mine.csv", index=False)
        return tmp_path / "mine.csv"

    return write


def test_each_window_is_followed_by_its_horizon(load):
    dataset = load(table(), settings(season_length=4))
    for split in SPLITS:
        arrays = everything(dataset, split)
        assert len(arrays["series"]) == dataset.spec.sizes[split] > 0
        for series, future, past in zip(arrays["series"], arrays["future"], arrays["past"], strict=True):
            rows = series[:, 1]
            np.testing.assert_array_equal(series[:, 0], np.float32(np.cos(rows.astype(np.float64))))
            np.testing.assert_array_equal(rows, np.arange(rows[0], rows[0] + 6))
            np.testing.assert_array_equal(future, rows[-1] + [1, 2, 3])
            np.testing.assert_array_equal(past, rows[-4:])


def test_windows_are_read_at_any_indices_in_any_order():
    rows = np.random.default_rng(0).normal(size=(50, 2)).astype(np.float32)
    source = WindowSource(rows, np.arange(50.0), targets=(1,), window_sizes=(5, 2, 8))
    assert len(source) == 50 - 8 - 2 + 1  # the first rows serve as past seasons
    indices = np.array([40, 0, 7, 7])
    for name, array in source.read(indices).items():
        each = np.stack([source.read(np.array([index]))[name][0] for index in indices])
        np.testing.assert_array_equal(array, each)
    assert np.shares_memory(source.rows, rows)
    assert np.shares_memory(source.target, rows)
    with pytest.raises(IndexError):
        source.read(np.array([41]))


def test_splits_are_consecutive_and_share_no_row_to_forecast(load):
    """Inputs may lie in the split before. The first rows of the series, a window, are inputs alone."""
    dataset = load(table(rows=100), settings())
    futures = {split: np.unique(everything(dataset, split)["future"]).tolist() for split in SPLITS}
    assert futures == {"train": [*range(6, 60)], "validation": [*range(60, 80)], "test": [*range(80, 100)]}
    assert everything(dataset, "train")["series"][..., 1].max() < 60
    assert everything(dataset, "test")["series"][0, :, 1].tolist() == [*range(74, 80)]


def test_by_earlier_rules_inputs_lie_in_their_own_split(load):
    spec = load(table(rows=100), settings()).spec.model_copy(update={"reading_rules": 3})
    dataset = load(table(rows=100), settings(), reference=spec)
    seen = {}
    for split in SPLITS:
        arrays = everything(dataset, split)
        seen[split] = set(np.concatenate([arrays["series"][..., 1].ravel(), arrays["future"].ravel()]).tolist())
    assert max(seen["train"]) < min(seen["validation"]) <= max(seen["validation"]) < min(seen["test"])
    assert [len(seen[split]) for split in SPLITS] == [60, 20, 20]


def test_the_season_follows_from_the_dates(load):
    spec = load(table(), settings(season_length=None)).spec
    assert spec.targets[1].shape == (12,)  # of months
    assert load(table().drop(columns="month"), settings(season_length=None)).spec.targets[1].shape == (1,)


def test_a_season_that_would_cost_many_examples_is_named_and_not_used(load):
    weeks = table(rows=210)
    weeks["month"] = pd.date_range("2020-01-05", periods=210, freq="W").strftime("%Y-%m-%d")
    spec = load(weeks, settings(season_length=None)).spec
    assert spec.targets[1].shape == (1,)
    (note,) = [line for line in spec.warnings if "season" in line]
    assert note.endswith(
        "would take 46 of 210 rows from the examples; to compare, add --set dataset.series.season_length=52"
    )
    assert load(weeks, settings(season_length=52)).spec.targets[1].shape == (52,)


@pytest.mark.parametrize(
    ("frequency", "rows", "season"),
    [
        ("MS", 48, 12), ("ME", 47, 1), ("QS-OCT", 400, 4), ("h", 400, 24), ("30min", 400, 48), ("D", 400, 7),
        ("W-SUN", 400, 52), ("B", 400, 5), ("BMS", 400, 12), ("BME", 400, 12), ("BQS-OCT", 400, 4),
        ("2D", 400, 1), ("YS-JAN", 400, 1), ("s", 10**6, 1), (None, 400, 1),
    ],
)  # fmt: skip
def test_a_season_is_a_day_a_week_or_a_year(frequency, rows, season):
    assert season_of(frequency, rows) == season


def test_scaling_is_fitted_on_the_training_split_only(load):
    dataset = load(table(), settings())
    train = everything(dataset, "train")
    (series,), future = dataset.spec.inputs, dataset.spec.targets[0]
    length = int(train["future"].max()) + 1
    assert length == 36  # of 60 rows
    assert series.mean[1] == pytest.approx(np.arange(length).mean())
    assert series.std[1] == pytest.approx(np.arange(length).std())
    assert future.mean == (series.mean[1],) * 3
    assert future.std == (series.std[1],) * 3
    later = table()
    later.loc[length:, ["sales", "heat"]] = 1e6
    assert load(later, settings()).spec.inputs == dataset.spec.inputs


def test_the_spec_describes_the_series(load):
    spec = load(table(), settings(target="heat", season_length=5)).spec
    (series,), (future, past, time) = spec.inputs, spec.targets
    assert (series.kind, series.shape, [column.name for column in series.columns]) == (
        "series", (6, 2), ["heat", "sales"],
    )  # fmt: skip
    assert (future.kind, future.shape, future.columns[0].name) == ("horizon", (3,), "heat")
    assert (past.shape, time.frequency) == ((5,), "MS")


def test_a_rising_column_gives_a_warning(load):
    years = table(year=np.arange(ROWS) + 1900)[["year", "heat"]]
    (told,) = load(years, settings(target="heat")).spec.warnings
    assert told.startswith("column `year` rises from row to row")
    assert "columns.year=date, or =skip" in told
    assert load(years, settings(target="heat", columns={"year": "number"})).spec.warnings == ()
    assert load(table(), settings(target="sales")).spec.warnings == ()  # a target may rise


def test_a_channel_that_float32_cannot_tell_apart_is_centred(load, file):
    level = 1e9 + np.arange(ROWS) % 7
    dataset = load(table(heat=level), settings())
    heat, sales = dataset.spec.inputs[0].columns
    assert (heat.offset > 0, sales.offset) == (True, 0)
    rows = np.concatenate([everything(dataset, split)["series"][:, 0] for split in SPLITS])
    assert set(rows[:, 0]) <= set(np.float32(level - heat.offset))
    assert len(set(rows[:, 0])) == 7
    again = load(table(heat=level), settings(), reference=dataset.spec)
    assert again.spec.fingerprint == dataset.spec.fingerprint
    np.testing.assert_array_equal(everything(again, "test")["series"], everything(dataset, "test")["series"])
    window = next_window(file(table(heat=level)), dataset.spec, 3).window
    np.testing.assert_array_equal(window[0, :, 0], np.float32(level[-6:] - heat.offset))


def test_a_time_since_1970_is_found_and_may_be_the_date(load):
    seconds = table(time=1_700_000_000 + 10 * np.arange(ROWS))[["time", "heat"]]
    (told,) = load(seconds, settings(target="heat")).spec.warnings
    assert told.startswith("column `time` rises from row to row")
    spec = load(seconds, settings(target="heat", columns={"time": "date"})).spec
    assert (spec.warnings, spec.targets[2].frequency) == ((), "10s")


def test_a_target_with_a_level_that_float32_cannot_hold_is_refused_for_that_reason(load):
    with pytest.raises(
        ValueError, match=r"in float32.*`sales`, from 1000000000 to 10000000\d\d\. Subtract their common"
    ):
        load(table(sales=1e9 + np.arange(ROWS)), settings())
    jump = np.where(
        np.arange(ROWS) < 50, 1e9 + 64 * (np.arange(ROWS) % 5), 0
    )  # the training split varies in steps of 64
    with pytest.raises(ValueError, match=r"in float32.*`sales` of the training split, from 1000000000 to 1000000256"):
        load(table(sales=jump), settings())


def test_the_fingerprint_depends_on_values_and_dates(load):
    first = load(table(), settings()).spec.fingerprint
    assert load(table(), settings()).spec.fingerprint == first
    other = table()
    other.loc[50, "sales"] += 1
    assert load(other, settings()).spec.fingerprint != first
    assert load(table().drop(columns="month"), settings()).spec.fingerprint != first


def test_times_are_days_or_row_numbers(load):
    dated, undated = (load(frame, settings()) for frame in (table(), table().drop(columns="month")))
    assert everything(dated, "train")["time"][0] == (pd.Timestamp("1995-07-01") - pd.Timestamp("1970-01-01")).days
    assert everything(undated, "train")["time"][0] == 6
    assert undated.spec.targets[2].frequency is None


@pytest.mark.parametrize(
    ("frequency", "start", "text"),
    [
        ("MS", "1749-01-01", "1749-04"),
        ("D", "1981-01-01", "1981-01-04"),
        ("h", "2016-07-01", "2016-07-01 03:00:00"),
        ("B", "2024-01-03", "2024-01-08"),
        ("W-SUN", "2024-01-07", "2024-01-28"),
        ("ME", "2024-01-31", "2024-04-30"),
        ("QS-JAN", "2024-01-01", "2024-10"),
        ("YS-JAN", "1700-01-01", "1703"),
    ],
)
def test_regular_dates_are_recognized_and_continued(frequency, start, text):
    dates = pd.date_range(start, periods=12, freq=frequency)
    assert frequency_of(dates) == frequency
    assert frequency_of(dates[:2]) is None
    assert frequency_with_gaps(dates.delete([5, 6])) == frequency
    assert date_texts(following(dates[2], frequency, 1), frequency)[0].startswith(text)


def test_date_columns_are_recognized():
    assert is_dates(pd.Series(["1749-01", "1749-02"]), MONTH)
    assert not is_dates(pd.Series(["1749-01", "1749-02"]), DAY)
    for pattern in (MONTH, DAY):
        assert is_dates(pd.Series(["2024-01-31 10:00", "2024-01-31T11:00:00Z", None]), pattern)
    for values in (["1749", "1750"], ["01/02/2024"], [1749, 1750], [None, None]):
        assert not is_dates(pd.Series(values), MONTH)
    np.testing.assert_array_equal(times_of(pd.DatetimeIndex(["1970-01-02 12:00"]), 1), [1.5])
    assert frequency_of(pd.DatetimeIndex(["1970-01-02"])) is None


@pytest.mark.data
def test_the_sunspots_file_is_complete(data_folder):
    content = (data_folder / "series" / "monthly-sunspots.csv").read_bytes()
    assert hashlib.md5(content).hexdigest() == SUNSPOTS.md5
    dataset = load_data(settings(name="sunspots", target=None, window=48, horizon=12, validation=0.15))
    assert dataset.spec.sizes == {"train": 1918 - 59, "validation": 338 - 11, "test": 564 - 11}
    train, test = everything(dataset, "train"), everything(dataset, "test")
    np.testing.assert_array_equal(train["series"][0, :3, 0], np.float32([58.0, 62.6, 70.0]))
    assert test["future"][-1, -1] == np.float32(33.4)
    assert dataset.spec.targets[2].frequency == "MS"


@pytest.mark.data
def test_missing_days_in_real_data_are_found(data_folder):
    """The last days of the leap years 1984 and 1988 are not in the file."""
    name = str(data_folder / "series" / "daily-min-temperatures.csv")
    with pytest.raises(ValueError, match="Received: 2 missing dates in `Date`, one row each `D`, the first 1984-12-31"):
        load_data(settings(name=name, target=None))
    assert load_data(settings(name=name, target=None, columns={"Date": "skip"})).spec.targets[2].frequency is None


def test_a_csv_file_with_a_window_is_a_series(file):
    path = str(file(table()))
    assert load_data(settings(name=path)).spec.inputs[0].kind == "series"
    assert load_data(DatasetSettings(name=path, target="sales")).spec.inputs[0].kind != "series"


def test_other_series_are_read_by_the_spec_of_the_network(load, file):
    spec = load(table(), settings(target="heat", season_length=5)).spec
    other = table(rows=120, note=["x"] * 120)[["note", "sales", "heat", "month"]]
    dataset = load_data(DatasetSettings(name=str(file(other))), reference=spec)
    assert [column.name for column in dataset.spec.inputs[0].columns] == ["heat", "sales"]
    assert dataset.spec.inputs[0].shape == (6, 2)
    assert [value.shape for value in dataset.spec.targets] == [(3,), (5,), ()]
    assert dataset.spec.targets[0].columns[0].name == "heat"
    undated = load_data(DatasetSettings(name=str(file(other.drop(columns="month")))), reference=spec)
    assert undated.spec.targets[2].frequency is None


def test_a_date_column_may_have_another_format(load, file):
    days = pd.date_range("2020-01-10", periods=ROWS)
    frame = table(month=days.strftime("%d/%m/%Y"))
    spec = load(frame, settings(columns={"month": "date"})).spec
    assert spec.targets[2].frequency == "D"
    assert (spec.targets[2].columns[0].name, spec.targets[2].columns[0].format) == ("month", "%d/%m/%Y")
    other = table(month=days.strftime("%d/%m/%Y"), seen=days.strftime("%Y-%m-%d"))[["seen", "month", "heat", "sales"]]
    assert next_window(file(other), spec, 2).dates == ["2020-03-10", "2020-03-11"]
    few = table(
        rows=6, month=pd.date_range("2020-04-01", periods=6).strftime("%d/%m/%Y")
    )  # day or month first: ambiguous by themselves
    assert next_window(file(few), spec, 1).dates == ["2020-04-07"]
    assert load(frame, settings()).spec.targets == spec.targets
    frame = table(month=pd.date_range("1995-01", periods=ROWS, freq="MS").strftime("%d/%m/%Y"))
    with pytest.raises(ValueError, match="one meaning. Received: '01/01/1995' .* to day_first or month_first"):
        load(frame, settings())
    assert load(frame, settings(columns={"month": "day_first"})).spec.targets[2].frequency == "MS"
    with pytest.raises(ValueError, match="Received: soon in row 1 of `month`.*=skip.*=date"):
        load(table(month="soon"), settings())


def test_numbers_of_another_form_are_read(load, file):
    """The form is found in training and kept for other data."""
    sales = np.arange(ROWS) * 1000.5
    comma = [f"{value:,.1f}".translate(str.maketrans(",.", ".,")) for value in sales]
    spec = load(table(sales=comma), settings()).spec
    assert spec.inputs[0].mean == load(table(sales=sales), settings()).spec.inputs[0].mean
    assert spec.inputs[0].columns[1].format == "1.234,5"
    window = next_window(file(table(sales=comma)), spec, 1).window
    assert window[0, -1, 1] == np.float32(sales[-1])
    with pytest.raises(ValueError, match="in every row, like 1.234,5. Received: 10.5 in row 1 of `sales`"):
        next_window(file(table(sales="10.5")), spec, 1)
    (doubt,) = load(table(sales=[f"{n},{n:03}" for n in range(1, ROWS + 1)]), settings()).spec.warnings
    assert re.search("'1,001' is read as 1001, but may be 1.001: say --set dataset.series.columns.sales=dec", doubt)
    points = [f"{n}.{n:03}" for n in range(1, ROWS + 1)]
    assert load(table(sales=points), settings()).spec.warnings == ()
    constant, doubt = load(table(sales=points, heat="36,5"), settings()).spec.warnings
    assert "column `heat` is the same in all 60 rows" in constant
    assert re.search("'1.001' is read as 1.001, but may be 1001: say --set dataset.series.columns.sales=dec", doubt)


def test_a_series_is_evaluated_whole(load, file):
    spec = load(table(), settings()).spec
    given = DatasetSettings(name=str(file(table())), validation=0.25)
    assert load_data(given, reference=spec, whole=True).spec.sizes["all"] == ROWS - 6 - 3 + 1


def test_splits_too_short_for_a_window_are_left_out(load):
    spec = load(table(), settings()).spec
    later = table().assign(sales=np.arange(ROWS) + 1000.0)
    judged = load(later, settings(validation=0.04), reference=spec)
    assert set(judged.splits) == {"train", "test"}
    assert judged.spec.inputs == spec.inputs  # the scale, too
    with pytest.raises(ValueError, match="9 rows.*Received: 7 of 10 rows in train"):
        load(table(rows=10), settings(validation=0.1), reference=spec)


def test_the_forecast_continues_the_last_window(load, file):
    spec = load(table(), settings()).spec
    found = next_window(file(table(rows=7)), spec, 3)
    window, dates = found.window, found.dates
    np.testing.assert_array_equal(window[0, :, 1], np.arange(1, 7))
    assert (window.shape, window.dtype) == ((1, 6, 2), np.float32)
    assert dates == ["1995-08", "1995-09", "1995-10"]
    assert next_window(file(table().drop(columns="month")), spec, 3).dates is None


def test_series_that_cannot_be_continued_are_refused(load, file, tmp_path):
    spec = load(table(), settings()).spec
    with pytest.raises(ValueError, match="6 rows.*Received: 5 in "):
        next_window(file(table(rows=5)), spec, 3)
    for path in (tmp_path / "none.csv", tmp_path, "1,2,3"):
        with pytest.raises(ValueError, match=f"CSV file.*Received: {re.escape(str(path))}"):
            next_window(path, spec, 3)
    with pytest.raises(ValueError, match=r"Received: none called heat\. There are"):
        next_window(file(table().drop(columns="heat")), spec, 3)
    days = table(month=pd.date_range("1995-01-01", periods=ROWS).strftime("%Y-%m-%d"))
    with pytest.raises(ValueError, match=r"`MS`.*Received: 1995-01-01 00:00:00, t"):
        next_window(file(days), spec, 3)


def gap(frame):
    return frame.drop(index=30)


def shuffled(frame):
    return frame.iloc[[1, 0, *range(2, ROWS)]]


def twice(frame):
    return frame.iloc[[0, 0, *range(1, ROWS)]]


@pytest.mark.parametrize(
    ("change", "given", "match"),
    [
        (gap, {}, "Received: 1 missing date in `month`, one row each `MS`, the first 1997-07-01 00.*row 30.*fill"),
        (shuffled, {}, "Received: 1995-01-01 00:00:00 after 1995-02-01 00:00:00 in `month`, row 2"),
        (twice, {}, "1 repeated date in `month`, the first 1995-01-01 00:00:00 in row 2.*repeated=first or"),
        (lambda f: f.assign(sales=f.sales.mask(f.sales == 7)), {}, "Received: nothing in row 8"),
        (lambda f: f.assign(sales=f.sales.mask(f.sales < 3)), {}, "Received: nothing in row 1 of `sales`, and 2 more"),
        (lambda f: f.assign(heat=np.inf), {}, "Received: inf in row 1 of `heat`, and 59 more"),
        (lambda f: f.assign(wind="NW"), {}, r"Received: NW in row 1 of `wind`.*dataset\.series\.columns\.wind=skip"),
        (lambda f: f.assign(sales=3.0), {}, "Received: `sales`, the same in all 60 rows"),
        (
            lambda f: f.assign(sales=np.where(f.sales < 50, 3.0, f.sales)),
            {},
            "Received: `sales`, the same in all 36 rows of it",
        ),
        (lambda f: f[["month"]], {}, r"Received: month\. "),
        (lambda f: f, {"target": "month"}, r"`dataset.target`.*Received: month\. There are: heat"),
        (lambda f: f, {"columns": {"x": "skip"}}, r"`dataset.series.columns`.*Received: x=skip.*There are: mo"),
        (lambda f: f, {"columns": {"heat": "category"}}, "`dataset.series.columns`.*Received: heat=category"),
        (lambda f: f, {"columns": {"heat": "date"}}, r"`heat`.*2024-12-31.*Received: 1.0 in row"),
        (lambda f: f, {"window": 100}, r"103.*Received: 36 of 60 rows in train.*dataset\.series\.window.*\(100\)"),
        (lambda f: f, {"horizon": 13}, r"19.*Received: 12 of 60 rows in validation.*dataset\.validation"),
        (lambda f: f, {"test": 0.03}, r"9.*Received: 2 of 60 rows in test.*dataset\.test"),
        (lambda f: f, {"season_length": 34}, r"37.*Received: 36 of 60 rows in train.*series\.season_length \(34\)"),
    ],
)  # fmt: skip
def test_invalid_series_are_refused(load, change, given, match):
    with pytest.raises(ValueError, match=match):
        load(change(table()), settings(**given))


def test_a_series_needs_a_window():
    with pytest.raises(ValueError, match=r"needs `dataset\.series\.window`.*Received: none, for mine\.csv\. Try --set"):
        series_dataset(table(), settings(window=None))


def test_a_folder_of_tables_is_refused_as_a_series(file):
    folder = file(table()).parent
    (folder / "mine.csv").rename(folder / "train.csv")
    with pytest.raises(ValueError, match=r"CSV file.*Received: .*dataset\.series out"):
        load_data(settings(name=str(folder)))


def test_constant_channels_keep_their_unit(load):
    spec = load(table(heat=5.0), settings()).spec
    assert (spec.inputs[0].mean[0], spec.inputs[0].std[0]) == (5.0, 1.0)
