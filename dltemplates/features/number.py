"""Numbers."""

from __future__ import annotations

from typing import Literal

from dltemplates.features.feature import WithColumns, WithStatistics


class Number(WithColumns, WithStatistics):
    """One or more numbers."""

    kind: Literal["number"] = "number"
