"""Windows of a series."""

from __future__ import annotations

from typing import Literal

from dltemplates.features.feature import WithColumns, WithStatistics


class Series(WithColumns, WithStatistics):
    """Numbers ordered by time: (rows, channels). Each column is a channel with statistics of its own.

    Attributes:
        fill: How empty cells and missing dates are filled before a window is cut: with the `previous` value, or by
            `linear` interpolation; `none` allows none.
        repeated: Which of several rows with one date is used: the `first`, or their `mean`; `none` allows none.
        id_column: Column of a CSV file with the name of each row's sequence; None if each row is a whole sequence, and
            for a series to forecast.
    """

    kind: Literal["series"] = "series"
    fill: Literal["none", "previous", "linear"] = "none"
    repeated: Literal["none", "first", "mean"] = "none"
    id_column: str | None = None
