"""An autoencoder exported whole and in parts: its encoder and its decoder."""

import shutil
from dataclasses import replace

import keras
import numpy as np
import pytest

from conftest import in_process_converter, load_data
from dltemplates.cli import main as cli
from dltemplates.deploy.check import Reference, check_by_parity
from dltemplates.deploy.export_run import export
from dltemplates.deploy.formats.format import load_format
from dltemplates.deploy.parity import CheckError, check_part
from dltemplates.deploy.report import load_run_report
from dltemplates.inference import evaluate, predict
from dltemplates.runs import Run
from dltemplates.runtimes import KerasPredictor, load_predictor
from dltemplates.tasks.load_for import load_for
from dltemplates.tasks.reconstruction import Reconstruction
from dltemplates.tasks.serving.serving_examples import part_examples
from dltemplates.template import load_template
from dltemplates.training.train import train

FORMATS = ["tflite:float32", "onnx:float32"]
SETTINGS = {
    "model.units": [24],
    "model.latent_dim": 6,
    "train.epochs": 3,
    "train.learning_rate": 0.005,
    "export.calibration": 32,
    "task": {"name": "reconstruction", "noise": 0.2},
}


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """Train an autoencoder of digits and export it with its parts; tests read the run and never write it."""
    run = train(load_template("autoencoder_digits", SETTINGS), output=tmp_path_factory.mktemp("runs") / "small")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("dltemplates.deploy.export.Converter", in_process_converter())
        assert not export(run, formats=FORMATS).failed
    return run


def file_of(run, key, part=""):
    report = load_run_report(run)
    report = report.parts[part] if part else report
    return run.exports_path / part / report.result(key).file


def test_a_format_with_a_missing_part_is_exported_again(run, tmp_path, in_process):
    shutil.copytree(run.path, tmp_path / run.name)
    report = load_run_report(run)
    (tmp_path / run.name / "exports" / "decoder" / report.parts["decoder"].result(FORMATS[0]).file).unlink()
    states = {}
    report = export(tmp_path / run.name, formats=FORMATS, resume=True, progress=states.__setitem__)
    parts = ("", "encoder", "decoder")
    again = {f"{part} {FORMATS[0]}".strip(): "passed" for part in parts}
    assert states == {f"{part} {FORMATS[1]}".strip(): "kept" for part in parts} | again
    assert list(report.parts) == ["encoder", "decoder"]
    assert load_run_report(Run(tmp_path / run.name)) == report
    states.clear()
    assert export(tmp_path / run.name, formats=FORMATS, resume=True, progress=states.__setitem__) == report
    assert set(states.values()) == {"kept"}


def digits(count=5):
    return load_data("digits").split("test").read(np.arange(count))["image"]


def test_training_removes_noise_and_draws_figures(run):
    scores = run.record.scores["test"]
    assert scores["mse"] < 0.09  # the standard deviation of the pixels
    assert list(scores) == ["mse", "psnr", "mse_before", "psnr_before"]
    assert {"reconstructions.png", "codes.png"} <= {path.name for path in run.figures_path.iterdir()}


@pytest.mark.parametrize("key", FORMATS)
def test_encoder_and_decoder_files_together_match_the_whole_file(run, key):
    whole, encoder, decoder = (load_predictor(file_of(run, key, part)) for part in ("", "encoder", "decoder"))
    images = digits()
    code = encoder({"image": images})
    assert code["code"].shape == (5, 6)
    found = decoder(code)["reconstruction"]
    expected = whole({"image": images})["reconstruction"]
    np.testing.assert_allclose(found, expected, atol=0.01)  # of 255
    assert np.ptp(expected, axis=0).max() > 25
    of_keras = KerasPredictor(run.serving().model, run.serving().contract)({"image": images})["reconstruction"]
    np.testing.assert_allclose(found, of_keras, atol=0.01)


def test_each_part_has_a_report_and_is_checked_by_parity(run):
    report = load_run_report(run)
    assert (report.metric, set(report.parts)) == ("rms error", {"encoder", "decoder"})
    for part, own in report.parts.items():
        assert (own.task, own.metric, own.direction) == ("parity", "rms error", "min")
        assert [result.verdict for result in own.results] == ["passed", "passed"]
        assert own.name == f"small-{part}"
        assert own.result(FORMATS[0]).splits["validation"].float_score == 0


