"""Runs and exports of the first edition (tests/data/v1) still load, predict, score and export."""

import json
import re
import shutil
import tomllib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from sklearn.datasets import load_digits

import dltemplates as dlt
from dltemplates.template import parse_template
from dltemplates.upgrade import upgrade_template

V1 = Path(__file__).parent / "data" / "v1"
FILES = {  # exports that passed, by run and part
    ("digits", ""): 9,
    ("weather", ""): 8,
    ("weather", "strings"): 4,
    ("climate", ""): 7,
    ("vae", ""): 9,
    ("vae", "encoder"): 9,
    ("vae", "decoder"): 9,
    ("tumours", ""): 9,
}
RUNS = tuple(dict.fromkeys(run for run, _ in FILES))
USERS_DATA = {"weather": "weather.csv", "climate": "climate.csv"}  # an exported file does not store a user's path
RENAMED = {  # the first old key in a template, and its new name
    "digits": ("dataset.image_size", "dataset.images.size"),
    "climate": ("task.relative", "task.subtract_last"),
    "weather": ("dataset.columns", "dataset.table.columns"),
    "tumours": ("model.code", "model.latent_dim"),
    "vae": ("model.code", "model.latent_dim"),
}
FRACTIONS = {"accuracy", "top_5", "roc_auc", "pr_auc", "precision", "recall"}  # scores between 0 and 1
TOLERANCES = {"saved_model": 1e-3, "float32": 1e-3, "float16": 1e-2}  # of the predictions' range; else 0.1
INPUTS = {
    ("digits", ""): "seven.png",
    ("weather", ""): "weather.csv",
    ("climate", ""): "climate.csv",
    ("vae", ""): "seven.png",
    ("vae", "encoder"): "seven.png",
    ("vae", "decoder"): "0.5,-1",
    ("tumours", ""): ",".join(f"{number / 7:.4f}" for number in range(30)),
}


def report_of(run, part=""):
    """Return a stored export report, and its folder."""
    folder = Path("runs", run, "exports", part)
    return json.loads((V1 / folder / "export_report.json").read_text()), folder


def passed_exports(whole_network):
    """Return a parameter per export that passed, of the whole networks or of their parts."""
    found = []
    for run, part in FILES:
        report, _ = report_of(run, part)
        if (report["task"] != "parity") == whole_network:
            keys = [result["format"] for result in report["results"] if result["verdict"] == "passed"]
            found += [pytest.param(run, part, key, id=f"{run}-{part}-{key}") for key in keys]
    return found


def result_of(run, part, key):
    """Return the result of an export in its report, and the path of its file."""
    report, folder = report_of(run, part)
    (result,) = (result for result in report["results"] if result["format"] == key)
    return result, folder / result["file"]


def near(name, score, examples, *, integer=False):
    """Return a score with the tolerance for another processor.

    Rounding changes at most four predictions of a float network, and eight of an integer one. An error changes by at
    most 0.1%, or 2%.
    """
    if name in FRACTIONS:
        return pytest.approx(score, abs=(8 if integer else 4) / examples)
    return pytest.approx(score, rel=2e-2 if integer else 1e-3)


def numbers(results):
    """Return all numbers of the predictions in order. Shape: (n,)."""

    def walk(value):
        if isinstance(value, dict):
            value = list(value.values())
        if isinstance(value, list):
            return [number for item in value for number in walk(item)]
        return [value] if isinstance(value, float) else []

    return np.array(walk(results))


@pytest.fixture(scope="module")
def shared(tmp_path_factory):
    """Copy the whole folder, and add the picture of a digit."""
    folder = tmp_path_factory.mktemp("first") / "v1"
    shutil.copytree(V1, folder)
    Image.fromarray(np.uint8(load_digits().images[7] * 15.9)).save(folder / "seven.png")
    return folder


@pytest.fixture(autouse=True)
def working_folder(shared, monkeypatch):
    """Work in the copy: runs name their data by a relative path."""
    monkeypatch.chdir(shared)


@pytest.fixture
def writable_copy(working_folder, tmp_path, monkeypatch):
    """Work in a copy for one test that writes."""
    shutil.copytree(V1, tmp_path / "v1")
    monkeypatch.chdir(tmp_path / "v1")


def test_the_stored_runs_and_exports_are_complete():
    assert {path.name for path in (V1 / "runs").iterdir()} == {*RUNS, "interrupted"}
    for (run, part), count in FILES.items():
        results = report_of(run, part)[0]["results"]
        assert sum(result["verdict"] == "passed" for result in results) == count
    assert len(passed_exports(True)) + len(passed_exports(False)) == sum(FILES.values())
    assert set(INPUTS) == set(FILES) - {("weather", "strings")}


@pytest.mark.parametrize("run", RUNS)
def test_a_run_scores_as_in_its_record(run):
    record = json.loads(Path("runs", run, "run.json").read_text())
    for split in ("validation", "test"):
        found = dlt.evaluate(f"runs/{run}", split=split)
        assert found["examples"] == record["spec"]["sizes"][split]
        expected = record["scores"][split]
        if "kl" in expected:  # today's name
            expected = {"negative_elbo": expected["loss"], **{k: v for k, v in expected.items() if k != "loss"}}
        assert found["scores"].keys() - expected.keys() <= {"scaled_mae", "scaled_mse"}  # newer than the run
        for name, score in expected.items():
            assert found["scores"][name] == near(name, score, found["examples"]), name


