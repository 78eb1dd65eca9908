"""Dates in the columns of tables and series: told from other text, read, and counted in days."""

from __future__ import annotations

import numpy as np
import pandas as pd

EPOCH = pd.Timestamp("1970-01-01")
DAY = r"\s*\d{4}-\d{2}-\d{2}([T ].*)?"  # ISO 8601
MONTH = r"\s*\d{4}-\d{2}(-\d{2}([T ].*)?)?"  # or coarser: a series may count months, a table may mean no date by it

DAYS = (
    *("%d/%m/%Y", "%m/%d/%Y", "%Y/%m/%d", "%d.%m.%Y", "%d-%m-%Y", "%m-%d-%Y"),
    *("%d %b %Y", "%d %B %Y", "%b %d, %Y", "%B %d, %Y"),
)  # other than ISO 8601, which may have a time behind them


def is_dates(values: pd.Series, pattern: str) -> bool:
    """Whether a column holds text that is dates, each a match of `DAY` or `MONTH`."""
    if pd.api.types.is_numeric_dtype(values):
        return False
    text = values.dropna().astype(str)
    return bool(len(text)) and bool(text.str.fullmatch(pattern).all())


def format_of(name: str, values: pd.Series) -> str | None:
    """The format of the dates in a column; None where it is ISO 8601, or none that is known.

    Raises:
        ValueError: If they can be read in two ways.
    """
    format, *others = _formats_of(values)
    for other in others:
        if not read_dates(values, format).equals(read_dates(values, other)):
            raise ValueError(
                f"The dates of column `{name}` must be read in one way alone. Received: "
                f"{values.dropna().iloc[0]!r} and others, which {format} and {other} both fit. "
                "Write them like 2024-12-31."
            )
    return format


def look_like_dates(values: pd.Series) -> bool:
    """Whether a column holds text that is dates of another format than ISO 8601."""
    return _formats_of(pd.Series(values.dropna().unique())) != [None]


def _formats_of(values: pd.Series) -> list[str | None]:
    """The formats that read all of a column's dates: None alone where ISO 8601 does or nothing does."""
    texts = values.dropna()
    if read_dates(texts).notna().all():
        return [None]
    formats = [day + time for day in DAYS for time in ("", " %H:%M", " %H:%M:%S")]
    known = [format for format in formats if read_dates(texts[:1], format).notna().all()]
    return [format for format in known if read_dates(texts, format).notna().all()] or [None]


def read_dates(values: pd.Series, format: str | None = None) -> pd.Series:
    """Read dates, of ISO 8601 or another format, in UTC; NaT where there is none."""
    texts = values.astype(str)
    return pd.to_datetime(texts, errors="coerce", format=format or "ISO8601", utc=True).dt.tz_localize(None)


def example_of(format: str | None) -> str:
    """A date as it is written in a format; None for ISO 8601."""
    return pd.Timestamp(2024, 12, 31).strftime(format or "%Y-%m-%d")


def days_of(dates: pd.Series | pd.DatetimeIndex) -> np.ndarray:
    """Count dates in days since 1970: float64 (n,), NaN where there is none."""
    return ((dates - EPOCH) / pd.Timedelta(days=1)).to_numpy(np.float64)
