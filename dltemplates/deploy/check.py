"""The check of a system: the parts of one format together do their task as they do it in Keras."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import cached_property
from pathlib import Path

import numpy as np

from dltemplates.datasets.source import Dataset, Source, Subset
from dltemplates.deploy.budget import Budget
from dltemplates.deploy.gate import MIN_UNITS, GateResult, decide
from dltemplates.deploy.parity import CheckError, Parity, PartReference, compare, run_keras
from dltemplates.deploy.report import SplitCheck
from dltemplates.runtimes import KerasPredictor, Predictor
from dltemplates.tasks.scoring.evaluation import WHOLE, Evaluation, System
from dltemplates.tasks.serving.contract import ServingModel
from dltemplates.tasks.serving.serving_examples import part_examples, system_examples
from dltemplates.tasks.task import Task

GATE_SPLIT = "validation"
REPORTED = "test"
SLOW_EXAMPLES = 500  # of a split, where a file is slow
BY_PARITY = "rms error"


class Reference:
    """What Keras gives: each part on a few examples, and the system's evaluation on whole splits.

    Attributes:
        servings: The parts, their images in float32.
        task: Scores the system.
        budget: Greatest drop of the score.
        metric: The name of the score that decides.
    """

    def __init__(self, servings: Mapping[str, ServingModel], task: Task, dataset: Dataset, max_drop: str, folder: Path):
        """Score the system in Keras on validation.

        Args:
            servings: The parts, their images in float32.
            task: Scores the system.
            dataset: Its `validation` decides, its `test` is reported.
            max_drop: Greatest drop of the score.
            folder: Where arrays are kept.
        """
        self.servings, self.task, self._dataset, self._folder = servings, task, dataset, folder
        # Keras takes any batch, also where an exported file will not.
        predictors = {
            part: KerasPredictor(serving.model, serving.contract.model_copy(update={"batch": "dynamic"}))
            for part, serving in servings.items()
        }
        whole = servings.get(WHOLE)
        self._keras = System(predictors, whole.model if whole else None)
        self._evaluations: dict[tuple[str, int], Evaluation] = {}
        self._parts: dict[tuple[str, str], PartReference] = {}
        evaluation = self.evaluation(GATE_SPLIT)
        self.is_scored = evaluation.is_gate
        self.budget = Budget(max_drop, task.direction if self.is_scored else "min")
        self.metric = next(iter(evaluation.scores)) if self.is_scored else BY_PARITY

    @cached_property
    def splits(self) -> tuple[str, ...]:
        """The splits that are looked at; the first decides."""
        return (GATE_SPLIT, *((REPORTED,) if len(self._dataset.splits.get(REPORTED, ())) else ()))

    def source(self, split: str, limit: int = 0) -> Source:
        """Return what the system is scored on: a whole split, or at most `limit` of it, evenly spread."""
        source = system_examples(self.servings, split, self._dataset.split(split))
        if not limit or len(source) <= limit:
            return source
        return Subset(source, np.linspace(0, len(source) - 1, limit).round().astype(np.int64))

    def evaluation(self, split: str, limit: int = 0) -> Evaluation:
        """Return how the system does in Keras, without its outputs."""
        if (split, limit) not in self._evaluations:
            self._evaluations[split, limit] = _light(self.task.evaluate(self._keras, self.source(split, limit)))
        return self._evaluations[split, limit]

    def part(self, part: str, split: str = GATE_SPLIT) -> PartReference:
        """Return what Keras gives for a part on some examples of a split."""
        if (part, split) not in self._parts:
            source = part_examples(self.servings[part], split, self._dataset.split(split))
            folder = self._folder / f"{part or 'whole'}-{split}"
            self._parts[part, split] = run_keras(self.servings[part], source, folder)
        return self._parts[part, split]


def check_by_parity(predictor: Predictor, part: str, parity: Parity, reference: Reference) -> dict[str, SplitCheck]:
    """Hold a part without a score of its own to the budget: its error, as a share of the range of Keras's output.

    Raises:
        CheckError: If it is over the budget.
    """
    splits = {GATE_SPLIT: _by_parity(parity)}
    if REPORTED in reference.splits:
        splits[REPORTED] = _by_parity(compare(predictor, reference.part(part, REPORTED)))
    budget = Budget(reference.budget.text, "min")
    if not budget.holds(0.0, parity.rms_error):
        raise CheckError(
            f"over budget: {BY_PARITY} on validation is {parity.rms_error:.4f} of the range of Keras's output, where "
            f"{budget.text} is allowed. Allow more with --max-drop"
        )
    return splits


def check_system(
    predictors: Mapping[str, Predictor], parities: Mapping[str, Parity], reference: Reference, *, is_slow: bool
) -> tuple[dict[str, SplitCheck], GateResult, tuple[str, ...]]:
    """Score the files of all parts together.

    Args:
        predictors: The files by part.
        parities: How far each of them is from Keras.
        reference: What Keras gives.
        is_slow: Whether a file is so slow that a part of a split must do.

    Returns:
        The figures of each split, what the gate says, and remarks.

    Raises:
        CheckError: If the gate refuses the system.
    """
    max_error = max((parity.max_error for parity in parities.values()), key=lambda error: (np.isnan(error), error))
    limit = SLOW_EXAMPLES if is_slow else 0
    splits, remarks, result = {}, [], GateResult(units=0, allowed=0.0)
    for split in reference.splits:
        source = reference.source(split, limit)
        keras = reference.evaluation(split, limit)
        file = reference.task.evaluate(System(predictors), source)
        if limit and len(source) == limit:
            remarks.append(f"checked on {limit} examples of {split}, evenly spread: its kernels are slow")
        splits[split] = _figures(keras, file, reference.budget, max_error if split == GATE_SPLIT else None)
        if split == GATE_SPLIT:
            result = decide(keras, file, reference.budget)
    result = _hold_decisions(reference, splits[GATE_SPLIT], result)
    if result.failure:
        raise CheckError(result.failure)
    if result.units < MIN_UNITS:
        remarks.append(
            f"{result.units} examples of {GATE_SPLIT} are too few for a score: it passed by its parity alone"
        )
    return splits, result, tuple(remarks)


def _hold_decisions(reference: Reference, figures: SplitCheck, result: GateResult) -> GateResult:
    """Refuse outputs that are decisions themselves where more than a share as large as the budget differs.

    A score may be blind to them, as the area under a curve is to the threshold.
    """
    names = [name for part in reference.servings for name in reference.part(part).decisions]
    most = max(1, int(result.allowed * figures.examples + 1e-9))
    if not names or figures.changed is None or figures.changed <= most or result.failure:
        return result
    failure = (
        f"over budget: `{names[0]}` differs from Keras's on {figures.changed} of {figures.examples} examples of "
        f"validation, where {most} may. Allow more with --max-drop"
    )
    return result.model_copy(update={"failure": failure})


def _figures(keras: Evaluation, file: Evaluation, budget: Budget, max_error: float | None) -> SplitCheck:
    (float_score, *_), (score, *_) = (list(each.scores.values()) for each in (keras, file))
    changed = agreement = None
    if file.decisions is not None and keras.decisions is not None:
        different = (file.decisions != keras.decisions).reshape(len(file.decisions), -1).any(axis=1)
        changed, agreement = int(different.sum()), float(1 - different.mean())
    return SplitCheck(
        examples=len(file),
        float_score=float_score,
        score=score,
        drop=budget.drop(float_score, score),
        max_error=max_error,
        changed=changed,
        agreement=agreement,
    )


def _by_parity(parity: Parity) -> SplitCheck:
    return SplitCheck(
        examples=parity.examples,
        float_score=0.0,
        score=parity.rms_error,
        drop=parity.rms_error,
        max_error=parity.max_error,
    )


def _light(evaluation: Evaluation) -> Evaluation:
    """Return an evaluation without the arrays that may be large."""
    return replace(evaluation, targets={}, outputs={}, captions=(), count=len(evaluation))
