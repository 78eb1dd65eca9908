"""Samples and scores of a generator on fixed noise, after each epoch of its training."""

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
MIN_IMAGES = 2  # diversity needs two images


class SampleLogger:
    """The generator of a model during training, with its scores and samples.

    The scores are the task's on the noise of validation. The samples use the seeds 0, 1, 2, ... like `dlt predict`.
    """

    def __init__(self, model: keras.Model, task: Task, dataset: Dataset, template: Template):
        """Prepare the logger.

        Args:
            model: The model in training.
            task: The model's task, which has a generator.
            dataset: The training data.
            template: The template.
        """
        assert task.generator is not None
        serving = task.serve(model, dataset.spec, template, name=model.name)[task.generator]
        self.contract = serving.contract
        self._predictor = KerasPredictor(serving.model, serving.contract)
        self._system = System({WHOLE: self._predictor})
        self._task = task
        self._validation = contract_examples(serving.contract, "validation", dataset.split("validation"))

    def check(self) -> None:
        """Score two examples, to find errors before the training begins.

        Raises:
            ValueError: If the evaluator does not fit, or the validation split has fewer than two images.
        """
        if self._task.generator:
            return
        if len(self._validation) < MIN_IMAGES:
            raise ValueError(
                f"Generated images need at least {MIN_IMAGES} images of validation to be scored. Received: "
                f"{len(self._validation)}. Raise dataset.validation, or add images."
            )
        self._task.evaluate(self._system, ArraySource(self._validation.read(np.arange(MIN_IMAGES))))

    def evaluate(self) -> Evaluation:
        """Score the generator as it is now; no scores if it is only a part of the model, such as a decoder."""
        if self._task.generator:
            return Evaluation({})
        return self._task.evaluate(self._system, self._validation)

    def samples(self) -> np.ndarray | None:
        """Generate images with the current weights: (n, height, width, channels), 0..255; None for other outputs."""
        (output,) = self.contract.outputs
        if not isinstance(output, Image):
            return None
        seeds = [read_noise(str(seed), self.contract.inputs) for seed in range(SAMPLE_COUNT)]
        noise = {name: np.concatenate([arrays[name] for arrays in seeds]) for name in seeds[0]}
        return self._predictor(noise)[output.name]
