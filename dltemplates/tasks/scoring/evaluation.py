"""The system of a run in one runtime, and its evaluation on a split."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from dltemplates.datasets.source import Arrays

if TYPE_CHECKING:
    import keras

    from dltemplates.runtimes import Predictor

ScoreOf: TypeAlias = Callable[[np.ndarray], np.ndarray]  # from weights (draws, n) to scores (draws,)
WHOLE = ""  # name of the whole network


def infinite_examples(outputs: Arrays) -> tuple[str, np.ndarray] | None:
    """Return the first output with NaN or infinity, and the examples (n,) that have it; None if all are finite."""
    for name, array in outputs.items():
        if np.issubdtype(array.dtype, np.floating):
            is_finite = np.isfinite(array).reshape(len(array), -1).all(axis=1)
            if not is_finite.all():
                return name, np.flatnonzero(~is_finite)
    return None


def worst_and_others(errors: np.ndarray, most: int) -> np.ndarray:
    """Choose examples: the worst, at most half of `most`, then others, evenly spaced: right ones, if there are any.

    Args:
        errors: The error of each example (n,), 0 for a right one.
        most: Maximum number of examples.

    Returns:
        Their indices.
    """
    worst = np.argsort(-errors, kind="stable")[: most // 2]
    worst = worst[errors[worst] > 0]
    others = np.flatnonzero(errors == 0) if (errors == 0).any() else np.setdiff1d(np.arange(len(errors)), worst)
    count = min(most - len(worst), len(others))
    return np.concatenate([worst, others[np.linspace(0, len(others) - 1, count).round().astype(np.int64)]])


@dataclass(frozen=True)
class System:
    """All parts of one run in one runtime.

    Attributes:
        parts: The predictor of each part by its name; the whole network has the name `""`.
        model: The served Keras model of the whole network; None if the system runs in another runtime.
    """

    parts: Mapping[str, Predictor]
    model: keras.Model | None = None

    @property
    def whole(self) -> Predictor:
        """The predictor of the whole network."""
        return self.parts[WHOLE]


@dataclass(frozen=True)
class Evaluation:
    """The scores and details of a system on a split.

    A unit is an independent example: a picture, a row, a document, an episode.

    Attributes:
        scores: Scores by name; the first one ranks runs and gates exports.
        targets: The raw targets by name, each (n, ...); only the first examples if all do not fit into memory.
        outputs: The outputs by name, likewise.
        details: Further results, ready for JSON.
        decisions: The decisions (n, ...), such as class ids, to count how many an export changes; None for none.
        errors: The error of each unit (n,), 0 if it is right; None if units are not compared one by one.
        units: The unit of each example (n,), if several examples form one unit, such as overlapping windows; None if
            each example is its own unit.
        is_accuracy: Whether the first score is the share of units with error 0.
        is_gate: Whether the first score gates an export; if False, parity with Keras's outputs does.
        captions: Text above the picture of each example.
        warnings: Problems, each in one line.
        count: The number of examples, if `outputs` holds only the first.
        shares: The scores that are shares of right units: whether each of them is right, (k,) booleans.
        score_of: Computes scores of resampled examples, by name, from weights: how often each example is drawn, (draws,
            n), to the scores (draws,). Scores that cannot be resampled are absent.
    """

    scores: dict[str, float]
    targets: Arrays = field(default_factory=dict)
    outputs: Arrays = field(default_factory=dict)
    details: dict[str, Any] = field(default_factory=dict)
    decisions: np.ndarray | None = None
    errors: np.ndarray | None = None
    units: np.ndarray | None = None
    is_accuracy: bool = False
    is_gate: bool = True
    captions: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    count: int = 0
    shares: Mapping[str, np.ndarray] = field(default_factory=dict)
    score_of: Mapping[str, ScoreOf] = field(default_factory=dict)

    def __len__(self) -> int:
        """Return the number of examples."""
        return self.count or len(next(iter((self.outputs or self.targets).values()), ()))
