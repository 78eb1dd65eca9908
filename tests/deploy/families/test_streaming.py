"""Streaming files in their own runtimes, written from a run and used by `evaluate` and `predict`."""

import keras
import numpy as np
import pandas as pd
import pytest
from ai_edge_litert.interpreter import Interpreter

from conftest import series_data
from dltemplates import catalog
from dltemplates.deploy.export import export_system
from dltemplates.deploy.export_run import STATEFUL, export
from dltemplates.inference import evaluate, predict
from dltemplates.models.convolutional.tcn import tcn
from dltemplates.models.recurrent.gru import gru
from dltemplates.models.recurrent.lstm import lstm
from dltemplates.models.recurrent.simple_rnn import simple_rnn
from dltemplates.runtimes import KerasPredictor, load_predictor
from dltemplates.settings import DatasetSettings, ExportSettings
from dltemplates.tasks.forecasting import Forecasting
from dltemplates.tasks.scoring.evaluation import WHOLE
from dltemplates.tasks.serving.stream import initial_states, over_windows
from dltemplates.tasks.serving.streaming import with_state
from dltemplates.template import parse_template
from dltemplates.training.train import train

WINDOW, HORIZON = 6, 2
SERIES = {"window": WINDOW, "horizon": HORIZON}
KEYS = ["saved_model", "tflite:float32", "tflite:int8", "onnx:float32", "onnx:int8"]


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    """Write a series with a wave of 31 rows."""
    rows = np.arange(400)
    values = 50 + 20 * np.sin(rows / 5) + np.random.default_rng(0).normal(0, 1, len(rows))
    path = tmp_path_factory.mktemp("data") / "waves.csv"
    pd.DataFrame({"level": values}).to_csv(path, index=False)
    return path


@pytest.fixture(scope="module")
def run(table, tmp_path_factory):
    template = parse_template(
        {
            "task": "forecasting",
            "dataset": {"name": str(table), "target": "level", "series": SERIES},
            "model": {"name": "gru", "units": [3]},
            "train": {"steps": 300, "batch_size": 16, "learning_rate": 0.01},
        }
    )
    return train(template, output=tmp_path_factory.mktemp("runs") / "waves")


@pytest.fixture(scope="module")
def exported(run):
    """Export the whole network in one format, and the streaming form in several; tests read the files."""
    report = export(run, formats=KEYS, stateful=True, max_drop="20%")
    return report.parts[STATEFUL], run.exports_path / STATEFUL


def path_of(exported, key):
    report, folder = exported
    return folder / report.result(key).file


def test_all_formats_pass_beside_the_files_of_the_whole_network(run, exported):
    report, folder = exported
    assert [(result.format, result.reason or result.verdict) for result in report.results] == [
        (key, "passed") for key in KEYS
    ]
    assert folder == run.exports_path / "stateful"
    assert report.result("onnx:float32").file == "waves-stateful-float32.onnx"
    assert (run.exports_path / "waves-float32.onnx").exists()
    for key in KEYS:
        assert any("2,000 steps without a reset" in remark for remark in report.result(key).remarks)
        assert not any("1 example per call" in remark for remark in report.result(key).remarks)


def test_the_signature_is_decode(exported):
    import tensorflow as tf

    (name,) = Interpreter(model_path=str(path_of(exported, "tflite:float32"))).get_signature_list()
    assert name == "decode"
    assert list(tf.saved_model.load(str(path_of(exported, "saved_model"))).signatures) == ["decode"]


@pytest.mark.parametrize("key", KEYS)
def test_a_file_takes_one_row_and_its_states(exported, key):
    predictor = load_predictor(path_of(exported, key))
    contract = predictor.contract
    (state,) = contract.state
    assert (state.input[-2:], state.output) == ("_h", f"{state.input}_next")
    row = np.array([[[55.0]]], "float32")
    states = initial_states(contract, 1)
    first = predictor({"series": row, **states})
    assert first["forecast"].shape == (1, HORIZON)
    second = predictor({"series": row, state.input: first[state.output]})
    assert np.abs(second[state.output] - first[state.output]).max() > 1e-3
    states[state.input] = np.zeros((1, 4), "float32")
    with pytest.raises(ValueError, match=rf"Input `{state.input}` must have the shape \(n, 3\)\. Received: \(1, 4\)"):
        predictor({"series": row, **states})


def test_an_integer_state_keeps_its_scale(exported):
    contract = load_predictor(path_of(exported, "tflite:int8")).contract
    before = {value.name: (value.dtype, value.quantization) for value in contract.inputs}
    after = {value.name: (value.dtype, value.quantization) for value in contract.outputs}
    for state in contract.state:
        (dtype, (scale, zero_point)), (other_dtype, other) = before[state.input], after[state.output]
        assert (dtype, other_dtype, other[1]) == ("uint8", "uint8", zero_point)
        assert scale == pytest.approx(other[0], rel=1e-5)


def test_evaluate_and_predict_feed_the_window_row_by_row(run, exported, table):
    path = path_of(exported, "onnx:float32")
    whole, streamed = evaluate(run), evaluate(path, data=str(table))
    assert streamed["scores"]["mae"] == pytest.approx(whole["scores"]["mae"], rel=1e-4)
    (expected,), (found,) = predict(run, str(table)), predict(path, str(table))
    np.testing.assert_allclose(found["forecast"], expected["forecast"], rtol=1e-4)


def test_a_network_without_states_is_refused_before_any_file(small_run):
    with pytest.raises(ValueError, match=r"`stateful` is for networks with one series as input\. Received: small"):
        export(small_run, formats=["onnx:float32"], stateful=True)
    assert not small_run.exports_path.exists()


NETWORKS = {
    "lstm": lambda shape, size: lstm(shape, size, units=(3, 2)),
    "gru": lambda shape, size: gru(shape, size, units=(3,)),
    "simple_rnn": lambda shape, size: simple_rnn(shape, size, units=(3,)),
    "tcn": lambda shape, size: tcn(shape, size, filters=(3, 3), kernel_size=2),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", NETWORKS)
def test_every_format_of_every_streaming_network_passes(name, table, tmp_path):
    keras.utils.set_random_seed(0)
    settings = DatasetSettings(name="sunspots", target="level", series=SERIES, validation=0.3)
    dataset = series_data(pd.read_csv(table), settings)
    task = Forecasting(dataset.spec)
    model = task.assemble(NETWORKS[name]((WINDOW, 1), HORIZON), dataset.spec)
    windows = dataset.split("train").read(np.arange(len(dataset.split("train"))))
    model.compile("adam", "mse")
    model.fit(windows["series"], (windows["future"] - task.target.mean) / task.target.std, epochs=10, verbose=0)
    template = parse_template({"task": "forecasting", "dataset": settings.model_dump(), "model": name})
    serving = task.serve(model, dataset.spec, template, name="waves")[WHOLE]
    step = with_state(serving, dataset.split("train"))
    report = export_system({WHOLE: step}, task, dataset, tmp_path, ExportSettings(), max_drop="20%")
    assert {result.format for result in report.results if result.verdict == "passed"} == set(catalog.FORMATS)
    expected = KerasPredictor(serving.model, serving.contract)(windows["series"][:9])["forecast"]
    for key in ("tflite:float32", "onnx:float32"):
        predictor = over_windows(load_predictor(tmp_path / report.result(key).file))
        np.testing.assert_allclose(predictor(windows["series"][:9])["forecast"], expected, rtol=1e-4)
