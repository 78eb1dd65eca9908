"""Handwritten digits of 43 people, 8x8 grey (Kaynak 1995): the real data that ships with scikit-learn."""

from __future__ import annotations

import numpy as np

from dltemplates.datasets.features import class_value
from dltemplates.datasets.images.arrays import array_dataset
from dltemplates.datasets.source import Dataset
from dltemplates.settings import DatasetSettings

LEVELS = 16  # a pixel counts the inked pixels in a block of 4x4


def digits(settings: DatasetSettings) -> Dataset:
    """Load the digits."""
    from sklearn.datasets import load_digits

    data = load_digits()
    images = np.round(data.images * (255 / LEVELS)).astype(np.uint8)
    labels = data.target.astype(np.int64)
    return array_dataset(settings, {"train": (images, labels)}, class_value(tuple("0123456789")))
