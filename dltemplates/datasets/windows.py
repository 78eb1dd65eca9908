"""Windows of a series: what came before, and what comes next, cut out of one array as they are read."""

from __future__ import annotations

import numpy as np

from dltemplates.settings import DatasetSettings


class WindowSource:
    """The windows of a stretch of a series: one for each row that a forecast can begin with, in the order of time.

    The series lies in memory once; no window is kept.
    """

    def __init__(self, rows: np.ndarray, times: np.ndarray, *, target: int, window: int, horizon: int, period: int = 1):
        """Take a stretch that is long enough for one window.

        Args:
            rows: The stretch, float32 (rows, channels).
            times: When each row was, float64 (rows,).
            target: The channel that is forecast.
            window: Rows that a forecast is made of.
            horizon: Rows that are forecast.
            period: Rows of a season; as many of the target's last values are given beside each window.
        """
        self.rows = rows
        self.times = times
        self.target = rows[:, target]
        self.window, self.horizon, self.period = window, horizon, period
        self.reach = max(window, period)  # rows before the first that can be forecast

    def __len__(self) -> int:
        return len(self.rows) - self.reach - self.horizon + 1

    def read(self, indices: np.ndarray) -> dict[str, np.ndarray]:
        """Read the windows at `indices` (n,).

        Returns:
            `series` (n, window, channels), the rows before a forecast; of the target `future` (n, horizon), what came
            then, and `past` (n, period), what had come before; `time` (n,), that of the first row of the forecast.
        """
        first = np.asarray(indices) + self.reach
        return {
            "series": self.rows[spans(first - self.window, self.window)],
            "future": self.target[spans(first, self.horizon)],
            "past": self.target[spans(first - self.period, self.period)],
            "time": self.times[first],
        }


def stretches(rows: int, settings: DatasetSettings, *, every: bool = True) -> dict[str, slice]:
    """Cut a series into its splits, in the order of time: no window of one sees a row of another.

    Args:
        rows: Its length.
        settings: The shares of the splits, and how long a window is.
        every: Whether all splits are needed; else those that are too short are left out.

    Raises:
        ValueError: If a split that is needed, or each, is too short for one window.
    """
    parts = bounds(rows, settings)
    window, horizon, period = lengths(settings)
    need = max(window, period) + horizon
    long = [split for split, (start, stop) in parts.items() if stop - start >= need]
    for split, (start, stop) in parts.items():
        if split not in long and (every or not long):
            received = f"{stop - start} of {rows} rows in {split}"
            more = f"; or set more apart by dataset.{split}" if split != "train" else ""
            raise ValueError(
                f"Each split must be as long as a window and what is forecast of it, {need} rows. Received: {received}."
                f" Lower dataset.window ({window}), dataset.horizon ({horizon}) or dataset.period ({period}){more}."
            )
    return {split: slice(*parts[split]) for split in long}


def bounds(rows: int, settings: DatasetSettings) -> dict[str, tuple[int, int]]:
    """Where each split of a series begins and ends: the test is its last part, validation the last of what is left."""
    test = round(rows * (1 - settings.test))
    validation = round(test * (1 - settings.validation))
    return {"train": (0, validation), "validation": (validation, test), "test": (test, rows)}


def lengths(settings: DatasetSettings) -> tuple[int, int, int]:
    """The window, the horizon and the period.

    Raises:
        ValueError: If no window is given: then the data would be no series.
    """
    if settings.window is None:
        raise ValueError(
            f"A series needs `dataset.window`, the rows that a forecast is made of. Received: none, for "
            f"{settings.name}. Try --set dataset.window=24."
        )
    return settings.window, settings.horizon, settings.period


def spans(first: np.ndarray, length: int) -> np.ndarray:
    """The rows from each of `first` (n,) on: (n, length)."""
    return first[:, None] + np.arange(length)
