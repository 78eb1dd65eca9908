"""Training algorithms, one a file: what happens to one batch."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from dltemplates.settings import TrainSettings
from dltemplates.tasks.task import Task

if TYPE_CHECKING:
    import keras

    from dltemplates.training.steps.supervised import Supervised

ALGORITHMS = {"supervised": "supervised:Supervised", "variational": "variational:Variational"}
"""By the name that a task asks for: the file here, and the class in it."""


def make_algorithm(
    name: str, model: keras.Model, task: Task, optimizer: keras.optimizers.Optimizer, settings: TrainSettings
) -> Supervised:
    """Make the training algorithm that a task asks for, in the scope of the strategy.

    Args:
        name: One of `ALGORITHMS`.
        model: The assembled model.
        task: The task.
        optimizer: Not yet built.
        settings: How it is trained.
    """
    module, _, kind = ALGORITHMS[name].partition(":")
    made = getattr(import_module(f"{__name__}.{module}"), kind)
    return made(model, task.loss(), task.metrics(), optimizer, auxiliary_weight=settings.auxiliary_weight)
