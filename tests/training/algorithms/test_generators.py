"""Runs of image generators: trained, monitored, evaluated, interrupted, used and exported."""

import os
import signal
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from conftest import run_dlt, small_template, spec_of
from dltemplates.cli import main as cli
from dltemplates.deploy.export_run import export
from dltemplates.inference import evaluate, predict
from dltemplates.reports.report import write_report
from dltemplates.runs import Run
from dltemplates.runtimes import KerasPredictor
from dltemplates.settings import DatasetSettings
from dltemplates.tasks.generation import Generation
from dltemplates.tasks.load_for import load_for
from dltemplates.tasks.scoring.evaluator import load_evaluator
from dltemplates.tasks.serving.serving_examples import contract_examples
from dltemplates.template import load_template, parse_template
from dltemplates.training.checkpoint import TrainingState, list_checkpoints
from dltemplates.training.recording.progress import Silent
from dltemplates.training.recording.run_writer import RunWriter
from dltemplates.training.recording.sample_logger import SAMPLE_COUNT
from dltemplates.training.train import _warn, train
from dltemplates.training.workers.cluster import VARIABLE, tf_config
from dltemplates.training.workers.supervise import free_ports

MODELS = {
    "gan": {"latent_dim": 5, "units": [16, 32]},
    "dcgan": {"latent_dim": 5, "filters": [8, 4]},
    "cgan": {"latent_dim": 5, "filters": [8, 4]},
    "wgan_gp": {"latent_dim": 5, "filters": [8, 4]},
    "vae": {"units": [16], "latent_dim": 2},
    "conv_vae": {"filters": [4, 8], "latent_dim": 2},
}
TASKS = {
    "vae": {"name": "variational", "loss": "cross_entropy"},
    "conv_vae": {"name": "variational"},
    "wgan_gp": {"name": "generation", "loss": "wasserstein", "critic_steps": 2},
}


def tiny(model, evaluator=None, **train_settings):
    task = TASKS.get(model, {"name": "generation"})
    settings = {"epochs": 2, "batch_size": 64, "learning_rate": 2e-3, "restore": "last"}
    return parse_template(
        {
            "task": task | ({"evaluator": str(evaluator)} if evaluator else {}),
            "dataset": {"name": "digits", "validation": 0.2},
            "model": {"name": model} | MODELS[model],
            "train": settings | train_settings,
            "export": {"calibration": 64},
        }
    )


class Notes(Silent):
    def __init__(self):
        self.notes = []

    def note(self, text):
        self.notes.append(text)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("generators")


@pytest.fixture(scope="module")
def evaluator(folder):
    table = small_template().model_dump(mode="json")
    table["model"] = {"name": "mlp", "units": [16]}
    table["train"]["augment"] = {}
    return train(parse_template(table), output=folder / "evaluator")


@pytest.fixture(scope="module")
def notes():
    return Notes()


@pytest.fixture(scope="module")
def gan_run(folder, evaluator, notes):
    return train(tiny("cgan", evaluator.path), output=folder / "cgan", reporter=notes)


@pytest.fixture(scope="module")
def vae_run(folder):
    return train(tiny("conv_vae", restore="best"), output=folder / "vae")


def test_the_history_holds_losses_and_scores_of_every_epoch(gan_run):
    rows = gan_run.history_rows()
    assert len(rows) == 2
    expected = ["loss", "generator_loss", "real_accuracy", "generated_accuracy"]
    judged = ["fid", "class_coverage", "confidence", "class_accuracy", "diversity"]
    assert list(rows[0])[3:-1] == [*expected, *(f"val_{name}" for name in expected + judged)]
    assert np.isfinite([list(row.values()) for row in rows]).all()
    scores = gan_run.record.scores
    for name in judged:  # the last weights are restored
        assert scores["validation"][name] == pytest.approx(rows[-1][f"val_{name}"], rel=1e-4)
    assert list(scores["test"]) == judged


