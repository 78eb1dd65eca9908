"""Gaps of a series: merge the rows of one date, insert missing dates, fill empty cells, by the rule of a setting."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from dltemplates.datasets.series.times import oddest_dates
from dltemplates.features import Column

PIECES = (12, 8, 5, 3)  # rows of the parts that show the time between rows
MAX_PIECES = 100  # of one length
MAX_GROWTH = 2  # times the rows of a file: more would be mostly filled rows


@dataclass(frozen=True)
class Rules:
    """How to read dates that are repeated or missing, and empty cells.

    Attributes:
        fill: `none`, `previous` or `linear`, as in `settings.SeriesSettings`.
        repeated: `none`, `first` or `mean`, likewise.
        are_settings: Whether the user can still choose them; a trained network has its own.
    """

    fill: str = "none"
    repeated: str = "none"
    are_settings: bool = True

    def way_out(self, name: str, *values: str) -> str:
        """Return the end of an error: the settings that would read the series."""
        settings = " or ".join(
            f"--set dataset.series.{name}={value}" if place == 0 else f"={value}" for place, value in enumerate(values)
        )
        return settings if self.are_settings else f"train with {settings}"


def merge_repeated(
    numbers: np.ndarray, dates: pd.DatetimeIndex, name: str, rules: Rules
) -> tuple[np.ndarray, pd.DatetimeIndex, list[str]]:
    """Merge the rows with the date of the row before.

    Args:
        numbers: The series, float64 (rows, columns); NaN for empty cells.
        dates: The date of each row.
        name: Name of the column of dates.
        rules: The rules.

    Returns:
        The series and its dates, and what was done.

    Raises:
        ValueError: If the dates decrease; or if they repeat, and no rule is set.
    """
    steps = np.diff(dates.to_numpy())
    if (steps < np.timedelta64(0)).any():
        row = int(np.argmax(steps < np.timedelta64(0)))
        raise ValueError(
            f"The dates of a series must increase. Received: {dates[row + 1]} after {dates[row]} in `{name}`, row "
            f"{row + 2}. Sort the rows."
        )
    is_repeated = np.concatenate([[False], steps == np.timedelta64(0)])
    if not is_repeated.any():
        return numbers, dates, []
    row, count = int(np.argmax(is_repeated)), int(is_repeated.sum())
    found = f"{count} repeated date{'s' if count > 1 else ''} in `{name}`"
    if rules.repeated == "none":
        raise ValueError(
            f"The dates of a series must increase. Received: {found}, the first {dates[row]} in row {row + 1}. Keep "
            f"one row per date, or {rules.way_out('repeated', 'first', 'mean')}."
        )
    if rules.repeated == "mean":
        numbers = pd.DataFrame(numbers).groupby(np.cumsum(~is_repeated)).mean().to_numpy()  # of the cells with a value
    else:
        numbers = numbers[~is_repeated]
    note = f"{found}, the first {dates[row]}: the {rules.repeated} of the rows of one date is used"
    return numbers, dates[~is_repeated], [note]


def insert_missing(
    numbers: np.ndarray, dates: pd.DatetimeIndex, frequency: str, name: str, rules: Rules
) -> tuple[np.ndarray, pd.DatetimeIndex, list[str]]:
    """Insert a row of empty cells for each missing date.

    Args:
        numbers: As in `merge_repeated`.
        dates: The dates, which increase.
        frequency: Time between rows, as pandas names it.
        name: As in `merge_repeated`.
        rules: The rules.

    Returns:
        As `merge_repeated`.

    Raises:
        ValueError: If a date lies between the expected ones; if dates are missing, and no rule is set; or if more rows
            are missing than there are.
    """
    grid = pd.date_range(dates[0], dates[-1], freq=frequency).astype(dates.dtype)
    if dates.equals(grid):
        return numbers, dates, []
    places = grid.get_indexer(dates)
    missing = len(grid) - len(dates)
    if (places < 0).any() or missing <= 0:
        spaced = "evenly spaced" if rules.are_settings else f"spaced as in training, `{frequency}`"
        way_out = f"--set dataset.series.columns.{name}=skip" if rules.are_settings else "leave the column out"
        raise ValueError(
            f"The dates of a series must be {spaced}. Received: {oddest_dates(dates)} in `{name}`. Correct the dates, "
            f"or assume evenly spaced rows: {way_out}."
        )
    first = grid[np.setdiff1d(np.arange(len(grid)), places)[0]]
    found = f"{missing} missing date{'s' if missing > 1 else ''} in `{name}`, one row each `{frequency}`"
    row = int(np.searchsorted(dates, first))
    if rules.fill == "none":
        spaced = "evenly spaced" if rules.are_settings else f"spaced as in training, `{frequency}`"
        skip = f", or assume evenly spaced rows: --set dataset.series.columns.{name}=skip" * rules.are_settings
        raise ValueError(
            f"The dates of a series must be {spaced}. Received: {found}, the first {first} after row {row}. Add the "
            f"rows; or fill them, {rules.way_out('fill', 'previous', 'linear')}{skip}."
        )
    if len(grid) > MAX_GROWTH * len(dates):
        raise ValueError(
            f"At least half of the rows of a series must be there. Received: {found}, {len(dates)} rows. Correct the "
            "dates, or begin the series later."
        )
    filled = np.full((len(grid), numbers.shape[1]), np.nan)
    filled[places] = numbers
    return filled, grid, [f"{found}, the first {first}: filled by dataset.series.fill={rules.fill}"]


def fill_cells(numbers: np.ndarray, columns: Sequence[Column], rules: Rules) -> np.ndarray:
    """Fill the empty cells of a series, before its first complete row excepted; the end repeats the last value.

    Args:
        numbers: As in `merge_repeated`.
        columns: Its columns.
        rules: The rules; `fill` is not `none`.

    Returns:
        float64 (rows, columns); NaN only before the first complete row.

    Raises:
        ValueError: If a column is empty.
    """
    if (is_empty := np.isnan(numbers).all(axis=0)).any():
        name = columns[int(np.argmax(is_empty))].name
        raise ValueError(
            f"A column of a series must have numbers. Received: `{name}`, which is empty. Leave it out: "
            f"--set dataset.series.columns.{name}=skip."
        )
    frame = pd.DataFrame(numbers)
    if rules.fill == "linear":
        frame = frame.interpolate("linear", limit_area="inside")
    return frame.ffill().to_numpy()


def frequency_with_gaps(dates: pd.DatetimeIndex) -> str | None:
    """Return the time between the rows of a series with missing dates, as pandas names it; None if it has none.

    The time is that of most short parts of the series without a gap; all dates must fit it.
    """
    for length in PIECES:
        if len(dates) < length:
            continue
        starts = np.unique(np.linspace(0, len(dates) - length, MAX_PIECES).astype(int))
        with pd.option_context("future.infer_freq_returns_offset", True):
            found = [pd.infer_freq(dates[start : start + length]) for start in starts]
        votes = Counter(frequency.freqstr for frequency in found if frequency is not None)
        for frequency, _ in votes.most_common():
            grid = pd.date_range(dates[0], dates[-1], freq=frequency).astype(dates.dtype)
            if dates.isin(grid).all():
                return frequency
    return None
