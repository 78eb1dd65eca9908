"""Comparison of runs on tables with scikit-learn: a linear model and gradient boosting on the same rows.

    python tools/bench_tables.py RUN [RUN ...]

The scores of a run come from its `run.json`; only the baselines train. They use the run's training split and
scikit-learn's defaults. The run's task scores them on its test split.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import numpy as np
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from dltemplates.datasets.source import Source
from dltemplates.datasets.spec import DatasetSpec
from dltemplates.features import Category, columns_of
from dltemplates.runs import Run, load_run
from dltemplates.tasks.load_for import load_for

MAX_CATEGORIES = 255  # per column, for gradient boosting


def bench(run: Run) -> dict[str, dict[str, float]]:
    """Return the test scores of a run and both baselines, and the training seconds of each.

    Raises:
        ValueError: If the run was not trained on a table, or its task is neither classification nor regression.
    """
    task, spec = run.task(), run.record.spec
    if not columns_of(spec.inputs[0]) or task.name not in ("classification", "regression"):
        raise ValueError(
            f"A run must be of classification or regression on a table. Received: {run.path}, {task.name} on "
            f"{run.template.dataset.name}. Choose another."
        )
    is_class = task.name == "classification"
    _, dataset = load_for(run)
    linear = LogisticRegression(max_iter=1000) if is_class else LinearRegression()
    boosting = HistGradientBoostingClassifier if is_class else HistGradientBoostingRegressor
    estimators = {
        "linear": (make_pipeline(StandardScaler(), linear), one_hot),
        "gradient boosting": (boosting(categorical_features=categorical(spec), random_state=0), ids),
    }
    scores = {run.template.model.name: {**run.record.scores["test"], "seconds": run.record.seconds}}
    for name, (estimator, encode) in estimators.items():
        started = time.perf_counter()
        train, train_target = rows(dataset.split("train"), spec)
        estimator.fit(encode(train, spec), train_target)
        seconds = time.perf_counter() - started
        test, test_target = rows(dataset.split("test"), spec)
        inputs = encode(test, spec)
        if is_class:
            outputs = {"probabilities": estimator.predict_proba(inputs)}
        else:
            outputs = {"value": estimator.predict(inputs).reshape(len(test_target), -1)}
            test_target = test_target.reshape(len(test_target), -1)
        scores[name] = {**task.compare({spec.targets[0].name: test_target}, outputs).scores, "seconds": seconds}
    return scores


def rows(source: Source, spec: DatasetSpec) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Return all inputs of a split by name, and its targets (n,); (n, k) for k targets."""
    arrays = source.read(np.arange(len(source)))
    target = arrays[spec.targets[0].name]
    return arrays, target[:, 0] if target.shape[1:] == (1,) else target


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


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("runs", nargs="+", type=Path, metavar="RUN", help="folder of a finished run on a table")
    for path in parser.parse_args().runs:
        run = load_run(path)
        print(f"{run.path}: {run.template.dataset.name}, {run.record.spec.sizes['test']} test rows")
        for name, scores in bench(run).items():
            print(f"  {name:18}", "  ".join(f"{key} {value:.4f}" for key, value in scores.items()))


if __name__ == "__main__":
    main()
