"""Comparison of the templates for your own data with scikit-learn, on tables and series of the kinds that people bring.

    DLT_DATA=<folder> python tools/bench_defaults.py [tables] [series] [--splits 20] [--only iris] [--set KEY=VALUE]

A table is trained on several splits of its rows, each with its own seed. The linear model (logistic or linear
regression on standardized numbers and one-hot categories) and gradient boosting have scikit-learn's defaults and the
same training rows. All are scored on the same test rows: by accuracy for classes, by R2 for numbers. The table shows
the mean difference to each baseline over the splits, with its 95% interval (Student's t).

A series is split by time, and trained with several seeds. Its forecasts are compared with the last value, the last
season and a linear autoregression (least squares on the same windows), by the mean absolute error.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from scipy.stats import t as student
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.metrics import accuracy_score, r2_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from dltemplates.datasets.source import Dataset, Source
from dltemplates.datasets.spec import DatasetSpec
from dltemplates.features import Category, columns_of
from dltemplates.tasks.forecasting import naive_forecasts
from dltemplates.tasks.load_for import load_for
from dltemplates.template import Template, load_template, parse_overrides
from dltemplates.training.train import train

ADULT = (
    "age", "workclass", "fnlwgt", "education", "education-num", "marital-status", "occupation", "relationship", "race",
    "sex", "capital-gain", "capital-loss", "hours-per-week", "native-country", "income",
)  # fmt: skip
WINE = (
    "fixed acidity", "volatile acidity", "citric acid", "residual sugar", "chlorides", "free sulfur dioxide",
    "total sulfur dioxide", "density", "pH", "sulphates", "alcohol", "quality",
)  # fmt: skip
IRIS = ("sepal length", "sepal width", "petal length", "petal width", "species")
BANKNOTE = ("variance", "skewness", "curtosis", "entropy", "class")
MAX_CATEGORIES = 255  # per column, for gradient boosting


@dataclass(frozen=True)
class Case:
    """A table or a series, with the template to train on it.

    Attributes:
        template: Name of the template.
        target: Column to predict.
        write: Function that writes the CSV file, given the data folder and the file.
        settings: Further settings of the template.
    """

    template: str
    target: str
    write: Callable[[Path, Path], None]
    settings: dict[str, Any] = field(default_factory=dict)


def adult_rows(data: Path) -> pd.DataFrame:
    """Return all rows of the census, with names above the columns."""
    parts = [
        pd.read_csv(data / "tabular" / name, names=list(ADULT), comment="|", skipinitialspace=True, dtype=str)
        for name in ("adult-train.csv", "adult-test.csv")
    ]
    rows = pd.concat(parts)
    return rows.assign(income=rows["income"].str.rstrip("."))


def with_header(name: str, columns: tuple[str, ...], separator: str = ",") -> Callable[[Path, Path], None]:
    """Return a function that writes a table of the data folder with names above its columns."""

    def write(data: Path, file: Path) -> None:
        pd.read_csv(data / name, names=list(columns), dtype=str).to_csv(file, index=False, sep=separator)

    return write


def copy_of(name: str) -> Callable[[Path, Path], None]:
    """Return a function that copies a file of the data folder."""
    return lambda data, file: file.write_bytes((data / name).read_bytes()) and None


TABLES = {
    "adult": Case("table_classification", "income", lambda data, file: adult_rows(data).to_csv(file, index=False)),
    "wine quality": Case(
        "table_classification", "quality", with_header("tabular/winequality-red.csv", WINE, separator=";")
    ),
    "iris": Case("table_classification", "species", with_header("tabular/iris.csv", IRIS)),
    "banknote": Case("table_classification", "class", with_header("tabular/banknote_authentication.csv", BANKNOTE)),
    "california housing": Case(
        "table_regression", "median_house_value", copy_of("california_housing/datasets/housing/housing.csv")
    ),
    "adult, 800 rows": Case(
        "table_classification",
        "income",
        lambda data, file: adult_rows(data).sample(800, random_state=0).to_csv(file, index=False),
    ),
    "wine quality, as a number": Case(
        "table_regression", "quality", with_header("tabular/winequality-red.csv", WINE, separator=";")
    ),
}


SERIES = {
    "sunspots": Case("series_forecasting", "Sunspots", copy_of("series/monthly-sunspots.csv")),
    "airline passengers": Case("series_forecasting", "Passengers", copy_of("series/airline-passengers.csv")),
    "daily temperatures": Case(
        "series_forecasting",
        "Temp",
        copy_of("series/daily-min-temperatures.csv"),
        {"dataset.series.columns.Date": "skip", "dataset.series.season_length": 365},  # two days are missing
    ),
    "ETTh1": Case(
        "series_forecasting",
        "OT",
        copy_of("ett/ETTh1.csv"),
        {"dataset.series.window": 336, "dataset.series.horizon": 96},
    ),
}


def table_scores(template: Template, folder: Path) -> dict[str, float]:
    """Return the test scores of a template and of the baselines, and the seconds of the training."""
    started = time.perf_counter()
    run = train(template, output=folder)
    seconds = time.perf_counter() - started
    scores = run.record.scores["test"]
    own = scores["accuracy" if template.task.name == "classification" else "r2"]
    _, dataset = load_for(run)
    return {"network": own, **table_baselines(dataset), "seconds": seconds}


def table_baselines(dataset: Dataset) -> dict[str, float]:
    """Return the test scores of a linear model and of gradient boosting, trained on the training split."""
    spec = dataset.spec
    is_class = spec.targets[0].kind == "class"
    (train_rows, train_target), (test_rows, test_target) = (rows(dataset.split(s), spec) for s in ("train", "test"))
    linear = LogisticRegression(max_iter=1000) if is_class else LinearRegression()
    boosting = HistGradientBoostingClassifier if is_class else HistGradientBoostingRegressor
    estimators = {
        "linear": (make_pipeline(StandardScaler(), linear), one_hot),
        "boosting": (boosting(categorical_features=categorical(spec), random_state=0), ids),
    }
    score = accuracy_score if is_class else r2_score
    scores = {}
    for name, (estimator, encode) in estimators.items():
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            estimator.fit(encode(train_rows, spec), train_target)
        scores[name] = float(score(test_target, estimator.predict(encode(test_rows, spec))))
    return scores


def rows(source: Source, spec: DatasetSpec) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Return all inputs of a split by name, and its target (n,)."""
    arrays = source.read(np.arange(len(source)))
    target = arrays[spec.targets[0].name]
    return arrays, target.reshape(len(target))


