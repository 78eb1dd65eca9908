"""A network that is exported whole and in parts: an autoencoder, its encoder, its decoder."""

import shutil

import keras
import numpy as np
import pytest

from conftest import in_process_converter, load_data
from dltemplates.cli import main as cli
from dltemplates.deploy.budget import Budget
from dltemplates.deploy.check import CheckError, Reference, check
from dltemplates.deploy.export_run import export
from dltemplates.deploy.report import load_run_report
from dltemplates.inference import evaluate, predict
from dltemplates.runtimes import KerasPredictor, load_predictor
from dltemplates.tasks.contract import ServingModel
from dltemplates.tasks.examples import examples_for
from dltemplates.tasks.load_for import load_for
from dltemplates.tasks.parity import Parity
from dltemplates.tasks.reconstruction import Reconstruction
from dltemplates.template import load_template
from dltemplates.training.train import train

FORMATS = ["tflite:float32", "onnx:float32"]
SETTINGS = {
    "model.units": [24],
    "model.code": 6,
    "train.epochs": 3,
    "train.learning_rate": 0.005,
    "export.calibration": 32,
    "task": {"name": "reconstruction", "noise": 0.2},
}


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A trained autoencoder of digits, exported with its parts; to be read and never written."""
    run = train(load_template("autoencoder_digits", SETTINGS), output=tmp_path_factory.mktemp("runs") / "small")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("dltemplates.deploy.export.Converter", in_process_converter())
        assert not export(run, formats=FORMATS).failed
    return run


def file_of(run, key, part=""):
    report = load_run_report(run)
    report = report.parts[part] if part else report
    return run.exports_path / part / report.result(key).file


def digits(count=5):
    return load_data("digits").split("test").read(np.arange(count))["image"]


def test_training_takes_noise_off_and_keeps_pictures_of_it(run):
    scores = run.record.scores["test"]
    assert scores["mse"] < 0.09  # the spread of the pixels
    assert list(scores) == ["mse", "psnr", "mse_before", "psnr_before"]
    assert {"reconstructions.png", "codes.png"} <= {path.name for path in run.figures_path.iterdir()}


@pytest.mark.parametrize("key", FORMATS)
def test_the_files_of_encoder_and_decoder_make_what_that_of_the_whole_makes(run, key):
    whole, encoder, decoder = (load_predictor(file_of(run, key, part)) for part in ("", "encoder", "decoder"))
    images = digits()
    code = encoder({"image": images})
    assert code["code"].shape == (5, 6)
    made = decoder(code)["reconstruction"]
    expected = whole({"image": images})["reconstruction"]
    np.testing.assert_allclose(made, expected, atol=0.01)  # of 255
    assert np.ptp(expected, axis=0).max() > 25
    keras_made = KerasPredictor(run.serving().model, run.serving().contract)({"image": images})["reconstruction"]
    np.testing.assert_allclose(made, keras_made, atol=0.01)


def test_each_part_has_a_report_and_is_judged_by_parity(run):
    report = load_run_report(run)
    assert (report.metric, set(report.parts)) == ("rms error", {"encoder", "decoder"})
    for part, own in report.parts.items():
        assert (own.task, own.metric, own.direction) == ("parity", "rms error", "min")
        assert [result.verdict for result in own.results] == ["passed", "passed"]
        assert own.name == f"small-{part}"
        assert own.result(FORMATS[0]).splits["validation"].float_score == 0


def test_a_decoder_is_held_against_keras_on_codes_of_the_data(run):
    _, dataset = load_for(run)
    servings = run.servings()
    codes = examples_for(servings["decoder"], dataset).split("validation").read(np.arange(4))
    model = servings["encoder"].model
    images = dataset.split("validation").read(np.arange(4))["image"].astype("float32")
    np.testing.assert_allclose(codes["code"], model(images)["code"], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("part", ["", "encoder", "decoder"])
def test_a_file_that_gives_something_else_does_not_pass(run, part):
    """Within 1% of the range, as the root of the mean square, and no further."""
    serving = run.servings()[part]
    task, dataset = load_for(run)
    data = examples_for(serving, dataset)
    reference = Reference(serving, Parity() if part else task, data, Budget("0.01", "min"))
    (value,) = serving.contract.outputs
    spread = float(np.ptp(reference.splits["validation"].outputs[value.name]))
    for off, passes in ((0.005, True), (0.02, False)):
        moved = keras.Model(
            serving.model.input,
            {value.name: keras.layers.Rescaling(1.0, off * spread)(serving.model.output[value.name])},
        )
        other = KerasPredictor(moved, serving.contract)
        if passes:
            splits, _ = check("tflite:int8", other, reference)
            assert splits["validation"].score == pytest.approx(off, rel=1e-2)
        else:
            with pytest.raises(CheckError, match=r"over budget: rms error on validation is 0\.0200, 0\.0000 in Keras"):
                check("tflite:int8", other, reference)


def broken(self, *args, **kwargs):
    """Serve a decoder whose outputs are not what Keras's file would give: an op that no phone has."""
    servings = whole_serving(self, *args, **kwargs)
    decoder = servings["decoder"]
    codes = decoder.model.input
    made = keras.ops.cast(keras.ops.erfinv(codes), "float32")
    flat = keras.layers.Reshape((8, 8, 1))(keras.layers.Dense(64)(made))
    model = keras.Model(codes, {"reconstruction": flat}, name="decoder")
    return servings | {"decoder": ServingModel(model, decoder.contract, decoder.after)}


