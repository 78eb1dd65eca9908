"""The pictures of a split's outcome that tasks draw; a figure is returned, never shown."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure


def confusion_matrix_figure(matrix: np.ndarray, classes: Sequence[str]) -> Figure:
    """Draw a confusion matrix.

    Args:
        matrix: Counts (classes, classes); a row is a true class, a column a predicted one.
        classes: The class names.
    """
    count = len(classes)
    size = min(4 + 0.35 * count, 16)
    figure = Figure(figsize=(size, size), layout="constrained")
    axes = figure.subplots()
    shares = matrix / np.maximum(matrix.sum(axis=1, keepdims=True), 1)
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    axes.set_xticks(range(count), classes, rotation=90 if max(map(len, classes)) > 2 else 0)
    axes.set_yticks(range(count), classes)
    axes.set_xlabel("predicted")
    axes.set_ylabel("true")
    correct = int(matrix.trace())
    axes.set_title(f"{correct} of {int(matrix.sum())} right")
    if count <= 25:
        for row, column in zip(*np.nonzero(matrix), strict=True):
            color = "white" if shares[row, column] > 0.5 else "black"
            axes.text(column, row, str(matrix[row, column]), ha="center", va="center", color=color, fontsize=9)
    return figure


def scatter_figure(truth: np.ndarray, value: np.ndarray) -> Figure:
    """Draw predicted against true numbers, both (n, numbers), one panel a number."""
    columns = truth.shape[1]
    figure = Figure(figsize=(4 * columns, 4), layout="constrained")
    for index, axes in enumerate(figure.subplots(1, columns, squeeze=False)[0]):
        axes.scatter(truth[:, index], value[:, index], s=8, alpha=0.5)
        low, high = truth[:, index].min(), truth[:, index].max()
        axes.plot([low, high], [low, high], color="grey", linewidth=1)
        axes.set_xlabel("true")
        axes.set_ylabel("predicted")
    return figure
