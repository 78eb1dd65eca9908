"""The time of a window of a series."""

from __future__ import annotations

from typing import Literal

from dltemplates.features.feature import WithColumns


class Time(WithColumns):
    """When the first row after a window is: in days since 1970, or where dates are not known, its place.

    Attributes:
        frequency: The time from row to row, as pandas names it (`MS` for months).
    """

    kind: Literal["time"] = "time"
    frequency: str | None = None