def test_a_decoder_is_compared_on_latent_vectors_of_real_data(run):
    _, dataset = load_for(run)
    servings = run.serving_models()
    codes = part_examples(servings["decoder"], "validation", dataset.split("validation")).read(np.arange(4))
    model = servings["encoder"].model
    images = dataset.split("validation").read(np.arange(4))["image"].astype("float32")
    np.testing.assert_allclose(codes["code"], model(images)["code"], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("part", ["", "encoder", "decoder"])
def test_a_file_with_other_outputs_does_not_pass(run, part, tmp_path):
    """An RMS error up to 1% of the range passes."""
    servings = run.serving_models()
    serving = servings[part]
    task, dataset = load_for(run)
    reference = Reference(servings, task, dataset, "0.01", tmp_path)
    (value,) = serving.contract.outputs
    spread = float(np.ptp(reference.part(part).outputs[value.name]))
    for off, passes in ((0.005, True), (0.02, False)):
        moved = keras.Model(
            serving.model.input,
            {value.name: keras.layers.Rescaling(1.0, off * spread)(serving.model.output[value.name])},
        )
        other = KerasPredictor(moved, serving.contract)
        parity = check_part(load_format("tflite:int8"), other, reference.part(part))
        if passes:
            splits = check_by_parity(other, part, parity, reference)
            assert splits["validation"].score == pytest.approx(off, rel=1e-2)
        else:
            with pytest.raises(CheckError, match=r"over budget: rms error on validation is 0\.0200 of the range"):
                check_by_parity(other, part, parity, reference)


def broken(self, *args, **kwargs):
    """Serve a decoder with an operation that phones do not have."""
    servings = whole_serving(self, *args, **kwargs)
    decoder = servings["decoder"]
    codes = decoder.model.input
    x = keras.ops.cast(keras.ops.erfinv(codes), "float32")
    flat = keras.layers.Reshape((8, 8, 1))(keras.layers.Dense(64)(x))
    model = keras.Model(codes, {"reconstruction": flat}, name="decoder")
    return servings | {"decoder": replace(decoder, model=model)}


whole_serving = Reconstruction.serve


def test_a_failed_part_fails_the_command(run, tmp_path, monkeypatch, capsys):
    shutil.copytree(run.path, tmp_path / "run")
    shutil.rmtree(tmp_path / "run" / "exports")
    monkeypatch.setattr("dltemplates.deploy.export.Converter", in_process_converter())
    monkeypatch.setattr(Reconstruction, "serve", broken)
    monkeypatch.setattr(cli, "_silence_native_logs", lambda: None)
    assert cli.main(["export", str(tmp_path / "run"), "--to", "tflite:float32"]) == 3
    assert "decoder tflite:float32 did not pass" in capsys.readouterr().err
    exports = tmp_path / "run" / "exports"
    assert list(exports.glob("*.tflite"))
    assert list((exports / "encoder").glob("*.tflite"))
    assert not list((exports / "decoder").glob("*.tflite"))


def test_the_run_and_its_whole_file_evaluate_and_predict(run, tmp_path):
    expected = run.record.scores["test"]
    assert evaluate(run.path)["scores"] == expected
    file = file_of(run, "onnx:float32")
    assert evaluate(file)["scores"] == pytest.approx(expected, rel=1e-3)
    from PIL import Image

    Image.fromarray(digits(1)[0, ..., 0]).save(tmp_path / "digit.png")
    for path in (run.path, file, file_of(run, "tflite:float32")):
        (prediction,) = predict(path, [tmp_path / "digit.png"])
        assert np.shape(prediction["reconstruction"]) == (8, 8, 1)


def test_predictions_of_the_encoder_are_inputs_of_the_decoder(run, tmp_path):
    from PIL import Image

    Image.fromarray(digits(1)[0, ..., 0]).save(tmp_path / "digit.png")
    (prediction,) = predict(file_of(run, "onnx:float32", "encoder"), [tmp_path / "digit.png"])
    assert len(prediction["code"]) == 6
    decoder = file_of(run, "onnx:float32", "decoder")
    (decoded,) = predict(decoder, [",".join(map(str, prediction["code"]))])
    (whole,) = predict(file_of(run, "onnx:float32"), [tmp_path / "digit.png"])
    np.testing.assert_allclose(decoded["reconstruction"], whole["reconstruction"], atol=0.01)
    (tmp_path / "codes.csv").write_text("code_5,code_4,code_3,code_2,code_1,code_0\n0,0,0,0,0,1\n0,0,0,0,0,2\n")
    first, _ = predict(decoder, [tmp_path / "codes.csv"])
    (typed,) = predict(decoder, ["1,0,0,0,0,0"])
    assert first["reconstruction"] == typed["reconstruction"]
    with pytest.raises(ValueError, match=r"must give a value for each of code_0, .*code_5\. Received: '1,2'"):
        predict(decoder, ["1,2"])


@pytest.mark.parametrize("part", ["encoder", "decoder"])
def test_a_part_has_no_score_of_its_own(run, part):
    with pytest.raises(ValueError, match=r"with a target\. Received: .*compared with Keras's"):
        evaluate(file_of(run, "onnx:float32", part))
