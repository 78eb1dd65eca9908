"""The first and the last page of a run: what is known before training, and how the trained network scores."""

from __future__ import annotations

import platform
from importlib.metadata import version

import keras
import numpy as np
from matplotlib.figure import Figure

import dltemplates
from dltemplates.datasets.source import Dataset, Source
from dltemplates.datasets.spec import image_of
from dltemplates.models.summary import summarize
from dltemplates.reports.coefficients import coefficients, coefficients_figure
from dltemplates.reports.figures import curves_figure, examples_figure, save_figures
from dltemplates.reports.plane import boundary_figure
from dltemplates.reports.samples import join_samples
from dltemplates.reports.vision import vision_figures
from dltemplates.runs import Run, RunRecord, atomic_write
from dltemplates.runtimes import KerasPredictor
from dltemplates.tasks.assemble import without_auxiliary_inside
from dltemplates.tasks.examples import examples_for, is_generator
from dltemplates.tasks.task import Task
from dltemplates.template import Template

SHOWN = 24
VERSIONED = ("tensorflow", "keras", "numpy")


def begin_run(run: Run, template: Template, dataset: Dataset, task: Task, model: keras.Model) -> None:
    """Fill the folder of a run with all that is known before the first step.

    Args:
        run: The run, empty.
        template: What is trained.
        dataset: The data it is trained on.
        task: The task.
        model: The assembled model, not compiled: its definition says nothing of how it is trained.
    """
    atomic_write(run.template_path, template.to_toml())
    atomic_write(run.definition_path, model.to_json(indent=2))
    if labels := task.labels:
        atomic_write(run.labels_path, "\n".join(labels) + "\n")
    if dataset.rows is not None:
        atomic_write(run.splits_path, dataset.rows.to_bytes())
    summary = summarize(without_auxiliary_inside(model))
    versions = {"dltemplates": dltemplates.__version__, "python": platform.python_version()}
    record = RunRecord(
        spec=dataset.spec,
        parameters=summary.parameters,
        macs=summary.macs,
        versions=versions | {package: version(package) for package in VERSIONED},
        seed=template.seed,
    )
    run.save_record(record)


def score_run(run: Run, task: Task, dataset: Dataset) -> None:
    """Fit what is fitted last, score the kept weights on splits not trained on, draw the figures, close the run."""
    spec = task.fitted(run.model(), dataset)
    if spec != run.record.spec:
        run.save_record(run.record.model_copy(update={"spec": spec}))
        task = run.task()
    servings = run.servings()
    serving = servings[""]
    predictor = KerasPredictor(serving.model, serving.contract)
    record = run.record
    figures = task.gallery(servings, dataset.split("test"))
    held_out = {split: task.held_out(serving.model, dataset.split(split)) for split in ("validation", "test")}
    dataset = examples_for(serving, dataset)
    if found := coefficients(serving):
        figures["coefficients"] = coefficients_figure(found)
        record.details["coefficients"] = {output.pop("output"): output for output in found}
    if history := run.history():
        figures["curves"] = curves_figure(history, record.best_epoch)
        if warnings := _standing(task, history):
            record.details["warnings"] = warnings
    join_samples(run)
    for split in ("validation", "test"):
        targets, outputs = predictor.predict(dataset.split(split))
        record.scores[split] = held_out[split] | task.score(targets, outputs)
        record.details[split] = task.details(targets, outputs)
        if split == "test":
            figures |= task.figures(targets, outputs)
            if is_generator(serving.contract):
                continue
            if image := image_of(dataset.spec):
                figures["examples"] = _examples(dataset.split(split), image.name, *task.captions(targets, outputs))
            elif boundary := _boundary(predictor, task, dataset.split(split), targets):
                figures["boundary"] = boundary
            figures |= vision_figures(serving, task, dataset.split(split), targets, outputs)
    save_figures(figures, run.figures_path)
    run.save_record(record.model_copy(update={"state": "done"}))


def _standing(task: Task, history: list[dict[str, float]]) -> dict[str, str]:
    """The warnings of the last epochs, by epoch: what went wrong and did not come right again."""
    said: dict[str, str] = {}
    for end in range(len(history), 0, -1):
        if not (warning := task.warning(history[:end])):
            break
        said[str(int(history[end - 1]["epoch"]))] = warning
    return dict(reversed(said.items()))


def _examples(source: Source, name: str, captions: list[str], off: np.ndarray) -> Figure:
    """Draw the worst examples, at most half of those shown, then others in order."""
    worst = [int(index) for index in np.argsort(-off, kind="stable")[: SHOWN // 2] if off[index] > 0]
    others = [index for index in range(len(off)) if index not in worst]
    shown = np.array((worst + others)[:SHOWN])
    images = source.read(shown)[name]
    return examples_figure(images, [captions[index] for index in shown], off[shown] > 0)


def _boundary(predictor: KerasPredictor, task: Task, source: Source, targets: dict[str, np.ndarray]) -> Figure | None:
    rows = source.read(np.arange(len(source)))[predictor.contract.inputs[0].name]
    return boundary_figure(predictor, task, rows, targets)
