"""Windows of a series: what came before, and what comes next, cut out of one array as they are read."""

from __future__ import annotations

from typing import NoReturn

import numpy as np

from dltemplates.datasets.source import BaseSource, Source, Wrapper


class TimeSource(BaseSource):
    """Windows of a series: its rows are split by time, and each split is cut into windows by itself.

    Attributes:
        times: When each row was, float64 (rows,): days since 1970, or its place where dates are not known.
        is_dated: Whether dates are known.
        need: The fewest rows that hold a window.
    """

    times: np.ndarray
    is_dated: bool
    need: int

    @property
    def raw_rows(self) -> tuple[np.ndarray, ...]:
        """Return what is known of each row, arrays (rows, ...)."""
        raise NotImplementedError

    def cut(self, split: str, start: int, stop: int) -> Source:
        """Return the windows of the rows from `start` to `stop`, for a split."""
        raise NotImplementedError

    def raise_too_short(self, split: str, received: str) -> NoReturn:
        """Raise a `ValueError` that says how long a split must be, and the way out."""
        raise NotImplementedError


def cut(source: Source, split: str, start: int, stop: int) -> Source:
    """Cut the windows of some rows out of a series, whatever is wrapped around it."""
    if isinstance(source, Wrapper):
        return source.over(cut(source.source, split, start, stop))
    assert isinstance(source, TimeSource)
    return source.cut(split, start, stop)


class WindowSource(TimeSource):
    """The windows of a series: one for each row that a forecast can begin with, in the order of time.

    The series lies in memory once; no window is kept.
    """

    def __init__(
        self,
        rows: np.ndarray,
        times: np.ndarray,
        *,
        target: int,
        window_sizes: tuple[int, int, int],
        is_dated: bool = False,
    ):
        """Take a series.

        Args:
            rows: The series, float32 (rows, channels).
            times: When each row was, float64 (rows,).
            target: The channel that is forecast.
            lengths: The window, the rows that a forecast is made of; the horizon, the rows that are forecast; and the
                period, the rows of a season: as many of the target's last values are given beside each window.
            is_dated: Whether times are days.
        """
        self.rows = rows
        self.times = times
        self.place = target
        self.target = rows[:, target]
        self.window, self.horizon, self.period = window_sizes
        self.is_dated = is_dated
        self.reach = max(self.window, self.period)  # rows before the first that can be forecast
        self.need = self.reach + self.horizon

    def __len__(self) -> int:
        return max(0, len(self.rows) - self.need + 1)

    def read(self, indices: np.ndarray) -> dict[str, np.ndarray]:
        """Read the windows at `indices` (n,).

        Returns:
            `series` (n, window, channels), the rows before a forecast; of the target `future` (n, horizon), what came
            then, and `past` (n, period), what had come before; `time` (n,), that of the first row of the forecast.
        """
        first = np.asarray(indices) + self.reach
        return {
            "series": self.rows[window_indices(first - self.window, self.window)],
            "future": self.target[window_indices(first, self.horizon)],
            "past": self.target[window_indices(first - self.period, self.period)],
            "time": self.times[first],
        }

    @property
    def raw_rows(self) -> tuple[np.ndarray, ...]:
        return (self.rows, self.times) if self.is_dated else (self.rows,)

    def cut(self, split: str, start: int, stop: int) -> Source:
        rows, times = self.rows[start:stop], self.times[start:stop]
        window_sizes = (self.window, self.horizon, self.period)
        return WindowSource(rows, times, target=self.place, window_sizes=window_sizes, is_dated=self.is_dated)

    def raise_too_short(self, split: str, received: str) -> NoReturn:
        more = f"; or set more apart by dataset.{split}" if split != "train" else ""
        raise ValueError(
            f"Each split must be as long as a window and what is forecast of it, {self.need} rows. Received: "
            f"{received}. Lower dataset.series.window ({self.window}), dataset.series.horizon ({self.horizon}) or "
            f"dataset.series.season_length ({self.period}){more}."
        )


def window_indices(first: np.ndarray, length: int) -> np.ndarray:
    """The rows from each of `first` (n,) on: (n, length)."""
    return first[:, None] + np.arange(length)
