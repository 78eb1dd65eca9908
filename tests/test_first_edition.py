"""What the first edition wrote is read, run and carried on: the runs and files of tests/data/v1."""

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
FILES = {  # how many passed, by run and part
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
USERS_DATA = {"weather": "weather.csv", "climate": "climate.csv"}  # which an exported file does not know
RENAMED = {  # the first key of the first edition in a user's template, and what it is now
    "digits": ("dataset.image_size", "dataset.images.size"),
    "climate": ("task.relative", "task.subtract_last"),
    "weather": ("dataset.columns", "dataset.table.columns"),
    "tumours": ("model.code", "model.latent_dim"),
    "vae": ("model.code", "model.latent_dim"),
}
SHARES = {"accuracy", "top_5", "roc_auc", "pr_auc", "precision", "recall"}  # scores that count examples
TOLERANCES = {"saved_model": 1e-3, "float32": 1e-3, "float16": 1e-2}  # of a prediction's range; integers a tenth
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
    """An export report as it was written, and its folder."""
    folder = Path("runs", run, "exports", part)
    return json.loads((V1 / folder / "export_report.json").read_text()), folder


def passed(part_is_whole):
    """A parameter for each file that passed, of whole networks or of their parts."""
    found = []
    for run, part in FILES:
        report, _ = report_of(run, part)
        if (report["task"] != "parity") == part_is_whole:
            keys = [result["format"] for result in report["results"] if result["verdict"] == "passed"]
            found += [pytest.param(run, part, key, id=f"{run}-{part}-{key}") for key in keys]
    return found


def result_of(run, part, key):
    """What the report says of a file, and the file."""
    report, folder = report_of(run, part)
    (result,) = (result for result in report["results"] if result["format"] == key)
    return result, folder / result["file"]


def near(name, score, examples, *, integer=False):
    """A score as another processor may give it.

    Rounding turns a few predictions of all examples: at most four of a float network, eight of an integer one. An
    error differs by a thousandth, or a fiftieth.
    """
    if name in SHARES:
        return pytest.approx(score, abs=(8 if integer else 4) / examples)
    return pytest.approx(score, rel=2e-2 if integer else 1e-3)


def numbers(results):
    """All numbers of predictions in order, (n,)."""

    def walk(value):
        if isinstance(value, dict):
            value = list(value.values())
        if isinstance(value, list):
            return [number for item in value for number in walk(item)]
        return [value] if isinstance(value, float) else []

    return np.array(walk(results))


@pytest.fixture(scope="module")
def shared(tmp_path_factory):
    """A copy of all of it, and the picture of a digit."""
    folder = tmp_path_factory.mktemp("first") / "v1"
    shutil.copytree(V1, folder)
    Image.fromarray(np.uint8(load_digits().images[7] * 15.9)).save(folder / "seven.png")
    return folder


@pytest.fixture(autouse=True)
def there(shared, monkeypatch):
    """Data is named by a path relative to the working directory."""
    monkeypatch.chdir(shared)


@pytest.fixture
def own(there, tmp_path, monkeypatch):
    """A copy for a test that writes."""
    shutil.copytree(V1, tmp_path / "v1")
    monkeypatch.chdir(tmp_path / "v1")


def test_all_of_it_is_there():
    assert {path.name for path in (V1 / "runs").iterdir()} == {*RUNS, "interrupted"}
    for (run, part), count in FILES.items():
        results = report_of(run, part)[0]["results"]
        assert sum(result["verdict"] == "passed" for result in results) == count
    assert len(passed(True)) + len(passed(False)) == sum(FILES.values())
    assert set(INPUTS) == set(FILES) - {("weather", "strings")}


@pytest.mark.parametrize("run", RUNS)
def test_a_run_scores_as_its_record_says(run):
    record = json.loads(Path("runs", run, "run.json").read_text())
    for split in ("validation", "test"):
        found = dlt.evaluate(f"runs/{run}", split=split)
        assert found["examples"] == record["spec"]["sizes"][split]
        said = record["scores"][split]
        assert found["scores"] == {name: near(name, score, found["examples"]) for name, score in said.items()}


@pytest.mark.parametrize(("run", "part", "key"), passed(True))
def test_a_file_scores_as_its_report_says(run, part, key):
    result, path = result_of(run, part, key)
    report, _ = report_of(run, part)
    found = dlt.evaluate(path, data=USERS_DATA.get(run))
    name, said = report["metric"], result["splits"]["test"]["score"]
    if name not in found["scores"]:  # the report has the difference from Keras
        name = "mse"
        said = json.loads(Path("runs", run, "run.json").read_text())["scores"]["test"][name]
    assert found["examples"] == result["splits"]["test"]["examples"]
    assert found["scores"][name] == near(name, said, found["examples"], integer="int" in key or "dynamic" in key)


@pytest.mark.parametrize(("run", "part"), INPUTS)
def test_a_run_and_its_files_predict_the_same(run, part):
    given = [INPUTS[run, part]]
    expected = dlt.predict(f"runs/{run}", given, part=part)
    assert np.isfinite(numbers(expected)).all()
    spread = np.ptp(numbers(expected))
    for result in report_of(run, part)[0]["results"]:
        kind = result["format"].rpartition(":")[2]
        # Integer files of whole networks are scored on many examples; one alone may be far off.
        if result["verdict"] != "passed" or (not part and kind not in TOLERANCES):
            continue
        found = dlt.predict(result_of(run, part, result["format"])[1], given)
        tolerance = TOLERANCES.get(kind, 0.1)
        assert len(found) == len(expected)
        np.testing.assert_allclose(numbers(found), numbers(expected), rtol=0, atol=tolerance * spread, err_msg=kind)


@pytest.mark.parametrize(("run", "part", "key"), passed(True) + passed(False))
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
def test_a_template_of_a_user_with_an_old_key_is_told_the_new_one(name):
    old, new = RENAMED[name]
    with pytest.raises(ValueError, match=re.escape(f"`{old}` is now `{new}`. Received: ")):
        dlt.load_template(f"templates/{name}.toml")


@pytest.mark.parametrize("run", RUNS)
def test_the_template_in_a_run_is_upgraded(run):
    template = dlt.load_template(f"runs/{run}/template.toml")
    assert template == dlt.load_run(f"runs/{run}").template
    assert "image_size" not in template.to_toml()


def test_settings_of_the_data_are_in_the_table_of_their_kind():
    digits, climate, weather = (
        dlt.load_run(f"runs/{run}").template.dataset for run in ("digits", "climate", "weather")
    )
    images = {"size": (12, 12), "channels": 1, "resize": "crop"}
    assert (digits.images.model_dump(), digits.table, digits.series) == (images, None, None)
    assert dlt.load_predictor("runs/digits/exports/digits-int8.tflite").contract.data == digits
    series = {"window": 12, "horizon": 3, "season_length": 12, "columns": {}}
    assert (climate.series.model_dump(), climate.table, climate.images) == (series, None, None)
    assert (weather.table.columns, weather.series, weather.images) == ({"observer": "skip"}, None, None)


@pytest.mark.parametrize("run", RUNS)
def test_a_run_is_exported_again(run, own, in_process):
    before = report_of(run)[0]
    report = dlt.export(f"runs/{run}", formats=["tflite:float32"])
    assert not report.failed
    assert report.result("tflite:float32").verdict == "passed"
    assert report.model_sha256 == before["model_sha256"]
    known = {result.format for result in report.results if result.verdict == "passed"}
    assert len(known) == FILES[run, ""]  # the others stay in the report


@pytest.mark.slow
@pytest.mark.parametrize("run", RUNS)
def test_a_run_is_exported_again_to_every_format(run, own):
    report = dlt.export(f"runs/{run}", formats="all")
    assert not report.failed
    for part in (part for name, part in FILES if name == run):
        results = (report.parts[part] if part else report).results
        assert sum(result.verdict == "passed" for result in results) == FILES[run, part]


def test_an_interrupted_training_is_ended_by_the_version_that_began_it(own):
    template = dlt.load_template("runs/interrupted/template.toml")
    with pytest.raises(ValueError, match="runs/interrupted, of rules 1, .*version that began it"):
        dlt.train(template, output="runs/interrupted", resume=True)
    assert dlt.load_run("runs/interrupted").record.state == "interrupted"
