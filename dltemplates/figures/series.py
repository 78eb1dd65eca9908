"""Figures of forecasts: over time, and error by step ahead."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from dltemplates.figures import MARKERS

CAPTIONS = {  # by file name: heading and caption in the report
    "forecast": (
        "Forecasts",
        "Above, forecasts one step and several steps ahead; below, some whole forecasts. A forecast that follows the "
        "truth with a delay only repeats the last value.",
    ),
    "misses": (
        "Misses",
        "Three usual forecasts, with the median error, and the three worst; the red areas are the misses.",
    ),
    "error_by_step": (
        "Error by step",
        "The mean absolute error for each step ahead, compared with naive forecasts.",
    ),
    "error_by_column": (
        "Error by column",
        "The mean absolute error of each column in standard deviations of its training rows, compared with naive "
        "forecasts.",
    ),
}

MAX_TIMELINE_ROWS = 1000  # more rows are too dense to see
FANS = 6  # whole forecasts to draw
EXAMPLES = 3  # usual forecasts, and as many of the worst
MAX_ROWS_BEFORE = 2  # horizons before a forecast to draw
NAMES = {"network": "network", "last": "naive: last value", "seasonal": "naive: last season"}


def forecast_figure(times: np.ndarray, truth: np.ndarray, forecast: np.ndarray, *, name: str) -> Figure:
    """Draw forecasts and the truth over time.

    Above, the forecasts of each row one step ahead and `horizon` steps ahead; below, some whole forecasts. A long
    split shows its last windows.

    Args:
        times: Time of the first forecast row of each window, (n,), dates or numbers; windows are one row apart.
        truth: (n, horizon).
        forecast: (n, horizon).
        name: Name of the forecast column.
    """
    times, truth, forecast = times[-MAX_TIMELINE_ROWS:], truth[-MAX_TIMELINE_ROWS:], forecast[-MAX_TIMELINE_ROWS:]
    count, horizon = truth.shape
    figure = Figure(figsize=(10, 6), layout="constrained")
    ahead, whole = figure.subplots(2, 1, sharex=True)
    for axes in (ahead, whole):
        axes.plot(times, truth[:, 0], color="black", linewidth=1, label="truth")
        axes.set_ylabel(name, parse_math=False)
    ahead.plot(times, forecast[:, 0], "--", color="tab:blue", linewidth=1, label="1 step ahead")
    if 1 < horizon < count:
        late = times[horizon - 1 :]
        label = f"{horizon} steps ahead"
        ahead.plot(late, forecast[: 1 - horizon, -1], ":", color="tab:orange", linewidth=1.5, label=label)
    starts = np.linspace(0, count - horizon, FANS).round().astype(int) if count > horizon > 1 else np.arange(0)
    for start in starts:
        name_once = f"{horizon} steps from one row" if start == starts[0] else None
        forecast_times = times[start : start + horizon]
        whole.plot(forecast_times, forecast[start], color="tab:red", linewidth=2, marker=".", label=name_once)
    for axes in (ahead, whole):
        axes.legend(fontsize=8, loc="lower left", bbox_to_anchor=(0, 1), ncols=3, frameon=False)
    return figure


def steps_figure(errors: Mapping[str, np.ndarray], *, name: str) -> Figure:
    """Draw the mean absolute error of each step ahead.

    Args:
        errors: Each (horizon,), by forecaster: the network or a naive forecast.
        name: Name of the forecast column.
    """
    figure = Figure(figsize=(6, 3.6), layout="constrained")
    axes = figure.subplots()
    for (key, error), marker in zip(errors.items(), itertools.cycle(MARKERS), strict=False):
        axes.plot(np.arange(1, len(error) + 1), error, marker=marker, label=NAMES.get(key, key))
    axes.set_xlabel("steps ahead")
    axes.set_ylabel(f"mean absolute error of {name}", parse_math=False)
    axes.set_ylim(bottom=0)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.legend()
    return figure


def misses_figure(
    past: np.ndarray, future: np.ndarray, forecast: np.ndarray, errors: np.ndarray, *, names: Sequence[str]
) -> Figure:
    """Draw usual forecasts and the worst ones, each with its miss. Of several columns, the one with the largest miss.

    Args:
        past: The values before each forecast, (n, period, columns).
        future: The truth, (n, horizon, columns).
        forecast: The forecasts, (n, horizon, columns).
        errors: Error of each forecast, (n,).
        names: Names of the columns.
    """
    horizon = future.shape[1]
    order = np.argsort(errors, kind="stable")
    middle = order[np.argsort(np.abs(np.arange(len(order)) - len(order) // 2), kind="stable")]
    rows = {"usual": apart(middle, horizon), "worst": apart(order[::-1], horizon)}
    figure = Figure(figsize=(10, 5), layout="constrained")
    grid = figure.subplots(2, EXAMPLES, squeeze=False)
    scale = future.std(axis=(0, 1)) + np.finfo(np.float32).tiny
    for axes_of_row, (word, places) in zip(grid, rows.items(), strict=True):
        for axes, place in itertools.zip_longest(axes_of_row, places):
            if place is None:
                axes.set_axis_off()
                continue
            misses = np.abs(forecast[place] - future[place]).mean(axis=0)
            column = int(np.argmax(misses / scale))
            before = past[place, -MAX_ROWS_BEFORE * horizon :, column]
            steps = np.arange(1, horizon + 1)
            truth, drawn = future[place, :, column], forecast[place, :, column]
            marker = "." if horizon == 1 else None
            axes.plot(np.arange(1 - len(before), 1), before, color="tab:gray", linewidth=1, marker=marker)
            axes.plot(steps, truth, color="black", linewidth=1, marker=marker, label="truth")
            axes.plot(steps, drawn, color="tab:blue", linewidth=1.5, marker=marker, label="forecast")
            axes.fill_between(steps, truth, drawn, color="tab:red", alpha=0.3, linewidth=0, label="miss")
            title = f"{word}: {names[column]}, mean miss {misses[column]:.3g}"
            axes.set_title(title, fontsize=9, parse_math=False)
            axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    for axes in grid[-1]:
        axes.set_xlabel("steps ahead")
    grid[0, 0].legend(fontsize=8)
    return figure


def apart(order: np.ndarray, distance: int) -> list[int]:
    """Return the first windows of an order that do not overlap: at most `EXAMPLES`, at least `distance` apart."""
    chosen: list[int] = []
    for place in order.tolist():
        if all(abs(place - other) >= distance for other in chosen):
            chosen.append(place)
        if len(chosen) == EXAMPLES:
            break
    return chosen


def columns_figure(errors: Mapping[str, np.ndarray], *, names: Sequence[str]) -> Figure:
    """Draw the mean absolute error of each column.

    Args:
        errors: Each (columns,), on standardized values, by forecaster: the network or a naive forecast.
        names: Names of the columns.
    """
    figure = Figure(figsize=(7, 1.2 + 0.45 * len(names)), layout="constrained")
    axes = figure.subplots()
    height = 0.8 / len(errors)
    for place, (key, error) in enumerate(errors.items()):
        axes.barh(np.arange(len(names)) + place * height, error, height, label=NAMES.get(key, key))
    axes.set_yticks(np.arange(len(names)) + 0.4 - height / 2, names, parse_math=False)
    axes.invert_yaxis()
    axes.set_xlabel("mean absolute error in standard deviations")
    axes.legend(fontsize=8)
    return figure
