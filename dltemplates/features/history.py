"""The values before a forecast."""

from __future__ import annotations

from typing import Literal

from dltemplates.features.feature import WithColumns


class History(WithColumns):
    """The last season of a series: (rows,) of one column, or (rows, columns) of several."""

    kind: Literal["history"] = "history"
