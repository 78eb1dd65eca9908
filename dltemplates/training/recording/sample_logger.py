"""A look at what a generator makes of the same noise, after each epoch of its training."""

from __future__ import annotations

import keras
import numpy as np

from dltemplates.datasets.noise_inputs import read_noise
from dltemplates.datasets.source import ArraySource, Dataset
from dltemplates.features import Image
from dltemplates.runtimes import KerasPredictor
from dltemplates.tasks.scoring.evaluation import WHOLE, Evaluation, System
from dltemplates.tasks.serving.serving_examples import contract_examples
from dltemplates.tasks.task import Task
from dltemplates.template import Template

SAMPLE_COUNT = 100
MIN_IMAGES = 2  # the fewest images that differ from each other


class SampleLogger:
    """The generator that is in a model while that is trained.

    Its figures are those of its task on the noise of validation; its samples are of the seeds from 0 on, as `dlt
    predict` draws them.
    """

    def __init__(self, model: keras.Model, task: Task, dataset: Dataset, template: Template):
        """Prepare to look.

        Args:
            model: The model that is trained.
            task: Its task, which has a generator.
            dataset: The data that it is trained on.
            template: What is trained.
        """
        assert task.generator is not None
        serving = task.serve(model, dataset.spec, template, name=model.name)[task.generator]
        self.contract = serving.contract
        self._predictor = KerasPredictor(serving.model, serving.contract)
        self._system = System({WHOLE: self._predictor})
        self._task = task
        self._validation = contract_examples(serving.contract, "validation", dataset.split("validation"))

    def try_out(self) -> None:
        """Judge two examples.

        Raises:
            ValueError: If the evaluator does not fit, or there is nothing to judge, while there is nothing to lose yet.
        """
        if self._task.generator:
            return
        if len(self._validation) < MIN_IMAGES:
            raise ValueError(
                f"What is made is held against {MIN_IMAGES} images of validation at least. Received: "
                f"{len(self._validation)}. Set more apart, by dataset.validation; or add images."
            )
        self._task.evaluate(self._system, ArraySource(self._validation.read(np.arange(MIN_IMAGES))))

    def evaluate(self) -> Evaluation:
        """Score what is made now; without scores where the generator is but a part of what is trained."""
        if self._task.generator:
            return Evaluation({})
        return self._task.evaluate(self._system, self._validation)

    def samples(self) -> np.ndarray | None:
        """What is made now: (n, height, width, channels), 0..255; None where it is no images."""
        (made,) = self.contract.outputs
        if not isinstance(made, Image):
            return None
        seeds = [read_noise(str(seed), self.contract.inputs) for seed in range(SAMPLE_COUNT)]
        noise = {name: np.concatenate([arrays[name] for arrays in seeds]) for name in seeds[0]}
        return self._predictor(noise)[made.name]
