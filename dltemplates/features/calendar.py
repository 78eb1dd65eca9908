"""Parts of dates as numbers: known inputs of a forecast.

Each part is an angle, and enters as its sine and cosine, so that the end of a period is near its beginning.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

PERIODS = {  # units of a part in one turn
    "minute": 60,  # of the hour
    "hour": 24,
    "weekday": 7,  # from Monday
    "day": 31,  # of the month, from 1
    "yearday": 366,  # from 1
    "month": 12,  # from January
}


def calendar_names(parts: Sequence[str]) -> list[str]:
    """Return the names of the numbers of some parts, such as `sin of hour`, `cos of hour`."""
    return [f"{function} of {part}" for part in parts for function in ("sin", "cos")]


def calendar_parts(names: Sequence[str]) -> tuple[str, ...]:
    """Return the parts of some names: the inverse of `calendar_names`."""
    return tuple(dict.fromkeys(name.split(" of ")[1] for name in names))


def calendar_values(dates: np.ndarray, names: Sequence[str]) -> np.ndarray:
    """Return the parts of some dates as numbers in [-1, 1].

    Args:
        dates: datetime64 (rows,).
        names: From `calendar_names`.

    Returns:
        float32 (rows, names): the sine or cosine of `2 pi n / period`, for the whole number n of each part: minute of
        the hour, hour of the day, day of the week from Monday = 0, day of the month and of the year from 1 = 0, month
        from January = 0.
    """
    functions = {"sin": np.sin, "cos": np.cos}
    columns = []
    for name in names:
        function, part = name.split(" of ")
        columns.append(functions[function](2 * np.pi * _count(dates, part) / PERIODS[part]))
    return np.stack(columns, axis=1).astype(np.float32)


def _count(dates: np.ndarray, part: str) -> np.ndarray:
    """Return the whole number of each date's part, counted from 0."""
    units = {
        "minute": ("m", "h"),
        "hour": ("h", "D"),
        "day": ("D", "M"),
        "yearday": ("D", "Y"),
        "month": ("M", "Y"),
    }
    if part == "weekday":
        return (dates.astype("datetime64[D]").astype(np.int64) + 3) % 7  # 1970-01-01 was a Thursday
    unit, whole = units[part]
    rest = dates.astype(f"datetime64[{unit}]") - dates.astype(f"datetime64[{whole}]").astype(f"datetime64[{unit}]")
    return rest.astype(np.int64)
