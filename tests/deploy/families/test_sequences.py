"""Networks for series and sequences in the formats for phones, compared with Keras."""

import keras
import numpy as np
import pandas as pd
import pytest

from conftest import series_data
from dltemplates.catalog_models import SERIES
from dltemplates.deploy.export import export_system
from dltemplates.features import Number
from dltemplates.models.build import build_network
from dltemplates.settings import DatasetSettings, ExportSettings
from dltemplates.tasks.assemble import standardize
from dltemplates.tasks.forecasting import Forecasting
from dltemplates.tasks.parity import Parity
from dltemplates.tasks.scoring.evaluation import WHOLE
from dltemplates.tasks.serving.contract import ServingModel
from dltemplates.template import parse_template
from models.register import row_of

WINDOW = 20
DATA = {"name": "sunspots", "target": "b", "series": {"window": WINDOW, "horizon": 3}}
FORMATS = ("tflite:float32", "tflite:dynamic", "onnx:float32", "onnx:int8")
RECURRENT = ("simple_rnn", "lstm", "gru", "bilstm")  # their int8 files have tests of their own


@pytest.fixture(scope="module")
def dataset():
    rows = np.arange(300)
    values = 50 + 20 * np.sin(rows / 5) + np.random.default_rng(0).normal(0, 1, 300)
    return series_data(pd.DataFrame({"a": np.cos(rows), "b": values}), DatasetSettings(**DATA, validation=0.2))


@pytest.mark.slow
@pytest.mark.parametrize("name", SERIES)
def test_a_network_computes_the_same_in_every_format(name, dataset, tmp_path):
    keras.utils.set_random_seed(0)
    sizes = {"input_shape": (WINDOW, 2), "num_outputs": 3, "horizon": 3}
    network = build_network(name, sizes, row_of(name).options)
    task = Forecasting(dataset.spec)
    template = parse_template({"task": "forecasting", "dataset": DATA, "model": "lstm"})
    lstm = build_network("lstm", sizes, {"units": [2]})
    contract = task.serve(task.assemble(lstm, dataset.spec), dataset.spec, template, name=name)[""].contract
    values = Number(name="values", dtype="float32", shape=network.output_shape[1:])
    contract = contract.model_copy(update={"task": "parity", "task_options": {}, "targets": (), "outputs": (values,)})
    (series,) = dataset.spec.inputs
    inputs = keras.Input(series.shape, name=series.name, dtype=series.dtype)
    model = keras.Model(inputs, {"values": network(standardize(series, inputs))}, name=name)
    formats = FORMATS if name in RECURRENT else (*FORMATS, "tflite:int8")
    served = {WHOLE: ServingModel(model, contract)}
    report = export_system(served, Parity(), dataset, tmp_path, ExportSettings(calibration=64), formats=formats)
    assert {result.format: result.reason for result in report.results} == dict.fromkeys(formats)
    assert {result.verdict for result in report.results} == {"passed"}
    for result in report.results:
        assert not [operator for operator in result.operators if operator.startswith(("Flex", "custom"))]
