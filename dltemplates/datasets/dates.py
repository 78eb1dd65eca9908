"""Dates in the columns of tables and series: told from other text, read, and counted in days."""

from __future__ import annotations

import numpy as np
import pandas as pd

EPOCH = pd.Timestamp("1970-01-01")
DAY = r"\s*\d{4}-\d{2}-\d{2}([T ].*)?"  # ISO 8601
MONTH = r"\s*\d{4}-\d{2}(-\d{2}([T ].*)?)?"  # or coarser: a series may count months, a table may mean no date by it


def is_dates(values: pd.Series, pattern: str) -> bool:
    """Whether a column holds text that is dates, each a match of `DAY` or `MONTH`."""
    if pd.api.types.is_numeric_dtype(values):
        return False
    text = values.dropna().astype(str)
    return bool(len(text)) and bool(text.str.fullmatch(pattern).all())


def read_dates(values: pd.Series) -> pd.Series:
    """Read dates, in UTC; NaT where there is none."""
    return pd.to_datetime(values.astype(str), errors="coerce", format="ISO8601", utc=True).dt.tz_localize(None)


def days_of(dates: pd.Series | pd.DatetimeIndex) -> np.ndarray:
    """Count dates in days since 1970: float64 (n,), NaN where there is none."""
    return ((dates - EPOCH) / pd.Timedelta(days=1)).to_numpy(np.float64)
