"""The check of a system: its files of one format, used together, score as well as Keras."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from functools import cached_property
from pathlib import Path

import numpy as np

from dltemplates.datasets.source import Dataset, Source, Subset
from dltemplates.deploy.budget import Budget
from dltemplates.deploy.gate import GateResult, decide
from dltemplates.deploy.parity import CheckError, Parity, PartReference, compare, run_keras
from dltemplates.deploy.report import SplitCheck
from dltemplates.deploy.stream_check import StreamReference, run_stream
from dltemplates.runtimes import KerasPredictor, Predictor
from dltemplates.tasks.scoring.evaluation import WHOLE, Evaluation, System
from dltemplates.tasks.scoring.intervals import MIN_UNITS, score_interval
from dltemplates.tasks.serving.contract import ServingModel
from dltemplates.tasks.serving.serving_examples import part_examples, system_examples
from dltemplates.tasks.serving.stream import over_windows
from dltemplates.tasks.task import Task

GATE_SPLIT = "validation"
REPORT_SPLIT = "test"
SLOW_EXAMPLES = 500  # at most, of each split, for a slow file
PARITY_METRIC = "rms error"
FEW_TOLERANCE = 0.05  # RMS error, relative to the range of Keras's output, where the examples are too few for a score


class Reference:
    """Keras's results: the outputs of each part on a few examples, and the system's evaluation on whole splits.

    Attributes:
        servings: The parts by name, with float32 images.
        task: The task, which scores the system.
        budget: Greatest drop of the score.
        metric: Name of the gate's score.
    """

    def __init__(self, servings: Mapping[str, ServingModel], task: Task, dataset: Dataset, max_drop: str, folder: Path):
        """Score the system in Keras on validation.

        Args:
            servings: The parts by name, with float32 images.
            task: The task, which scores the system.
            dataset: Data whose `validation` split decides and whose `test` split is reported.
            max_drop: Greatest drop of the score.
            folder: Folder for arrays on disk.
        """
        self.servings, self.task, self._dataset, self._folder = servings, task, dataset, folder
        # Keras accepts any batch size, even where the exported file will not.
        predictors = {
            part: KerasPredictor(serving.model, serving.contract.model_copy(update={"batch": "dynamic"}))
            for part, serving in servings.items()
        }
        whole = servings.get(WHOLE)
        over = {part: over_windows(predictor) for part, predictor in predictors.items()}
        self._keras = System(over, whole.model if whole else None)
        self._evaluations: dict[tuple[str, int], Evaluation] = {}
        self._parts: dict[tuple[str, str], PartReference] = {}
        self._streams: dict[str, StreamReference] = {}
        evaluation = self.evaluation(GATE_SPLIT, task.max_checked)
        self.is_scored = evaluation.is_gate
        self.budget = Budget(max_drop, task.direction if self.is_scored else "min")
        self.metric = next(iter(evaluation.scores)) if self.is_scored else PARITY_METRIC

    @cached_property
    def splits(self) -> tuple[str, ...]:
        """The evaluated splits; the first one decides."""
        return (GATE_SPLIT, *((REPORT_SPLIT,) if len(self._dataset.splits.get(REPORT_SPLIT, ())) else ()))

    def source(self, split: str, limit: int = 0) -> Source:
        """Return the examples of a split to score, at most `limit` of them, evenly spaced; 0 takes all."""
        source = system_examples(self.servings, split, self._dataset.split(split))
        if not limit or len(source) <= limit:
            return source
        return Subset(source, np.linspace(0, len(source) - 1, limit).round().astype(np.int64))

    def evaluation(self, split: str, limit: int = 0) -> Evaluation:
        """Evaluate the system in Keras, and drop the outputs."""
        if (split, limit) not in self._evaluations:
            self._evaluations[split, limit] = _without_arrays(
                self.task.evaluate(self._keras, self.source(split, limit))
            )
        return self._evaluations[split, limit]

    def part(self, part: str, split: str = GATE_SPLIT) -> PartReference:
        """Run a part in Keras on some examples of a split."""
        if (part, split) not in self._parts:
            source = part_examples(self.servings[part], split, self._dataset.split(split))
            folder = self._folder / f"{part or 'whole'}-{split}"
            self._parts[part, split] = run_keras(self.servings[part], source, folder)
        return self._parts[part, split]

    def stream(self, part: str) -> StreamReference:
        """Stream rows of validation through a part in Keras.

        Raises:
            CheckError: If its streaming form is wrong.
        """
        if part not in self._streams:
            self._streams[part] = run_stream(self.servings[part], self._dataset.split(GATE_SPLIT))
        return self._streams[part]


def check_by_parity(predictor: Predictor, part: str, parity: Parity, reference: Reference) -> dict[str, SplitCheck]:
    """Check a part without a score: compare its RMS error, relative to the range of Keras's output, with the budget.

    Raises:
        CheckError: If the error is over the budget.
    """
    splits = {GATE_SPLIT: _parity_figures(parity)}
    if REPORT_SPLIT in reference.splits:
        splits[REPORT_SPLIT] = _parity_figures(compare(predictor, reference.part(part, REPORT_SPLIT)))
    budget = Budget(reference.budget.text, "min")
    if not budget.holds(0.0, parity.rms_error):
        raise CheckError(
            f"over budget: {PARITY_METRIC} on validation is {parity.rms_error:.4f} of the range of Keras's output; at "
            f"most {budget.text} is allowed. To allow more, raise --max-drop"
        )
    return splits


def check_system(
    predictors: Mapping[str, Predictor], parities: Mapping[str, Parity], reference: Reference, *, is_slow: bool
) -> tuple[dict[str, SplitCheck], GateResult, tuple[str, ...]]:
    """Score the files of all parts together.

    Args:
        predictors: The files by part.
        parities: The errors against Keras by part.
        reference: Keras's results.
        is_slow: Score at most `SLOW_EXAMPLES` examples of each split. A task may have a smaller limit.

    Returns:
        The figures by split, the gate's result, and remarks.

    Raises:
        CheckError: If the gate refuses the system, or the outputs differ too much where the examples are too few for
            the gate.
    """
    max_error = _largest(parity.max_error for parity in parities.values())
    system = {name: over_windows(predictor) for name, predictor in predictors.items()}
    most = reference.task.max_checked
    limit = min(most or SLOW_EXAMPLES, SLOW_EXAMPLES) if is_slow else most
    splits, remarks, result = {}, [], GateResult(units=0, allowed=0.0)
    for split in reference.splits:
        source = reference.source(split, limit)
        keras = reference.evaluation(split, limit)
        file = reference.task.evaluate(System(system), source)
        if limit and len(source) == limit:
            reason = "a text is written token by token" if limit == most else "this format runs slowly"
            remarks.append(f"checked on {limit} examples of {split}, evenly spaced, because {reason}")
        splits[split] = _score_figures(keras, file, reference.budget, max_error if split == GATE_SPLIT else None)
        if split == GATE_SPLIT:
            result = decide(keras, file, reference.budget)
    result = _check_decisions(reference, splits[GATE_SPLIT], result)
    if result.failure:
        raise CheckError(result.failure)
    if result.units < MIN_UNITS:
        rms_error = _largest(parity.rms_error for parity in parities.values())
        few = f"{GATE_SPLIT} holds only {result.units} independent example{'' if result.units == 1 else 's'}"
        if not rms_error <= FEW_TOLERANCE:
            raise CheckError(
                f"{few}, too few for a score, so the outputs decide: their RMS error must be at most {FEW_TOLERANCE:g} "
                f"of the range of Keras's output. It is {rms_error:.2g}. Take a float format, or add data"
            )
        remarks.append(
            f"{few}, too few for a score: only the outputs were compared with Keras's; their RMS error is "
            f"{rms_error:.2g} of its range, at most {FEW_TOLERANCE:g} is allowed"
        )
    return splits, result, tuple(remarks)


def _largest(errors: Iterable[float]) -> float:
    """Return the largest error, NaN if one is NaN."""
    return max(errors, key=lambda error: (np.isnan(error), error))


def _check_decisions(reference: Reference, figures: SplitCheck, result: GateResult) -> GateResult:
    """Refuse a system whose decision outputs differ from Keras's on a larger share of examples than the budget.

    The score alone may not see this: the area under the ROC curve ignores the threshold.
    """
    names = [name for part in reference.servings for name in reference.part(part).decisions]
    limit = max(1, int(result.allowed * figures.examples + 1e-9))
    if not names or figures.changed is None or figures.changed <= limit or result.failure:
        return result
    failure = (
        f"over budget: `{names[0]}` differs from Keras's on {figures.changed} of {figures.examples} examples of "
        f"validation; at most {limit} may differ. To allow more, raise --max-drop"
    )
    return result.model_copy(update={"failure": failure})


def _score_figures(keras: Evaluation, file: Evaluation, budget: Budget, max_error: float | None) -> SplitCheck:
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
        interval=score_interval(file, next(iter(file.scores))),
    )


def _parity_figures(parity: Parity) -> SplitCheck:
    return SplitCheck(
        examples=parity.examples,
        float_score=0.0,
        score=parity.rms_error,
        drop=parity.rms_error,
        max_error=parity.max_error,
    )


def _without_arrays(evaluation: Evaluation) -> Evaluation:
    """Return an evaluation without its large arrays."""
    return replace(evaluation, targets={}, outputs={}, captions=(), count=len(evaluation))
