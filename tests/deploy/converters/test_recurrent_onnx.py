"""A GRU or SimpleRNN layer becomes one ONNX operator; other cells stay loops. All compute Keras's output."""

import keras
import numpy as np
import pytest
from keras import layers

from dltemplates.deploy.converters.conversion_job import ConversionJob
from dltemplates.deploy.converters.saved_model import save_serving
from dltemplates.deploy.formats.format import load_format
from dltemplates.features import Number, Series
from dltemplates.runtimes import load_predictor
from dltemplates.tasks.serving.contract import Contract, ServingModel

STEPS = 5
CASES = {
    "GRU": ([layers.GRU(3, use_cudnn=False)], {"GRU": 1}),
    "SimpleRNN": ([layers.SimpleRNN(3)], {"RNN": 1}),
    "two GRUs": (
        [
            layers.GRU(3, return_sequences=True, use_cudnn=False),
            layers.GRU(2, activation="relu", use_cudnn=False),
        ],
        {"GRU": 2},
    ),
    "backwards": ([layers.GRU(3, go_backwards=True, use_cudnn=False)], {"GRU": 1}),
    "bidirectional": ([layers.Bidirectional(layers.SimpleRNN(2, activation="sigmoid"))], {"RNN": 2}),
    "reset before": ([layers.GRU(3, reset_after=False)], {"Loop": 1}),
    "another activation": ([layers.SimpleRNN(3, activation="gelu")], {"Loop": 1}),
}


@pytest.mark.parametrize("case", CASES)
def test_a_recurrent_layer_is_one_operator(case, tmp_path):
    keras.utils.set_random_seed(0)
    recurrent, operators = CASES[case]
    x = inputs = keras.Input((STEPS, 2), name="series")
    for layer in recurrent:
        x = layer(x)
    model = keras.Model(inputs, {"value": x})
    random = np.random.default_rng(0)
    model.set_weights([random.normal(size=weight.shape) / 2 for weight in model.get_weights()])  # no bias of 0
    contract = Contract(
        name="waves",
        task="parity",
        inputs=(Series(name="series", dtype="float32", shape=(STEPS, 2)),),
        outputs=(Number(name="value", dtype="float32", shape=x.shape[1:]),),
        targets=(),
    )
    save_serving(ServingModel(model, contract), tmp_path / "serving")
    out = tmp_path / "out.onnx"
    load_format("onnx:float32").convert(ConversionJob(tmp_path / "serving", tmp_path, contract, "uint8"), out)
    predictor = load_predictor(out)
    found = {name: predictor.operators.get(name, 0) for name in ("GRU", "RNN", "Loop")}
    assert found == {"GRU": 0, "RNN": 0, "Loop": 0} | operators
    for count in (1, 4):  # any batch size
        windows = random.normal(size=(count, STEPS, 2)).astype("float32")
        expected = model(windows)["value"].numpy()
        assert np.ptp(expected) > 0.1
        np.testing.assert_allclose(predictor({"series": windows})["value"], expected, atol=1e-5)
