"""Windows of a series: inputs and targets of forecasts, cut from one array on reading."""

from __future__ import annotations

from typing import NoReturn

import numpy as np

from dltemplates.datasets.source import BaseSource, Source, Wrapper


class TimeSource(BaseSource):
    """Windows of a series. Its rows are split by time, then each split is cut into windows of its own.

    Attributes:
        times: Time of each row, float64 (rows,): days since 1970, or the row number without dates.
        is_dated: Whether dates are known.
        need: Minimum rows for one window.
        reach: Rows before a split that its first window may use.
    """

    times: np.ndarray
    is_dated: bool
    need: int
    reach: int = 0

    @property
    def raw_rows(self) -> tuple[np.ndarray, ...]:
        """The raw data of each row: arrays (rows, ...)."""
        raise NotImplementedError

    def cut(self, split: str, start: int, stop: int) -> Source:
        """Return the windows of the rows from `start` to `stop`, for a split."""
        raise NotImplementedError

    def raise_too_short(self, split: str, received: str) -> NoReturn:
        """Raise a `ValueError` with the minimum length of a split and how to reach it."""
        raise NotImplementedError


def cut(source: Source, split: str, start: int, stop: int) -> Source:
    """Cut the windows of some rows out of a series, through all its wrappers."""
    if isinstance(source, Wrapper):
        return source.over(cut(source.source, split, start, stop))
    assert isinstance(source, TimeSource)
    return source.cut(split, start, stop)


class WindowSource(TimeSource):
    """The windows of a series, one for each possible first row of a forecast, ordered by time.

    The series is in memory once; windows are cut on reading.
    """

    def __init__(
        self,
        rows: np.ndarray,
        times: np.ndarray,
        *,
        targets: tuple[int, ...],
        window_sizes: tuple[int, int, int],
        is_dated: bool = False,
        known: np.ndarray | None = None,
    ):
        """Store a series.

        Args:
            rows: The series, float32 (rows, channels).
            times: Time of each row, float64 (rows,).
            targets: The channels to forecast.
            window_sizes: Rows of the window (a forecast's input), of the horizon (its target), and of a season (as many
                of the target's last values come with each window).
            is_dated: Whether times are in days.
            known: The inputs of each row that are known in advance, float32 (rows, k); None for none.
        """
        self.rows = rows
        self.times = times
        self.targets = targets
        if len(targets) == 1:
            self.target = rows[:, targets[0]]  # (rows,)
        else:
            is_every_channel = targets == tuple(range(rows.shape[1]))  # without a copy
            self.target = rows if is_every_channel else rows[:, targets]  # (rows, targets)
        self.known = known
        self.window, self.horizon, self.period = window_sizes
        self.is_dated = is_dated
        self.reach = max(self.window, self.period)  # rows before the first forecast
        self.need = self.reach + self.horizon

    def __len__(self) -> int:
        return max(0, len(self.rows) - self.need + 1)

    def read(self, indices: np.ndarray) -> dict[str, np.ndarray]:
        """Read the windows at `indices` (n,).

        Returns:
            `series` (n, window, channels), the rows before a forecast; `known` (n, horizon, k), the known inputs of
            its own rows, if there are some; `future` (n, horizon[, targets]) and `past` (n, period[, targets]), the
            targets' values after and before the start of the forecast; `time` (n,), the time of its first row.
        """
        first = np.asarray(indices) + self.reach
        known = {} if self.known is None else {"known": self.known[window_indices(first, self.horizon)]}
        return known | {
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
        known = None if self.known is None else self.known[start:stop]
        return WindowSource(
            rows, times, targets=self.targets, window_sizes=window_sizes, is_dated=self.is_dated, known=known
        )

    def raise_too_short(self, split: str, received: str) -> NoReturn:
        more = f"; or raise dataset.{split}" if split != "train" else ""
        first = "a season" if self.period > self.window else "a window"
        raise ValueError(
            f"A series must have {first} and its horizon in train, {self.need} rows, and a horizon in each other "
            f"split. Received: {received}. Lower dataset.series.window ({self.window}), dataset.series.horizon "
            f"({self.horizon}) or dataset.series.season_length ({self.period}){more}."
        )


class LabeledWindowSource(TimeSource):
    """Windows of one series, by their first positions. The label of a window is the label of its last value.

    Splits that learn, `train` and `validation`, leave out a window of label 0 that contains a value of another label.

    Attributes:
        series: The values, float32 (n,).
        labels: The label of each value, 0 or 1, (n,).
        starts: First position of each window.
    """

    is_dated = False

    def __init__(self, series: np.ndarray, labels: np.ndarray, *, window: int, starts: np.ndarray | None = None):
        """Take a series.

        Args:
            series: The values, float32 (n,).
            labels: The label of each value, (n,).
            window: Values in a window.
            starts: First position of each window; None for all.
        """
        self.series = series
        self.labels = labels
        self.need = window
        self.times = np.arange(len(series), dtype=np.float64)
        self.starts = np.arange(len(series) - window + 1) if starts is None else starts

    def __len__(self) -> int:
        return len(self.starts)

    def read(self, indices: np.ndarray) -> dict[str, np.ndarray]:
        """Read the windows at `indices` (n,): `series` (n, window, 1) and `label` (n,)."""
        places = window_indices(self.starts[indices], self.need)
        return {"series": self.series[places][..., None], "label": self.labels[places[:, -1]]}

    @property
    def raw_rows(self) -> tuple[np.ndarray, ...]:
        return self.series, self.labels

    def cut(self, split: str, start: int, stop: int) -> Source:
        starts = np.arange(start, stop - self.need + 1)
        if split != "test":
            labels = self.labels[window_indices(starts, self.need)]  # (n, window)
            starts = starts[(labels[:, -1] == 1) | ~labels.any(axis=1)]
        return LabeledWindowSource(self.series, self.labels, window=self.need, starts=starts)

    def raise_too_short(self, split: str, received: str) -> NoReturn:
        raise ValueError(
            f"Each split of a series must hold a window of {self.need} values. Received: {received}. Change "
            "dataset.validation and dataset.test."
        )


def window_indices(first: np.ndarray, length: int) -> np.ndarray:
    """Return the indices of `length` rows from each of `first` (n,): (n, length)."""
    return first[:, None] + np.arange(length)
