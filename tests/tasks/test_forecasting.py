"""Forecasting: scores, figures, and a training from a file to its continuation."""

import json
import os
import signal

import keras
import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LinearRegression

from conftest import load_data, run_dlt, series_data, spec_of
from dltemplates.datasets.source import SPLITS
from dltemplates.deploy.export_run import export
from dltemplates.features import Column, Number
from dltemplates.figures.series import apart, forecast_figure, misses_figure, steps_figure
from dltemplates.inference import evaluate, predict
from dltemplates.models.recurrent.lstm import lstm
from dltemplates.runs import Run, load_run
from dltemplates.settings import DatasetSettings, Named
from dltemplates.tasks.check_data import check_data
from dltemplates.tasks.forecasting import Forecasting, naive_forecasts
from dltemplates.tasks.load_for import load_for
from dltemplates.tasks.scoring.baseline_worker import predict as predict_baseline
from dltemplates.tasks.task import make_task
from dltemplates.template import load_template, parse_template
from dltemplates.training.checkpoint import list_checkpoints
from dltemplates.training.prepare import prepare
from dltemplates.training.recording.progress import Silent
from dltemplates.training.train import train

WINDOW, HORIZON, PERIOD = 12, 4, 12
SCORES = ["mae", "rmse", "skill", "skill_seasonal", "scaled_mse", "scaled_mae"]


def series(rows=400):
    """Return a wave of twelve months plus a slower one and a little noise."""
    months = np.arange(rows)
    noise = np.random.default_rng(0).normal(0, 0.1, rows)
    values = 20 + 5 * np.sin(months * 2 * np.pi / 12) + 2 * np.sin(months / 9) + noise
    return pd.DataFrame({"month": pd.date_range("1990-01", periods=rows, freq="MS").strftime("%Y-%m"), "sold": values})


def settings(name="mine.csv"):
    return DatasetSettings(
        name=name, validation=0.1, series={"window": WINDOW, "horizon": HORIZON, "season_length": PERIOD}
    )


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    path = tmp_path_factory.mktemp("series") / "mine.csv"
    series().to_csv(path, index=False)
    return path


@pytest.fixture(scope="module")
def template(file):
    return parse_template(
        {
            "task": "forecasting",
            "dataset": settings(str(file)).model_dump(exclude_none=True),
            "model": {"name": "lstm", "units": [8], "dropout_rate": 0.1},
            "train": {"epochs": 3, "batch_size": 16, "learning_rate": 0.02, "clip_norm": 0.5},
        }
    )


@pytest.fixture(scope="module")
def run(template, tmp_path_factory):
    """Train one run; tests read it and never write it."""
    return train(template, output=tmp_path_factory.mktemp("runs") / "run")


@pytest.fixture(scope="module")
def task():
    return Forecasting(series_data(series(), settings()).spec)


@pytest.fixture
def split():
    source = series_data(series(), settings()).split("test")
    return source.read(np.arange(len(source)))


def test_naive_forecasts_repeat_the_past():
    row = np.arange(10.0)
    targets = {"past": np.stack([row[2:6], row[3:7]]), "future": np.stack([row[:6], row[:6]])}
    forecasts = naive_forecasts(targets)
    np.testing.assert_array_equal(forecasts["last"], [[5] * 6, [6] * 6])
    np.testing.assert_array_equal(forecasts["seasonal"], [[2, 3, 4, 5, 2, 3], [3, 4, 5, 6, 3, 4]])
    assert set(naive_forecasts({**targets, "past": targets["past"][:, -1:]})) == {"last"}