def test_class_accuracy_compares_generated_images_with_their_class(gan_run, evaluator):
    serving = gan_run.serving()
    source = contract_examples(serving.contract, "test", load_for(gan_run)[1].split("test"))
    targets, outputs = KerasPredictor(serving.model, serving.contract).predict(source)
    assert targets["label"][:11].tolist() == [*range(10), 0]
    probabilities, _ = load_evaluator(str(evaluator.path))(outputs["image"])
    right = np.mean(probabilities.argmax(axis=1) == targets["label"])
    assert gan_run.record.scores["test"]["class_accuracy"] == pytest.approx(right, abs=1e-6)


def test_the_history_holds_both_terms_of_the_bound(vae_run):
    assert vae_run.history_rows()
    for row in vae_run.history_rows():
        assert row["loss"] == pytest.approx(row["reconstruction"] + row["kl"], rel=1e-5)
        assert row["val_loss"] == pytest.approx(row["val_reconstruction"] + row["val_kl"], rel=1e-5)
        assert row["kl"] > 0


def test_the_bound_is_a_score_of_every_split(vae_run):
    scores, row = vae_run.record.scores, vae_run.history_rows()[vae_run.record.best_epoch - 1]
    assert list(scores["test"]) == ["negative_elbo", "reconstruction", "kl", "mse", "psnr"]
    for split in ("validation", "test"):
        assert scores[split]["negative_elbo"] == pytest.approx(scores[split]["reconstruction"] + scores[split]["kl"])
        assert scores[split]["kl"] == pytest.approx(row["val_kl"], rel=0.2)
    for name, close in (("kl", 1e-4), ("reconstruction", 0.05)):  # depends on random latent vectors
        assert scores["validation"][name] == pytest.approx(row[f"val_{name}"], rel=close)
    assert evaluate(vae_run.path)["scores"] == pytest.approx(scores["test"], rel=1e-6)


def test_the_record_holds_the_evaluator_and_class_shares(gan_run, evaluator):
    details = gan_run.record.details["test"]
    assert details["evaluator"] == {"run": str(evaluator.path), "sha256": evaluator.record.sha256["model.weights.h5"]}
    assert list(details["class_shares"]) == list("0123456789")
    assert sum(details["class_shares"].values()) == pytest.approx(1)
    assert 0 < details["fid_of_real"] < gan_run.record.scores["test"]["fid"]
    assert details["examples"] == gan_run.record.spec.sizes["test"]
    report = write_report(gan_run).read_text()
    assert evaluator.record.sha256["model.weights.h5"][:12] in report
    assert "mode collapse" in report


def test_collapse_gives_a_warning_and_is_recorded(gan_run, notes):
    """After two epochs all images are almost the same."""
    (warning,) = [text for text in notes.notes if "mode collapse" in text]
    warnings = gan_run.record.details["warnings"]
    assert warnings["1"] == warning
    assert set(warnings) <= {"1", "2"}


def test_a_warning_is_given_once_until_the_collapse_ends():
    heard, state = [], TrainingState()
    reporter = SimpleNamespace(note=heard.append)
    real = {"image": np.random.default_rng(0).uniform(0, 255, (8, 4, 4, 1))}
    task = Generation(spec_of())
    for epoch, diversity in enumerate([0.2, 0.9, 0.3, 0.1], 1):
        generated = {"image": 127 + diversity * (real["image"] - 127)}
        _warn(task.compare(real, generated), epoch, state, reporter)
    assert [text.partition(":")[0] for text in heard] == ["mode collapse, or too little training so far"] * 2
    assert "0.20 times" in heard[0]
    assert "0.30 times" in heard[1]
    assert list(state.warnings) == ["3", "4"]


def test_samples_of_every_epoch_are_saved_and_joined(gan_run, vae_run):
    for run in (gan_run, vae_run):
        sheets = sorted(path.name for path in run.samples_path.iterdir())
        assert sheets == ["epoch_001.png", "epoch_002.png"]
        first, second = (Image.open(run.sample_path(epoch)) for epoch in (1, 2))
        assert first.size == second.size == (630, 630)  # 10x10 images of 8x8 and a pixel between, enlarged 7 times
        assert np.any(np.array(first) != np.array(second))
        with Image.open(run.animation_path) as animation:
            assert animation.n_frames == 2
            assert animation.info["loop"] == 0
        assert b"data:image/gif;base64" in write_report(run).read_bytes()


