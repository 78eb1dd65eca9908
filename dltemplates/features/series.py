"""Windows of a series."""

from __future__ import annotations

from typing import Literal

from dltemplates.features.feature import WithColumns, WithStatistics


class Series(WithColumns, WithStatistics):
    """Numbers ordered by time: (rows, channels). Each column is a channel with statistics of its own.

    Attributes:
        id_column: Column of a CSV file with the name of each row's sequence; None if each row is a whole sequence, and
            for a series to forecast.
    """

    kind: Literal["series"] = "series"
    id_column: str | None = None
