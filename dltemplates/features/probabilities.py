"""Class probabilities."""

from __future__ import annotations

from typing import Literal

from dltemplates.features.feature import WithClasses


class Probabilities(WithClasses):
    """One probability per class, the output of a classifier."""

    kind: Literal["probabilities"] = "probabilities"
