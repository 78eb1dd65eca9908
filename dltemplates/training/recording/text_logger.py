"""Texts that a network writes during its training, to see how they get better."""

from __future__ import annotations

import keras
import numpy as np

from dltemplates.datasets.source import Dataset
from dltemplates.models.weights import set_weights
from dltemplates.runtimes import KerasPredictor
from dltemplates.tasks.scoring.evaluation import System
from dltemplates.tasks.task import Task
from dltemplates.template import Template
from dltemplates.training.stages import Stage

MAX_EPOCHS = 10  # with texts


class TextLogger:
    """The texts that a network writes for a few validation examples, after some epochs of its training.

    A copy of the network writes them, in float32 and on one device, as the network that is saved.
    """

    def __init__(self, definition: keras.Model, task: Task, dataset: Dataset, template: Template):
        """Prepare the logger.

        Args:
            definition: The model to save. It gets the weights of the model in training when texts are written.
            task: The model's task, whose target is tokens.
            dataset: The training data.
            template: The template.
        """
        servings = task.serve(definition, dataset.spec, template, name=definition.name)
        parts = {part: KerasPredictor(serving.model, serving.contract) for part, serving in servings.items()}
        self._definition, self._task, self._system = definition, task, System(parts)
        self._validation = dataset.split("validation")

    def check(self) -> None:
        """Write texts with the first weights, to find errors before the training begins.

        Raises:
            ValueError: If the network has a layer that cannot write token by token.
        """
        self._task.sample_texts(self._system, self._validation)

    def texts(self, model: keras.Model) -> list[dict[str, str]]:
        """Write texts with the current weights of the model in training."""
        set_weights(self._definition, [np.array(weight) for weight in model.weights])
        return self._task.sample_texts(self._system, self._validation)


def is_logged(stage: Stage, epoch: int) -> bool:
    """Return whether texts are written after an epoch, one of those after which a stage is validated.

    There are at most `MAX_EPOCHS` such epochs, evenly spaced, with the first and the last.
    """
    period = stage.epochs_per_validation
    epochs = [*range(stage.first_epoch + period, stage.end_epoch, period), stage.end_epoch]
    places = np.linspace(0, len(epochs) - 1, min(len(epochs), MAX_EPOCHS)).round().astype(int)
    return epoch in {epochs[place] for place in places}
