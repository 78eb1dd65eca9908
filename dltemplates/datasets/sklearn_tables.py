"""The tables that ship with scikit-learn: small, real, and there without a download."""

from __future__ import annotations

import numpy as np
import sklearn.datasets

from dltemplates.datasets.source import Dataset
from dltemplates.datasets.tables import divide, table_dataset
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
    splits = divide(data.data, data.target[:, None], settings, by_class=False)
    return table_dataset(splits, tuple(data.feature_names), number_value(splits["train"][1]))


def _classes(data, settings: DatasetSettings) -> Dataset:
    splits = divide(data.data, data.target.astype(np.int64), settings, by_class=True)
    return table_dataset(splits, tuple(map(str, data.feature_names)), class_value(tuple(map(str, data.target_names))))
