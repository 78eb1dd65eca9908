"""Dates in the columns of tables and series: detecting, reading, and counting them in days."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

EPOCH = pd.Timestamp("1970-01-01")
SECONDS_PER_DAY = 24 * 60 * 60
DAY = r"\s*\d{4}-\d{2}-\d{2}([T ].*)?"  # ISO 8601
MONTH = r"\s*\d{4}-\d{2}(-\d{2}([T ].*)?)?"  # or only a month
NO_DATE = r"\D*|\s*\d{1,4}(\.\d*)?\s*"  # pandas would read `now`, `2024` and `2024.3` as dates

DAYS = (
    *("%d/%m/%Y", "%m/%d/%Y", "%Y/%m/%d", "%d.%m.%Y", "%d-%m-%Y", "%m-%d-%Y"),
    *("%d %b %Y", "%d %B %Y", "%b %d, %Y", "%B %d, %Y", "%d-%b-%Y", "%d-%b-%y"),
    *("%Y.%m.%d", "%Y.%m.%d.", "%Y. %m. %d", "%Y. %m. %d.", "%Y년 %m월 %d일", "%Y년%m월%d일"),
    *("%d/%m/%y", "%m/%d/%y", "%y/%m/%d", "%d.%m.%y", "%y.%m.%d", "%y. %m. %d.", "%d-%m-%y", "%m-%d-%y", "%y-%m-%d"),
)  # other formats than ISO 8601; a time may follow
TIMES = ("", " %H:%M", " %H:%M:%S", " %I:%M %p", " %I:%M:%S %p")
ISO_DAY = r"\s*\d{4}-\d{1,2}-\d{1,2}([T ].*)?"  # or without zeros in front
COMPACT = r"(19|20)\d{2}(0[1-9]|1[0-2])(0[1-9]|[12]\d|3[01])"  # a date without separators, or a number
COMPACT_MONTH = r"(19|20)\d{2}\.?(0[1-9]|1[0-2])"  # likewise: 202401, 2024.01
YEAR_MONTH = r"\s*(1[7-9]|20)\d{2}-(0[1-9]|1[0-2])"
ORDERS = {"day_first": "d", "month_first": "m", "year_first": "y"}  # setting -> the first directive of the format
UNIX = {"unix_s": r"\d{9,10}", "unix_ms": r"\d{12,13}"}  # seconds or milliseconds since 1970, from 1973 to 2286


def is_dates(values: pd.Series, pattern: str) -> bool:
    """Return whether a column has only text dates that match `pattern`, `DAY` or `MONTH`."""
    if pd.api.types.is_numeric_dtype(values):
        return False
    text = values.dropna().astype(str)
    return bool(len(text)) and bool(text.str.fullmatch(pattern).all())


def date_formats(values: pd.Series, order: str | None = None) -> list[str | None]:
    """Return the formats that read all dates of a column, one for each meaning; nothing if it has other text.

    Args:
        values: The column as text.
        order: `day_first`, `month_first` or `year_first`, if it is known.

    Returns:
        The formats; None for ISO 8601.
    """
    texts = pd.Series(values.dropna().unique(), dtype=object)
    if not len(texts) or not texts[:1].astype(str).str.contains(r"\d").all():
        return []
    if texts.astype(str).str.fullmatch(ISO_DAY).all() and read_dates(texts).notna().all():
        return [None]
    if unix := [name for name, pattern in UNIX.items() if texts.astype(str).str.fullmatch(pattern).all()]:
        return [*unix]
    found: dict[bytes, str | None] = {}
    for format in (day + time for day in DAYS for time in TIMES):
        is_wanted = order is None or _first_part(format) == ORDERS[order]
        if is_wanted and read_dates(texts[:1], format).notna().all():  # most formats fail at the first date
            dates = read_dates(texts, format)
            if dates.notna().all():
                found.setdefault(dates.to_numpy().tobytes(), format)
    return list(found.values())


def format_of(name: str, values: pd.Series, order: str | None = None) -> str | None:
    """Return the date format of a column; None for ISO 8601 or an unknown format.

    Args:
        name: Name of the column.
        values: The column as text.
        order: As in `date_formats`.

    Raises:
        ValueError: If two formats fit and give different dates.
    """
    formats = date_formats(values, order)
    if len(formats) > 1:
        raise ValueError(
            f"The dates of column `{name}` must have one meaning. Received: "
            f"{values.dropna().iloc[0]!r} and others, which fit {' and '.join(map(str, formats))}. "
            f"Write them like 2024-12-31, or set the kind of the column to {orders_of(formats)}."
        )
    return formats[0] if formats else None


def orders_of(formats: Sequence[str | None]) -> str:
    """Name the settings that choose between formats."""
    names = {part: order for order, part in ORDERS.items()}
    return " or ".join(dict.fromkeys(names[_first_part(format)] for format in formats if format))


def _first_part(format: str) -> str:
    """Return whether a format begins with the day `d`, the month `m` or the year `y`."""
    return {"b": "m"}.get(first := format[1].lower(), first)


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
    texts = texts.mask(texts.str.fullmatch(NO_DATE))
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
