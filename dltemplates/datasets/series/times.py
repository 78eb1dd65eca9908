"""The dates of a series: read, found to follow each other evenly, and continued."""

from __future__ import annotations

import numpy as np
import pandas as pd

from dltemplates.datasets.tables.dates import days_of, example_of, read_dates

MONTHS = ("M", "Q", "Y")  # what the frequencies of months, quarters and years begin with


def parse_dates(name: str, values: pd.Series, format: str | None) -> pd.DatetimeIndex:
    """Read a column of dates.

    Args:
        name: The column's.
        values: It, as text.
        format: Of dates that are not of ISO 8601.

    Raises:
        ValueError: If one is missing, or is none.
    """
    dates = read_dates(values, format)
    if dates.isna().any():
        row = int(np.argmax(dates.isna()))
        raise ValueError(
            f"Column `{name}` must hold dates like {example_of(format)}. Received: {values.iloc[row]} in row "
            f"{row + 1}. Correct it, or take the rows as they follow each other: "
            f"--set dataset.series.columns.{name}=skip."
        )
    return pd.DatetimeIndex(dates)


def frequency_of(name: str, dates: pd.DatetimeIndex, expected: str | None) -> str | None:
    """Tell the time from row to row, as pandas names it: `MS` for months, `D` for days, `h` for hours.

    Args:
        name: Of the column.
        dates: It.
        expected: What the time must be; None to find out.

    Returns:
        It; None of fewer than three rows.

    Raises:
        ValueError: If the dates do not increase, or not evenly, or not as they must.
    """
    steps = np.diff(dates.to_numpy())
    if (steps <= np.timedelta64(0)).any():
        row = int(np.argmax(steps <= np.timedelta64(0)))
        raise ValueError(
            f"The dates of a series must increase. Received: {dates[row + 1]} after {dates[row]} in `{name}`, row "
            f"{row + 2}. Sort the rows, and keep one of each date."
        )
    if expected:
        if not dates.equals(pd.date_range(dates[0], periods=len(dates), freq=expected).astype(dates.dtype)):
            raise ValueError(
                f"The dates of a series must follow each other as those that were learned from, `{expected}`. "
                f"Received: {_oddest(dates, steps)} in `{name}`. Fill in what is missing, or leave the column out."
            )
        return expected
    if len(dates) < 3:
        return None
    with pd.option_context("future.infer_freq_returns_offset", True):  # a text, without it, and a warning
        found = pd.infer_freq(dates)
    if found is None:
        raise ValueError(
            f"The dates of a series must follow each other evenly. Received: {_oddest(dates, steps)} in `{name}`. Fill "
            f"in what is missing, or take the rows as they follow each other: --set dataset.series.columns.{name}=skip."
        )
    return found.freqstr


def times_of(dates: pd.DatetimeIndex | None, rows: int) -> np.ndarray:
    """When each row was, float64 (rows,): in days since 1970, or where dates are not known as the row's number."""
    if dates is None:
        return np.arange(rows, dtype=np.float64)
    return days_of(dates)


def following(last: pd.Timestamp, frequency: str, count: int) -> pd.DatetimeIndex:
    """The dates after one."""
    return pd.date_range(last, periods=count + 1, freq=frequency)[1:]


def date_texts(dates: pd.DatetimeIndex, frequency: str) -> list[str]:
    """Dates as text, no finer than they are."""
    if (dates != dates.normalize()).any():
        return dates.strftime("%Y-%m-%d %H:%M:%S").tolist()
    is_months = frequency.lstrip("0123456789").startswith(MONTHS) and (dates.day == 1).all()
    return dates.strftime("%Y-%m" if is_months else "%Y-%m-%d").tolist()


def _oddest(dates: pd.DatetimeIndex, steps: np.ndarray) -> str:
    """The two dates whose distance is least like that of the others."""
    seconds = steps / np.timedelta64(1, "s")
    place = int(np.argmax(np.abs(seconds - np.median(seconds)))) if len(steps) else 0
    return ", then ".join(map(str, dates[place : place + 2]))