def test_scores_match_their_definitions(task):
    targets = {"future": np.float32([[1, 2], [3, 4]]), "past": np.float32([[9, 0], [8, 4]])}
    scores = task.compare(targets, {"forecast": np.float32([[1, 3], [5, 4]])}).scores
    assert scores["mae"] == pytest.approx((0 + 1 + 2 + 0) / 4)
    assert scores["rmse"] == pytest.approx(np.sqrt((0 + 1 + 4 + 0) / 4))
    assert scores["skill"] == pytest.approx(1 - 0.75 / ((1 + 2 + 1 + 0) / 4))
    assert scores["skill_seasonal"] == pytest.approx(1 - 0.75 / ((8 + 2 + 5 + 0) / 4))
    std = task.target.std[0]
    assert scores["scaled_mae"] == pytest.approx(0.75 / std)
    assert scores["scaled_mse"] == pytest.approx((0 + 1 + 4 + 0) / 4 / std**2)
    assert list(scores) == SCORES


def test_skill_is_0_for_a_naive_forecast_and_1_for_the_truth(task, split):
    forecasts = naive_forecasts(split)
    assert task.compare(split, {"forecast": forecasts["last"]}).scores["skill"] == pytest.approx(0, abs=1e-6)
    assert task.compare(split, {"forecast": forecasts["seasonal"]}).scores["skill_seasonal"] == pytest.approx(
        0, abs=1e-6
    )
    assert task.compare(split, {"forecast": split["future"]}).scores == {
        "mae": 0,
        "rmse": 0,
        "skill": 1,
        "skill_seasonal": 1,
        "scaled_mse": 0,
        "scaled_mae": 0,
    }


def test_there_is_no_skill_if_the_naive_error_is_0(task):
    targets = {"future": np.ones((3, 2)), "past": np.ones((3, 1))}
    assert list(task.compare(targets, {"forecast": np.zeros((3, 2))}).scores) == [
        "mae", "rmse", "scaled_mse", "scaled_mae",
    ]  # fmt: skip


def test_details_hold_the_error_of_each_step(task, split):
    forecast = split["future"] + np.float32([0, 1, 2, 3])
    found = task.compare(split, {"forecast": forecast}).details["mae_by_step"]
    np.testing.assert_allclose(found["network"], [0, 1, 2, 3], atol=1e-5)
    assert found["last"] == pytest.approx(np.abs(split["past"][:, -1:] - split["future"]).mean(axis=0).tolist())
    assert set(found) == {"network", "last", "seasonal"}
    json.dumps(found)


def test_the_scale_comes_from_the_training_split(task, split):
    encoded = np.asarray(task.encode(split["future"]))
    assert np.abs(encoded.mean()) < 1
    np.testing.assert_allclose(np.asarray(task.present(encoded)), split["future"], rtol=1e-5)
    assert (task.output().name, task.output().shape) == ("forecast", (HORIZON,))


def test_the_loss_option_sets_the_loss(task):
    targets, forecast = np.zeros((1, 2), np.float32), np.full((1, 2), 3, np.float32)
    absolute = make_task(Named(name="forecasting", loss="mae"), series_data(series(), settings()).spec)
    assert float(task.loss()(targets, forecast)) == 9
    assert float(absolute.loss()(targets, forecast)) == 3


def served(spec, subtract_last):
    """Return a network with fresh weights, and a function from raw windows to forecasts."""
    keras.utils.set_random_seed(0)
    task = Forecasting(spec, subtract_last=subtract_last)
    model = task.assemble(lstm((WINDOW, 2), HORIZON, units=(4,)), spec)
    model = keras.models.model_from_json(model.to_json())  # a run stores it as JSON
    return model, lambda windows: np.asarray(task.present(model(np.float32(windows))))


def test_with_subtract_last_a_forecast_moves_with_its_series():
    table = series().assign(rain=np.cos(np.arange(400)))[["rain", "sold"]]
    spec = series_data(table, settings().model_copy(update={"target": "sold"})).spec
    windows = table.to_numpy()[None, :WINDOW]
    moved = windows + np.array([0, 100])
    for subtract_last in (True, False):
        model, forecast = served(spec, subtract_last)
        follows = np.abs(forecast(moved) - forecast(windows) - 100).max() < 1e-3
        assert follows == subtract_last
        model.get_layer("lstm").get_layer("logits").set_weights([np.zeros((4, HORIZON)), np.zeros(HORIZON)])
        expected = windows[0, -1, 1] if subtract_last else spec.targets[0].mean[0]
        np.testing.assert_allclose(forecast(windows), np.full((1, HORIZON), expected), rtol=1e-5)


