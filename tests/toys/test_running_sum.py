"""An encoder and a step with state: trained, resumed, exported together, scored by the files, refused if mixed."""

import dataclasses
import os
import shutil
import signal
import subprocess
import sys
import textwrap

import keras
import numpy as np
import pytest
from ai_edge_litert.interpreter import Interpreter

from dltemplates.datasets.load import load_dataset
from dltemplates.deploy.export_run import export
from dltemplates.deploy.parity import PARITY_EXAMPLES
from dltemplates.deploy.report import load_report
from dltemplates.deploy.system import find_system
from dltemplates.inference import evaluate, predict
from dltemplates.reports.report import write_report
from dltemplates.runs import Run
from dltemplates.runtimes import load_predictor, read_contract
from dltemplates.tasks.scoring.evaluation import System
from dltemplates.tasks.serving.serving_examples import part_examples
from dltemplates.template import parse_template
from dltemplates.training.train import train
from toys.running_sum import RunningSum

MODULE = "toys.running_sum"
FORMATS = ("tflite:float32", "tflite:int8", "onnx:float32")
TEMPLATE = {
    "task": f"{MODULE}:RunningSum",
    "dataset": {"name": f"{MODULE}:dataset"},
    "model": f"{MODULE}:network",
    "train": {"epochs": 60, "batch_size": 30, "learning_rate": 0.01, "checkpoint_seconds": 0.0},
    "export": {"formats": FORMATS, "calibration": 60},
}


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return train(parse_template(TEMPLATE), output=tmp_path_factory.mktemp("toys") / "sum")


@pytest.fixture(scope="module")
def exported(run):
    return export(run)


def test_evaluate_repeats_the_score_of_the_run(run):
    scores = run.record.scores
    assert 0 < scores["test"]["mae"] < 0.25  # centimetres; sums go up to 25
    assert scores["test"] == evaluate(run.path)["scores"]


def test_an_interrupted_training_ends_in_the_same_bits(run, tmp_path):
    class Stop:
        def __getattr__(self, name):
            return lambda *_: None

        def step(self, step, loss):
            if step > 70:
                os.kill(os.getpid(), signal.SIGINT)

    template = run.template
    with pytest.raises(KeyboardInterrupt):
        train(template, output=tmp_path / "run", reporter=Stop())
    resumed = train(template, output=tmp_path / "run", resume=True)
    for first, second in zip(run.model().get_weights(), resumed.model().get_weights(), strict=True):
        np.testing.assert_array_equal(first, second)


def test_a_step_is_checked_and_calibrated_on_real_states(run):
    dataset = load_dataset(run.template.dataset)
    servings = run.serving_models()
    source = part_examples(servings["step"], "validation", dataset.split("validation"))
    rows = np.arange(8)
    inputs = source.read(rows)
    features = dataset.split("validation").read(rows)["features"]
    np.testing.assert_allclose(inputs["before"][[0, 4]], 0)  # the first step
    first = np.asarray(servings["encoder"].model(features)["state"])
    np.testing.assert_allclose(inputs["state"][[0, 4]], first[[0, 4]], rtol=1e-5)
    one = servings["step"].model({"before": np.zeros((8, 1)), "state": first})
    np.testing.assert_allclose(inputs["state"][[1, 5]], np.asarray(one["next_state"])[[1, 5]], rtol=1e-4, atol=1e-6)


def test_both_parts_of_every_format_pass_and_the_first_holds_the_score(run, exported):
    assert not exported.failed
    assert (exported.part, set(exported.parts), exported.metric) == ("encoder", {"step"}, "mae")
    for key in FORMATS:
        results = exported.results_of(key)
        assert set(results) == {"encoder", "step"}
        files = {part: result.path(run.exports_path, part) for part, result in results.items()}
        assert all(file.exists() for file in files.values())
        assert all(result.is_joined == key.startswith("tflite") for result in results.values())
        assert results["encoder"].splits["validation"].examples == 30 <= PARITY_EXAMPLES
        assert results["step"].splits == {}
        if "tflite" in key:
            (file,) = set(files.values())
            assert file.parent == run.exports_path
            assert results["encoder"].size == file.stat().st_size
            assert (results["step"].size, results["step"].operators) == (None, {})
            assert "in the file of part `encoder`" in results["step"].remarks
    contract = load_predictor(run.exports_path / "step" / exported.parts["step"].result("onnx:float32").file).contract
    assert [(state.input, state.output, state.initial) for state in contract.state] == [
        ("state", "next_state", 0.0), ("before", "value", 0.0),
    ]  # fmt: skip


