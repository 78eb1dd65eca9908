"""The values to forecast."""

from __future__ import annotations

from typing import Literal

from dltemplates.features.feature import WithColumns, WithStatistics


class Horizon(WithColumns, WithStatistics):
    """The next values of one column of a series."""

    kind: Literal["horizon"] = "horizon"