def test_model_sizes_name_window_and_horizon(task):
    assert task.model_sizes(series_data(series(), settings()).spec) == {
        "input_shape": (WINDOW, 1),
        "num_outputs": HORIZON,
        "sequence_length": WINDOW,
        "channels": 1,
        "horizon": HORIZON,
    }


def test_data_that_is_not_a_series_is_refused():
    columns = (Column(name="value", kind="number", place=0, median=0.0),)
    number = Number(name="value", dtype="float32", shape=(1,), mean=(0.0,), std=(1.0,), columns=columns)
    with pytest.raises(ValueError, match=r"Received: .*`number`\. .*--set dataset\.series\.window="):
        check_data("forecasting", Forecasting, spec_of(number, inputs=(number,)))


def test_invalid_options_are_refused():
    spec = series_data(series(), settings()).spec
    with pytest.raises(ValueError, match=r"`loss`.*Received: 'huber'"):
        Forecasting(spec, loss="huber")
    with pytest.raises(ValueError, match=r"`subtract_last`.*Received: 'yes'"):
        Forecasting(spec, subtract_last="yes")


@pytest.mark.data
def test_a_linear_autoregression_is_the_baseline_of_the_ready_template(data_folder):
    """The scores are stated at the head of lstm_sunspots.toml."""
    template = load_template("lstm_sunspots")
    task, dataset = load_for(template)
    train, *later = (dataset.split(split).read(np.arange(len(dataset.split(split)))) for split in SPLITS)
    fitted = LinearRegression().fit(train["series"][..., 0], train["future"])
    for split, mae, naive in zip(later, (13.38, 18.97), (15.69, 23.93), strict=True):
        scores = task.compare(split, {"forecast": fitted.predict(split["series"][..., 0])}).scores
        assert scores["mae"] == pytest.approx(mae, abs=0.01)
        assert scores["mae"] / (1 - scores["skill"]) == pytest.approx(naive, abs=0.01)


def test_class_weights_are_refused(template):
    balanced = template.model_copy(update={"train": template.train.model_copy(update={"class_weight": "balanced"})})
    with pytest.raises(ValueError, match="`train.class_weight`.*Received: .*`horizon`"):
        prepare(balanced)


def lines(axes):
    return {line.get_label(): line.get_xydata() for line in axes.lines}


def test_forecasts_are_drawn_at_their_time(split):
    times, future = np.arange(len(split["future"])) + 100.0, split["future"]
    figure = forecast_figure(times, future, future, name="sold")  # a perfect forecast lies on the truth
    ahead, whole = figure.axes
    drawn = lines(ahead)
    truth = dict(drawn["truth"].tolist())
    assert len(truth) == len(times)
    for name in ("1 step ahead", f"{HORIZON} steps ahead"):
        assert len(drawn[name]) > 50
        assert all(truth[x] == y for x, y in drawn[name].tolist())
    fans = [line.get_xydata() for line in whole.lines[1:]]
    assert [len(fan) for fan in fans] == [HORIZON] * 6
    assert all(truth[x] == y for fan in fans for x, y in fan.tolist())
    figure.canvas.draw()


def test_the_time_axis_shows_dates(task, split):
    figures = task.figures(task.compare(split, {"forecast": split["future"]}))
    assert list(figures) == ["forecast", "misses", "error_by_step"]
    first = lines(figures["forecast"].axes[0])["truth"][0, 0]
    assert first == split["time"][0]  # matplotlib counts days since 1970 too
    for figure in figures.values():
        figure.canvas.draw()


def test_few_windows_and_a_single_step_are_drawn():
    forecast_figure(np.arange(2.0), np.ones((2, 4)), np.ones((2, 4)), name="x").canvas.draw()
    forecast_figure(np.arange(3.0), np.ones((3, 1)), np.ones((3, 1)), name="$x").canvas.draw()
    steps_figure({"network": np.ones(1)}, name="x").canvas.draw()


