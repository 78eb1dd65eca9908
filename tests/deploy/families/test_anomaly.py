"""An anomaly detector in every format: its score, its decision, and calibration beyond normal data."""

import json
import shutil
from types import SimpleNamespace

import numpy as np
import pytest

from dltemplates import catalog
from dltemplates.datasets.source import ArraySource
from dltemplates.deploy.calibration import calibration
from dltemplates.deploy.check import _check_decisions
from dltemplates.deploy.export_run import export
from dltemplates.deploy.formats.format import load_format
from dltemplates.deploy.gate import GateResult
from dltemplates.deploy.parity import CheckError, PartReference, compare
from dltemplates.deploy.report import SplitCheck
from dltemplates.features import Binary, Feature, Number
from dltemplates.inference import evaluate, predict
from dltemplates.runs import Run
from dltemplates.runtimes import Predictor, load_predictor
from dltemplates.tasks.load_for import load_for
from dltemplates.tasks.serving.contract import Contract
from dltemplates.template import load_template
from dltemplates.training.train import train

SETTINGS = {
    "task": {"name": "anomaly", "normal": "benign", "anomalies": "drop", "quantile": 0.9},
    "dataset": {"name": "breast_cancer", "validation": 0.3, "test": 0.3},
    "model": {"name": "fc_autoencoder", "units": [16], "latent_dim": 4},
    "train.epochs": 15,
    "train.learning_rate": 0.01,
}
NUMBERS = Number(name="features", dtype="float32", shape=(2,), mean=(10.0, -5.0), std=(2.0, 0.5))
DECISION = Binary(name="decision", dtype="float32", shape=(), threshold=0.5)


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    """Train a detector and export it to all nine formats; tests read the run and never write it."""
    run = train(load_template("fc_autoencoder_ecg5000", SETTINGS), output=tmp_path_factory.mktemp("runs") / "tumours")
    return run, export(run, formats="all")


def test_every_format_passes_by_the_area_under_the_curve(exported):
    _, report = exported
    assert (report.metric, report.direction, report.max_drop) == ("roc_auc", "max", "0.01")
    assert {result.format: result.verdict for result in report.results} == dict.fromkeys(catalog.FORMATS, "passed")
    for result in report.results:
        assert result.splits["validation"].drop <= 0.01
        assert result.splits["validation"].agreement > 0.95


@pytest.mark.parametrize("key", catalog.FORMATS)
def test_score_and_decision_of_every_file_agree(exported, key):
    run, report = exported
    predictor = load_predictor(run.exports_path / report.result(key).file)
    assert [value.name for value in predictor.contract.outputs] == ["score", "decision"]
    threshold = predictor.contract.outputs[1].threshold
    assert threshold == run.record.spec.targets[1].threshold
    rows = load_for(run)[1].split("test").read(np.arange(100))["features"]
    outputs = predictor({"features": rows})
    assert outputs["score"].shape == outputs["decision"].shape == (100,)
    assert set(outputs["decision"]) == {0.0, 1.0}
    clear = np.abs(outputs["score"] - threshold) > 0.02 * threshold  # far enough from the threshold for rounding
    np.testing.assert_array_equal(outputs["decision"][clear], outputs["score"][clear] > threshold)
    assert clear.mean() > 0.9


def test_files_evaluate_and_predict(exported):
    run, report = exported
    file = run.exports_path / report.result("onnx:float32").file
    assert evaluate(file)["scores"] == pytest.approx(run.record.scores["test"], abs=1e-3)
    rows = load_for(run)[1].split("test").read(np.arange(3))["features"]
    predictions = predict(file, [",".join(map(str, row)) for row in rows])
    assert len(predictions) == 3
    assert {row["decision"] for row in predictions} <= {"normal", "anomaly"}
    assert all((row["score"] > row["threshold"]) == (row["decision"] == "anomaly") for row in predictions)


