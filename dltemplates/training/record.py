"""The first and the last page of a run: what is known before training, and how the trained network scores."""

from __future__ import annotations

import platform
from importlib.metadata import version

import keras
import numpy as np
from matplotlib.figure import Figure

import dltemplates
from dltemplates.datasets.source import Dataset, Source
from dltemplates.datasets.spec import DatasetSpec, image_of
from dltemplates.models.summary import summarize
from dltemplates.reports.coefficients import coefficients, coefficients_figure
from dltemplates.reports.figures import curves_figure, examples_figure, save_figures
from dltemplates.reports.plane import boundary_figure
from dltemplates.reports.samples import join_samples
from dltemplates.reports.vision import vision_figures
from dltemplates.runs import Run, RunRecord, atomic_write
from dltemplates.runtimes import KerasPredictor
from dltemplates.tasks.assemble import without_auxiliary_inside
from dltemplates.tasks.evaluation import WHOLE, Evaluation, System
from dltemplates.tasks.examples import examples_for, is_generator
from dltemplates.tasks.task import Task
from dltemplates.template import Template

SHOWN = 24
VERSIONED = ("tensorflow", "keras", "numpy")


def begin_run(run: Run, template: Template, spec: DatasetSpec, task: Task, model: keras.Model) -> None:
    """Fill the folder of a run with all that is known before the first step.

    Args:
        run: The run, empty.
        template: What is trained.
        spec: The data it is trained on.
        task: The task.
        model: The assembled model, not compiled: its definition says nothing of how it is trained.
    """
    atomic_write(run.template_path, template.to_toml())
    atomic_write(run.definition_path, model.to_json(indent=2))
    if labels := task.labels:
        atomic_write(run.labels_path, "\n".join(labels) + "\n")
    summary = summarize(without_auxiliary_inside(model))
    versions = {"dltemplates": dltemplates.__version__, "python": platform.python_version()}
    record = RunRecord(
        spec=spec,
        parameters=summary.parameters,
        macs=summary.macs,
        versions=versions | {package: version(package) for package in VERSIONED},
        seed=template.seed,
    )
    run.save_record(record)


def score_run(run: Run, task: Task, dataset: Dataset, warnings: dict[str, str] | None = None) -> None:
    """Fit what is fitted last, score the kept weights on splits not trained on, draw the figures, close the run.

    Args:
        run: The run, with its weights.
        task: Its task.
        dataset: Its data.
        warnings: What was wrong in the last epochs, by epoch.
    """
    spec = task.fitted(run.model(), dataset)
    if spec != run.record.spec:
        run.save_record(run.record.model_copy(update={"spec": spec}))
        task = run.task()
    servings = run.servings()
    serving = servings[""]
    predictor = KerasPredictor(serving.model, serving.contract)
    record = run.record
    figures = task.gallery(servings, dataset.split("test"))
    dataset = examples_for(serving, dataset)
    if found := coefficients(serving):
        figures["coefficients"] = coefficients_figure(found)
        record.details["coefficients"] = {output.pop("output"): output for output in found}
    if history := run.history():
        figures["curves"] = curves_figure(history, record.best_epoch)
    if warnings:
        record.details["warnings"] = warnings
    join_samples(run)
    for split in ("validation", "test"):
        evaluation = task.evaluate(System({WHOLE: predictor}, serving.model), dataset.split(split))
        record.scores[split] = evaluation.scores
        record.details[split] = evaluation.details
        if split == "test":
            figures |= task.figures(evaluation)
            if is_generator(serving.contract):
                continue
            if image := image_of(dataset.spec):
                figures["examples"] = _examples(dataset.split(split), image.name, evaluation)
            elif boundary := _boundary(predictor, task, dataset.split(split), evaluation.targets):
                figures["boundary"] = boundary
            figures |= vision_figures(serving, task, dataset.split(split), evaluation)
    save_figures(figures, run.figures_path)
    run.save_record(record.model_copy(update={"state": "done"}))


def _examples(source: Source, name: str, evaluation: Evaluation) -> Figure:
    """Draw the worst examples, at most half of those shown, then others in order."""
    count = len(evaluation)
    errors = np.zeros(count) if evaluation.errors is None else evaluation.errors
    captions = evaluation.captions or ("",) * count
    worst = [int(index) for index in np.argsort(-errors, kind="stable")[: SHOWN // 2] if errors[index] > 0]
    others = [index for index in range(count) if index not in worst]
    shown = np.array((worst + others)[:SHOWN])
    images = source.read(shown)[name]
    return examples_figure(images, [captions[index] for index in shown], errors[shown] > 0)


def _boundary(predictor: KerasPredictor, task: Task, source: Source, targets: dict[str, np.ndarray]) -> Figure | None:
    rows = source.read(np.arange(len(source)))[predictor.contract.inputs[0].name]
    return boundary_figure(predictor, task, rows, targets)
