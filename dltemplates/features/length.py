"""Lengths of sequences."""

from __future__ import annotations

from typing import Literal

from dltemplates.features.feature import Feature


class Length(Feature):
    """The steps of a sequence, int32; the steps after them are padding. Its range is 1 to the longest length."""

    kind: Literal["length"] = "length"