def test_a_constant_decision_does_not_pass(exported, tmp_path, in_process):
    """No score reaches the threshold, so Keras's own decision is constant."""
    run, _ = exported
    shutil.copytree(run.path, tmp_path / "run")
    shutil.rmtree(tmp_path / "run" / "exports")
    stuck = Run(tmp_path / "run")
    record = json.loads(stuck.record_path.read_text())
    record["spec"]["targets"][1]["threshold"] = 1e6
    stuck.record_path.write_text(json.dumps(record))
    report = export(Run(stuck.path), formats=["tflite:float32"])
    assert report.failed == ("tflite:float32",)
    assert "`decision` must depend on the input" in report.result("tflite:float32").reason


def test_a_file_with_other_decisions_does_not_pass(exported, refer, check, monkeypatch):
    """The area under the curve ignores decisions."""
    run, report = exported
    task, dataset = load_for(run)
    reference = refer(run.serving(), task, dataset)
    predictor = load_predictor(run.exports_path / report.result("tflite:int8").file)
    check(load_format("tflite:int8"), predictor, reference)

    def contrary(value, array):
        return 1 - Feature.decode(value, array)

    monkeypatch.setattr(Binary, "decode", contrary)
    with pytest.raises(
        CheckError, match=r"over budget: `decision` differs from Keras's on \d+ of \d+ examples .* at most 1 may"
    ):
        check(load_format("tflite:int8"), predictor, reference)


@pytest.mark.parametrize(
    ("examples", "changed", "passes"), [(60, 1, True), (60, 2, False), (900, 9, True), (900, 10, False)]
)
def test_as_many_decisions_may_change_as_the_budget_allows(examples, changed, passes):
    figures = SplitCheck(examples=examples, float_score=0.9, score=0.9, drop=0.0, max_error=0.1, changed=changed)
    part = SimpleNamespace(decisions=("decision",))
    reference = SimpleNamespace(servings={"": None}, part=lambda name: part)
    result = _check_decisions(reference, figures, GateResult(units=examples, allowed=0.01))
    assert (result.failure is None) == passes
    assert passes or f"`decision` differs from Keras's on {changed} of {examples}" in result.failure


def test_integers_are_calibrated_beyond_the_threshold(exported):
    run, _ = exported
    _, dataset = load_for(run)
    serving = run.serving()
    threshold = run.record.spec.targets[1].threshold
    examples = calibration(serving.contract, dataset.split("train"), 50)["features"]
    usual, unusual = np.split(examples, 2)
    assert (np.asarray(serving.model(usual)["score"]) > threshold).mean() < 0.3
    assert (np.asarray(serving.model(unusual)["score"]) > threshold).mean() > 0.7


def test_the_noise_of_calibration_is_twice_the_threshold():
    rows = np.zeros((4000, 2), np.float32)
    data = ArraySource({"features": rows})
    contract = Contract(name="x", task="anomaly", inputs=(NUMBERS,), outputs=(DECISION,), targets=())
    examples = calibration(contract, data, 4000)["features"]
    assert len(examples) == 2 * 4002
    noise = examples[4002:] / np.array(NUMBERS.std)
    np.testing.assert_allclose(np.square(noise).mean(axis=0), 1.0, rtol=0.1)
    without = contract.model_copy(update={"outputs": (DECISION.model_copy(update={"threshold": None}),)})
    assert len(calibration(without, data, 4000)["features"]) == 4002


def test_decisions_are_compared_by_their_agreement():
    score_value = Number(name="score", dtype="float32", shape=())
    contract = Contract(name="x", task="anomaly", inputs=(NUMBERS,), outputs=(score_value, DECISION), targets=())
    score, decision = np.linspace(0, 4, 20, dtype=np.float32), (np.arange(20) > 10).astype(np.float32)
    source = ArraySource({"features": np.zeros((20, 2), np.float32)})
    reference = PartReference(contract, source, {"score": score, "decision": decision})

    class Fixed(Predictor):
        def _run(self, encoded):
            return {"score": score, "decision": np.where(np.arange(20) < 5, 1 - decision, decision)}

    parity = compare(Fixed(contract), reference)
    assert (parity.max_error, parity.rms_error, parity.changed) == (0.25, 0.0, 5)
