"""Builders and statistics of the inputs and targets that datasets share."""

from __future__ import annotations

import numpy as np

from dltemplates.datasets.precision import check_target
from dltemplates.features import ClassId, Column, Image, Labels, Number, Resize

MAX_FLOAT32 = float(np.finfo(np.float32).max)


def image_value(size: tuple[int, int], channels: int, *, resize: Resize, bits: int | None = None) -> Image:
    """Build an image input: raw values 0..255."""
    return Image(name="image", dtype="float32", shape=(*size, channels), range=(0, 255), resize=resize, bits=bits)


def class_value(classes: tuple[str, ...]) -> ClassId:
    """Build the target for one class id per example. Data without labels has one class for all examples.

    Raises:
        ValueError: If two classes share a name.
    """
    _check_unique(classes)
    return ClassId(name="label", dtype="int64", shape=(), classes=classes)


def in_column(target: ClassId | Number, name: str, format: str | None = None) -> ClassId | Number:
    """Return a target as one column of a table, with the form of its numbers."""
    column = Column(name=name, kind="category" if isinstance(target, ClassId) else "number", format=format)
    return target.model_copy(update={"columns": (column,)})


def labels_value(classes: tuple[str, ...]) -> Labels:
    """Build a multi-label target: one 0/1 flag per label.

    Raises:
        ValueError: If there is no label, or two share a name.
    """
    if not classes:
        raise ValueError("Multi-label data needs at least one label. Received: none. Name them in column `labels`.")
    _check_unique(classes)
    return Labels(name="labels", dtype="float32", shape=(len(classes),), classes=classes)


def number_value(count: int) -> Number:
    """Build a target of `count` numbers, with statistics yet to be fitted."""
    return Number(name="value", dtype="float32", shape=(count,))


def fit_numbers(value: Number, train: np.ndarray) -> Number:
    """Fit a target of numbers on the training split (n, k).

    Raises:
        ValueError: If a number is not finite, is the same in every training example, or varies too little for float32.
    """
    invalid = np.count_nonzero(~np.isfinite(train))
    if invalid:
        raise ValueError(
            f"A number to predict must be finite. Received: {invalid} that are not. Remove those examples."
        )
    mean, _, varies = statistics(train)
    if not varies.all():
        column = int(np.argmin(varies))
        raise ValueError(
            "A number to predict must vary over the training examples. "
            f"Received: {mean[column]:g} for all {len(train)} (column {column}). Leave that column out."
        )
    for column, numbers in enumerate(train.T):
        check_target(f"column {column}", numbers)
    return with_statistics(value, train)


def fits_float32(numbers: np.ndarray) -> np.ndarray:
    """Return whether each number is finite as float32."""
    return np.abs(numbers) <= MAX_FLOAT32


def with_statistics(value: Number, train: np.ndarray) -> Number:
    """Set the statistics of numbers from the training split (n, columns)."""
    mean, std, _ = statistics(train)
    return value.model_copy(update={"mean": tuple(mean.tolist()), "std": tuple(std.tolist())})


def statistics(train: np.ndarray, *, least: float = 1e-12) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the mean and standard deviation of each column of the training split, and whether it varies.

    Args:
        train: Numbers (n, columns).
        least: A column varies if its deviation is greater than this share of its mean.

    Returns:
        Means and deviations, float64 (columns,), and whether each column varies, (columns,). A constant column gets
        deviation 1, which keeps its unit. A column with a non-finite number does not vary.
    """
    numbers = train.astype(np.float64)
    mean, std = numbers.mean(axis=0), numbers.std(axis=0)
    varies = std > least * np.abs(mean)
    return mean, np.where(varies, std, 1.0), varies


def with_counts(target: ClassId | Labels, train: np.ndarray) -> ClassId | Labels:
    """Set the number of training examples per class or label."""
    counts = target.count(train)
    return target.model_copy(update={"counts": tuple(int(count) for count in counts)})


def _check_unique(classes: tuple[str, ...]) -> None:
    duplicates = sorted({name for name in classes if classes.count(name) > 1})
    if duplicates:
        raise ValueError(f"Class names must differ. Received twice: {', '.join(duplicates)}. Rename one.")
