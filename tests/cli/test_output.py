import shutil

import click
import pytest

from dltemplates.cli.main import explain
from dltemplates.cli.output import OverBudgetError, check_exports, run_figures, run_result, short
from dltemplates.deploy.gate import GateResult
from dltemplates.deploy.report import ExportReport, FormatResult
from dltemplates.errors import DONE, EXIT_CODES, LostWorkersError, WorkerError
from dltemplates.runs import Run
from dltemplates.tasks.scoring.baselines import Baseline, Baselines
from dltemplates.tasks.scoring.intervals import ScoreInterval


def test_short_prints_a_prediction_in_a_few_words():
    assert short("values", [0.25, 2.0]) == "values 0.25, 2"
    boxes = [{"class": "cat", "left": 0.5}, {"class": "dog", "left": 0.25}]
    assert short("boxes", boxes) == "boxes cat left 0.5000; dog left 0.2500"
    assert short("next", {"cat": 0.5}) == "cat 0.5000"


@pytest.fixture
def run(small_run, tmp_path):
    shutil.copytree(small_run.path, tmp_path / "run")
    return Run(tmp_path / "run")


def test_the_last_lines_of_a_run_hold_each_score_with_its_evidence(run, capsys):
    interval = ScoreInterval(units=16, right=14, low=0.6397, high=0.9651)
    scores = {"test": {"accuracy": 0.875, "top_5": 1.0}, "validation": {"accuracy": 0.5, "top_5": 1.0}}
    intervals = {split: {"accuracy": interval, "top_5": ScoreInterval(units=16)} for split in scores}
    baselines = Baselines(
        results=(
            Baseline(name="largest class", scores={"accuracy": 0.25}, intervals={"accuracy": interval}),
            Baseline(name="logistic regression", skipped="it took too long", note="on thumbnails"),
        ),
        advice="Try this.",
    )
    update = {"scores": scores, "intervals": intervals, "baselines": baselines}
    run.save_record(run.record.model_copy(update=update))
    run_result(run, False)
    lines = capsys.readouterr().out.splitlines()
    assert lines[1:9] == [
        "test        accuracy  0.8750, 14 of 16, 0.64 to 0.97",
        "            top_5     1.0000, n = 16",
        "validation  accuracy  0.5000, 14 of 16, 0.64 to 0.97; the epoch was chosen on these examples",
        "            top_5     1.0000, n = 16",
        "baselines   largest class        accuracy 0.2500, 14 of 16, 0.64 to 0.97",
        "            logistic regression  skipped, it took too long; on thumbnails",
        "after each score: its number of independent examples n, or how many of them are right; its 95% interval",
        "Try this.",
    ]
    shown = run_figures(run)
    assert shown["intervals"]["test"]["accuracy"]["right"] == 14
    assert shown["baselines"]["advice"] == "Try this."
    assert "test accuracy 0.8750, 14 of 16, 0.64 to 0.97" in run.describe()


def test_a_task_without_baselines_says_so(run, capsys):
    run.save_record(run.record.model_copy(update={"baselines": Baselines(none="there is none for task generation")}))
    run_result(run, False)
    assert "baselines   none: there is none for task generation\n" in capsys.readouterr().out


def test_a_run_of_an_earlier_version_has_scores_alone(run, capsys):
    run.save_record(run.record.model_copy(update={"intervals": {}, "baselines": None}))
    run_result(run, False)
    output = capsys.readouterr().out
    assert f"accuracy  {run.record.scores['test']['accuracy']:.4f}\n" in output
    assert "after each score" not in output
    assert "baselines" not in output


@pytest.mark.parametrize(
    ("settings", "epochs", "note"),
    [("best", 6, "the epoch was chosen on these examples"), ("last", 6, None), ("best", 1, None), ("best", 0, None)],
)
def test_an_epoch_is_chosen_only_among_several(run, settings, epochs, note):
    run.save_record(run.record.model_copy(update={"epochs": epochs}))
    train = run.template.train.model_copy(update={"restore": settings})
    run.template = run.template.model_copy(update={"train": train})
    assert (run.split_note("validation"), run.split_note("test")) == (note, None)


@pytest.mark.parametrize(
    ("gate", "is_proven"),
    [
        (GateResult(units=300, allowed=0.01, interval=(-0.009, 0.009), proven=True), True),
        (GateResult(units=49, allowed=0.01, interval=(-0.05, 0.05), proven=False), False),
        (GateResult(units=5, allowed=0.01), False),  # too few examples for an interval
        (None, True),  # a part without a score, compared with Keras's outputs
    ],
)
def test_require_proof_needs_an_interval_within_the_budget(gate, is_proven):
    results = (FormatResult(format="tflite:int8", verdict="passed", gate=gate),)
    report = ExportReport(
        name="x", task="classification", metric="accuracy", direction="max", max_drop="0.01", model_sha256="",
        versions={}, results=results,
    )  # fmt: skip
    check_exports(report)
    if is_proven:
        check_exports(report, require_proof=True)
        return
    with pytest.raises(OverBudgetError, match="--require-proof needs .*Received: tflite:int8, not proven"):
        check_exports(report, require_proof=True)


def test_an_error_has_one_of_the_documented_exit_codes():
    errors = {
        KeyboardInterrupt(): 130,
        ValueError("a rule"): 2,
        click.UsageError("no such option"): 2,
        OverBudgetError("tflite:int8 did not pass"): 3,
        OSError(28, "No space left on device"): 1,
        FloatingPointError("the loss is not finite"): 1,
        WorkerError("the workers died too often"): 1,
        LostWorkersError("worker 1 ended"): 138,
        RuntimeError("unexpected"): 1,
    }
    assert [explain(error)[0] for error in errors] == list(errors.values())
    assert {DONE, *errors.values()} == set(EXIT_CODES)