whole_serving = Reconstruction.serving


def test_a_part_that_fails_fails_the_command(run, tmp_path, monkeypatch, capsys):
    shutil.copytree(run.path, tmp_path / "run")
    shutil.rmtree(tmp_path / "run" / "exports")
    monkeypatch.setattr("dltemplates.deploy.export.Converter", in_process_converter())
    monkeypatch.setattr(Reconstruction, "serving", broken)
    monkeypatch.setattr(cli, "_silence_native_logs", lambda: None)
    assert cli.main(["export", str(tmp_path / "run"), "--to", "tflite:float32"]) == 3
    assert "decoder tflite:float32 did not pass" in capsys.readouterr().err
    exports = tmp_path / "run" / "exports"
    assert list(exports.glob("*.tflite"))
    assert list((exports / "encoder").glob("*.tflite"))
    assert not list((exports / "decoder").glob("*.tflite"))


def test_the_run_and_its_whole_file_are_judged_and_used_like_any_other(run, tmp_path):
    expected = run.record.scores["test"]
    assert evaluate(run.path)["scores"] == expected
    file = file_of(run, "onnx:float32")
    assert evaluate(file)["scores"] == pytest.approx(expected, rel=1e-3)
    from PIL import Image

    Image.fromarray(digits(1)[0, ..., 0]).save(tmp_path / "digit.png")
    for path in (run.path, file, file_of(run, "tflite:float32")):
        (said,) = predict(path, [tmp_path / "digit.png"])
        assert np.shape(said["reconstruction"]) == (8, 8, 1)


def test_an_encoder_and_a_decoder_are_used_one_after_the_other(run, tmp_path):
    from PIL import Image

    Image.fromarray(digits(1)[0, ..., 0]).save(tmp_path / "digit.png")
    (said,) = predict(file_of(run, "onnx:float32", "encoder"), [tmp_path / "digit.png"])
    assert len(said["code"]) == 6
    decoder = file_of(run, "onnx:float32", "decoder")
    (made,) = predict(decoder, [",".join(map(str, said["code"]))])
    (whole,) = predict(file_of(run, "onnx:float32"), [tmp_path / "digit.png"])
    np.testing.assert_allclose(made["reconstruction"], whole["reconstruction"], atol=0.01)
    (tmp_path / "codes.csv").write_text("code_5,code_4,code_3,code_2,code_1,code_0\n0,0,0,0,0,1\n0,0,0,0,0,2\n")
    first, _ = predict(decoder, [tmp_path / "codes.csv"])
    (typed,) = predict(decoder, ["1,0,0,0,0,0"])
    assert first["reconstruction"] == typed["reconstruction"]
    with pytest.raises(ValueError, match=r"must give a value for each of code_0, .*code_5\. Received: '1,2'"):
        predict(decoder, ["1,2"])


@pytest.mark.parametrize("part", ["encoder", "decoder"])
def test_a_part_has_no_score_of_its_own(run, part):
    with pytest.raises(ValueError, match=r"must have a target\. Received: .*held against Keras's when it was exported"):
        evaluate(file_of(run, "onnx:float32", part))
