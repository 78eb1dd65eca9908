"""Recurrent networks: loops in float TFLite files, unrolled integer ones, and no state kept between calls."""

import keras
import numpy as np
import onnx
import pandas as pd
import pytest
import tensorflow as tf
from keras import layers
from onnx import numpy_helper

from conftest import series_data
from dltemplates import catalog
from dltemplates.compat import flatten_layers
from dltemplates.deploy.converters.conversion_job import ConversionJob
from dltemplates.deploy.converters.saved_model import save_serving
from dltemplates.deploy.converters.tflite import add_files
from dltemplates.deploy.export import export_system
from dltemplates.deploy.formats.format import load_format
from dltemplates.deploy.parity import CheckError
from dltemplates.deploy.part import batch_of
from dltemplates.models.recurrent.lstm import lstm
from dltemplates.runtimes import KerasPredictor, Predictor, load_predictor
from dltemplates.settings import DatasetSettings, ExportSettings
from dltemplates.tasks.forecasting import Forecasting
from dltemplates.tasks.scoring.evaluation import WHOLE
from dltemplates.tasks.serving.contract import ServingModel
from dltemplates.template import parse_template

WINDOW, HORIZON, UNITS = 10, 3, 24
ONE_BY_ONE = [key for key in catalog.FORMATS if load_format(key).single_example_layers]
UNROLLED = [key for key in catalog.FORMATS if load_format(key).unrolled_layers]
DATA = {"name": "sunspots", "target": "b", "series": {"window": WINDOW, "horizon": HORIZON}}


@pytest.fixture(scope="module")
def dataset():
    rows = np.arange(300)
    values = 50 + 20 * np.sin(rows / 5) + np.random.default_rng(0).normal(0, 1, 300)
    return series_data(pd.DataFrame({"a": np.cos(rows), "b": values}), DatasetSettings(**DATA, validation=0.2))


@pytest.fixture(scope="module")
def task(dataset):
    return Forecasting(dataset.spec)


@pytest.fixture(scope="module")
def serving(dataset, task):
    keras.utils.set_random_seed(0)
    network = lstm((WINDOW, 2), HORIZON, units=(UNITS,))
    model = task.assemble(network, dataset.spec)
    template = parse_template({"task": "forecasting", "dataset": DATA, "model": "lstm"})
    return task.serve(model, dataset.spec, template, name="waves")[""]


@pytest.fixture(scope="module")
def exported(serving, task, dataset, tmp_path_factory):
    """Export once to every format; tests read the files and never write them."""
    folder = tmp_path_factory.mktemp("exported")
    return export_system({WHOLE: serving}, task, dataset, folder, ExportSettings(calibration=32), max_drop="5%"), folder


@pytest.fixture(scope="module")
def reference(refer, serving, task, dataset):
    return refer(serving, task, dataset, "5%")


@pytest.fixture(scope="module")
def windows(dataset):
    return dataset.split("test").read(np.arange(7))["series"]


@pytest.fixture(scope="module")
def expected(serving, windows):
    return KerasPredictor(serving.model, serving.contract)({"series": windows})["forecast"]


def test_every_format_passes(exported):
    report, _ = exported
    assert {result.format for result in report.results if result.verdict == "passed"} == set(catalog.FORMATS)
    assert ONE_BY_ONE == ["tflite:float32", "tflite:float16", "tflite:dynamic"]
    assert UNROLLED == ["tflite:int8", "tflite:int16x8"]
    for key in catalog.FORMATS:
        one_by_one = "takes 1 example per call, because of its recurrent layers" in report.result(key).remarks
        assert one_by_one == (key in ONE_BY_ONE)


def test_unrolled_files_are_calibrated_on_many_windows(exported, dataset):
    report, _ = exported
    windows = len(dataset.split("train"))
    assert 32 < windows < 1000  # the settings name 32
    remark = f"unrolled: holds its {WINDOW} steps one by one, calibrated on {windows} training examples"
    for key in catalog.FORMATS:
        assert (remark in report.result(key).remarks) == (key in UNROLLED)
    for key in UNROLLED:
        operators = report.result(key).operators
        assert "WHILE" not in operators
        assert operators["LOGISTIC"] == 3 * WINDOW


@pytest.mark.parametrize("key", catalog.FORMATS)
def test_any_number_of_examples_matches_keras(exported, windows, expected, key):
    report, folder = exported
    predictor = load_predictor(folder / report.result(key).file)
    assert predictor.contract.batch == (1 if key in ONE_BY_ONE else "dynamic")
    tolerance = (load_format(key).tolerance or 0.05) * np.ptp(expected)
    for count in (1, 3, 7):
        forecast = predictor({"series": windows[:count]})["forecast"]
        np.testing.assert_allclose(forecast, expected[:count], rtol=0, atol=tolerance)


@pytest.mark.parametrize("key", catalog.FORMATS)
def test_a_file_keeps_no_state_between_calls(exported, windows, key):
    report, folder = exported
    path = folder / report.result(key).file
    fresh = [load_predictor(path)({"series": window[None]})["forecast"] for window in windows]  # each called once
    predictor = load_predictor(path)
    for place in (0, 1, 2, 3, 4, 5, 6, 6, 0, 3, 0):
        again = predictor({"series": windows[place : place + 1]})["forecast"]
        np.testing.assert_allclose(again, fresh[place], rtol=1e-6)


def test_the_files_hold_only_built_in_operators(exported):
    report, _ = exported
    assert report.result("onnx:float32").operators["LSTM"] == 1
    assert report.result("tflite:float32").operators["WHILE"] == 1
    for key in catalog.FORMATS:
        assert not [name for name in report.result(key).operators if name.startswith(("Flex", "custom"))]


