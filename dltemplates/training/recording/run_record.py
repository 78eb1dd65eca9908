"""The first and last files of a run: its settings before training, its scores and figures after."""

from __future__ import annotations

import platform
from importlib.metadata import version
from typing import Any

import keras
import numpy as np
from matplotlib.figure import Figure

import dltemplates
from dltemplates.datasets.names import as_lines
from dltemplates.datasets.series.sequences import are_sequences
from dltemplates.datasets.source import Dataset, Source
from dltemplates.features import Feature, Image, Noise, Tokens, columns_of
from dltemplates.figures.attention import attention_figures
from dltemplates.figures.coefficients import coefficients, coefficients_figure
from dltemplates.figures.outcomes import examples_figure
from dltemplates.figures.plane import boundary_figure
from dltemplates.figures.run import curves_figure, save_figures
from dltemplates.figures.samples import join_samples
from dltemplates.figures.sequences import sequences_figure
from dltemplates.figures.vision import vision_figures
from dltemplates.files import atomic_write
from dltemplates.models.summary import summarize
from dltemplates.run_json import RunRecord
from dltemplates.runs import Run
from dltemplates.runtimes import KerasPredictor
from dltemplates.settings import NO_DATASET
from dltemplates.tasks.assemble import without_auxiliary_inside
from dltemplates.tasks.scoring.advice import advise
from dltemplates.tasks.scoring.baselines import Baselines, fit_baselines, seconds_for
from dltemplates.tasks.scoring.evaluation import WHOLE, Evaluation, System, worst_and_others
from dltemplates.tasks.scoring.intervals import score_intervals
from dltemplates.tasks.serving.contract import Contract, ServingModel
from dltemplates.tasks.serving.serving_examples import system_examples
from dltemplates.tasks.task import Task
from dltemplates.template import Template
from dltemplates.training.stages import labeled_examples

MAX_EXAMPLES = 24
MAX_SEQUENCES = 16
MAX_TEXTS = 20
VERSIONED = ("tensorflow", "keras", "numpy")


def begin_run(run: Run, template: Template, dataset: Dataset, task: Task, model: keras.Model) -> None:
    """Write the files of a run that exist before the first step.

    Args:
        run: The empty run.
        template: The template.
        dataset: The training data.
        task: The task.
        model: The assembled model, not compiled: its definition holds no training settings.
    """
    atomic_write(run.template_path, template.to_toml())
    atomic_write(run.definition_path, model.to_json(indent=2))
    if labels := task.labels:
        atomic_write(run.labels_path, as_lines(labels))
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


def score_run(run: Run, task: Task, dataset: Dataset, warnings: dict[str, str] | None = None) -> None:
    """Calibrate the task, score the saved weights on validation and test, draw the figures, and mark the run as done.

    Args:
        run: The run, with its weights.
        task: The run's task.
        dataset: The run's data.
        warnings: Warnings of the last epochs, by epoch.
    """
    model = run.model()
    spec = task.calibrate(model, dataset)
    if spec != run.record.spec:
        run.save_record(run.record.model_copy(update={"spec": spec}))
        task = run.task()
    servings = run.serving_models()
    whole = servings.get(WHOLE)
    predictors = {part: KerasPredictor(serving.model, serving.contract) for part, serving in servings.items()}
    system = System(predictors, whole.model if whole else None)
    record = run.record
    figures = task.model_figures(servings, dataset.split("test"))
    if whole and (weights := coefficients(whole)):
        figures["coefficients"] = coefficients_figure(weights)
        record.details["coefficients"] = {output.pop("output"): output for output in weights}
    if history := run.history_rows():
        figures["curves"] = curves_figure(history, record.best_epoch)
    if warnings:
        record.details["warnings"] = warnings
    join_samples(run)
    for split in ("validation", "test"):
        source = system_examples(servings, split, dataset.split(split))
        evaluation = task.evaluate(system, source)
        record.scores[split] = evaluation.scores
        record.intervals[split] = score_intervals(evaluation)
        record.details[split] = evaluation.details
        if split == "test":
            figures |= task.figures(evaluation)
            figures |= attention_figures(model, task, dataset.split(split), evaluation)
            if whole and not isinstance(whole.contract.inputs[0], Noise):
                figures |= _input_figures(whole, predictors[WHOLE], task, source, evaluation)
                record.details[split] |= _texts(whole.contract.inputs[0], source, evaluation)
    if note := save_figures(figures, run.figures_path):
        record.spec = record.spec.model_copy(update={"warnings": (*record.spec.warnings, note)})
    baselines = _baselines(run, task, dataset)
    score = next(iter(record.scores["test"].values()))
    advice = advise(
        baselines, score, task.direction, history=history, best_epoch=record.best_epoch, template=run.template
    )
    baselines = baselines.model_copy(update={"advice": advice})
    run.save_record(record.model_copy(update={"state": "done", "baselines": baselines}))