@pytest.mark.parametrize("key", FORMATS)
def test_naming_either_file_evaluates_and_predicts_with_both(run, exported, key):
    for part, result in exported.results_of(key).items():
        file = result.path(run.exports_path, part)
        assert find_system(file)[part] == file
        score = evaluate(file, data=run.template.dataset.name)["scores"]["mae"]
        assert score == pytest.approx(exported.result(key).splits["test"].score, rel=1e-6)
        (found,) = predict(file, ["5.1,3.5,1.4,0.2"])
        (expected,) = predict(run.path, ["5.1,3.5,1.4,0.2"])
        np.testing.assert_allclose(found["sums"], expected["sums"], atol=1.0 if "int8" in key else 1e-3)


def test_the_score_is_computed_by_running_the_files(run, exported, monkeypatch):
    file = exported.result("tflite:int8").path(run.exports_path, "encoder")
    predictors = {part: load_predictor(file, part=part) for part in ("encoder", "step")}
    dataset = load_dataset(run.template.dataset)
    evaluation = run.task().evaluate(System(predictors), dataset.split("validation"))
    assert evaluation.scores["mae"] == pytest.approx(exported.result("tflite:int8").splits["validation"].score)
    assert exported.result("tflite:int8").splits["validation"].drop != 0


def test_a_part_of_another_export_is_refused(run, exported, tmp_path):
    shutil.copytree(run.exports_path, tmp_path / "exports")
    results = exported.results_of("onnx:float32")
    other = tmp_path / "exports" / "step" / results["step"].file
    shutil.copy(tmp_path / "exports" / "encoder" / results["encoder"].file, other)
    with pytest.raises(ValueError, match=r"files of one export\. Received: `step` of onnx:float32.* Export again"):
        evaluate(tmp_path / "exports" / "encoder" / results["encoder"].file, data=run.template.dataset.name)


def test_a_joined_file_works_alone(run, exported, tmp_path):
    file = shutil.copy(exported.result("tflite:float32").path(run.exports_path, "encoder"), tmp_path)
    (expected,) = predict(run.path, ["5.1,3.5,1.4,0.2"])
    np.testing.assert_allclose(predict(file, ["5.1,3.5,1.4,0.2"])[0]["sums"], expected["sums"], atol=1e-3)
    (code,) = predict(file, ["5.1,3.5,1.4,0.2"], part="encoder")
    (of_run,) = predict(run.path, ["5.1,3.5,1.4,0.2"], part="encoder")
    np.testing.assert_allclose(code["state"], of_run["state"], atol=1e-5)


def test_each_part_of_a_joined_file_has_a_signature(run, exported):
    path = exported.result("tflite:float32").path(run.exports_path, "encoder")
    assert set(Interpreter(str(path)).get_signature_list()) == {"encoder", "step"}
    contract = read_contract(path)
    assert (contract.name, contract.task, contract.state) == ("sum", TEMPLATE["task"], ())
    assert [value.name for value in contract.outputs] == ["sums"]
    assert [state.input for state in contract.parts["step"].state] == ["state", "before"]
    assert load_predictor(path, part="step").contract == contract.parts["step"]


