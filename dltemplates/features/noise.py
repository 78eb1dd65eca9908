"""Noise."""

from __future__ import annotations

from typing import Literal

from dltemplates.features.feature import Feature


class Noise(Feature):
    """Standard normal numbers, of which a generator makes an example."""

    kind: Literal["noise"] = "noise"
