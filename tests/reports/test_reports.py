import shutil

import pytest

from dltemplates.reports.compare import compare
from dltemplates.reports.figures import curves_figure
from dltemplates.reports.report import write_report
from dltemplates.runs import Run


@pytest.fixture
def run(small_run, tmp_path):
    shutil.copytree(small_run.path, tmp_path / "run")
    return Run(tmp_path / "run")


def test_the_report_is_one_file_with_all_there_is_to_see(run):
    page = write_report(run.path).read_text()
    assert page.count("data:image/png;base64,") == 3
    assert 'src="http' not in page
    for text in ("convnet for classification on digits", "By class", "[train]", "validation"):
        assert text in page
    assert "Exports" not in page
    assert f"{run.record.scores['test']['accuracy']:.4f}" in page


def test_names_are_escaped(run):
    record = run.record
    record.details["test"]["per_class"][0]["class"] = "<script>alert(1)</script>"
    run.save_record(record)
    assert "<script>" not in write_report(run.path).read_text()


def test_skipped_files_are_listed(run):
    record = run.record
    spec = record.spec.model_copy(update={"skipped": {"cats/notes.txt": "no image"}})
    run.save_record(record.model_copy(update={"spec": spec}))
    assert "cats/notes.txt" in write_report(run.path).read_text()


def test_curves_have_a_panel_for_each_figure(small_run):
    figure = curves_figure(small_run.history(), small_run.record.best_epoch)
    assert [axes.get_title() for axes in figure.axes] == ["learning rate", "loss", "accuracy", "top 5"]
    assert curves_figure([], 0).axes == []


def test_compare_shows_only_settings_that_differ(small_run, run):
    text = run.template_path.read_text().replace("batch_size = 64", "batch_size = 32")
    run.template_path.write_text(text)
    run.save_record(run.record)
    rows = compare([small_run.path, run.path])
    first, second = rows.values()
    assert (first["train.batch_size"], second["train.batch_size"]) == (64, 32)
    assert "train.epochs" not in first
    assert first["test accuracy"] == small_run.record.scores["test"]["accuracy"]
