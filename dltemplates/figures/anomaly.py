"""Figures of an anomaly detector: score histogram, ROC curve, and scores over time."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

CAPTIONS = {  # by file name: heading and caption in the report
    "scores": (
        "Anomaly scores",
        "Histogram of the scores of normal examples and of anomalies. Where the two overlap, no threshold can separate "
        "them.",
    ),
    "roc": (
        "ROC curve",
        "Each point is a threshold. A lower one finds more anomalies and raises more false alarms. The area under the "
        "curve is the probability that an anomaly scores higher than a normal example.",
    ),
    "timeline": (
        "Scores in order",
        "The score of each test example, in time order for a series. It should be above the line at labeled anomalies "
        "and below it elsewhere.",
    ),
}

NORMAL, ANOMALY = "tab:blue", "firebrick"
BINS = 50


def histogram_figure(truth: np.ndarray, score: np.ndarray, threshold: float) -> Figure:
    """Draw the score histograms of normal examples and of anomalies.

    Args:
        truth: 0 for normal, 1 for an anomaly, (n,).
        score: (n,), at least 0.
        threshold: Scores above it count as anomalies.
    """
    figure = Figure(figsize=(7, 4), layout="constrained")
    axes = figure.subplots()
    positive = np.maximum(score, 1e-12)
    bins = np.geomspace(positive.min(), positive.max() * 1.001, BINS).tolist()
    for name, mask, color, hatch in (("normal", truth == 0, NORMAL, ""), ("anomalies", truth == 1, ANOMALY, "//")):
        axes.hist(positive[mask], bins=bins, color=color, hatch=hatch, alpha=0.6, label=f"{mask.sum()} {name}")
    axes.set_xscale("log")
    axes.axvline(threshold, color="black", linestyle="--", label=f"threshold {threshold:.3g}")
    axes.set_xlabel("score")
    axes.set_ylabel("examples")
    axes.legend()
    return figure


def roc_figure(truth: np.ndarray, score: np.ndarray, threshold: float) -> Figure:
    """Draw the ROC curve, and a point for the threshold.

    Args:
        truth: As in `histogram_figure`.
        score: As in `histogram_figure`.
        threshold: As in `histogram_figure`.
    """
    from sklearn.metrics import roc_auc_score, roc_curve

    figure = Figure(figsize=(4.6, 4.6), layout="constrained")
    axes = figure.subplots()
    false_alarms, found, _ = roc_curve(truth, score)
    axes.plot(false_alarms, found, color=NORMAL)
    axes.plot([0, 1], [0, 1], color="grey", linestyle=":")
    own = (score[truth == 0] > threshold).mean(), (score[truth == 1] > threshold).mean()
    axes.plot(*own, "o", color="black", label=f"threshold {threshold:.3g}")
    axes.set_xlabel("false positive rate: normal examples flagged")
    axes.set_ylabel("true positive rate: anomalies found")
    axes.set_title(f"area {roc_auc_score(truth, score):.4f}")
    axes.legend(loc="lower right")
    return figure


def timeline_figure(truth: np.ndarray, score: np.ndarray, threshold: float) -> Figure:
    """Draw the score of each example in the order of the data, with the anomalies shaded.

    Args:
        truth: As in `histogram_figure`.
        score: As in `histogram_figure`.
        threshold: As in `histogram_figure`.
    """
    figure = Figure(figsize=(10, 3.2), layout="constrained")
    axes = figure.subplots()
    axes.plot(score, color=NORMAL, linewidth=0.8, label="score")
    flagged = np.flatnonzero(score > threshold)
    axes.plot(flagged, score[flagged], ".", color="black", markersize=3, label="predicted anomaly")
    axes.axhline(threshold, color="black", linestyle="--", linewidth=1, label=f"threshold {threshold:.3g}")
    _shade(axes, truth)
    axes.set_yscale("log")
    axes.set_xlim(-0.5, len(score) - 0.5)
    axes.set_xlabel("example, in the order of the data")
    axes.set_ylabel("score")
    axes.legend(loc="upper left", fontsize=8)
    return figure


def _shade(axes: Axes, truth: np.ndarray) -> None:
    """Shade each run of consecutive anomalies."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0], truth, [0]])))
    for index, (first, last) in enumerate(zip(edges[::2], edges[1::2], strict=True)):
        label = "anomalies" if index == 0 else None
        axes.axvspan(first - 0.5, last - 0.5, color=ANOMALY, alpha=0.25, linewidth=0, hatch="//", label=label)
