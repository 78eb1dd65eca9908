"""The dates of a series: reading, checking that they are evenly spaced, and continuing them."""

from __future__ import annotations

import re

import numpy as np
import pandas as pd

from dltemplates.datasets.tables.dates import days_of, example_of, read_dates

MONTHS = ("M", "Q", "Y")  # first letters of the frequencies of months, quarters and years


def parse_dates(name: str, values: pd.Series, format: str | None) -> pd.DatetimeIndex:
    """Read a column of dates.

    Args:
        name: Name of the column.
        values: The column as text.
        format: Format of dates that are not in ISO 8601.

    Raises:
        ValueError: If a date is missing or invalid.
    """
    dates = read_dates(values, format)
    if dates.isna().any():
        row = int(np.argmax(dates.isna()))
        raise ValueError(
            f"Column `{name}` must hold dates like {example_of(format)}. Received: {values.iloc[row]} in row "
            f"{row + 1}. Correct it, or assume evenly spaced rows: "
            f"--set dataset.series.columns.{name}=skip."
        )
    return pd.DatetimeIndex(dates)


def frequency_of(dates: pd.DatetimeIndex) -> str | None:
    """Return the time between evenly spaced rows, as pandas names it: `MS` for months, `D` for days, `h` for hours.

    Args:
        dates: The dates, which increase.

    Returns:
        The frequency; None for fewer than three rows, and for dates that are not evenly spaced.
    """
    if len(dates) < 3:
        return None
    with pd.option_context("future.infer_freq_returns_offset", True):  # otherwise pandas warns, and returns a text
        frequency = pd.infer_freq(dates)
    return None if frequency is None else frequency.freqstr


SEASONS = {  # rows, by frequency
    **{"s": 86400, "min": 1440, "h": 24, "D": 7, "B": 5, "W": 52},
    **{"M": 12, "BMS": 12, "BME": 12, "Q": 4, "BQS": 4, "BQE": 4},
}
MIN_SEASONS, MAX_SEASON = 4, 2000  # of a season that follows from the dates


def season_of(frequency: str | None, rows: int) -> int:
    """Return the rows of a season of a series: a day, a week of days, or a year.

    Args:
        frequency: Time between rows, as pandas names it; None if unknown.
        rows: Rows of the series.

    Returns:
        The number of rows; 1 for no season, or for a series of fewer than four seasons.
    """
    match = re.fullmatch(r"(\d*)([A-Za-z]+)(-.*)?", frequency or "")
    if match is None:
        return 1
    unit = match[2] if match[2] in SEASONS else match[2][0]
    season, rest = divmod(SEASONS.get(unit, 1), int(match[1] or 1))
    return season if rest == 0 and 1 < season <= min(MAX_SEASON, rows // MIN_SEASONS) else 1


def times_of(dates: pd.DatetimeIndex | None, rows: int) -> np.ndarray:
    """Return the time of each row, float64 (rows,): in days since 1970, or its row number without dates."""
    if dates is None:
        return np.arange(rows, dtype=np.float64)
    return days_of(dates)


def following(last: pd.Timestamp, frequency: str, count: int) -> pd.DatetimeIndex:
    """Return the dates after `last`."""
    return pd.date_range(last, periods=count + 1, freq=frequency)[1:]


def date_texts(dates: pd.DatetimeIndex, frequency: str) -> list[str]:
    """Format dates as text, to months, days or seconds as their precision needs."""
    if (dates != dates.normalize()).any():
        return dates.strftime("%Y-%m-%d %H:%M:%S").tolist()
    is_months = frequency.lstrip("0123456789").startswith(MONTHS) and (dates.day == 1).all()
    return dates.strftime("%Y-%m" if is_months else "%Y-%m-%d").tolist()


def oddest_dates(dates: pd.DatetimeIndex) -> str:
    """Return the two consecutive dates whose distance differs most from the median."""
    seconds = np.diff(dates.to_numpy()) / np.timedelta64(1, "s")
    place = int(np.argmax(np.abs(seconds - np.median(seconds)))) if len(seconds) else 0
    return ", then ".join(map(str, dates[place : place + 2]))