def one_hot(arrays: dict[str, np.ndarray], spec: DatasetSpec) -> np.ndarray:
    """Return numbers unchanged and categories one-hot, (n, columns)."""
    parts = []
    for value in spec.inputs:
        array = arrays[value.name]
        if not isinstance(value, Category):
            parts.append(array)
            continue
        for place, column in enumerate(value.columns or ()):
            parts.append(np.eye(len(column.vocabulary) + 1, dtype=np.float32)[array[:, place]])
    return np.concatenate(parts, axis=1)


def ids(arrays: dict[str, np.ndarray], spec: DatasetSpec) -> np.ndarray:
    """Return numbers unchanged and categories as ids, (n, columns)."""
    return np.concatenate([arrays[value.name] for value in spec.inputs], axis=1)


def categorical(spec: DatasetSpec) -> list[bool]:
    """Return for each column of `ids` whether it is a category."""
    return [
        isinstance(value, Category) and len((value.columns or ())[place].vocabulary) < MAX_CATEGORIES
        for value in spec.inputs
        for place in range(value.shape[0])
    ]


def series_scores(template: Template, folder: Path) -> dict[str, float]:
    """Return the mean absolute errors on test of a template and of the baselines, and the seconds of the training."""
    started = time.perf_counter()
    run = train(template, output=folder)
    seconds = time.perf_counter() - started
    _, dataset = load_for(run)
    examples = {split: dataset.split(split).read(np.arange(len(dataset.split(split)))) for split in ("train", "test")}
    test = examples["test"]
    place = [column.name for column in columns_of(dataset.spec.inputs[0])].index(str(run.template.dataset.target))
    past = {split: arrays["series"][:, :, place] for split, arrays in examples.items()}
    forecasts = naive_forecasts(test)
    linear = LinearRegression().fit(past["train"], examples["train"]["future"])
    forecasts["linear"] = linear.predict(past["test"])
    errors = {name: float(np.abs(forecast - test["future"]).mean()) for name, forecast in forecasts.items()}
    return {"network": run.record.scores["test"]["mae"], "seasonal": float("nan"), **errors, "seconds": seconds}


