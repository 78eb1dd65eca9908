"""Dates in the columns of tables and series: detecting, reading, and counting them in days."""

from __future__ import annotations

import numpy as np
import pandas as pd

EPOCH = pd.Timestamp("1970-01-01")
SECONDS_PER_DAY = 24 * 60 * 60
DAY = r"\s*\d{4}-\d{2}-\d{2}([T ].*)?"  # ISO 8601
MONTH = r"\s*\d{4}-\d{2}(-\d{2}([T ].*)?)?"  # or only a month, in series; in a table this may not be a date

DAYS = (
    *("%d/%m/%Y", "%m/%d/%Y", "%Y/%m/%d", "%d.%m.%Y", "%d-%m-%Y", "%m-%d-%Y"),
    *("%d %b %Y", "%d %B %Y", "%b %d, %Y", "%B %d, %Y"),
)  # other formats than ISO 8601; a time may follow
UNIX = {"unix_s": r"\d{9,10}", "unix_ms": r"\d{12,13}"}  # seconds or milliseconds since 1970, from 1973 to 2286


def is_dates(values: pd.Series, pattern: str) -> bool:
    """Return whether a column has only text dates that match `pattern`, `DAY` or `MONTH`."""
    if pd.api.types.is_numeric_dtype(values):
        return False
    text = values.dropna().astype(str)
    return bool(len(text)) and bool(text.str.fullmatch(pattern).all())


def format_of(name: str, values: pd.Series) -> str | None:
    """Return the date format of a column; None for ISO 8601 or an unknown format.

    Raises:
        ValueError: If two formats fit and give different dates.
    """
    format, *others = _formats_of(values)
    for other in others:
        if not read_dates(values, format).equals(read_dates(values, other)):
            raise ValueError(
                f"The dates of column `{name}` must have one meaning. Received: "
                f"{values.dropna().iloc[0]!r} and others, which fit both {format} and {other}. "
                "Write them like 2024-12-31."
            )
    return format


def look_like_dates(values: pd.Series) -> bool:
    """Return whether a column has text dates in another format than ISO 8601."""
    return _formats_of(pd.Series(values.dropna().unique())) != [None]


def _formats_of(values: pd.Series) -> list[str | None]:
    """Return the formats that read all dates of a column; `[None]` for ISO 8601 or an unknown format."""
    texts = values.dropna()
    if read_dates(texts).notna().all():
        return [None]
    if len(texts) and (
        unix := [name for name, pattern in UNIX.items() if texts.astype(str).str.fullmatch(pattern).all()]
    ):
        return [*unix]
    formats = [day + time for day in DAYS for time in ("", " %H:%M", " %H:%M:%S")]
    known = [format for format in formats if read_dates(texts[:1], format).notna().all()]
    return [format for format in known if read_dates(texts, format).notna().all()] or [None]


def read_dates(values: pd.Series, format: str | None = None) -> pd.Series:
    """Parse dates in ISO 8601 or another format, in UTC; NaT for other text.

    Args:
        values: The dates as text.
        format: A `strftime` format, or a key of `UNIX`; None for ISO 8601.
    """
    if format in UNIX:
        numbers = pd.to_numeric(values, errors="coerce")
        return pd.to_datetime(numbers, errors="coerce", unit="s" if format == "unix_s" else "ms")
    texts = values.astype(str)
    return pd.to_datetime(texts, errors="coerce", format=format or "ISO8601", utc=True).dt.tz_localize(None)


def example_of(format: str | None) -> str:
    """Return an example date in a format; None means ISO 8601."""
    if format in UNIX:
        return "1735603200" if format == "unix_s" else "1735603200000"
    return pd.Timestamp(2024, 12, 31).strftime(format or "%Y-%m-%d")


def days_of(dates: pd.Series | pd.DatetimeIndex) -> np.ndarray:
    """Convert dates to days since 1970: float64 (n,), NaN for missing dates."""
    return ((dates - EPOCH) / pd.Timedelta(days=1)).to_numpy(np.float64)


def have_times(days: np.ndarray) -> bool:
    """Return whether dates in days (n,), NaN for missing ones, have different times of day."""
    seconds = np.round(days[np.isfinite(days)] * SECONDS_PER_DAY) % SECONDS_PER_DAY
    return bool(np.ptp(seconds) > 0)
