"""The values before a forecast."""

from __future__ import annotations

from typing import Literal

from dltemplates.features.feature import WithColumns


class History(WithColumns):
    """The last season of one column of a series."""

    kind: Literal["history"] = "history"