def test_training_learns_the_waves(run):
    record = run.record
    assert record.state == "done"
    assert record.scores["test"]["skill"] > 0.3
    assert list(record.scores["test"]) == SCORES
    assert {path.stem for path in run.figures_path.iterdir()} == {"curves", "forecast", "misses", "error_by_step"}
    assert record.macs == WINDOW * 4 * 8 * (1 + 8) + 8 * HORIZON


def test_evaluate_repeats_the_scores_of_the_run(run, file):
    assert evaluate(run.path)["scores"] == pytest.approx(run.record.scores["test"])
    assert evaluate(run.path, data=str(file))["scores"] == pytest.approx(run.record.scores["test"])


def test_the_forecast_continues_the_last_rows(run, file, tmp_path):
    (prediction,) = predict(run.path, [file])
    assert prediction["dates"] == ["2023-05", "2023-06", "2023-07", "2023-08"]
    assert len(prediction["forecast"]) == HORIZON
    table = series()
    expected = 20 + 5 * np.sin(np.arange(400, 404) * 2 * np.pi / 12) + 2 * np.sin(np.arange(400, 404) / 9)
    assert np.abs(np.array(prediction["forecast"]) - expected).mean() < 3  # the waves rise and fall by 7
    table.iloc[-WINDOW:].to_csv(tmp_path / "short.csv", index=False)
    (shorter,) = predict(run.path, [tmp_path / "short.csv"])
    assert shorter["forecast"] == prediction["forecast"]
    with pytest.raises(ValueError, match="series.*Received: none"):
        predict(run.path, [])


class StopAt(Silent):
    """A reporter that stops the training after an epoch, as Ctrl-C does."""

    def epoch(self, row, best):
        if row["epoch"] == 2:
            os.kill(os.getpid(), signal.SIGINT)


def arrays(run):
    with np.load(list_checkpoints(run.checkpoint_path)[0]) as checkpoint:
        return {name: checkpoint[name] for name in checkpoint.files if name != "state"}


def test_an_interrupted_training_resumes_exactly(template, run, tmp_path):
    with pytest.raises(KeyboardInterrupt):
        train(template, output=tmp_path / "run", reporter=StopAt())
    assert Run(tmp_path / "run").record.state == "interrupted"
    resumed = train(template, output=tmp_path / "run", resume=True)
    expected, found = arrays(run), arrays(resumed)
    assert len(expected) == len(found) > 5
    for name, array in expected.items():
        np.testing.assert_array_equal(found[name], array, err_msg=name)
    assert resumed.record.scores == run.record.scores


@pytest.mark.slow
def test_two_devices_train_the_same_weights_as_one(template, run, tmp_path):
    (tmp_path / "small.toml").write_text(template.to_toml())
    done = run_dlt("train", tmp_path / "small.toml", "-o", tmp_path / "run", "--devices", "2", timeout=400)
    assert done.returncode == 0, done.stderr
    several = load_run(tmp_path / "run").model().weights
    for one, other in zip(run.model().weights, several, strict=True):
        assert np.ptp(one) > 0
        np.testing.assert_allclose(other, one, rtol=0, atol=1e-6, err_msg=one.path)


def several(**given):
    """Return the settings and the data of a series with two targets, `sold` and `rain`, in units of their own."""
    table = series().assign(rain=1000 * np.cos(np.arange(400) / 5) + np.arange(400) % 7, heat=np.arange(400) % 5)
    found = settings().model_copy(update={"target": given.pop("target", ("rain", "sold"))})
    found = found.model_copy(update={"series": found.series.model_copy(update=given)})
    return found, series_data(table, found)


def by_channel(input_shape, horizon):
    """Return a network that repeats the last row of each channel."""
    inputs = keras.Input(input_shape)
    last = keras.layers.Cropping1D((input_shape[0] - 1, 0))(inputs)
    return keras.Model(inputs, keras.layers.UpSampling1D(horizon)(last), name="by_channel")


