"""A run in a notebook."""

import shutil

import pandas as pd
import pytest
from rich.console import Console

import dltemplates as dlt
from dltemplates.training.recording import progress
from dltemplates.training.recording.progress import ProgressBar, Silent, default_reporter


def test_a_run_shows_its_scores_figures_and_exports(small_run, tmp_path):
    shutil.copytree(small_run.path, tmp_path / "run")
    run = dlt.load_run(tmp_path / "run")
    dlt.export(run, formats=["tflite:float32"])
    page = run._repr_html_()
    assert "<td>test</td><td>accuracy</td>" in page
    assert run.record.describe_score("test", "accuracy") in page
    assert "95% interval" in page
    baseline = run.record.baselines.results[-1]
    score = f"{baseline.scores['accuracy']:.4f}, {baseline.intervals['accuracy']}"
    assert f"<td>logistic regression</td>\n<td>accuracy {score}</td>" in page
    assert "<td>tflite:float32</td><td>passed</td>" in page
    assert page.count("<img ") == len(run.figures()) > 0
    assert 'src="data:image/png;base64,' in page
    assert repr(run) == f"Run({str(run.path)!r}): {run.describe()}"


def test_a_broken_run_shows_why(small_run, tmp_path):
    shutil.copytree(small_run.path, tmp_path / "run")
    run = dlt.load_run(tmp_path / "run")
    run.record_path.write_text("{")
    assert "broken: " in run._repr_html_()
    assert "<table>" not in run._repr_html_()


def test_the_history_is_a_table(small_run, tmp_path):
    history = small_run.history
    assert history.index.name == "epoch"
    assert list(history.index) == list(range(1, small_run.record.epochs + 1))
    assert {"loss", "val_loss"} <= set(history.columns)
    assert isinstance(dlt.Run(tmp_path).history, pd.DataFrame)


def test_figures_are_pictures(small_run):
    assert small_run.figures()
    assert all(path.suffix in (".png", ".gif") and path.stem == name for name, path in small_run.figures().items())


@pytest.mark.parametrize(("is_notebook", "is_terminal"), [(True, False), (False, True), (False, False)])
def test_progress_is_shown_in_notebooks_and_terminals(monkeypatch, is_notebook, is_terminal):
    monkeypatch.setattr(progress, "console", lambda: Console(stderr=True, force_jupyter=is_notebook))
    monkeypatch.setattr("sys.stderr.isatty", lambda: is_terminal, raising=False)
    assert type(default_reporter()) is (ProgressBar if is_notebook or is_terminal else Silent)
