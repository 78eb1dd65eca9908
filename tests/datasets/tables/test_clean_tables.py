"""Forty clean tables, read without a doubt: no warning, no refusal."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest
import sklearn.datasets

from conftest import load_data
from dltemplates.settings import DatasetSettings, TableSettings

ROWS = 300
GENERATED = {  # scikit-learn's generator, and the task of its target
    "make_blobs": "classification",
    "make_circles": "classification",
    "make_classification": "classification",
    "make_friedman1": "regression",
    "make_friedman2": "regression",
    "make_friedman3": "regression",
    "make_gaussian_quantiles": "classification",
    "make_hastie_10_2": "classification",
    "make_moons": "classification",
    "make_regression": "regression",
    "make_s_curve": "regression",
    "make_swiss_roll": "regression",
}
SHIPPED = {
    "breast_cancer": "classification",
    "diabetes": "regression",
    "iris": "classification",
    "wine": "classification",
}
FILES = {  # path below the data folder, the target, and its task
    "california_housing/datasets/housing/housing.csv": ("median_house_value", "regression"),
    "ett/ETTh1.csv": ("OT", "regression"),
    "series/airline-passengers.csv": ("Passengers", "regression"),
    "series/daily-min-temperatures.csv": ("Temp", "regression"),
    "series/monthly-sunspots.csv": ("Sunspots", "regression"),
}
NAB = [
    *("artificialWithAnomaly/art_daily_flatmiddle", "artificialWithAnomaly/art_daily_jumpsdown"),
    *("artificialWithAnomaly/art_daily_jumpsup", "artificialWithAnomaly/art_daily_nojump"),
    *("artificialWithAnomaly/art_increase_spike_density", "artificialWithAnomaly/art_load_balancer_spikes"),
    *("realKnownCause/ambient_temperature_system_failure", "realKnownCause/cpu_utilization_asg_misconfiguration"),
    *("realKnownCause/ec2_request_latency_system_failure", "realKnownCause/machine_temperature_system_failure"),
    *("realKnownCause/nyc_taxi", "realKnownCause/rogue_agent_key_hold", "realKnownCause/rogue_agent_key_updown"),
]
FILES |= {f"nab/data/{name}.csv": ("value", "regression") for name in NAB}
UNNAMED = {  # files without a row of column names; the last column is the target
    "tabular/adult-train.csv": "classification",
    "tabular/adult-test.csv": "classification",
    "tabular/banknote_authentication.csv": "classification",
    "tabular/iris.csv": "classification",
    "tabular/wine.csv": "classification",
    "tabular/winequality-red.csv": "classification",
}


def assert_clean(path: Path, target: str, task: str) -> None:
    kinds = {target: "number"} if task == "regression" else {}
    dataset = load_data(DatasetSettings(name=str(path), target=target, table=TableSettings(columns=kinds)), task)
    assert dataset.spec.warnings == ()
    assert not dataset.spec.skipped


def write(frame: pd.DataFrame, folder: Path) -> Path:
    path = folder / "table.csv"
    frame.to_csv(path, index=False)
    return path


@pytest.mark.parametrize(("name", "task"), GENERATED.items())
def test_a_generated_table_is_read_without_a_doubt(name, task, tmp_path):
    features, target = getattr(sklearn.datasets, name)(n_samples=ROWS, random_state=0)[:2]
    frame = pd.DataFrame(features).add_prefix("x").assign(y=target)
    assert_clean(write(frame, tmp_path), "y", task)


@pytest.mark.parametrize(("name", "task"), SHIPPED.items())
def test_a_real_table_is_read_without_a_doubt(name, task, tmp_path):
    frame = getattr(sklearn.datasets, f"load_{name}")(as_frame=True).frame
    assert_clean(write(frame, tmp_path), "target", task)


@pytest.mark.data
@pytest.mark.parametrize(("file", "target", "task"), [(file, *rest) for file, rest in FILES.items()])
def test_a_file_with_column_names_is_read_without_a_doubt(file, target, task, data_folder):
    assert_clean(data_folder / file, target, task)


@pytest.mark.data
@pytest.mark.parametrize(("file", "task"), UNNAMED.items())
def test_a_file_without_column_names_is_read_without_a_doubt_once_it_has_them(file, task, data_folder, tmp_path):
    frame = pd.read_csv(data_folder / file, header=None, sep=None, engine="python")
    frame = frame.rename(columns=lambda index: f"column {index + 1}")
    assert_clean(write(frame, tmp_path), str(frame.columns[-1]), task)


def test_there_are_forty_tables():
    assert len(GENERATED) + len(SHIPPED) + len(FILES) + len(UNNAMED) == 40