def test_the_sheet_shows_the_images_of_the_seeds(gan_run):
    results = predict(gan_run.path, ["0", "1", "12"])
    sheet = np.array(Image.open(gan_run.sample_path(2)))[::7, ::7].astype(int)
    for (row, column), result in zip([(0, 0), (0, 1), (1, 2)], results, strict=True):
        cell = sheet[9 * row : 9 * row + 8, 9 * column : 9 * column + 8]
        assert np.abs(cell - np.array(result["image"])[..., 0]).max() <= 0.51  # the image holds whole numbers
    assert SAMPLE_COUNT == 100


def test_figures_of_a_latent_plane_are_drawn(vae_run):
    for name in ("plane", "codes", "walks", "reconstructions", "curves"):
        assert (vae_run.figures_path / f"{name}.png").stat().st_size > 3000, name


def test_seeds_become_png_files(gan_run, tmp_path):
    results = predict(gan_run.path, ["3", "3:7", ",".join(["0.5"] * 5) + ":1"], output=tmp_path / "images")
    names = [os.path.basename(result["image"]) for result in results]
    assert names == ["000_3.png", "001_3_7.png", "002_0.5_0.5_0.5_0.5_0.5_1.png"]
    first, second, _ = (np.array(Image.open(result["image"])) for result in results)
    assert first.shape == (8, 8)
    assert np.any(first != second)


def test_images_do_not_go_into_a_table(gan_run, tmp_path):
    with pytest.raises(ValueError, match=r"Received: .*made\.csv, where `image` is an image"):
        predict(gan_run.path, ["3"], output=tmp_path / "made.csv")


def test_a_failed_write_keeps_the_previous_image(gan_run, tmp_path, monkeypatch):
    (result,) = predict(gan_run.path, ["3"], output=tmp_path)
    before = Path(result["image"]).read_bytes()

    def broken(path, image):
        path.write_bytes(b"half")
        raise OSError("the disk is full")

    monkeypatch.setattr("dltemplates.features.image.write_image", broken)
    with pytest.raises(OSError, match="the disk is full"):
        predict(gan_run.path, ["3"], output=tmp_path)
    assert Path(result["image"]).read_bytes() == before
    assert os.listdir(tmp_path) == ["000_3.png"]


