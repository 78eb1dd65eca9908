"""The hidden units of a restricted Boltzmann machine in exported files, run without TensorFlow."""

import numpy as np
import pytest
from PIL import Image

from dltemplates.deploy.export_run import export
from dltemplates.inference import evaluate, predict
from dltemplates.runs import Run
from dltemplates.runtimes import load_predictor
from dltemplates.template import load_template
from dltemplates.training.train import train

SETTINGS = {
    "task.persistent": False,
    "dataset.name": "digits",
    "model.units": 24,
    "train.epochs": 3,
    "train.batch_size": 20,
    "train.optimizer": {"name": "sgd", "momentum": 0.9, "initial_momentum": 0.5},
    "train.learning_rate": 0.1,
}
FORMATS = ["tflite:float32", "tflite:int8", "onnx:float32"]


def test_hidden_units_of_exported_files_match_training(tmp_path, in_process):
    run = train(load_template("rbm_mnist", SETTINGS), output=tmp_path / "run")
    report = export(run, formats=FORMATS)
    assert [(result.format, result.verdict) for result in report.results] == [(key, "passed") for key in FORMATS]

    images = np.random.default_rng(0).integers(0, 256, (5, 8, 8, 1)).astype("uint8")
    kernel, hidden_bias, _ = Run(run.path).model().get_layer("rbm").get_layer("hidden").get_weights()
    expected = 1 / (1 + np.exp(-(images.reshape(5, 64) / 255 @ kernel + hidden_bias)))
    for key, tolerance in zip(FORMATS, (1e-5, 0.05, 1e-5), strict=True):
        predictor = load_predictor(run.exports_path / report.result(key).file)
        (value,) = predictor.contract.outputs
        assert (value.name, value.shape, value.range) == ("hidden", (24,), (0, 1))
        found = predictor({"image": images.astype(predictor.contract.inputs[0].dtype)})["hidden"]
        np.testing.assert_allclose(found, expected, atol=tolerance, err_msg=key)

    Image.fromarray(images[0, ..., 0]).save(tmp_path / "digit.png")
    file = run.exports_path / report.result("onnx:float32").file
    (prediction,) = predict(file, [tmp_path / "digit.png"])
    assert prediction["hidden"] == pytest.approx(expected[0].tolist(), abs=1e-5)
    scores = [evaluate(subject)["scores"]["mean_activation"] for subject in (run.path, file)]
    assert scores[0] == pytest.approx(scores[1], abs=1e-5)
