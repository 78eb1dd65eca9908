"""The comparison of the templates for the user's own data with scikit-learn, on tiny tables and series."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from conftest import load_tool
from dltemplates.tasks.scoring.baselines import Baseline, Baselines

tool = load_tool("bench_defaults")
FEW = {"train.steps": 2, "train.batch_size": 8, "dataset.validation": 0.2}


def write_table(_, file):
    """Write a target that is linear in one number, plus a step for one category."""
    random = np.random.default_rng(0)
    size, kind = random.normal(size=120).round(3), random.choice(["a", "b"], 120)
    pd.DataFrame({"size": size, "kind": kind, "price": 3 * size + 10 * (kind == "b")}).to_csv(file, index=False)


def write_classes(data, file):
    write_table(data, file)
    table = pd.read_csv(file)
    table.assign(price=np.where(table["price"] > 3, "much", "little")).to_csv(file, index=False)


def write_series(_, file):
    pd.DataFrame({"sold": np.sin(np.arange(300) / 5)}).to_csv(file, index=False)


@pytest.mark.parametrize(
    ("template", "write", "score"),
    [("table_classification", write_classes, "accuracy"), ("table_regression", write_table, "r2")],
)
def test_a_table_has_a_row_with_the_differences_to_the_baselines(tmp_path, capsys, template, write, score):
    case = tool.Case(template, "price", write)
    tool.bench_tables({"mine": case}, tmp_path, tmp_path, splits=(20, 21), overrides=FEW)
    row = [cell.strip() for cell in capsys.readouterr().out.splitlines()[-1].strip("|").split("|")]
    name, metric, network, linear, boosting, less_linear, less_boosting, _, splits = row
    assert (name, metric, splits) == ("mine", score, "2")
    assert float(linear) > 0.8
    assert "±" in less_linear
    assert float(less_linear.split()[0]) == pytest.approx(float(network) - float(linear), abs=2e-4)
    assert float(less_boosting.split()[0]) == pytest.approx(float(network) - float(boosting), abs=2e-4)


def test_a_series_has_a_row_with_the_errors_of_the_baselines(tmp_path, capsys):
    case = tool.Case("series_forecasting", "sold", write_series)
    tool.bench_series({"mine": case}, tmp_path, tmp_path, seeds=1, overrides=FEW)
    row = [cell.strip() for cell in capsys.readouterr().out.splitlines()[-1].strip("|").split("|")]
    name, _, last, season, linear, _, _ = row
    assert (name, season) == ("mine", "nan")  # without dates there is no season
    assert float(linear) < 0.01 < float(last)


def test_a_skipped_baseline_has_no_score(tmp_path, capsys, monkeypatch):
    results = (
        Baseline(name="largest class", scores={"accuracy": 0.5}),
        Baseline(name="logistic regression", scores={"accuracy": 0.75}),
        Baseline(name="gradient boosting", skipped="it took too long"),
    )
    record = SimpleNamespace(baselines=Baselines(results=results))
    monkeypatch.setattr(
        tool, "train", lambda *_, **__: SimpleNamespace(record=record, scores={"test": {"accuracy": 1}})
    )
    tool.bench_tables(
        {"mine": tool.Case("table_classification", "price", write_classes)}, tmp_path, tmp_path, (0, 1), FEW
    )
    out, err = capsys.readouterr()
    assert "1.0000 | 0.7500 | nan | +0.2500 ± 0.0000 | +nan ± nan" in out
    assert "gradient boosting skipped, it took too long" in err


def test_the_interval_is_that_of_student():
    assert tool.mean_interval([0.0, 2.0]) == "+1.0000 ± 12.7062"
    assert tool.mean_interval([0.5]) == "+0.5000"