@pytest.mark.parametrize(
    ("key", "part", "message"),
    [
        ("tflite:float32", "", r"must name a part of the file\. Received: '' .*Choose one of encoder, step"),
        ("tflite:float32", "decode", r"Received: 'decode' .*Choose one of encoder, step"),
        ("onnx:float32", "encoder", r"Received: 'encoder' .*Drop `part`"),
    ],
)
def test_a_part_that_a_file_does_not_have_raises(run, exported, key, part, message):
    with pytest.raises(ValueError, match=message):
        load_predictor(exported.result(key).path(run.exports_path, "encoder"), part=part)


def test_a_joined_export_is_kept_and_its_older_files_are_removed(run, exported, tmp_path):
    copy = Run(tmp_path / "sum")
    shutil.copytree(run.path, copy.path)
    states = {}
    assert export(copy, resume=True, progress=states.__setitem__) == exported
    assert set(states.values()) == {"kept"}
    older = copy.exports_path / "step" / "sum-step-float32.tflite"  # of a version without joined files
    older.write_bytes(b"older")
    exported.result("tflite:float32").path(copy.exports_path, "encoder").write_bytes(b"damaged")
    states.clear()
    report = export(copy, formats=["tflite:float32"], resume=True, progress=states.__setitem__)
    assert states == {
        "tflite:float32": "converting",
        "encoder tflite:float32": "passed",
        "step tflite:float32": "passed",
    }
    assert [each.sha256 for each in report.results] == [each.sha256 for each in exported.results]
    assert not older.exists()


KILLED = """
    import os, signal, sys
    from pathlib import Path
    from dltemplates import catalog
    from dltemplates.deploy import files
    from dltemplates.deploy.export_run import export

    place, placed = files.put_in_place, []

    def kill_between(written, target):
        place(written, target)
        placed.append(target)
        if len(placed) == 3:  # the joined file of two formats, and one part of the third
            os.kill(os.getpid(), signal.SIGKILL)

    files.put_in_place = kill_between
    catalog.trust("toys.running_sum")
    export(Path(sys.argv[1]))
"""


def test_a_kill_between_two_parts_leaves_no_mixed_set(run, exported, tmp_path):
    copy = Run(tmp_path / "sum")
    shutil.copytree(run.path, copy.path)
    before = load_report(copy.exports_path)
    for part, result in before.results_of("onnx:float32").items():  # older files, with other bytes than the new ones
        file = result.path(copy.exports_path, part)
        file.write_bytes(file.read_bytes() + b"older")
    paths = os.pathsep.join(path for path in sys.path if path)
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(KILLED), str(copy.path)],
        env=os.environ | {"PYTHONPATH": paths}, capture_output=True, check=False, timeout=600,
    )  # fmt: skip
    assert done.returncode == -signal.SIGKILL, done.stderr
    encoder = before.result("onnx:float32").path(copy.exports_path, "encoder")
    with pytest.raises(ValueError, match="files of one export"):
        evaluate(encoder, data=run.template.dataset.name)
    report = export(copy)
    assert not report.failed
    assert evaluate(encoder, data=run.template.dataset.name)["scores"]["mae"] < 1


def test_a_failed_part_fails_the_other_part_too(run, tmp_path, monkeypatch):
    serving = RunningSum.serve

    def broken(self, *args, **kwargs):
        servings = serving(self, *args, **kwargs)
        step = servings["step"]
        outputs = dict(step.model.output)
        outputs["value"] = keras.layers.Rescaling(0.0)(outputs["value"])  # does not depend on the input
        model = keras.Model(step.model.input, outputs, name="step")
        return servings | {"step": dataclasses.replace(step, model=model)}

    copy = Run(tmp_path / "sum")
    shutil.copytree(run.path, copy.path, ignore=shutil.ignore_patterns("exports"))
    monkeypatch.setattr(RunningSum, "serve", broken)
    report = export(copy, formats=["tflite:float32"])
    results = report.results_of("tflite:float32")
    assert "`value` must depend on the input" in results["step"].reason
    assert results["encoder"].reason == "part `step` did not pass, and the system needs all its parts"
    assert not list(copy.exports_path.rglob("*.tflite"))


def test_the_run_has_a_report(run, exported):
    page = write_report(run).read_text()
    assert "mae" in page