def test_scores_of_several_columns_are_scaled():
    _, dataset = several()
    task, std = Forecasting(dataset.spec), np.array(dataset.spec.targets[0].std)
    split = dataset.split("test").read(np.arange(20))
    forecast = split["future"] + np.array([3.0, 2.0]) * std
    found = task.compare(split, {"forecast": forecast})
    assert list(found.scores) == ["scaled_mae", "scaled_mse", "skill", "skill_seasonal"]
    assert found.scores["scaled_mae"] == pytest.approx(2.5, rel=1e-4)
    assert found.scores["scaled_mse"] == pytest.approx((9 + 4) / 2, rel=1e-4)
    columns = found.details["mae_by_column"]["network"]
    assert columns == pytest.approx({"rain": 3 * std[0], "sold": 2 * std[1]}, rel=1e-4)
    assert found.details["scaled_mae_by_step"]["network"] == pytest.approx([2.5] * HORIZON, rel=1e-4)
    naive = np.abs(split["past"][:, -1:] - split["future"]).mean(axis=(0, 1))
    assert list(found.details["mae_by_column"]["last"].values()) == pytest.approx(naive.tolist(), rel=1e-5)
    (first, *_) = task.format({"forecast": forecast})
    assert list(first["forecast"]) == ["rain", "sold"]
    assert first["forecast"]["sold"] == forecast[0, :, 1].tolist()
    figures = task.figures(found)
    assert list(figures) == ["forecast", "misses", "error_by_step", "error_by_column"]
    for figure in figures.values():
        figure.canvas.draw()


@pytest.mark.parametrize("subtract_last", [False, True])
@pytest.mark.parametrize("target", [("rain", "sold"), ("sold",), "*"])
def test_a_network_may_forecast_each_channel_by_itself(target, subtract_last):
    """A network that repeats its input's last row gives the naive forecast of each target, in its unit and order."""
    _, dataset = several(target=target if len(target) > 1 or target == "*" else "sold")
    task = Forecasting(dataset.spec, subtract_last=subtract_last)
    model = task.assemble(by_channel((WINDOW, 3), HORIZON), dataset.spec)
    split = dataset.split("test").read(np.arange(5))
    forecast = np.asarray(task.present(model(split["series"])))
    assert forecast.shape == split["future"].shape
    np.testing.assert_allclose(forecast, naive_forecasts(split)["last"], rtol=1e-4, atol=1e-3)


def test_one_vector_is_ordered_by_step_then_column():
    _, dataset = several()
    task = Forecasting(dataset.spec)
    inputs = keras.Input((WINDOW, 3))
    network = keras.Model(inputs, keras.layers.Dense(HORIZON * 2)(keras.layers.Flatten()(inputs)), name="flat")
    network.layers[-1].set_weights([np.zeros((WINDOW * 3, HORIZON * 2)), np.arange(HORIZON * 2)])
    model = task.assemble(network, dataset.spec)
    np.testing.assert_array_equal(model(np.zeros((1, WINDOW, 3)))[0], np.arange(HORIZON * 2).reshape(HORIZON, 2))


def test_row_t_of_the_window_holds_the_known_values_of_row_t_plus_the_horizon():
    _, dataset = several(known=("heat",), calendar=("month",))
    task = Forecasting(dataset.spec)
    assert task.model_sizes(dataset.spec)["input_shape"] == (WINDOW, 3 + 3)
    inputs = keras.Input((WINDOW, 6))
    known = keras.layers.Lambda(lambda x: x[:, :, 3])(inputs)  # heat, standardized
    model = task.assemble(keras.Model(inputs, known[:, : HORIZON * 2], name="see"), dataset.spec)
    late = task.assemble(keras.Model(inputs, known[:, -HORIZON * 2 :], name="see"), dataset.spec)
    arrays = dataset.split("test").read(np.arange(3))
    given = {name: arrays[name] for name in ("series", "known")}
    assert not np.asarray(model(given)).any()  # row 0 to 7 of 12: those of rows 4 to 11 are not known inputs
    feature = dataset.spec.inputs[1]
    expected = feature.standardize(arrays["known"])[:, :, 0]
    shown = np.asarray(late(given)).reshape(3, -1)
    np.testing.assert_allclose(shown[:, -HORIZON:], expected, rtol=1e-5)
    assert not shown[:, :HORIZON].any()


