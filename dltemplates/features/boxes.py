"""Boxes around the objects in an image."""

from __future__ import annotations

from typing import Literal

from dltemplates.features.feature import Feature

PADDING = -1.0


class Boxes(Feature):
    """Up to `most` boxes an example: (most, 4), in any order.

    A box is (left, top, right, bottom), each a share of the image's width or height, 0 to 1. A row of -1 is no box: it
    fills the rows that are left.
    """

    kind: Literal["boxes"] = "boxes"
