"""Scores of a ranking, for many resamples at once: scikit-learn computes one at a time."""

from __future__ import annotations

import numpy as np


def roc_auc(truth: np.ndarray, score: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Return the area under the ROC curve of each resample; NaN if it lacks a class.

    Args:
        truth: 1 for a positive example, else 0, (n,).
        score: The scores, (n,); a larger one is ranked as more positive.
        weights: How often each example is drawn, (draws, n).

    Returns:
        The areas, (draws,).
    """
    positive, negative = _by_score(truth, score, weights)
    below = np.cumsum(negative, axis=1) - negative / 2  # a tie counts half
    with np.errstate(invalid="ignore"):
        return (positive * below).sum(axis=1) / (positive.sum(axis=1) * negative.sum(axis=1))


def average_precision(truth: np.ndarray, score: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Return the average precision of each resample, as `roc_auc` does."""
    positive, negative = (counts[:, ::-1] for counts in _by_score(truth, score, weights))
    found, drawn = np.cumsum(positive, axis=1), np.cumsum(positive + negative, axis=1)
    with np.errstate(invalid="ignore"):
        return (positive * (found / np.maximum(drawn, 1))).sum(axis=1) / positive.sum(axis=1)


def _by_score(truth: np.ndarray, score: np.ndarray, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the drawn positives and negatives of each different score, ascending: each (draws, scores)."""
    order = np.argsort(score, kind="stable")
    starts = np.flatnonzero(np.diff(score[order], prepend=np.nan) != 0)
    ordered, labels = weights[:, order], truth[order]
    return np.add.reduceat(ordered * labels, starts, axis=1), np.add.reduceat(ordered * (1 - labels), starts, axis=1)
