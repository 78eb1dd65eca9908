"""Figures of forecasts: over time, and error by step ahead."""

from __future__ import annotations

import itertools
from collections.abc import Mapping

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
    "error_by_step": (
        "Error by step",
        "The mean absolute error for each step ahead, compared with naive forecasts.",
    ),
}

MAX_TIMELINE_ROWS = 1000  # more rows are too dense to see
FANS = 6  # whole forecasts to draw
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
