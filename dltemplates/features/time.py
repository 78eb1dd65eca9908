"""The time of a window of a series."""

from __future__ import annotations

from typing import Literal

from dltemplates.features.feature import WithColumns


class Time(WithColumns):
    """Time of the first row after a window, in days since 1970; its row number if the series has no dates.

    Attributes:
        frequency: Time between rows, as pandas names it (`MS` for months).
    """

    kind: Literal["time"] = "time"
    frequency: str | None = None
