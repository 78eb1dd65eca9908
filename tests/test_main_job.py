"""The main job at full size, as in the README."""

import json

import pytest

from conftest import run_dlt
from dltemplates import catalog
from dltemplates.deploy.report import load_report


def dlt(*arguments, cwd):
    done = run_dlt(*arguments, cwd=cwd, timeout=None)
    assert done.returncode == 0, done.stderr
    return done.stdout


def assert_all_passed(run, least, most_dropped):
    report = load_report(run / "exports")
    assert [result.format for result in report.results] == list(catalog.FORMATS)
    for result in report.results:
        assert result.verdict == "passed", result
        assert result.splits["validation"].drop <= most_dropped
        assert result.splits["test"].score >= least
    return report


@pytest.mark.slow
def test_the_digits_reach_98_percent_in_every_format(tmp_path):
    dlt("run", "resnet8_digits", cwd=tmp_path)
    run = tmp_path / "saved_models" / "resnet8_digits"
    assert_all_passed(run, least=0.98, most_dropped=0.01)
    assert (run / "report.html").stat().st_size > 50_000


@pytest.mark.slow
@pytest.mark.data
def test_lenet5_reaches_99_percent_on_mnist_and_so_does_its_int8_file(tmp_path, data_folder):
    dlt("train", "lenet5_mnist", "-o", "m", cwd=tmp_path)
    dlt("export", "m", "--all", cwd=tmp_path)
    report = assert_all_passed(tmp_path / "m", least=0.99, most_dropped=0.01)
    file = tmp_path / "m" / "exports" / report.result("tflite:int8").file
    result = json.loads(dlt("evaluate", file, "--data", "mnist", "--json", cwd=tmp_path))
    assert result["examples"] == 10_000
    assert result["scores"]["accuracy"] >= 0.99
