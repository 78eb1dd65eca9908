"""The process that fits baselines: `python -m dltemplates.tasks.scoring.baseline_worker FOLDER`.

It reads `job.json` and `rows.npz` from the folder, and writes the predictions of each baseline as soon as it has them.
The caller ends it when the time is over, so a fit needs no limit of its own.
"""

from __future__ import annotations

import json
import os
import sys
import time
import warnings
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

MAX_CODES = 255  # of a category in gradient boosting
MAX_ITERATIONS = 300  # on pictures, more improved no score


def make_estimator(name: str, kinds: list[int], *, is_class: bool, is_scaled: bool) -> Any:
    """Build an estimator of scikit-learn with its defaults.

    Args:
        name: `linear`, `boosting`, or `neighbor`, the nearest training example by Euclidean distance.
        kinds: For each column, 0 for a number, or the number of different ids of a category.
        is_class: Whether the target is a class.
        is_scaled: Whether all numbers have one unit, as pixels do; others are standardized.
    """
    from sklearn.compose import make_column_transformer
    from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
    from sklearn.linear_model import LinearRegression, LogisticRegression
    from sklearn.neighbors import KNeighborsClassifier, KNeighborsRegressor
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder, StandardScaler

    if name == "neighbor":
        return (KNeighborsClassifier if is_class else KNeighborsRegressor)(n_neighbors=1)
    if name == "boosting":
        boosting = HistGradientBoostingClassifier if is_class else HistGradientBoostingRegressor
        return boosting(categorical_features=[0 < ids <= MAX_CODES for ids in kinds], random_state=0)
    linear = LogisticRegression(max_iter=MAX_ITERATIONS) if is_class else LinearRegression()
    if is_scaled:
        return linear
    numbers, categories = ([place for place, ids in enumerate(kinds) if bool(ids) == flag] for flag in (False, True))
    encode = make_column_transformer(
        (StandardScaler(), numbers), (OneHotEncoder(handle_unknown="ignore", dtype=np.float32), categories)
    )
    return make_pipeline(encode, linear)


def make_text_estimator(name: str, *, is_class: bool) -> Any:
    """Build TF-IDF of tokens and pairs of tokens, with a linear model.

    Args:
        name: `linear`; or `svm`, a linear support vector machine.
        is_class: Whether the target is a class.
    """
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression, Ridge
    from sklearn.pipeline import make_pipeline
    from sklearn.svm import LinearSVC

    linear = LogisticRegression(max_iter=MAX_ITERATIONS) if is_class else Ridge()
    return make_pipeline(
        TfidfVectorizer(analyzer=_tokens_and_pairs, sublinear_tf=True), LinearSVC() if name == "svm" else linear
    )


def _tokens_and_pairs(ids: np.ndarray) -> list[str]:
    """Return the tokens of one text and the pairs of neighbors, without the padding, which is 0."""
    tokens = ids[ids > 0].astype(int).astype(str).tolist()
    return [*tokens, *map(" ".join, pairwise(tokens))]


def predict_texts(name: str, rows: dict[str, np.ndarray], num_classes: int) -> np.ndarray:
    """Fit an estimator on token ids, and return its test predictions as `predict` does."""
    estimator = make_text_estimator(name, is_class=bool(num_classes)).fit(rows["train"], rows["target"])
    if not num_classes:
        return estimator.predict(rows["test"]).reshape(len(rows["test"]), -1)
    if name == "svm":  # it has no probabilities
        return np.eye(num_classes, dtype=np.float32)[estimator.predict(rows["test"])]
    probabilities = np.zeros((len(rows["test"]), num_classes), np.float32)
    probabilities[:, estimator.classes_] = estimator.predict_proba(rows["test"])
    return probabilities


def predict(name: str, rows: dict[str, np.ndarray], job: dict[str, Any]) -> np.ndarray:
    """Fit an estimator, and return its test predictions: probabilities (n, classes), or numbers (n, ...)."""
    kinds, num_classes = job["kinds"], job["num_classes"]
    options = {"is_class": bool(num_classes), "is_scaled": job["is_scaled"]}
    train, target, test = rows["train"], rows["target"], rows["test"]
    if job["are_texts"]:
        return predict_texts(name, rows, num_classes)
    if num_classes:
        estimator = make_estimator(name, kinds, **options).fit(train, target)
        probabilities = np.zeros((len(test), num_classes), np.float32)
        probabilities[:, estimator.classes_] = estimator.predict_proba(test)
        return probabilities
    if job["by_target"]:  # (n, horizon, columns): each column from its own inputs
        columns = []
        for place, own in enumerate(job["by_target"]):
            estimator = make_estimator(name, [kinds[column] for column in own], **options)
            columns.append(estimator.fit(train[:, own], target[..., place]).predict(test[:, own]))
        return np.stack([column.reshape(len(test), -1) for column in columns], axis=-1)
    if name == "boosting":  # it predicts one number
        columns = [make_estimator(name, kinds, **options).fit(train, y).predict(test) for y in target.T]
        return np.stack(columns, axis=1)
    return make_estimator(name, kinds, **options).fit(train, target).predict(test).reshape(len(test), -1)


def main(folder: Path) -> None:
    job = json.loads((folder / "job.json").read_text(encoding="utf-8"))
    with np.load(folder / "rows.npz", allow_pickle=False) as file:
        rows = dict(file)
    for name in job["names"]:
        started = time.monotonic()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # a fit that did not converge is a baseline too
            predictions = predict(name, rows, job)
        temporary = folder / f"{name}.partial.npz"
        np.savez(temporary, predictions=predictions, seconds=time.monotonic() - started)
        os.replace(temporary, folder / f"{name}.npz")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
