"""What a classifier of two numbers has made of the plane: the classes, the border between them, the examples."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure

from dltemplates.features import Number, classes_of, columns_of
from dltemplates.figures.outcomes import name_all
from dltemplates.runtimes import Arrays, Predictor
from dltemplates.tasks.task import Task

PLACES = 200  # along a side
MARGIN = 0.25  # around the examples, as a share of their range
COLORS = ("tab:blue", "tab:orange", "tab:green", "tab:red", "tab:purple", "tab:brown", "tab:pink", "tab:olive")
MAX_POINTS = 500


def boundary_figure(predictor: Predictor, task: Task, rows: np.ndarray, targets: Arrays) -> Figure | None:
    """Draw the plane as a network of two numbers decides it.

    Args:
        predictor: The network.
        task: Its task, of classes.
        rows: Examples (n, 2).
        targets: Their targets.

    Returns:
        The figure; None where the inputs are not two numbers, the outputs no classes, or the classes too many.
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
    """Draw what `boundary_figure` does on axes of one's own; for networks that it is for."""
    (value,) = predictor.contract.inputs
    classes = classes_of(task.target)
    low, high = rows.min(axis=0), rows.max(axis=0)
    margin = MARGIN * np.where(high > low, high - low, 1)
    low, high = low - margin, high + margin
    across, up = (np.linspace(low[axis], high[axis], PLACES, dtype=np.float32) for axis in (0, 1))
    grid = np.stack(np.meshgrid(across, up), axis=-1)
    decided = task.decide(predictor({value.name: grid.reshape(-1, 2)}))
    assert decided is not None  # it has classes
    colors = ListedColormap(COLORS[: len(classes)])
    axes.pcolormesh(
        across, up, decided.reshape(PLACES, PLACES), cmap=colors, vmin=0, vmax=len(classes) - 1, alpha=0.25, linewidth=0
    )
    label = targets[task.target.name]
    drawn = []
    for place in range(len(classes)):
        own = rows[label == place][:MAX_POINTS]
        points = axes.scatter(own[:, 0], own[:, 1], color=COLORS[place], edgecolor="black")
        drawn.append(points)
    names = [part for column in columns_of(value) for part in column.parts] or ["first", "second"]
    axes.set_xlabel(names[0], parse_math=False)
    axes.set_ylabel(names[1], parse_math=False)
    name_all(axes, drawn, classes, title=task.target.name, loc="upper right")
