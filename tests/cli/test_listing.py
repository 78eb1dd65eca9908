"""`dlt list`: groups, columns and figures at 80 columns."""

import json
import re
import tomllib
from types import SimpleNamespace

import pytest
from click.testing import CliRunner

from conftest import TOOLS
from dltemplates import catalog, catalog_templates
from dltemplates.catalog_models import MODEL_GROUPS, SERIES
from dltemplates.cli import listing
from dltemplates.cli.commands import dlt

OVERVIEW = catalog_templates.overview()
RESULTS = tomllib.loads((TOOLS.parent / "dltemplates" / "templates" / "results.toml").read_text(encoding="utf-8"))


def run(*arguments):
    done = CliRunner().invoke(dlt, arguments)
    assert done.exit_code == 0, done.output
    return done.output


@pytest.mark.parametrize("kind", ["templates", "models", "datasets", "tasks", "formats"])
def test_a_list_fits_80_columns(kind):
    assert max(map(len, run("list", kind).splitlines())) <= 80


def test_a_list_of_runs_fits_80_columns(monkeypatch):
    short = "mlp on iris, done, test accuracy 0.9000"
    long = "mlp on customers.csv, predicts churned, done, test accuracy 0.8750, 14 of 16, 0.64 to 0.97"
    runs = {"saved_models/table_classification": long, "saved_models/iris": short}
    listed = [SimpleNamespace(path=path, describe=lambda text=text: text) for path, text in runs.items()]
    monkeypatch.setattr("dltemplates.runs.list_runs", lambda: listed)
    out = run("list", "runs")
    assert max(map(len, out.splitlines())) <= 80
    assert " ".join(out.split()) == " ".join(f"{path} {text}" for path, text in runs.items())
    assert len(out.splitlines()) == 4
    assert json.loads(run("list", "runs", "--json")) == runs


def test_templates_are_grouped_with_what_they_learn_need_take_and_reach():
    out = run("list")
    titles = [line for line in out.splitlines() if line in listing.GROUPS.values()]
    assert titles == list(listing.GROUPS.values())
    lines = {line.split()[0]: line.split() for line in out.splitlines() if line.split()[:1]}
    assert lines["resnet8_digits"][1:] == ["digits", "nothing", "<1", "0.997"]
    assert lines["lstm_sunspots"][-3:] == ["<1", "MAE", "18.5"]
    assert lines["convnet_folder"][1:] == ["your", "images", "your", "data", "-", "-"]
    assert lines["dfn_california_housing"][-2:] == ["MAE", "32,963"]
    assert set(OVERVIEW) < set(lines)


def test_models_are_grouped():
    lines = run("list", "models").splitlines()
    titles = [line for line in lines if line in MODEL_GROUPS]
    assert titles == list(MODEL_GROUPS)
    series = lines[lines.index("Series and sequences") + 2 : lines.index("Text") - 1]
    assert [line.split()[0] for line in series] == list(SERIES)
    listed = {line.split()[0]: " ".join(line.split()[1:]) for line in lines if line}
    assert {name: listed[name] for name in catalog.MODELS} == json.loads(run("list", "models", "--json"))


def test_the_singular_of_a_kind_is_taken_too():
    assert run("list", "model") == run("list", "models")
    assert run("list", "template", "--json") == run("list", "--json")


@pytest.mark.parametrize("name", OVERVIEW)
def test_every_template_learns_and_needs_something(name):
    row = OVERVIEW[name]
    assert row["learns"]
    assert "{" not in row["learns"]
    assert row["needs"] in catalog.NEEDS
    dataset = tomllib.loads(catalog_templates.text(name))["dataset"]["name"].partition(":")[0]
    assert (row["needs"] == "your data") == (dataset not in catalog.DATASETS)


@pytest.mark.parametrize("name", RESULTS)
def test_a_result_without_a_date_stands_in_its_template_too(name):
    result = RESULTS[name]
    assert {"metric", "score", "seconds", "host"} <= set(result)
    if "date" not in result:
        text = " ".join(re.sub("^#", "", catalog_templates.text(name), flags=re.MULTILINE).split())
        measured = text[text.index("Measured") :].replace(",", "").replace("ROC-", "")
        scores = {float(figure) for figure in re.findall(r"\d+(?:\.\d+)?", measured)}
        assert result["score"] in scores
        assert re.search(rf"\b({result['seconds']} s|{result['seconds'] / 60:g} min)\b", measured)


def test_results_are_of_ready_templates():
    assert set(RESULTS) <= set(OVERVIEW)
    for name, row in OVERVIEW.items():
        assert row["score"] == RESULTS.get(name, {}).get("score")


def test_datasets_have_a_kind_and_the_users_own_come_first():
    rows = json.loads(run("list", "datasets", "--json"))
    assert list(rows)[:4] == ["folder", ".npz", ".csv table", ".csv series"]
    assert set(catalog.DATASETS) < set(rows)
    assert rows["digits"] == {"group": "images", "needs": "nothing", "summary": "1,797 handwritten digits, 8x8 grey"}
    assert run("list", "datasets").startswith("Your own\n")
    for name, entry in catalog.DATASETS.items():
        assert entry.group in listing.GROUPS, name
        assert 0 < len(entry.noun) <= 16, name


def test_the_json_of_templates_has_the_figures_unrounded():
    rows = json.loads(run("list", "--json"))
    for figure in ("score", "seconds"):
        assert rows["resnet8_digits"][figure] == RESULTS["resnet8_digits"][figure]
    assert rows["convnet_folder"]["score"] is None


def test_a_template_without_a_known_group_is_listed_last(monkeypatch):
    row = {"group": "sounds", "learns": "words", "needs": "nothing", "summary": "", "seconds": 61, "metric": None}
    monkeypatch.setattr(catalog_templates, "overview", lambda: OVERVIEW | {"dscnn_words": row | {"score": None}})
    out = run("list")
    assert out.index("sounds\n") > out.index("Generators")
    assert re.search(r"dscnn_words +words +nothing +2 +-\n", out)
