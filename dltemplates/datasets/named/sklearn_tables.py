"""Small, real tables that ship with scikit-learn, without a download; and the moons, which it generates."""

from __future__ import annotations

import sklearn.datasets

from dltemplates.datasets.features import class_value, number_value
from dltemplates.datasets.source import Dataset
from dltemplates.datasets.tables.source import number_table
from dltemplates.settings import DatasetSettings

MOON_POINTS, MOON_NOISE = 1000, 0.2


def iris(settings: DatasetSettings) -> Dataset:
    """Load Iris: three species by the length and width of sepal and petal, in cm (Fisher 1936)."""
    return _classes(sklearn.datasets.load_iris())


def wine(settings: DatasetSettings) -> Dataset:
    """Load Wine: three growers by 13 figures of a chemical analysis (Forina 1988)."""
    return _classes(sklearn.datasets.load_wine())


def breast_cancer(settings: DatasetSettings) -> Dataset:
    """Load Breast Cancer: malignant or benign, by 30 figures of cell nuclei (Street 1993)."""
    return _classes(sklearn.datasets.load_breast_cancer())


def diabetes(settings: DatasetSettings) -> Dataset:
    """Load Diabetes: its progress in a year, by 10 figures of a patient (Efron 2004)."""
    data = sklearn.datasets.load_diabetes(scaled=False)
    splits = {"train": (data.data, data.target[:, None])}
    return number_table(data.feature_names, splits, number_value(1))


def moons(settings: DatasetSettings) -> Dataset:
    """Load two interleaved half moons in the plane with added noise: 1,000 points, always the same."""
    points, targets = sklearn.datasets.make_moons(MOON_POINTS, noise=MOON_NOISE, random_state=0)
    return number_table(("across", "up"), {"train": (points, targets)}, class_value(("upper", "lower")))


def _classes(data) -> Dataset:
    names, classes = map(str, data.feature_names), tuple(map(str, data.target_names))
    return number_table(list(names), {"train": (data.data, data.target)}, class_value(classes))
