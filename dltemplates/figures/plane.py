"""Figure of a classifier with two inputs: class regions, decision boundary, and examples."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure

from dltemplates.features import Number, classes_of, columns_of
from dltemplates.figures import MARKERS
from dltemplates.figures.outcomes import name_all
from dltemplates.runtimes import Arrays, Predictor
from dltemplates.tasks.task import Task

CAPTIONS = {  # by file name: heading and caption in the report
    "boundary": (
        "Decision boundary",
        "The predicted class at each point of the plane, and the examples. The boundary is where the colours meet; a "
        "single neuron can only draw a straight line.",
    ),
}

GRID_POINTS = 200  # along a side
MARGIN = 0.25  # around the examples, as a share of their range
COLORS = ("tab:blue", "tab:orange", "tab:green", "tab:red", "tab:purple", "tab:brown", "tab:pink", "tab:olive")
MAX_POINTS = 500


def boundary_figure(predictor: Predictor, task: Task, rows: np.ndarray, targets: Arrays) -> Figure | None:
    """Draw the class regions of a network with two inputs.

    Args:
        predictor: The network.
        task: Its task.
        rows: Examples (n, 2).
        targets: Their targets.

    Returns:
        The figure; None if the inputs are not two numbers, the task has no classes, or too many.
    """
    value, *more = predictor.contract.inputs
    if more or not isinstance(value, Number) or value.shape != (2,) or task.kind != "class":
        return None
    if len(classes_of(task.target)) > len(COLORS):
        return None
    figure = Figure(figsize=(6, 5), layout="constrained")
    draw_boundary(figure.subplots(), predictor, task, rows, targets)
    return figure


def draw_boundary(axes: Axes, predictor: Predictor, task: Task, rows: np.ndarray, targets: Arrays) -> None:
    """Draw `boundary_figure` on existing axes; for networks with two inputs and classes."""
    (feature,) = predictor.contract.inputs
    classes = classes_of(task.target)
    low, high = rows.min(axis=0), rows.max(axis=0)
    margin = MARGIN * np.where(high > low, high - low, 1)
    low, high = low - margin, high + margin
    x, y = (np.linspace(low[axis], high[axis], GRID_POINTS, dtype=np.float32) for axis in (0, 1))
    grid = np.stack(np.meshgrid(x, y), axis=-1)
    predicted = task.decide(predictor({feature.name: grid.reshape(-1, 2)}))
    assert predicted is not None  # the task has classes
    colors = ListedColormap(COLORS[: len(classes)])
    regions = predicted.reshape(GRID_POINTS, GRID_POINTS)
    axes.pcolormesh(x, y, regions, cmap=colors, vmin=0, vmax=len(classes) - 1, alpha=0.25, linewidth=0)
    label = targets[task.target.name]
    points = []
    for class_id in range(len(classes)):
        members = rows[label == class_id][:MAX_POINTS]
        color, marker = COLORS[class_id], MARKERS[class_id % len(MARKERS)]
        points.append(axes.scatter(members[:, 0], members[:, 1], color=color, marker=marker, edgecolor="black"))
    names = [part for column in columns_of(feature) for part in column.parts] or ["first", "second"]
    axes.set_xlabel(names[0], parse_math=False)
    axes.set_ylabel(names[1], parse_math=False)
    name_all(axes, points, classes, title=task.target.name, loc="upper right")