def test_the_weights_of_an_lstm_are_int8_in_onnx(exported):
    report, folder = exported
    graph = onnx.load(folder / report.result("onnx:int8").file).graph
    (node,) = [node for node in graph.node if "LSTM" in node.op_type]
    weights = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
    kernels = [weights[name] for name in node.input[1:3]]
    assert [kernel.dtype for kernel in kernels] == ["int8", "int8"]
    assert sum(kernel.size for kernel in kernels) == 4 * UNITS * (2 + UNITS)


def test_the_serving_model_runs_without_a_gpu(serving):
    """Keras uses cuDNN operations on a GPU; they neither run nor convert elsewhere."""
    recurrent = [layer for layer in flatten_layers(serving.model) if isinstance(layer, layers.LSTM)]
    assert [layer.use_cudnn for layer in recurrent] == [False]


def test_only_loops_in_tflite_take_one_example_a_call(serving):
    contract = serving.contract
    for key in catalog.FORMATS:
        assert batch_of(load_format(key), contract, {"Dense", "LSTM"}) == (1 if key in ONE_BY_ONE else "dynamic")
        assert batch_of(load_format(key), contract, {"Dense", "Conv1D"}) == "dynamic"
    assert batch_of(load_format("onnx:float32"), contract.model_copy(update={"batch": 4}), {"LSTM"}) == 4


@pytest.mark.parametrize(
    "kind", ["LSTM", *(pytest.param(kind, marks=pytest.mark.slow) for kind in ("GRU", "SimpleRNN"))]
)
def test_the_converter_needs_a_fixed_batch_size(serving, tmp_path, kind):
    assert all(kind in load_format(key).single_example_layers for key in ONE_BY_ONE)
    inputs = keras.Input((WINDOW, 2), name="series")
    model = keras.Model(inputs, {"forecast": layers.Dense(HORIZON)(getattr(layers, kind)(4)(inputs))})
    for batch, converts in ((1, True), ("dynamic", False)):
        contract = serving.contract.model_copy(update={"batch": batch})
        folder = tmp_path / str(batch)
        folder.mkdir()
        save_serving(ServingModel(model, contract), folder / "serving")
        job = ConversionJob(folder / "serving", folder, contract, "uint8")
        if converts:
            load_format("tflite:float32").convert(job, folder / "out.tflite")
            assert load_predictor(folder / "out.tflite").contract.batch == 1
        else:
            with pytest.raises(Exception, match="requires element_shape to be static"):
                load_format("tflite:float32").convert(job, folder / "out.tflite")


class Remembering(Predictor):
    """A predictor that adds a little of its previous output."""

    def __init__(self, predictor):
        super().__init__(predictor.contract)
        self.predictor = predictor
        self.state = 0.0

    def _run(self, encoded):
        forecast = self.predictor._run(encoded)["forecast"] + 1e-3 * self.state
        self.state = forecast
        return {"forecast": forecast}


def test_a_file_that_keeps_a_state_is_refused(exported, reference, check):
    report, folder = exported
    predictor = load_predictor(folder / report.result("tflite:dynamic").file)
    check(load_format("tflite:dynamic"), predictor, reference)
    with pytest.raises(
        CheckError, match=r"the same input must give the same output.* `forecast` is .* off: the file keeps"
    ):
        check(load_format("tflite:dynamic"), Remembering(predictor), reference)


@pytest.mark.slow
def test_forecasts_with_subtract_last_are_exported(dataset, tmp_path):
    task = Forecasting(dataset.spec, subtract_last=True)
    model = task.assemble(lstm((WINDOW, 2), HORIZON, units=(UNITS,)), dataset.spec)
    relative = {"name": "forecasting", "subtract_last": True}
    template = parse_template({"task": relative, "dataset": DATA, "model": "lstm"})
    serving = task.serve(model, dataset.spec, template, name="waves")[""]
    report = export_system({WHOLE: serving}, task, dataset, tmp_path, ExportSettings(calibration=32), max_drop="5%")
    assert {result.format for result in report.results if result.verdict == "passed"} == set(catalog.FORMATS)


@pytest.mark.slow
def test_a_real_file_that_keeps_a_state_is_refused(serving, reference, windows, expected, tmp_path, check):
    """Older converters write a fused operator: right at the first call, wrong afterwards."""
    import tf_keras

    network = serving.model.get_layer("lstm")
    scaling = serving.model.get_layer("preprocessing")
    inputs = tf_keras.Input((WINDOW, 2), batch_size=1, name="series")
    x = tf_keras.layers.Rescaling(scaling.scale, offset=scaling.offset)(inputs)
    x = tf_keras.layers.Dense(HORIZON)(tf_keras.layers.LSTM(UNITS)(x))
    std, mean = (np.float32(part[0]) for part in (reference.task.target.std, reference.task.target.mean))
    model = tf_keras.Model(inputs, tf_keras.layers.Rescaling(std, offset=mean, name="forecast")(x))
    model.set_weights(network.get_weights())
    content = tf.lite.TFLiteConverter.from_keras_model(model).convert()
    path = tmp_path / "fused.tflite"
    path.write_bytes(content)
    contract = serving.contract.model_copy(update={"batch": 1})
    add_files(path, contract.files())
    predictor = load_predictor(path)
    assert "UNIDIRECTIONAL_SEQUENCE_LSTM" in predictor.operators
    first, second = (predictor({"series": windows[:1]})["forecast"] for _ in range(2))
    np.testing.assert_allclose(first, expected[:1], rtol=1e-4)
    assert np.abs(second - first).max() > 1e-3 * np.ptp(expected)
    with pytest.raises(CheckError, match="the file keeps state"):
        check(load_format("tflite:float32"), load_predictor(path), reference)
