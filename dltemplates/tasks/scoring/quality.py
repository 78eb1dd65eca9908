"""How good made images are: what a classifier takes them for, and how they differ from real ones and from each other.

Heusel et al.: "GANs Trained by a Two Time-Scale Update Rule Converge to a Local Nash Equilibrium", NIPS 2017,
https://arxiv.org/abs/1706.08500, for the Frechet distance, there in the features of Inception.
"""

from __future__ import annotations

import numpy as np

FAIR_PART = 1 / 3  # of what a class would get of the images if all were equal: with less it is not covered
MIN_CLASS_COVERAGE = 0.5  # of the classes
MIN_DIVERSITY = 0.5  # of that of real images


def frechet_distance(real: np.ndarray, made: np.ndarray) -> float:
    """The distance between two clouds of points, each seen as a normal distribution.

    `|m - n|^2 + tr(C + D - 2 (C D)^(1/2))` for means m, n and covariances C, D.

    Args:
        real: Points (n, features), n at least 2.
        made: Points (m, features), m at least 2.

    Returns:
        The distance, at least 0 but for rounding.
    """
    real, made = real.astype(np.float64), made.astype(np.float64)
    between = np.square(real.mean(axis=0) - made.mean(axis=0)).sum()
    first, second = np.atleast_2d(np.cov(real.T)), np.atleast_2d(np.cov(made.T))
    # C D has the eigenvalues of C^(1/2) D C^(1/2), which is symmetric: they stay real, however few the points are.
    values, vectors = np.linalg.eigh(first)
    root = (vectors * np.sqrt(np.maximum(values, 0))) @ vectors.T
    shared = np.sqrt(np.maximum(np.linalg.eigvalsh(root @ second @ root), 0)).sum()
    return float(between + np.trace(first) + np.trace(second) - 2 * shared)


def diversity(real: np.ndarray, made: np.ndarray) -> float:
    """How much made images differ from each other, as a share of how much real ones do.

    That is the root of the mean squared distance between two of them: twice the sum of the variances of their pixels.

    Args:
        real: (n, ...).
        made: (m, ...), of the same unit.

    Returns:
        The share: 0 where all are the same, 1 where they differ as real ones do.
    """
    made_variance, real_variance = (float(images.astype(np.float64).var(axis=0).sum()) for images in (made, real))
    return float(np.sqrt(made_variance / real_variance)) if real_variance else 0.0


def class_shares(probabilities: np.ndarray) -> np.ndarray:
    """The share of the images that is taken for each class: (classes,), of probabilities (n, classes)."""
    return np.bincount(probabilities.argmax(axis=1), minlength=probabilities.shape[1]) / len(probabilities)


def class_coverage(shares: np.ndarray) -> int:
    """How many classes get at least `FAIR_PART` of the share that each would have if all were equal."""
    return int((shares >= FAIR_PART / len(shares)).sum())


def collapse_warning(diversity: float | None, class_coverage: float | None = None, classes: int = 0) -> str | None:
    """Say how a generator makes the same again and again.

    Args:
        spread: Of its images; None where it is not known.
        coverage: How many classes they cover; None without a judge.
        classes: How many there are.

    Returns:
        What its images lack, in a line; None where it is nothing.
    """
    if class_coverage is not None and class_coverage < MIN_CLASS_COVERAGE * classes:
        return f"its images cover {class_coverage:.0f} of {classes} classes, fewer than {MIN_CLASS_COVERAGE:.0%}"
    if diversity is not None and diversity < MIN_DIVERSITY:
        return f"its images differ {diversity:.2f} times as much as real ones, less than {MIN_DIVERSITY:g}"
    return None