def bench_series(cases: dict[str, Case], data: Path, folder: Path, seeds: int, overrides: dict[str, Any]) -> None:
    """Train each series with several seeds, and print a row of the result."""
    print("| series | network (by seed) | last value | last season | linear autoregression | seconds | seeds |")
    print("| --- | --- | --- | --- | --- | --- | --- |", flush=True)
    for name, case in cases.items():
        file = folder / f"{name.replace(' ', '-').replace(',', '')}.csv"
        case.write(data, file)
        results = []
        for seed in range(seeds):
            settings = {"dataset.name": str(file), "dataset.target": case.target, **case.settings, "seed": seed}
            template = load_template(case.template, settings | overrides)
            results.append(series_scores(template, folder / f"{file.stem}-{seed}"))
        means = {key: float(np.mean([result[key] for result in results])) for key in results[0]}
        errors = ", ".join(f"{result['network']:.4g}" for result in results)
        baselines = " | ".join(f"{means[name]:.4g}" for name in ("last", "seasonal", "linear"))
        print(f"| {name} | {errors} | {baselines} | {means['seconds']:.1f} | {seeds} |", flush=True)


def mean_interval(values: list[float]) -> str:
    """Return a mean and half the width of its 95% interval, as text."""
    mean = np.mean(values)
    if len(values) < 2:
        return f"{mean:+.4f}"
    half = student.ppf(0.975, len(values) - 1) * np.std(values, ddof=1) / np.sqrt(len(values))
    return f"{mean:+.4f} ± {half:.4f}"


def bench_tables(cases: dict[str, Case], data: Path, folder: Path, splits: int, overrides: dict[str, Any]) -> None:
    """Train each table on several splits, and print a row of the result."""
    print("| table | score | network | linear | boosting | less linear | less boosting | seconds | splits |")
    print("| --- | --- | --- | --- | --- | --- | --- | --- | --- |", flush=True)
    for name, case in cases.items():
        file = folder / f"{name.replace(' ', '-').replace(',', '')}.csv"
        case.write(data, file)
        results = []
        for split in range(splits):
            settings = {"dataset.name": str(file), "dataset.target": case.target, **case.settings}
            settings |= {"dataset.split_seed": split, "seed": split, **overrides}
            results.append(table_scores(load_template(case.template, settings), folder / f"{file.stem}-{split}"))
        columns = {key: [result[key] for result in results] for key in results[0]}
        gaps = {
            baseline: [own - other for own, other in zip(columns["network"], columns[baseline], strict=True)]
            for baseline in ("linear", "boosting")
        }
        means = {key: float(np.mean(values)) for key, values in columns.items()}
        score = "accuracy" if case.template == "table_classification" else "R2"
        print(
            f"| {name} | {score} | {means['network']:.4f} | {means['linear']:.4f} | {means['boosting']:.4f} | "
            f"{mean_interval(gaps['linear'])} | {mean_interval(gaps['boosting'])} | "
            f"{means['seconds']:.1f} | {splits} |",
            flush=True,
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("kinds", nargs="*", default=["tables", "series"], help="tables, series")
    parser.add_argument("--splits", type=int, default=20, help="splits of each table")
    parser.add_argument("--seeds", type=int, default=3, help="seeds for each series")
    parser.add_argument("--only", nargs="*", default=[])
    parser.add_argument("--set", dest="settings", action="append", default=[], metavar="KEY=VALUE")
    options = parser.parse_args()
    data = Path(os.environ["DLT_DATA"])
    overrides = parse_overrides(options.settings)
    with tempfile.TemporaryDirectory() as folder:
        if "tables" in options.kinds:
            cases = {name: case for name, case in TABLES.items() if not options.only or name in options.only}
            bench_tables(cases, data, Path(folder), options.splits, overrides)
        if "series" in options.kinds:
            cases = {name: case for name, case in SERIES.items() if not options.only or name in options.only}
            bench_series(cases, data, Path(folder), options.seeds, overrides)


if __name__ == "__main__":
    main()
