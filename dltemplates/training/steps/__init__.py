"""Training algorithms, one a file: what happens to one batch."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from dltemplates.training.steps.algorithm import Algorithm

ALGORITHMS = {
    "supervised": "supervised:Supervised",
    "variational": "variational:Variational",
    "adversarial": "adversarial:Adversarial",
    "contrastive_divergence": "contrastive_divergence:ContrastiveDivergence",
}
"""By the name that a task asks for: the file here, and the class in it."""


def algorithm_class(name: str) -> type[Algorithm]:
    """The training algorithm that a task asks for, one of `ALGORITHMS`."""
    module, _, kind = ALGORITHMS[name].partition(":")
    return getattr(import_module(f"{__name__}.{module}"), kind)