@pytest.mark.parametrize(("run", "part", "key"), passed_exports(True))
def test_an_export_scores_as_in_its_report(run, part, key):
    result, path = result_of(run, part, key)
    report, _ = report_of(run, part)
    found = dlt.evaluate(path, data=USERS_DATA.get(run))
    name, expected = report["metric"], result["splits"]["test"]["score"]
    if name not in found["scores"]:  # the report has the difference from Keras
        name = "mse"
        expected = json.loads(Path("runs", run, "run.json").read_text())["scores"]["test"][name]
    assert found["examples"] == result["splits"]["test"]["examples"]
    assert found["scores"][name] == near(name, expected, found["examples"], integer="int" in key or "dynamic" in key)


@pytest.mark.parametrize(("run", "part"), INPUTS)
def test_a_run_and_its_files_predict_the_same(run, part):
    inputs = [INPUTS[run, part]]
    expected = dlt.predict(f"runs/{run}", inputs, part=part)
    assert np.isfinite(numbers(expected)).all()
    value_range = np.ptp(numbers(expected))
    for result in report_of(run, part)[0]["results"]:
        kind = result["format"].rpartition(":")[2]
        # One prediction of an integer network may be far off; only its score on many examples is compared.
        if result["verdict"] != "passed" or (not part and kind not in TOLERANCES):
            continue
        found = dlt.predict(result_of(run, part, result["format"])[1], inputs)
        tolerance = value_range * TOLERANCES.get(kind, 0.1)
        assert len(found) == len(expected)
        np.testing.assert_allclose(numbers(found), numbers(expected), rtol=0, atol=tolerance, err_msg=kind)


@pytest.mark.parametrize(("run", "part", "key"), passed_exports(True) + passed_exports(False))
def test_a_contract_is_read(run, part, key):
    report, _ = report_of(run, part)
    contract = dlt.load_predictor(result_of(run, part, key)[1]).contract
    assert (contract.name, contract.task) == (report["name"], report["task"])
    if run in ("digits", "weather"):
        assert contract.labels == tuple(Path("runs", run, "assets", "labels.txt").read_text().split())


def test_classes_keep_their_order():
    assert dlt.load_run("runs/weather").record.spec.targets[0].classes == (
        "1", "10", "11", "12", "2", "3", "4", "5", "6", "7", "8", "9",
    )  # fmt: skip


def test_records_and_reports_are_read():
    runs = dlt.list_runs(Path("runs"))
    assert {run.name for run in runs} == {*RUNS, "interrupted"}
    assert not [line for run in runs if "broken" in (line := run.describe())]
    for name, row in dlt.compare([f"runs/{run}" for run in RUNS]).items():
        assert sum(key.endswith(" bytes") for key in row) == FILES[Path(name).name, ""]


@pytest.mark.parametrize("name", RUNS)
def test_an_upgraded_template_equals_the_template_of_its_run(name):
    table = tomllib.loads(Path(f"templates/{name}.toml").read_text())
    assert parse_template(upgrade_template(table)) == dlt.load_run(f"runs/{name}").template


@pytest.mark.parametrize("name", RENAMED)
def test_an_old_key_in_a_users_template_raises_with_the_new_key(name):
    old, new = RENAMED[name]
    with pytest.raises(ValueError, match=re.escape(f"`{old}` is now `{new}`. Received: ")):
        dlt.load_template(f"templates/{name}.toml")


@pytest.mark.parametrize("run", RUNS)
def test_the_template_in_a_run_is_upgraded(run):
    template = dlt.load_template(f"runs/{run}/template.toml")
    assert template == dlt.load_run(f"runs/{run}").template
    assert "image_size" not in template.to_toml()


def test_upgraded_dataset_settings_are_in_the_table_of_their_kind():
    digits, climate, weather = (
        dlt.load_run(f"runs/{run}").template.dataset for run in ("digits", "climate", "weather")
    )
    images = {"size": (12, 12), "channels": 1, "resize": "crop"}
    assert (digits.images.model_dump(exclude_defaults=True), digits.table, digits.series) == (images, None, None)
    assert dlt.load_predictor("runs/digits/exports/digits-int8.tflite").contract.data == digits
    series = {"window": 12, "horizon": 3, "season_length": 12}
    assert (climate.series.model_dump(exclude_defaults=True), climate.table, climate.images) == (series, None, None)
    assert (weather.table.columns, weather.series, weather.images) == ({"observer": "skip"}, None, None)


@pytest.mark.parametrize("run", RUNS)
def test_a_run_is_exported_again(run, writable_copy, in_process):
    before = report_of(run)[0]
    report = dlt.export(f"runs/{run}", formats=["tflite:float32"])
    assert not report.failed
    assert report.result("tflite:float32").verdict == "passed"
    assert report.model_sha256 == before["model_sha256"]
    formats = {result.format for result in report.results if result.verdict == "passed"}
    assert len(formats) == FILES[run, ""]  # the others stay in the report


@pytest.mark.slow
@pytest.mark.parametrize("run", RUNS)
def test_a_run_is_exported_again_to_every_format(run, writable_copy):
    report = dlt.export(f"runs/{run}", formats="all")
    assert not report.failed
    for part in (part for name, part in FILES if name == run):
        results = (report.parts[part] if part else report).results
        assert sum(result.verdict == "passed" for result in results) == FILES[run, part]


def test_an_interrupted_first_edition_run_is_not_resumed(writable_copy):
    template = dlt.load_template("runs/interrupted/template.toml")
    with pytest.raises(ValueError, match="runs/interrupted, with rules 1; .*version that began it"):
        dlt.train(template, output="runs/interrupted", resume=True)
    assert dlt.load_run("runs/interrupted").record.state == "interrupted"
