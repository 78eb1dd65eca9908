"""The tool that records a run's result for `dlt list`."""

import shutil
import tomllib

import pytest

from conftest import load_tool
from dltemplates.runs import Run

tool = load_tool("record_result")


def test_an_entry_holds_the_score_and_what_was_changed(small_run):
    entry = tool.result_of("convnet_mnist", small_run, "a host", "2026-01-02")
    assert entry["metric"] == "accuracy"
    assert entry["score"] == pytest.approx(small_run.record.scores["test"]["accuracy"], abs=1e-4)
    assert entry["seconds"] == round(small_run.record.seconds)
    assert entry["baseline"].startswith("logistic regression 0.9")
    assert entry["settings"]["dataset.name"] == "digits"
    assert "dataset.target" not in entry["settings"]
    assert (entry["host"], entry["date"]) == ("a host", "2026-01-02")


def test_an_entry_is_added_and_the_others_stay(tmp_path, small_run):
    file = tmp_path / "results.toml"
    shutil.copy(tool.FILE, file)
    before = tomllib.loads(file.read_text())
    tool.write(file, "convnet_folder", {"metric": "accuracy", "score": 0.5})
    after = tomllib.loads(file.read_text())
    assert after == before | {"convnet_folder": {"metric": "accuracy", "score": 0.5}}
    assert file.read_text().startswith("# Test scores")


def test_other_runs_are_refused(tmp_path, small_run):
    with pytest.raises(ValueError, match="must be of the template. Received: resnet8_digits, and a run of convnet"):
        tool.result_of("resnet8_digits", small_run, "a host", "2026-01-02")
    shutil.copytree(small_run.path, tmp_path / "run")
    run = Run(tmp_path / "run")
    run.save_record(run.record.model_copy(update={"state": "interrupted"}))
    with pytest.raises(ValueError, match="needs a finished run. Received: .*, interrupted"):
        tool.result_of("convnet_mnist", run, "a host", "2026-01-02")
