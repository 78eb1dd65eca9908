"""The comparison of runs on tables with scikit-learn."""

import sys

import numpy as np
import pandas as pd
import pytest

from dltemplates.template import load_template
from dltemplates.training.train import train

FEW = {"train.epochs": 1, "train.batch_size": 32, "model.units": [4], "dataset.target": "target"}


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    """Write tables whose target is linear in one number, plus a step for one category."""
    random = np.random.default_rng(0)
    size, kind = random.normal(size=300), random.choice(["a", "b", "c"], 300)
    frame = pd.DataFrame({"size": size, "kind": kind, "target": 3 * size + 10 * (kind == "b")})
    folder = tmp_path_factory.mktemp("tables")
    frame.to_csv(folder / "number.csv", index=False)
    frame.assign(target=np.where(frame["target"] > 3, "much", "little")).to_csv(folder / "class.csv", index=False)
    return folder


@pytest.mark.parametrize(("name", "score"), [("number", "rmse"), ("class", "accuracy")])
def test_both_baselines_learn_from_the_runs_own_rows(tool, table, tmp_path, monkeypatch, capsys, name, score):
    template = "mlp_california_housing" if name == "number" else "mlp_adult"
    settings = FEW | {"dataset.name": str(table / f"{name}.csv")}
    run = train(load_template(template, settings), output=tmp_path / "run")
    scores = tool.bench(run)
    assert list(scores) == ["mlp", "linear", "gradient boosting"]
    assert scores["mlp"][score] == run.record.scores["test"][score]
    if name == "number":
        assert scores["linear"]["rmse"] < 1e-3  # the table is a sum of its columns
        assert scores["gradient boosting"]["rmse"] < 2 < scores["mlp"]["rmse"]
    else:
        assert min(scores[model]["accuracy"] for model in ("linear", "gradient boosting")) > 0.9
    monkeypatch.setattr(sys, "argv", ["bench_tables.py", str(run.path)])
    tool.main()
    output = capsys.readouterr().out
    assert f"{name}.csv, 60 test rows" in output
    assert output.count(score) == 3


def test_only_runs_on_tables_are_compared(tool, small_run):
    with pytest.raises(ValueError, match=r"classification or regression on a table\. Received: .*on digits"):
        tool.bench(small_run)


@pytest.mark.slow
@pytest.mark.data
def test_mlp_adult_reaches_the_score_of_its_template(data_folder, tmp_path):
    run = train(load_template("mlp_adult"), output=tmp_path / "run")
    assert run.record.spec.sizes["test"] == 16_281
    assert run.record.scores["test"]["accuracy"] >= 0.85


@pytest.mark.slow
@pytest.mark.data
def test_dfn_california_housing_beats_linear_regression(tool, data_folder, tmp_path):
    run = train(load_template("dfn_california_housing"), output=tmp_path / "run")
    scores = tool.bench(run)
    assert 0 < scores["dfn"]["rmse"] < 0.8 * scores["linear"]["rmse"]  # the template says 49,989 and 70,070 dollars
