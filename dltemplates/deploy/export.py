"""The export of a system: convert every part to every format, check the files, keep those that pass, write a report.

The outer loop runs over formats, the inner loop over parts. The files of one format stay in a work folder until each of
them matches Keras and the whole system passes the gate. Then they move into place. The report is written last and in
one step: files whose digests differ from the report are not valid.

Parts that are useful only together may share one file. Each is checked by itself, and the file moves into place once.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

from dltemplates.datasets.source import Dataset
from dltemplates.deploy import files
from dltemplates.deploy.check import GATE_SPLIT, PARITY_METRIC, Reference, check_by_parity, check_system
from dltemplates.deploy.converters.convert import ConversionError, Converter
from dltemplates.deploy.converters.messages import translate
from dltemplates.deploy.earlier import load_finished, weights_digest, with_earlier
from dltemplates.deploy.formats.format import Format, load_format
from dltemplates.deploy.gate import GateResult
from dltemplates.deploy.joined import is_joined, joined_job, joined_target
from dltemplates.deploy.memory import too_large
from dltemplates.deploy.parity import CheckError, Parity, check_part, worst
from dltemplates.deploy.part import Part, scored_parts
from dltemplates.deploy.report import ExportReport, FormatResult, SplitCheck, Verdict
from dltemplates.deploy.stream_check import check_stream
from dltemplates.runtimes import Predictor, load_predictor
from dltemplates.settings import ExportSettings
from dltemplates.tasks.serving.contract import ServingModel
from dltemplates.tasks.serving.file_digest import path_digest
from dltemplates.tasks.task import Task

Progress = Callable[[str, str], None]
VERSIONED = ("tensorflow", "keras", "tf2onnx", "onnx", "onnxruntime", "ai-edge-litert", "numpy")


def export_system(
    servings: Mapping[str, ServingModel],
    task: Task,
    dataset: Dataset,
    folder: Path,
    settings: ExportSettings | None = None,
    *,
    formats: Sequence[str] | None = None,
    max_drop: str | float | None = None,
    weights_sha256: str | None = None,
    resume: bool = False,
    progress: Progress = lambda key, state: None,
) -> ExportReport:
    """Export the parts of a system to the chosen formats, and check each part and the whole system.

    Files get their final names only after they pass. A format that fails leaves no file, and removes the file of an
    earlier export; a part that is useful alone stays if it passes by itself. Formats of an earlier export of the same
    weights stay in the report unless they are exported again. A format that needs more than the free memory is skipped.

    Args:
        servings: The parts by name; the whole network has the name `""`.
        task: The task, which scores the system.
        dataset: The data: `train` calibrates integer formats, `validation` decides, `test` is reported.
        folder: The exports folder; the files of a part go into a subfolder with the part's name, but files that several
            parts share do not.
        settings: The formats, the budget, the input dtype of int8 files, the number of calibration examples.
        formats: Catalog keys, in place of the formats of `settings`. A format named here fails if it is not offered or
            does not fit into memory.
        max_drop: Greatest drop of the score; by default the one of `settings`, then of the task.
        weights_sha256: Digest of the run's weights file, for the export of a run.
        resume: Keep the formats that an earlier export of the same weights finished with the same settings.
        progress: Called with a format and its state: `converting`, `checking`, `kept`, or its verdict, with the reason
            if memory is lacking.

    Returns:
        The report, also saved in the folder.

    Raises:
        ValueError: If a format, the budget or the data is wrong, or a model's inputs or outputs differ from its
            contract.
        OSError: If a file cannot be written.
    """
    from dltemplates.deploy.converters.saved_model import with_float_images

    settings = settings or ExportSettings()
    selected = [load_format(key) for key in dict.fromkeys(settings.formats if formats is None else formats)]
    budget = next(str(drop) for drop in (max_drop, settings.max_drop, task.budget) if drop is not None)
    for split in ("train", GATE_SPLIT):
        if len(dataset.split(split)) == 0:
            raise ValueError(f"Split `{split}` must hold examples for an export. Received: 0. Add some to the data.")
    servings = {part: with_float_images(serving) for part, serving in servings.items()}
    if resume and (earlier := load_finished(servings, folder, budget, settings)):
        for format in selected:
            for name, result in earlier.results_of(format.key).items():
                progress(f"{name} {format.key}".strip(), "kept" if result.verdict == "passed" else result.verdict)
        selected = [format for format in selected if not earlier.results_of(format.key)]
        if not selected:
            return earlier
    oversized = {format.key: reason for format in selected if (reason := too_large(format, servings))}
    for key, reason in oversized.items():
        progress(key, f"{'skipped' if formats is None else 'failed'}: {reason}")
    with files.work_folder(folder) as work, Converter(work / "log.txt") as converter:
        reference = Reference(servings, task, dataset, budget, work / "reference")
        parts = {part: Part(part, serving, converter, work, folder) for part, serving in servings.items()}
        for part in parts.values():
            part.write_jobs([format for format in selected if format.key not in oversized], dataset, settings)
        exporter = _Exporter(
            parts, reference, converter, work, folder, settings, requested=formats is not None, progress=progress
        )
        report = _empty_report(parts, reference, weights_sha256)
        earlier = with_earlier(report, folder)
        for format in selected:
            reason = oversized.get(format.key)
            if reason is not None and formats is None and earlier.results_of(format.key):
                continue  # keep the file of an earlier export of the same weights
            results = exporter.export(format) if reason is None else exporter.skip(format, reason)
            report = report.with_results(results)
            with_earlier(report, folder).save(folder)  # after each format: files and report agree if this one is last
            for name, result in results.items() if reason is None else ():
                progress(f"{name} {format.key}".strip(), result.verdict)
    return with_earlier(report, folder)


@dataclass
class _Attempt:
    """One format of one part: its file, and the results of its checks.

    Attributes:
        part: The part.
        format: Its format.
        is_joined: Whether its file holds all parts of the system.
        is_unsupported: Whether the format is known not to support the part.
        written: The file in the work folder.
        reply: The converter's reply.
        parity: The error against Keras; None before the comparison.
        splits: Results by split.
        gate: The gate's result, for the part that holds the system's score.
        remarks: Remarks for the report.
        failure: Why the part did not pass; None if it passed.
    """

    part: Part
    format: Format
    is_joined: bool = False
    is_unsupported: bool = False
    written: Path | None = None
    reply: dict[str, Any] = field(default_factory=dict)
    parity: Parity | None = None
    splits: dict[str, SplitCheck] = field(default_factory=dict)
    gate: GateResult | None = None
    remarks: tuple[str, ...] = ()
    failure: str | None = None
    _predictor: Predictor | None = None

    @property
    def predictor(self) -> Predictor:
        """The file in its own runtime, opened at the first use."""
        assert self.written is not None
        if self._predictor is None:
            self._predictor = load_predictor(self.written, part=self.part.name if self.is_joined else "")
        return self._predictor

    def close(self) -> None:
        """Drop the runtime, to free its memory for another part."""
        self._predictor = None

    def run(self, step: Callable[[_Attempt], None]) -> None:
        """Run a step unless an earlier one failed; keep the text of its error as the failure.

        Raises:
            OSError: If the disk is at fault, not the format.
        """
        if self.failure is not None:
            return
        try:
            step(self)
        except OSError:
            raise
        except Exception as error:  # each runtime raises its own error classes
            expected = isinstance(error, (CheckError, ConversionError, ValueError))
            text = str(error) if expected else f"{type(error).__name__}: {error}"
            self.failure = translate(text, self.format.key, self.part.layers)


class _Exporter:
    """The export of all parts, format by format."""

    def __init__(
        self,
        parts: dict[str, Part],
        reference: Reference,
        converter: Converter,
        work: Path,
        folder: Path,
        settings: ExportSettings,
        *,
        requested: bool,
        progress: Progress,
    ):
        self.parts, self.reference, self.settings = parts, reference, settings
        self.converter, self.work, self.folder = converter, work, folder
        self.requested, self.progress = requested, progress

    def export(self, format: Format) -> dict[str, FormatResult]:
        """Convert all parts to one format, check the files, and move those that pass into place.

        Returns:
            The results by part.
        """
        started = time.perf_counter()
        attempts = {name: self._begin(part, format) for name, part in self.parts.items()}
        if self._is_joined(format):
            self._convert_joined(attempts, format)
        for attempt in attempts.values():
            if not attempt.is_joined:
                attempt.run(self._convert)
            if attempt.written is not None:
                attempt.run(self._check)
            if attempt.part.serving.is_useful_alone:
                attempt.run(self._check_parity)
            if len(self.parts) > 1:
                attempt.close()
        self._attempt_system(attempts)
        seconds = round(time.perf_counter() - started, 3)
        results = {name: self._result(attempt, format, seconds) for name, attempt in attempts.items()}
        self._place(attempts, format)
        return results

    def _is_joined(self, format: Format) -> bool:
        return is_joined(format, {name: part.serving for name, part in self.parts.items()})

    def _begin(self, part: Part, format: Format) -> _Attempt:
        """Return the attempt of a part, which fails already if its format is not offered, or Keras fails."""
        attempt = _Attempt(part, part.format_for(format), self._is_joined(format))
        if reason := part.not_offered(format):
            attempt.is_unsupported, attempt.failure = True, reason
        attempt.run(self._check_reference)
        return attempt

    def _check_reference(self, attempt: _Attempt) -> None:
        if problem := self.reference.part(attempt.part.name).problem:
            raise CheckError(problem)

    def _convert(self, attempt: _Attempt) -> None:
        """Convert a part to a file of its own."""
        part, format = attempt.part, attempt.format
        self.progress(f"{part.name} {format.key}".strip(), "converting")
        attempt.reply = self._ask(format, part.written(format), part.job(format))
        attempt.written = part.written(format)

    def _convert_joined(self, attempts: dict[str, _Attempt], format: Format) -> None:
        """Convert all parts to one file, unless one failed already."""
        if any(attempt.failure is not None for attempt in attempts.values()):
            return
        written = self.work / joined_target(self.parts, format, self.folder).name

        def convert(attempt: _Attempt) -> None:
            self.progress(format.key, "converting")
            attempt.reply = self._ask(format, written, joined_job(self.parts, format, self.work))
            attempt.written = written

        first, *others = attempts.values()
        first.run(convert)
        for other in others:
            other.failure, other.reply, other.written = first.failure, first.reply, first.written

    def _ask(self, format: Format, written: Path, job: dict[str, Any]) -> dict[str, Any]:
        """Let the converter process write a file."""
        options = {"format": format.key, "out": str(written), "integer_type": self.settings.input}
        return self.converter.ask(do="convert", **options, **job)

    def _check(self, attempt: _Attempt) -> None:
        """Open the file of a part, and compare it with Keras."""
        part, format, predictor = attempt.part, attempt.format, attempt.predictor
        attempt.remarks = part.check_file(format, predictor, attempt.reply)
        self.progress(f"{part.name} {format.key}".strip(), "checking")
        attempt.parity = check_part(format, predictor, self.reference.part(part.name))
        if part.serving.any_length is not None:
            figures, remarks = check_stream(format, predictor, self.reference.stream(part.name))
            attempt.parity = worst(attempt.parity, figures)
            attempt.remarks += remarks

    def _check_parity(self, attempt: _Attempt) -> None:
        assert attempt.parity is not None
        attempt.splits = check_by_parity(attempt.predictor, attempt.part.name, attempt.parity, self.reference)

    def _attempt_system(self, attempts: dict[str, _Attempt]) -> None:
        """Score the system; if it fails, only its parts that are useful alone may stay."""
        members = {name: attempts[name] for name in scored_parts(self.parts)}
        first = next(iter(members.values()))
        failed = next((name for name, attempt in members.items() if attempt.failure is not None), None)
        reason = f"part `{failed}` did not pass, and the system needs all its parts"
        if failed is None and self.reference.is_scored:
            first.run(lambda attempt: self._score(attempts, members))
            failed, reason = ("", first.failure) if first.failure else (None, "")
        elif failed is None:
            for attempt in members.values():
                if not attempt.splits:
                    attempt.run(self._check_parity)
            failed = next((name for name, attempt in members.items() if attempt.failure is not None), None)
        if failed is None:
            return
        for attempt in members.values():
            if attempt.part.serving.is_useful_alone and attempt.splits:
                attempt.failure = None
                attempt.remarks += ("kept because this part matches Keras, although the system did not pass",)
            elif attempt.failure is None:
                attempt.failure = reason
                attempt.is_unsupported = failed in members and members[failed].is_unsupported

    def _score(self, attempts: dict[str, _Attempt], members: dict[str, _Attempt]) -> None:
        """Score the system with the files of all parts that passed."""
        predictors = {name: each.predictor for name, each in attempts.items() if each.written and not each.failure}
        parities = {name: each.parity for name, each in members.items() if each.parity}
        is_slow = any(each.format.is_slow(predictors[name].operators) for name, each in members.items())
        first = next(iter(members.values()))
        splits, first.gate, remarks = check_system(predictors, parities, self.reference, is_slow=is_slow)
        first.splits = splits
        first.remarks += remarks

    def _result(self, attempt: _Attempt, format: Format, seconds: float) -> FormatResult:
        """Measure a file that passed; return the result."""
        result = FormatResult(format=format.key, verdict="failed", reason=attempt.failure, seconds=seconds)
        if attempt.failure is not None:
            if attempt.is_unsupported and not self.requested:
                return result.model_copy(update={"verdict": "not offered"})
            reason = f"not offered: {attempt.failure}" if attempt.is_unsupported else attempt.failure
            return result.model_copy(update={"reason": reason})
        assert attempt.written is not None
        written, example = attempt.written, self.reference.part(attempt.part.name).example
        first = scored_parts(self.parts)[0]
        remarks = attempt.remarks
        shares = attempt.is_joined and attempt.part.name != first
        if shares:
            remarks += (f"in the file of part `{first}`",)
        result = FormatResult(
            format=format.key,
            verdict="passed",
            max_drop=self.reference.budget.text,
            input=self.settings.input,
            calibration=self.settings.calibration,
            remarks=remarks,
            file=self._target(attempt.part, format).name,
            is_joined=attempt.is_joined,
            sha256=path_digest(written),
            size=None if shares else files.size(written),
            splits=attempt.splits,
            gate=attempt.gate,
            latency_ms=round(attempt.part.latency(written, attempt.predictor, example), 4),
            operators={} if shares else attempt.predictor.operators,
            seconds=seconds,
        )
        attempt.close()
        return result

    def _target(self, part: Part, format: Format) -> Path:
        """Return the final path of a part's file."""
        return joined_target(self.parts, format, self.folder) if self._is_joined(format) else part.target(format)

    def _place(self, attempts: dict[str, _Attempt], format: Format) -> None:
        """Move the files that passed into place, and remove those that did not."""
        moves = {}
        for attempt in attempts.values():
            target = self._target(attempt.part, format)
            if attempt.failure is None:
                moves[target] = attempt.written  # parts with one file have one target
            else:
                files.remove(target)
            if attempt.is_joined:  # an earlier version wrote a file for each part
                files.remove(attempt.part.target(format))
        for target, written in moves.items():
            assert written is not None
            target.parent.mkdir(parents=True, exist_ok=True)
            files.put_in_place(written, target)

    def skip(self, format: Format, reason: str) -> dict[str, FormatResult]:
        """Return the results of a format that does not fit into memory; it fails if the user named it."""
        for part in self.parts.values():
            files.remove(self._target(part, format))  # it holds other weights
        verdict: Verdict = "failed" if self.requested else "skipped"
        return {name: FormatResult(format=format.key, verdict=verdict, reason=reason) for name in self.parts}


def _empty_report(parts: dict[str, Part], reference: Reference, weights_sha256: str | None) -> ExportReport:
    """Return a report without results, with the part that holds the system's score first."""
    reports = {
        name: ExportReport(
            name=part.serving.contract.name,
            task=part.serving.contract.task,
            metric=PARITY_METRIC,
            direction="min",
            max_drop=reference.budget.text,
            model_sha256=weights_digest(part.serving.model),
            weights_sha256=weights_sha256,
            versions={name: version(name) for name in VERSIONED},
            results=(),
        )
        for name, part in parts.items()
    }
    first = scored_parts(parts)[0]
    score = {"metric": reference.metric, "direction": reference.budget.direction, "task": reference.task.name}
    return reports.pop(first).model_copy(update={**score, "part": first, "parts": reports})
