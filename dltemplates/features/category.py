"""Categories of a table."""

from __future__ import annotations

from typing import Literal

from dltemplates.features.feature import WithColumns


class Category(WithColumns):
    """The id of a category for each of several columns, or their texts."""

    kind: Literal["category"] = "category"
