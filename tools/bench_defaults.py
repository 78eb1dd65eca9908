"""Comparison of the templates for your own data with scikit-learn, on tables and series of the kinds that people bring.

    DLT_DATA=<folder> python tools/bench_defaults.py [tables] [series] [--splits 20] [--first-split 20] ...

A table is trained on several splits of its rows, each with its own seed. The linear model (logistic or linear
regression) and gradient boosting are the baselines of each run, fitted on the same training rows. All are scored on the
same test rows: by accuracy for classes, by R2 for numbers. The table shows the mean difference to each baseline over
the splits, with its 95% interval (Student's t).

A series is split by time, and trained with several seeds. Its forecasts are compared with the baselines of each run,
the last value, the last season and a linear autoregression, by the mean absolute error.
"""

from __future__ import annotations

import argparse
import math
import os
import sys
import tempfile
import time
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from scipy.stats import t as student

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
BASELINES = {  # by template: the score, the linear model, and gradient boosting
    "table_classification": ("accuracy", "logistic regression", "gradient boosting"),
    "table_regression": ("r2", "linear regression", "gradient boosting"),
}


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


def train_and_score(template: Template, folder: Path, metric: str) -> dict[str, float]:
    """Train a template.

    Returns:
        A score on test of the `network`, and of each baseline of the run by its name, NaN for one that was skipped;
        and the `seconds` of the training.
    """
    started = time.perf_counter()
    run = train(template, output=folder)
    seconds = time.perf_counter() - started
    baselines = {baseline.name: baseline for baseline in run.record.baselines.results}
    for name, baseline in baselines.items():
        if baseline.skipped:
            print(f"{folder.name}: {name} skipped, {baseline.skipped}", file=sys.stderr, flush=True)
    scores = {name: baseline.scores.get(metric, math.nan) for name, baseline in baselines.items()}
    return {"network": run.scores["test"][metric], **scores, "seconds": seconds}


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
            results.append(train_and_score(template, folder / f"{file.stem}-{seed}", "mae"))
        means = {key: float(np.mean([result[key] for result in results])) for key in results[0]}
        errors = ", ".join(f"{result['network']:.4g}" for result in results)
        names = ("last value", "last season", "linear autoregression")
        baselines = " | ".join(f"{means.get(name, math.nan):.4g}" for name in names)
        print(f"| {name} | {errors} | {baselines} | {means['seconds']:.1f} | {seeds} |", flush=True)


def mean_interval(values: list[float]) -> str:
    """Return a mean and half the width of its 95% interval, as text."""
    mean = np.mean(values)
    if len(values) < 2:
        return f"{mean:+.4f}"
    half = student.ppf(0.975, len(values) - 1) * np.std(values, ddof=1) / np.sqrt(len(values))
    return f"{mean:+.4f} ± {half:.4f}"


def bench_tables(
    cases: dict[str, Case], data: Path, folder: Path, splits: Collection[int], overrides: dict[str, Any]
) -> None:
    """Train each table on several splits, given by their seeds, and print a row of the result."""
    print("| table | score | network | linear | boosting | less linear | less boosting | seconds | splits |")
    print("| --- | --- | --- | --- | --- | --- | --- | --- | --- |", flush=True)
    for name, case in cases.items():
        file = folder / f"{name.replace(' ', '-').replace(',', '')}.csv"
        case.write(data, file)
        metric, linear, boosting = BASELINES[case.template]
        results = []
        for split in splits:
            settings = {"dataset.name": str(file), "dataset.target": case.target, **case.settings}
            settings |= {"dataset.split_seed": split, "seed": split, **overrides}
            results.append(
                train_and_score(load_template(case.template, settings), folder / f"{file.stem}-{split}", metric)
            )
        columns = {key: [result[key] for result in results] for key in results[0]}
        gaps = {
            baseline: [own - other for own, other in zip(columns["network"], columns[baseline], strict=True)]
            for baseline in (linear, boosting)
        }
        means = {key: float(np.mean(values)) for key, values in columns.items()}
        print(
            f"| {name} | {metric} | {means['network']:.4f} | {means[linear]:.4f} | {means[boosting]:.4f} | "
            f"{mean_interval(gaps[linear])} | {mean_interval(gaps[boosting])} | "
            f"{means['seconds']:.1f} | {len(splits)} |",
            flush=True,
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("kinds", nargs="*", default=["tables", "series"], help="tables, series")
    parser.add_argument("--splits", type=int, default=20, help="splits of each table")
    parser.add_argument("--first-split", type=int, default=0, help="seed of the first split")
    parser.add_argument("--seeds", type=int, default=3, help="seeds for each series")
    parser.add_argument("--only", nargs="*", default=[])
    parser.add_argument("--set", dest="settings", action="append", default=[], metavar="KEY=VALUE")
    options = parser.parse_args()
    data = Path(os.environ["DLT_DATA"])
    overrides = parse_overrides(options.settings)
    with tempfile.TemporaryDirectory() as folder:
        if "tables" in options.kinds:
            cases = {name: case for name, case in TABLES.items() if not options.only or name in options.only}
            splits = range(options.first_split, options.first_split + options.splits)
            bench_tables(cases, data, Path(folder), splits, overrides)
        if "series" in options.kinds:
            cases = {name: case for name, case in SERIES.items() if not options.only or name in options.only}
            bench_series(cases, data, Path(folder), options.seeds, overrides)


if __name__ == "__main__":
    main()
