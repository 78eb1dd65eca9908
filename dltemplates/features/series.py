"""Windows of a series."""

from __future__ import annotations

from typing import Literal

from dltemplates.features.feature import WithColumns, WithStatistics


class Series(WithColumns, WithStatistics):
    """Numbers ordered by time: (rows, channels). Each column is a channel with statistics of its own."""

    kind: Literal["series"] = "series"
