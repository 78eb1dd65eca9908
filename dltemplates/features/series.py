"""Windows of a series."""

from __future__ import annotations

from typing import Literal

from dltemplates.features.feature import WithColumns, WithStatistics


class Series(WithColumns, WithStatistics):
    """Numbers in the order of time: (rows, channels). Its columns are the channels, each with its statistics."""

    kind: Literal["series"] = "series"
