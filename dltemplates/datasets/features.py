"""The inputs and targets that datasets share."""

from __future__ import annotations

import numpy as np

from dltemplates.features import ClassId, Column, Image, Labels, Number, Resize

MAX_FLOAT32 = float(np.finfo(np.float32).max)  # that float32 holds


def image_value(size: tuple[int, int], channels: int, *, resize: Resize) -> Image:
    """The input of a network that sees images: raw values 0..255."""
    return Image(name="image", dtype="float32", shape=(*size, channels), range=(0, 255), resize=resize)


def class_value(classes: tuple[str, ...]) -> ClassId:
    """The target of one class per example: its id. Where nothing is said of the examples, all are of one class.

    Raises:
        ValueError: If two classes have one name.
    """
    _check_unique(classes)
    return ClassId(name="label", dtype="int64", shape=(), classes=classes)


def in_column(target: ClassId | Number, name: str) -> ClassId | Number:
    """The target as what stands in one column of a table."""
    column = Column(name=name, kind="category" if isinstance(target, ClassId) else "number")
    return target.model_copy(update={"columns": (column,)})


def labels_value(classes: tuple[str, ...]) -> Labels:
    """The target of any number of labels per example: a flag 0 or 1 for each.

    Raises:
        ValueError: If there is no label, or there are two of one name.
    """
    if not classes:
        raise ValueError("Multi-label data needs at least one label. Received: none. Name them in column `labels`.")
    _check_unique(classes)
    return Labels(name="labels", dtype="float32", shape=(len(classes),), classes=classes)


def number_value(count: int) -> Number:
    """The target of `count` numbers, whose statistics are not fitted yet."""
    return Number(name="value", dtype="float32", shape=(count,))


def fit_numbers(value: Number, train: np.ndarray) -> Number:
    """The target of numbers, with the statistics of the training split (n, k).

    Raises:
        ValueError: If a number is not finite, or the same for every training example.
    """
    unfit = np.count_nonzero(~np.isfinite(train))
    if unfit:
        raise ValueError(f"A number to predict must be finite. Received: {unfit} that are not. Remove those examples.")
    mean, _, varies = statistics(train)
    if not varies.all():
        column = int(np.argmin(varies))
        raise ValueError(
            "A number to predict must vary over the training examples. "
            f"Received: {mean[column]:g} for all {len(train)} (column {column}). Leave that column out."
        )
    return with_statistics(value, train)


def is_held(numbers: np.ndarray) -> np.ndarray:
    """Whether each number is finite, and is so as float32."""
    return np.abs(numbers) <= MAX_FLOAT32


def with_statistics(value: Number, train: np.ndarray) -> Number:
    """The input of numbers, with the statistics of the training split (n, columns)."""
    mean, std, _ = statistics(train)
    return value.model_copy(update={"mean": tuple(mean.tolist()), "std": tuple(std.tolist())})


def statistics(train: np.ndarray, *, least: float = 1e-12) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Mean and deviation of each column of the training split, and whether it varies there.

    Args:
        train: Numbers (n, columns).
        least: Share of its mean that a column's deviation must be above for it to vary.

    Returns:
        The means and the deviations, float64 (columns,), 1 where a column does not vary, which so keeps its unit; and
        which do, (columns,). A column with a number that is not finite does not vary.
    """
    numbers = train.astype(np.float64)
    mean, std = numbers.mean(axis=0), numbers.std(axis=0)
    varies = std > least * np.abs(mean)
    return mean, np.where(varies, std, 1.0), varies


def with_counts(target: ClassId | Labels, train: np.ndarray) -> ClassId | Labels:
    """The target with the number of training examples of each class, or with each label."""
    counts = target.count(train)
    return target.model_copy(update={"counts": tuple(int(count) for count in counts)})


def _check_unique(classes: tuple[str, ...]) -> None:
    twice = sorted({name for name in classes if classes.count(name) > 1})
    if twice:
        raise ValueError(f"Class names must differ. Received twice: {', '.join(twice)}. Rename one.")
