"""How well a network does on a split: what every task says of a system, whatever runtime it runs in."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from dltemplates.datasets.source import Arrays

if TYPE_CHECKING:
    import keras

    from dltemplates.runtimes import Predictor

WHOLE = ""  # the name of the part that does all


@dataclass(frozen=True)
class System:
    """All parts of one run in one runtime.

    Attributes:
        parts: The predictor of each part by its name; the whole network has the name `""`.
        model: The Keras model of the whole, as it is served, where the system runs in Keras; else None.
    """

    parts: Mapping[str, Predictor]
    model: keras.Model | None = None

    @property
    def whole(self) -> Predictor:
        """The predictor of the whole network."""
        return self.parts[WHOLE]


@dataclass(frozen=True)
class Evaluation:
    """What a task says of a system on a split.

    A unit is an independent example: a picture, a row, a document, an episode.

    Attributes:
        scores: Figures by name; the first one decides about runs and exports.
        targets: The raw targets by name, each (n, ...); or of the first examples, where all are too large to be held.
        outputs: The outputs by name, likewise.
        details: What else is worth keeping, ready for JSON.
        decisions: What a user acts on (n, ...), to count how many an export changes; None without any.
        errors: How wrong each unit is (n,): 0 where it is right; None where units are not compared one by one.
        units: The unit of each example (n,), where several examples are one, such as windows that overlap; None where
            each is its own.
        is_share: Whether the first score is the share of units whose error is 0.
        is_gate: Whether the first score decides about an export; where not, how near its outputs are to Keras's does.
        captions: What to write over a picture of each example.
        warnings: What is wrong, each in a line.
        count: The number of examples, where `outputs` holds only the first.
        score_of: Returns the first score of some examples, by their indices, which may repeat; None where that cannot
            be computed of the arrays at hand.
    """

    scores: dict[str, float]
    targets: Arrays = field(default_factory=dict)
    outputs: Arrays = field(default_factory=dict)
    details: dict[str, Any] = field(default_factory=dict)
    decisions: np.ndarray | None = None
    errors: np.ndarray | None = None
    units: np.ndarray | None = None
    is_share: bool = False
    is_gate: bool = True
    captions: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    count: int = 0
    score_of: Callable[[np.ndarray], float] | None = None

    def __len__(self) -> int:
        """The number of examples."""
        return self.count or len(next(iter((self.outputs or self.targets).values()), ()))
