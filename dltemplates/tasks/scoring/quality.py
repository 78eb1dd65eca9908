"""Quality scores of generated images: Frechet distance to real ones, diversity, and class coverage.

The Frechet distance: Heusel et al.: "GANs Trained by a Two Time-Scale Update Rule Converge to a Local Nash
Equilibrium", NIPS 2017, https://arxiv.org/abs/1706.08500, there in the features of Inception.
"""

from __future__ import annotations

import numpy as np

FAIR_SHARE = 1 / 3  # a class is covered if it gets at least a third of `images / classes`
MIN_CLASS_COVERAGE = 0.5  # as a share of the classes
MIN_DIVERSITY = 0.5  # relative to real images


def frechet_distance(real: np.ndarray, generated: np.ndarray) -> float:
    """Return the Frechet distance between two sets of points, each modeled as a normal distribution.

    `|m - n|^2 + tr(C + D - 2 (C D)^(1/2))` for means m, n and covariances C, D.

    Args:
        real: Points (n, features), n at least 2.
        generated: Points (m, features), m at least 2.

    Returns:
        The distance, at least 0 up to rounding.
    """
    real, generated = real.astype(np.float64), generated.astype(np.float64)
    mean_difference = np.square(real.mean(axis=0) - generated.mean(axis=0)).sum()
    first, second = np.atleast_2d(np.cov(real.T)), np.atleast_2d(np.cov(generated.T))
    # C D has the eigenvalues of C^(1/2) D C^(1/2), which is symmetric: they are real, even for few points.
    values, vectors = np.linalg.eigh(first)
    root = (vectors * np.sqrt(np.maximum(values, 0))) @ vectors.T
    shared = np.sqrt(np.maximum(np.linalg.eigvalsh(root @ second @ root), 0)).sum()
    return float(mean_difference + np.trace(first) + np.trace(second) - 2 * shared)


def diversity(real: np.ndarray, generated: np.ndarray) -> float:
    """Return the variation among generated images relative to real ones.

    The variation of a set is the root mean squared distance between two of its images. The mean squared distance is
    twice the sum of the pixel variances.

    Args:
        real: (n, ...).
        generated: (m, ...), in the same unit.

    Returns:
        The ratio: 0 if all generated images are equal, 1 if they vary like real ones.
    """
    variances = (float(images.astype(np.float64).var(axis=0).sum()) for images in (generated, real))
    generated_variance, real_variance = variances
    return float(np.sqrt(generated_variance / real_variance)) if real_variance else 0.0


def class_shares(probabilities: np.ndarray) -> np.ndarray:
    """Return the share of images predicted as each class, (classes,), from probabilities (n, classes)."""
    return np.bincount(probabilities.argmax(axis=1), minlength=probabilities.shape[1]) / len(probabilities)


def class_coverage(shares: np.ndarray) -> int:
    """Count the covered classes: each gets at least `FAIR_SHARE` of `images / classes`."""
    return int((shares >= FAIR_SHARE / len(shares)).sum())


def collapse_warning(diversity: float | None, class_coverage: float | None = None, classes: int = 0) -> str | None:
    """Return a warning of mode collapse: the generator repeats a few images.

    Args:
        diversity: The diversity of its images; None if unknown.
        class_coverage: The number of classes that they cover; None without an evaluator.
        classes: The number of classes in the data.

    Returns:
        The warning, in one line; None without collapse.
    """
    if class_coverage is not None and class_coverage < MIN_CLASS_COVERAGE * classes:
        return f"its images cover {class_coverage:.0f} of {classes} classes, fewer than {MIN_CLASS_COVERAGE:.0%}"
    if diversity is not None and diversity < MIN_DIVERSITY:
        return f"its images vary {diversity:.2f} times as much as real ones, less than {MIN_DIVERSITY:g}"
    return None
