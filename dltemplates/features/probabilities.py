"""Scores of classes."""

from __future__ import annotations

from typing import Literal

from dltemplates.features.feature import WithClasses


class Probabilities(WithClasses):
    """A share for each class, as a classifier gives."""

    kind: Literal["probabilities"] = "probabilities"
