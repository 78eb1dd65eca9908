"""Numbers with more digits than float32 has: detecting them, and the offset that brings them near 0.

A network computes in float32, which has seven digits. A time in seconds, 1700000028, has ten: as float32, all times of
two minutes are equal. Their differences from a common offset are small and fit.
"""

from __future__ import annotations

import math

import numpy as np

MAX_ROUNDING_ERROR = 1e-3  # rounding error of float32, as a share of the standard deviation
MAX_LOST = 0.01  # share of different numbers that become equal in float32
MANY_LOST = 0.5  # likewise, of standardized numbers: more give a warning; numbers of many magnitudes lose some
MAX_VALUES = 10_000  # the check draws this many, so that chance pairs of a long column do not count
MAX_FLOAT32_INTEGER = 2**24  # float32 holds each whole number up to here
NOISE = 2.0**-44  # relative differences below this are noise of float64 arithmetic: 0.1 + 0.2 and 0.3


def offset_of(numbers: np.ndarray) -> float:
    """Return the number to subtract in float64 before the conversion to float32; 0 if float32 holds the numbers.

    Args:
        numbers: A column, float64 (n,); NaN for missing values.

    Returns:
        A round number near the median.
    """
    numbers = numbers[np.abs(numbers) <= np.finfo(np.float32).max]
    if rounding_error(numbers) <= MAX_ROUNDING_ERROR and lost_share(numbers) <= MAX_LOST:
        return 0.0
    return float(round(float(np.median(numbers)), -math.floor(math.log10(numbers.std()))))


def rounding_error(numbers: np.ndarray) -> float:
    """Return the greatest rounding error of float32 as a share of the standard deviation; 0 for a constant.

    Args:
        numbers: A column, finite (n,). For float32, which was rounded before, the result is an upper bound.
    """
    if not _varies(numbers):
        return 0.0
    std = numbers.std(dtype=np.float64)
    if numbers.dtype == np.float32:
        greatest = np.abs(numbers).max()
        is_exact = greatest <= MAX_FLOAT32_INTEGER and (numbers == np.round(numbers)).all()
        return 0.0 if is_exact else float(np.spacing(greatest) / 2 / std)
    return float(np.abs(numbers - numbers.astype(np.float32)).max() / std)


def lost_share(numbers: np.ndarray) -> float:
    """Return the share of different numbers that become equal in float32, of a column (n,), finite float64."""
    return _lost(numbers, numbers, None) if _varies(numbers) else 0.0


def precision_warning(name: str, numbers: np.ndarray, *, table: str, different: int | None = None) -> str | None:
    """Warn if many different numbers of a column are equal to a network, which standardizes them in float32.

    Args:
        name: Name of the column.
        numbers: The column, float64 (n,); NaN for missing values.
        table: The table of settings with its kind, `table` or `series`.
        different: The count of different numbers, if float64 does not hold them.
    """
    numbers = numbers[np.abs(numbers) <= np.finfo(np.float32).max]
    if different is None and not _varies(numbers):
        return None
    centred = (numbers - offset_of(numbers)).astype(np.float32)
    mean, std = np.mean(centred, dtype=np.float64), np.std(centred, dtype=np.float64) or 1.0
    lost = _lost(numbers, centred * np.float32(1 / std) + np.float32(-mean / std), different)
    if lost <= MANY_LOST:
        return None
    return (
        f"column `{name}`: {lost:.0%} of its different numbers are equal to the network, which computes with seven "
        "digits: leave unknown cells empty, split the column into smaller numbers, or say "
        f"--set dataset.{table}.columns.{name}=skip"
    )


def _lost(numbers: np.ndarray, rounded: np.ndarray, different: int | None) -> float:
    if different is None:
        if len(numbers) > MAX_VALUES:
            drawn = np.random.default_rng(0).choice(len(numbers), MAX_VALUES, replace=False)
            numbers, rounded = numbers[drawn], rounded[drawn]
        different = len(np.unique(np.round(numbers / (NOISE * np.abs(numbers).max()))))
    return max(0.0, 1 - len(np.unique(rounded.astype(np.float32))) / different)


def check_target(name: str, numbers: np.ndarray) -> None:
    """Check that float32 keeps the differences of numbers to predict.

    Args:
        name: Their name, for the message.
        numbers: Finite float64 (n,); or float32, if they were converted before.

    Raises:
        ValueError: If it does not.
    """
    if rounding_error(numbers) > MAX_ROUNDING_ERROR:
        raise ValueError(
            f"The target must vary in float32, which has seven digits. Received: {name}, from "
            f"{numbers.min():.17g} to {numbers.max():.17g}. Subtract their common part: {numbers.min():.17g}."
        )


def _varies(numbers: np.ndarray) -> bool:
    """Return whether numbers differ by more than the noise of float64."""
    return bool(len(numbers)) and bool(numbers.std(dtype=np.float64) > NOISE * np.abs(numbers).max())