def test_the_command_writes_images_and_reports_errors_in_one_line(gan_run, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(cli, "_silence_native_logs", lambda: None)
    monkeypatch.chdir(tmp_path)
    capsys.readouterr()
    assert cli.main(["predict", str(gan_run.path), "0", "1:3"]) == 0
    assert capsys.readouterr().out.split() == ["0", "predictions/000_0.png", "1:3", "predictions/001_1_3.png"]
    assert Image.open("predictions/001_1_3.png").size == (8, 8)
    assert cli.main(["predict", str(gan_run.path), "0:ten"]) == 2
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert line.startswith("dlt: `label` must be one of 0, 1, 2")


def test_wrong_noise_is_an_error_of_one_line(gan_run):
    with pytest.raises(ValueError, match="`noise`.*5 .*Received: 2 of them, '1,2'"):
        predict(gan_run.path, ["1,2:0"])
    with pytest.raises(ValueError, match=r"seed.*Received: none"):
        predict(gan_run.path, [])
    with pytest.raises(ValueError, match="Received: 'decoder'. There are: none"):
        predict(gan_run.path, ["0"], part="decoder")


def test_the_decoder_is_a_generator(vae_run, tmp_path):
    (first, again) = predict(vae_run.path, ["4", "4"], part="decoder")
    assert first["reconstruction"] == again["reconstruction"]
    (typed,) = predict(vae_run.path, ["0.5,-1"], part="decoder", output=tmp_path)
    assert np.array(Image.open(typed["reconstruction"])).shape == (8, 8)
    with pytest.raises(ValueError, match="`code`.*2 .*Received: 3 of them"):
        predict(vae_run.path, ["1,2,3"], part="decoder")
    with pytest.raises(ValueError, match="Received: 'code'. There are: encoder, decoder"):
        predict(vae_run.path, ["1"], part="code")


def test_evaluate_repeats_the_scores_of_the_record(gan_run):
    for split in ("validation", "test"):
        result = evaluate(gan_run.path, split=split)
        assert result["scores"] == pytest.approx(gan_run.record.scores[split], rel=1e-6)
    assert result["details"]["class_shares"] == gan_run.record.details["test"]["class_shares"]


def test_a_seed_gives_the_same_image_in_every_runtime(gan_run, in_process):
    report = export(gan_run, formats=["saved_model", "tflite:float32", "onnx:float32"])
    assert not report.failed
    assert report.metric == "rms error"
    seeds = ["0", "5:2", "7:9"]
    expected = np.array([result["image"] for result in predict(gan_run.path, seeds)])
    assert np.ptp(expected) > 0
    assert len(report.results) == 3
    for result in report.results:
        file = gan_run.exports_path / result.file
        images = np.array([found["image"] for found in predict(file, seeds)])
        np.testing.assert_allclose(images, expected, atol=1e-4 * np.ptp(expected), err_msg=result.format)
    scores = evaluate(gan_run.exports_path / report.result("onnx:float32").file)["scores"]
    assert scores == pytest.approx(gan_run.record.scores["test"], rel=1e-3)


def test_the_exported_decoder_matches_keras(vae_run, in_process):
    report = export(vae_run, formats=["tflite:float32"])
    assert set(report.parts) == {"encoder", "decoder"}
    assert not report.failed
    file = vae_run.exports_path / "decoder" / report.parts["decoder"].result("tflite:float32").file
    (expected,), (found,) = (
        predict(path, ["3"], **part) for path, part in ((vae_run.path, {"part": "decoder"}), (file, {}))
    )
    np.testing.assert_allclose(found["reconstruction"], expected["reconstruction"], atol=0.02)
    with pytest.raises(ValueError, match="Received: 'decoder' for"):
        predict(file, ["3"], part="decoder")


def test_rows_of_numbers_are_generated(tmp_path):
    table = tiny("vae", epochs=1).model_dump(mode="json")
    table |= {"task": {"name": "variational"}, "dataset": {"name": "wine"}}
    run = train(parse_template(table), output=tmp_path / "wine")
    assert not run.samples_path.exists()
    (result,) = predict(run.path, ["0"], part="decoder", output=tmp_path / "rows")
    assert np.shape(result["reconstruction"]) == (13,)
    assert np.isfinite(result["reconstruction"]).all()


@pytest.mark.slow
def test_only_the_first_worker_needs_the_evaluator(evaluator, tmp_path):
    """Each host has its own cache."""
    (tmp_path / "cache0" / "evaluators").mkdir(parents=True)
    (tmp_path / "cache0" / "evaluators" / "mlp_digits").symlink_to(evaluator.path)
    file = tmp_path / "gan.toml"
    file.write_text(tiny("gan", "mlp_digits").to_toml())
    addresses = [f"localhost:{port}" for port in free_ports(2)]
    command = [sys.executable, "-m", "dltemplates", "train", str(file), "-o", str(tmp_path / "run")]
    processes = [
        subprocess.Popen(
            command, cwd=tmp_path, stderr=subprocess.PIPE, text=True,
            env=os.environ | {VARIABLE: tf_config(addresses, rank), "DLT_CACHE": str(tmp_path / f"cache{rank}")},
        )
        for rank in range(2)
    ]  # fmt: skip
    for process in processes:
        _, errors = process.communicate(timeout=240)
        assert process.returncode == 0, errors
    assert "val_class_coverage" in Run(tmp_path / "run").history_rows()[-1]


def test_images_without_classes_train_only_unconditional_models(tmp_path):
    (tmp_path / "mine").mkdir()
    for number in range(80):
        Image.new("L", (8, 8), 3 * number).save(tmp_path / "mine" / f"{number}.png")
    template = tiny("gan", epochs=1, batch_size=16)
    settings = DatasetSettings(name=str(tmp_path / "mine"), images={"size": (8, 8)})
    mine = template.model_copy(update={"dataset": settings})
    run = train(mine, output=tmp_path / "run")
    assert evaluate(run.path)["examples"] == 16
    conditional = mine.model_copy(update={"model": tiny("cgan").model})
    with pytest.raises(ValueError, match="Model `cgan` needs the size `num_outputs`, which this task and data do not"):
        train(conditional, output=tmp_path / "conditional")


@pytest.mark.slow
def test_a_generator_learns_all_digits(evaluator, tmp_path):
    """The scores stated in the template, with another evaluator; about a minute on two cores."""
    run = train(load_template("dcgan_digits", {"task.evaluator": str(evaluator.path)}), output=tmp_path / "run")
    distances = [row["val_fid"] for row in run.history_rows()]
    assert np.mean(distances[-5:]) < np.mean(distances[:5]) / 4
    assert run.record.scores["test"]["class_coverage"] >= 9
    assert run.record.scores["test"]["diversity"] > 0.8
    assert run.history_rows()[-1]["val_class_coverage"] >= 9
    assert "warnings" not in run.record.details


def arrays(run):
    """Return the restored weights, and everything in the last checkpoint."""
    with np.load(list_checkpoints(run.checkpoint_path)[0]) as file:
        state = {key: file[key] for key in file.files if key != "state"}
    return state | {f"kept {place}": array for place, array in enumerate(run.model().get_weights())}


SLOW = {"marks": pytest.mark.slow}


@pytest.mark.parametrize("model", ["gan", *(pytest.param(name, **SLOW) for name in ("cgan", "wgan_gp", "vae"))])
def test_an_interruption_in_an_epoch_changes_no_bit(model, tmp_path, monkeypatch):
    """Interrupted in the second epoch, as Ctrl-C does."""
    template = tiny(model, checkpoint_seconds=0)
    whole = train(template, output=tmp_path / "whole")
    steps = int(whole.history_rows()[0]["step"])
    checkpoint = RunWriter.checkpoint

    def stopping(self, variables, state, extra):
        checkpoint(self, variables, state, extra)
        if state.step == steps + 5:
            os.kill(os.getpid(), signal.SIGINT)

    monkeypatch.setattr(RunWriter, "checkpoint", stopping)
    with pytest.raises(KeyboardInterrupt, match=r"interrupted at step"):
        train(template, output=tmp_path / "stopped")
    monkeypatch.undo()
    run = Run(tmp_path / "stopped")
    first = run.sample_path(1).stat()
    assert not run.sample_path(2).exists()
    resumed = train(template, output=run.path, resume=True)
    assert run.sample_path(1).stat().st_mtime_ns == first.st_mtime_ns
    for epoch in (1, 2):
        assert run.sample_path(epoch).read_bytes() == whole.sample_path(epoch).read_bytes()
    expected, found = arrays(whole), arrays(resumed)
    assert expected.keys() == found.keys()
    assert len(expected) > 20
    for name, array in expected.items():
        np.testing.assert_array_equal(found[name], array, err_msg=name)
    for first_row, second_row in zip(whole.history_rows(), resumed.history_rows(), strict=True):
        assert {**first_row, "seconds": 0} == {**second_row, "seconds": 0}


@pytest.mark.slow
@pytest.mark.parametrize("model", ["gan", "dcgan", "cgan", "wgan_gp", "vae", "conv_vae"])
def test_two_devices_train_the_same_weights_as_one(model, tmp_path):
    """TensorFlow needs the number of devices before its first use, so it runs in fresh processes."""
    template = tiny(model, optimizer={"name": "sgd", "momentum": 0.5}, learning_rate=0.01, epochs=1)
    path = tmp_path / "tiny.toml"
    path.write_text(template.to_toml())
    runs = []
    for options in (["--strategy", "single"], ["--strategy", "mirrored", "--devices", "2"]):
        runs.append(Run(tmp_path / options[1]))
        done = run_dlt("train", path, "-o", runs[-1].path, *options)
        assert done.returncode == 0, done.stderr
    one, two = (run.model() for run in runs)
    for first, second in zip(one.weights, two.weights, strict=True):
        if "seed" in first.path:
            continue
        expected = np.asarray(first)
        bound = 1e-5 * max(1, np.abs(expected).max())
        np.testing.assert_allclose(np.asarray(second), expected, rtol=0, atol=bound, err_msg=first.path)
    for first, second in zip(*(run.history_rows()[0].items() for run in runs), strict=True):
        assert first[0] == "seconds" or second[1] == pytest.approx(first[1], abs=2e-3), first[0]