def _baselines(run: Run, task: Task, dataset: Dataset) -> Baselines:
    """Fit the baselines on the rows that the network learned from."""
    record, template = run.record, run.template
    if template.dataset.name == NO_DATASET:
        return Baselines(none="the task has no rows to fit")
    if not record.epochs:
        return Baselines(none="the network was trained elsewhere, on rows that are not known")
    labeled = labeled_examples(template, len(dataset.split("train")))
    return fit_baselines(task, dataset, labeled=labeled, seconds=seconds_for(record.seconds))


def _input_figures(
    whole: ServingModel, predictor: KerasPredictor, task: Task, source: Source, evaluation: Evaluation
) -> dict[str, Figure]:
    """Draw examples or a decision boundary, and the figures of image networks."""
    figures = {}
    first = whole.contract.inputs[0]
    if isinstance(first, Image):
        figures["examples"] = _examples(source, first.name, evaluation)
    elif are_sequences(whole.contract):
        figures["sequences"] = _sequences(whole.contract, source, evaluation)
    elif boundary := _boundary(predictor, task, source, evaluation.targets):
        figures["boundary"] = boundary
    return figures | vision_figures(whole, task, source, evaluation)


def _examples(source: Source, name: str, evaluation: Evaluation) -> Figure:
    """Draw images, the worst first."""
    indices, captions, wrong = _worst_first(evaluation, MAX_EXAMPLES)
    return examples_figure(source.read(indices)[name], captions, wrong)


def _sequences(contract: Contract, source: Source, evaluation: Evaluation) -> Figure:
    """Draw sequences, the worst first."""
    indices, captions, wrong = _worst_first(evaluation, MAX_SEQUENCES)
    arrays, (first, *others) = source.read(indices), contract.inputs
    lengths = arrays[others[0].name] if others else np.full(len(indices), first.shape[0])
    sequences = [array[:length] for array, length in zip(arrays[first.name], lengths, strict=True)]
    names = [column.name for column in columns_of(first)]
    return sequences_figure(sequences, captions, wrong & evaluation.is_accuracy, names)


def _texts(feature: Feature, source: Source, evaluation: Evaluation) -> dict[str, Any]:
    """Return the texts of the worst examples, then of others, with their predictions; nothing for other inputs."""
    if not isinstance(feature, Tokens) or evaluation.errors is None:
        return {}
    indices = worst_and_others(evaluation.errors, MAX_TEXTS)
    captions = evaluation.captions or ("",) * len(evaluation)
    texts = [feature.text(ids) for ids in source.read(indices)[feature.name]]
    wrong = (evaluation.errors[indices] > 0) & evaluation.is_accuracy
    return {
        "texts": [
            {"text": text, "prediction": captions[index], "wrong": bool(is_wrong)}
            for text, index, is_wrong in zip(texts, indices, wrong, strict=True)
        ]
    }


def _worst_first(evaluation: Evaluation, most: int) -> tuple[np.ndarray, list[str], np.ndarray]:
    """Choose the worst examples, at most half of `most`, then others in order.

    Returns:
        Their indices, captions, and whether each is wrong.
    """
    count = len(evaluation)
    errors = np.zeros(count) if evaluation.errors is None else evaluation.errors
    captions = evaluation.captions or ("",) * count
    worst = [int(index) for index in np.argsort(-errors, kind="stable")[: most // 2] if errors[index] > 0]
    others = [index for index in range(count) if index not in worst]
    indices = np.array((worst + others)[:most])
    return indices, [captions[index] for index in indices], errors[indices] > 0


def _boundary(predictor: KerasPredictor, task: Task, source: Source, targets: dict[str, np.ndarray]) -> Figure | None:
    rows = source.read(np.arange(len(source)))[predictor.contract.inputs[0].name]
    return boundary_figure(predictor, task, rows, targets)
