"""The tables that ship with scikit-learn, small, real, and there without a download; and one that it draws."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import sklearn.datasets

from dltemplates.datasets.source import Dataset
from dltemplates.datasets.splits import divide
from dltemplates.datasets.tables import number_table
from dltemplates.datasets.values import class_value, number_value
from dltemplates.settings import DatasetSettings

MOON_POINTS, MOON_NOISE = 1000, 0.2


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


def moons(settings: DatasetSettings) -> Dataset:
    """Two half moons in the plane, one in the arms of the other, blurred by noise: 1,000 points, always the same."""
    points, targets = sklearn.datasets.make_moons(MOON_POINTS, noise=MOON_NOISE, random_state=0)
    return _split(("across", "up"), points, targets, ("upper", "lower"), settings)


def _classes(data, settings: DatasetSettings) -> Dataset:
    return _split(map(str, data.feature_names), data.data, data.target, tuple(map(str, data.target_names)), settings)


def _split(
    names: Iterable[str], rows: np.ndarray, targets: np.ndarray, classes: tuple[str, ...], settings: DatasetSettings
) -> Dataset:
    targets = targets.astype(np.int64)
    parts = divide(targets, settings, classes=classes)
    splits = {split: (rows[indices], targets[indices]) for split, indices in parts.items()}
    return number_table(list(names), splits, class_value(classes))