def test_a_network_of_channels_refuses_known_inputs():
    _, dataset = several(calendar=("month",))
    with pytest.raises(ValueError, match=r"no known inputs\. Received: sin of month, cos.*calendar=none"):
        Forecasting(dataset.spec).assemble(by_channel((WINDOW, 5), HORIZON), dataset.spec)


def test_several_columns_and_known_inputs_train_export_and_predict(tmp_path):
    table = series(120).assign(rain=np.cos(np.arange(120)), heat=np.arange(120) % 5)
    table.loc[116:, ["sold", "rain"]] = None
    table.to_csv(tmp_path / "shop.csv", index=False)
    given = {"window": 8, "horizon": 4, "season_length": 1, "known": ["heat"], "calendar": ["month"]}
    template = parse_template(
        {
            "task": "forecasting",
            "dataset": {"name": str(tmp_path / "shop.csv"), "target": ["sold", "rain"], "series": given},
            "model": "ltsf_linear",
            "train": {"steps": 2, "batch_size": 16},
        }
    )
    run = train(template, output=tmp_path / "run")
    assert run.record.details["test"]["mae_by_column"].keys() >= {"network", "last"}
    names = [baseline.name for baseline in run.record.baselines.results]
    assert names == ["last value", "linear autoregression"]
    assert all(baseline.scores or baseline.skipped for baseline in run.record.baselines.results)
    (report,) = export(run, formats=("onnx:float32",)).results
    assert report.verdict == "passed", report
    predictions = [predict(path, [tmp_path / "shop.csv"])[0] for path in (run.path, run.exports_path / report.file)]
    for prediction in predictions:
        assert {name: len(values) for name, values in prediction["forecast"].items()} == {"sold": 4, "rain": 4}
        assert prediction["dates"][0] == "1999-09"
    np.testing.assert_allclose(predictions[1]["forecast"]["sold"], predictions[0]["forecast"]["sold"], rtol=1e-4)
    assert evaluate(run.path, data=str(tmp_path / "shop.csv"))["scores"] == pytest.approx(run.record.scores["test"])


def test_a_joint_baseline_forecasts_each_column_from_its_own_past():
    job = {"num_classes": 0, "is_scaled": False, "kinds": [0] * 4, "by_target": [[0, 2], [1, 3]]}
    job["are_texts"] = False
    rows = np.random.default_rng(0).normal(size=(50, 4))  # two rows of two columns
    target = np.stack([rows[:, [0, 2]] * 2, rows[:, [1, 3]] - 1], axis=-1)  # (n, horizon, columns)
    found = predict_baseline("linear", {"train": rows[:40], "target": target[:40], "test": rows[40:]}, job)
    np.testing.assert_allclose(found, target[40:], atol=1e-9)


def test_windows_far_apart_are_drawn():
    assert apart(np.array([5, 6, 0, 4, 9]), 3) == [5, 0, 9]
    ones = np.ones((2, 1, 1))
    misses_figure(ones, ones, ones, np.zeros(2), names=["$x"]).canvas.draw()


def test_a_table_has_one_target(tmp_path):
    pd.DataFrame({"a": [1, 2], "b": [1, 2], "c": [1, 2]}).to_csv(tmp_path / "t.csv", index=False)
    with pytest.raises(ValueError, match="one column to predict. Received: a, b"):
        load_data(DatasetSettings(name=str(tmp_path / "t.csv"), target=["a", "b"]))
    with pytest.raises(ValueError, match="different names. Received: "):
        DatasetSettings(name="t.csv", target=["a", "a"])
    assert DatasetSettings(name="t.csv", target=["a"]).target == "a"
