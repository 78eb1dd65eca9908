"""The tables that ship with scikit-learn: small, real, and there without a download."""

from __future__ import annotations

import numpy as np
import sklearn.datasets

from dltemplates.datasets.source import Dataset
from dltemplates.datasets.tables import divide, number_table
from dltemplates.datasets.values import class_value, number_value
from dltemplates.settings import DatasetSettings


def iris(settings: DatasetSettings) -> Dataset:
    """Three kinds of iris by the length and width of sepal and petal, in cm (Fisher 1936)."""
    return _classes(sklearn.datasets.load_iris(), settings)


def wine(settings: DatasetSettings) -> Dataset:
    """Three growers of wine by 13 figures of a chemical analysis (Forina 1988)."""
    return _classes(sklearn.datasets.load_wine(), settings)


def breast_cancer(settings: DatasetSettings) -> Dataset:
    """Malignant or benign by 30 figures of the nuclei of cells (Street 1993)."""
    return _classes(sklearn.datasets.load_breast_cancer(), settings)


def diabetes(settings: DatasetSettings) -> Dataset:
    """How far diabetes went in a year, by 10 figures of a patient (Efron 2004)."""
    data = sklearn.datasets.load_diabetes(scaled=False)
    targets = data.target[:, None]
    parts = divide(targets, settings, classes=None)
    splits = {split: (data.data[rows], targets[rows]) for split, rows in parts.items()}
    return number_table(data.feature_names, splits, number_value(splits["train"][1]))


def _classes(data, settings: DatasetSettings) -> Dataset:
    targets = data.target.astype(np.int64)
    classes = tuple(map(str, data.target_names))
    parts = divide(targets, settings, classes=classes)
    splits = {split: (data.data[rows], targets[rows]) for split, rows in parts.items()}
    return number_table([str(name) for name in data.feature_names], splits, class_value(classes))
