"""What follows a window of a series."""

from __future__ import annotations

from typing import Literal

from dltemplates.features.feature import WithColumns, WithStatistics


class Horizon(WithColumns, WithStatistics):
    """The next numbers in one column of a series."""

    kind: Literal["horizon"] = "horizon"
