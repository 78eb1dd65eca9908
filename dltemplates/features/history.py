"""What came before the end of a window of a series."""

from __future__ import annotations

from typing import Literal

from dltemplates.features.feature import WithColumns


class History(WithColumns):
    """The last numbers in one column of a series, as many as its period has."""

    kind: Literal["history"] = "history"
