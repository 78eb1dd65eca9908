"""The values to forecast."""

from __future__ import annotations

from typing import Literal

from dltemplates.features.feature import WithColumns, WithStatistics


class Horizon(WithColumns, WithStatistics):
    """The next values of a series: (horizon,) of one column, or (horizon, columns) of several.

    Of one column, `mean` and `std` repeat for each step; of several, each column has its own.
    """

    kind: Literal["horizon"] = "horizon"
