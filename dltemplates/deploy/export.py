"""Export a system: convert every part to every format, check the files, keep the sets that pass, report on all.

Formats outside, parts inside: the files of one format stay in a work folder until all of them gave what Keras gives and
together did their task. They then take their places, and the report, written last and in one step, makes them count: a
set of files whose digests are not those of the report is no export.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from dltemplates import catalog
from dltemplates.compat import flatten_layers
from dltemplates.datasets.source import Dataset
from dltemplates.deploy import files
from dltemplates.deploy.calibration import calibration
from dltemplates.deploy.check import BY_PARITY, GATE_SPLIT, Reference, check_by_parity, check_system
from dltemplates.deploy.converters.convert import ConversionError, Converter
from dltemplates.deploy.formats.format import Format, load_format
from dltemplates.deploy.gate import GateResult
from dltemplates.deploy.memory import too_large
from dltemplates.deploy.parity import CheckError, Parity, check_part
from dltemplates.deploy.raw_bytes import check_input
from dltemplates.deploy.report import ExportReport, FormatResult, SplitCheck, Verdict, load_report
from dltemplates.runtimes import Predictor, SavedModelPredictor, load_predictor
from dltemplates.settings import ExportSettings
from dltemplates.tasks.scoring.evaluation import WHOLE
from dltemplates.tasks.serving.contract import Contract, ServingModel
from dltemplates.tasks.serving.serving_examples import part_examples
from dltemplates.tasks.task import Task

if TYPE_CHECKING:
    import keras

Progress = Callable[[str, str], None]
SERVING = "serving"
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
    """Export the parts of a system to every format wanted, and check each part and the whole system.

    The files of a format take their final names only once they passed; a format that does not pass leaves no file, not
    even that of an earlier export, but for parts that are useful alone and passed by themselves. What an earlier export
    of the same weights left, and is not exported again, stays in the report. A format that needs more memory than is
    free is skipped.

    Args:
        servings: The parts by name; the whole network has the name `""`.
        task: The task, which scores the system.
        dataset: `train` sets the ranges of integer formats, `validation` decides, `test` is reported.
        folder: Where the files go; those of parts into folders below, by their names.
        settings: The formats, the budget, the input of int8 files, the number of calibration examples.
        formats: Formats asked for by name, instead of those of `settings`; one that is not offered, or needs more
            memory than is free, then fails.
        max_drop: Greatest drop of the score, before that of `settings` and that of the task.
        weights_sha256: Digest of the run's file of weights, if it is a run that is exported.
        resume: Keep the formats that an earlier export of the same weights finished with the same settings.
        progress: Called with a format and what is done with it (`converting`, `checking`) or became of it (`kept`, or
            its verdict; of one that is skipped with the reason).

    Returns:
        The report, which lies in the folder too.

    Raises:
        ValueError: If a format, the budget or the data is wrong, or a model's inputs or outputs are not those of its
            contract.
        OSError: If a file cannot be written.
    """
    from dltemplates.deploy.converters.saved_model import with_float_images

    settings = settings or ExportSettings()
    wanted = [load_format(key) for key in dict.fromkeys(settings.formats if formats is None else formats)]
    text = next(str(drop) for drop in (max_drop, settings.max_drop, task.budget) if drop is not None)
    for split in ("train", GATE_SPLIT):
        if len(dataset.split(split)) == 0:
            raise ValueError(f"Split `{split}` must hold examples to export. Received: 0. Use data that has some.")
    servings = {part: with_float_images(serving) for part, serving in servings.items()}
    if resume and (earlier := _finished(servings, folder, text, settings)):
        for format in wanted:
            for name, result in earlier.results_of(format.key).items():
                progress(f"{name} {format.key}".strip(), "kept" if result.verdict == "passed" else result.verdict)
        wanted = [format for format in wanted if not earlier.results_of(format.key)]
        if not wanted:
            return earlier
    too_much = {format.key: reason for format in wanted if (reason := too_large(format, servings))}
    for key, reason in too_much.items():
        progress(key, f"{'skipped' if formats is None else 'failed'}: {reason}")
    with files.work_folder(folder) as work, Converter(work / "log.txt") as converter:
        reference = Reference(servings, task, dataset, text, work / "reference")
        parts = {part: _Part(part, serving, converter, work, folder) for part, serving in servings.items()}
        for part in parts.values():
            part.write_jobs([format for format in wanted if format.key not in too_much], dataset, settings)
        exporter = _Exporter(parts, reference, settings, asked=formats is not None, progress=progress)
        report = _empty_report(parts, reference, weights_sha256)
        standing = _with_earlier(report, folder)
        for format in wanted:
            reason = too_much.get(format.key)
            if reason is not None and formats is None and standing.results_of(format.key):
                continue  # what an earlier export of the same weights left is as good
            results = exporter.export(format) if reason is None else exporter.skip(format, reason)
            report = report.with_results(results)
            _with_earlier(report, folder).save(folder)  # after each, so that files and report agree if it ends here
            for name, result in results.items() if reason is None else ():
                progress(f"{name} {format.key}".strip(), result.verdict)
    return _with_earlier(report, folder)


class _Part:
    """What the formats of one part share.

    Attributes:
        name: The name of the part.
        serving: What is exported, its images in float32.
        folder: Where its files go.
    """

    def __init__(self, name: str, serving: ServingModel, converter: Converter, work: Path, folder: Path):
        self.name, self.serving, self.folder = name, serving, folder / name
        self._converter, self._work = converter, work / (name or "whole")
        self._layer_types = layer_types(serving.model)
        self._integer_type = ""

    def format_under(self, format: Format) -> Format:
        """Return the format that this part takes under one of the system."""
        key = self.serving.formats.get(format.key)
        return load_format(key) if key else format

    def target(self, format: Format) -> Path:
        """Return where the file of a format goes."""
        return self.folder / files.file_name(self.serving.contract.name, self.format_under(format))

    def not_offered(self, format: Format) -> str | None:
        """Return why a format cannot take this part; None where nothing is known against it."""
        return not_offered(self.format_under(format), self._layer_types)

    def write_jobs(self, formats: Sequence[Format], dataset: Dataset, settings: ExportSettings) -> None:
        """Write what the formats are converted from: the serving model, and what sets the ranges of integers."""
        from dltemplates.deploy.converters.saved_model import save_serving

        self._integer_type = settings.input
        own = [self.format_under(format) for format in formats]
        ranges = {}
        if any(format.needs_examples for format in own):
            train = part_examples(self.serving, "train", dataset.split("train"))
            ranges = calibration(self.serving.contract, train, settings.calibration)
        self._work.mkdir()
        for batch in {batch_of(format, self.serving.contract, self._layer_types) for format in own}:
            contract = self.serving.contract.model_copy(update={"batch": batch})
            job = self._work / f"job-{batch}"
            job.mkdir()
            save_serving(ServingModel(self.serving.model, contract), job / SERVING)
            np.savez(job / "calibration.npz", allow_pickle=False, **ranges)

    def convert(self, format: Format) -> tuple[Path, Predictor, tuple[str, ...]]:
        """Convert the part, and open the file.

        Returns:
            The file in the work folder, the file in its own runtime, and remarks.

        Raises:
            ConversionError: If it cannot be converted.
            CheckError: If the file does not take raw bytes as it should.
        """
        own, contract = self.format_under(format), self.serving.contract
        batch = batch_of(own, contract, self._layer_types)
        job = self._work / f"job-{batch}"
        written = self._work / files.file_name(contract.name, own)
        reply = self._converter.ask(
            do="convert",
            format=own.key,
            serving=str(job / SERVING),
            work=str(job),
            out=str(written),
            contract=contract.model_copy(update={"batch": batch}).model_dump_json(),
            integer_type=self._integer_type,
        )
        predictor = load_predictor(written)
        remarks = check_input(predictor, reply["unfolded"]) if own.integer else ()
        if batch != contract.batch:
            remarks += (f"takes {batch} example a call, as its recurrent layers need",)
        return written, predictor, remarks

    def latency(self, written: Path, predictor: Predictor, example: Mapping[str, np.ndarray]) -> float:
        """Return the median milliseconds of one example on one thread."""
        if not isinstance(predictor, SavedModelPredictor):
            return predictor.latency(dict(example))
        np.savez(self._work / "example.npz", allow_pickle=False, **example)
        # The child's TensorFlow has one thread; how many this process has was settled when it was imported.
        timed = self._converter.ask(do="latency", path=str(written), example=str(self._work / "example.npz"))
        return timed["latency_ms"]


@dataclass
class _Attempt:
    """One format of one part: what was written, and what its checks say.

    Attributes:
        part: The part.
        is_refused: Whether the format is known not to take the part.
        written: The file in the work folder.
        parity: How far it is from Keras; None before it was compared.
        splits: The figures of the splits.
        gate: What the gate says of the system, for the part that bears its score.
        remarks: What is worth knowing.
        failure: Why it did not pass; None where it did.
    """

    part: _Part
    is_refused: bool = False
    written: Path | None = None
    parity: Parity | None = None
    splits: dict[str, SplitCheck] = field(default_factory=dict)
    gate: GateResult | None = None
    remarks: tuple[str, ...] = ()
    failure: str | None = None
    _opened: Predictor | None = None

    @property
    def predictor(self) -> Predictor:
        """The file in its own runtime, opened when it is first asked for."""
        assert self.written is not None
        self._opened = self._opened or load_predictor(self.written)
        return self._opened

    def close(self) -> None:
        """Drop the runtime, whose memory is then free for another part."""
        self._opened = None

    def run(self, step: Callable[[_Attempt], None]) -> None:
        """Run a step, unless one before has failed; what it raises is the failure.

        Raises:
            OSError: If the disk, and not the format, is the reason.
        """
        if self.failure is not None:
            return
        try:
            step(self)
        except OSError:
            raise
        except Exception as error:  # a runtime that refuses to run a file has its own kinds of error
            expected = isinstance(error, (CheckError, ConversionError, ValueError))
            self.failure = str(error) if expected else f"{type(error).__name__}: {error}"


class _Exporter:
    """What the formats of one export share."""

    def __init__(
        self,
        parts: dict[str, _Part],
        reference: Reference,
        settings: ExportSettings,
        *,
        asked: bool,
        progress: Progress,
    ):
        self.parts, self.reference, self.settings = parts, reference, settings
        self.asked, self.progress = asked, progress

    def export(self, format: Format) -> dict[str, FormatResult]:
        """Convert, check, and put the files of one format into their places if they pass.

        Returns:
            What became of each part.
        """
        started = time.perf_counter()
        attempts = {}
        for name, part in self.parts.items():
            attempts[name] = attempt = self._attempt_part(part, format)
            if part.serving.is_useful_alone:
                attempt.run(self._hold_to_parity)
            if len(self.parts) > 1:
                attempt.close()
        self._attempt_system(attempts, format)
        seconds = round(time.perf_counter() - started, 3)
        return {name: self._settle(attempt, format, seconds) for name, attempt in attempts.items()}

    def _attempt_part(self, part: _Part, format: Format) -> _Attempt:
        """Convert a part and compare it with Keras."""
        attempt = _Attempt(part)
        if reason := part.not_offered(format):
            attempt.is_refused, attempt.failure = True, reason
            return attempt
        label = f"{part.name} {format.key}".strip()

        def convert(attempt: _Attempt) -> None:
            reference = self.reference.part(part.name)
            if reference.problem:
                raise CheckError(reference.problem)
            self.progress(label, "converting")
            attempt.written, attempt._opened, attempt.remarks = part.convert(format)
            self.progress(label, "checking")
            attempt.parity = check_part(part.format_under(format), attempt.predictor, reference)

        attempt.run(convert)
        return attempt

    def _hold_to_parity(self, attempt: _Attempt) -> None:
        assert attempt.parity is not None
        attempt.splits = check_by_parity(attempt.predictor, attempt.part.name, attempt.parity, self.reference)

    def _attempt_system(self, attempts: dict[str, _Attempt], format: Format) -> None:
        """Score the parts that count only together; where they fail, those of them that are useful alone stay."""
        members = {name: attempts[name] for name in together(self.parts)}
        first = next(iter(members.values()))
        failed = next((name for name, attempt in members.items() if attempt.failure is not None), None)
        reason = f"`{failed}` did not pass, and the parts of a system count only together"
        if failed is None and self.reference.is_scored:
            first.run(lambda attempt: self._score(attempts, members, format))
            failed, reason = ("", first.failure) if first.failure else (None, "")
        elif failed is None:
            for attempt in members.values():
                if not attempt.splits:
                    attempt.run(self._hold_to_parity)
            failed = next((name for name, attempt in members.items() if attempt.failure is not None), None)
        if failed is None:
            return
        for attempt in members.values():
            if attempt.part.serving.is_useful_alone and attempt.splits:
                attempt.failure = None
                attempt.remarks += ("kept by its parity alone: the system did not pass",)
            elif attempt.failure is None:
                attempt.failure = reason

    def _score(self, attempts: dict[str, _Attempt], members: dict[str, _Attempt], format: Format) -> None:
        """Score the system by the files of all parts that passed."""
        predictors = {name: each.predictor for name, each in attempts.items() if each.written and not each.failure}
        parities = {name: each.parity for name, each in members.items() if each.parity}
        is_slow = any(
            each.part.format_under(format).is_slow(predictors[name].operators) for name, each in members.items()
        )
        first = next(iter(members.values()))
        splits, first.gate, remarks = check_system(predictors, parities, self.reference, is_slow=is_slow)
        first.splits = splits
        first.remarks += remarks

    def _settle(self, attempt: _Attempt, format: Format, seconds: float) -> FormatResult:
        """Put a file that passed into its place, or remove what is left of one that did not."""
        target = attempt.part.target(format)
        result = FormatResult(format=format.key, verdict="failed", reason=attempt.failure, seconds=seconds)
        if attempt.failure is not None:
            files.remove(target)
            if attempt.is_refused and not self.asked:
                return result.model_copy(update={"verdict": "not offered"})
            reason = f"not offered: {attempt.failure}" if attempt.is_refused else attempt.failure
            return result.model_copy(update={"reason": reason})
        assert attempt.written is not None
        written, example = attempt.written, self.reference.part(attempt.part.name).example
        result = FormatResult(
            format=format.key,
            verdict="passed",
            max_drop=self.reference.budget.text,
            input=self.settings.input,
            calibration=self.settings.calibration,
            remarks=attempt.remarks,
            file=target.name,
            sha256=files.digest(written),
            size=files.size(written),
            splits=attempt.splits,
            gate=attempt.gate,
            latency_ms=round(attempt.part.latency(written, attempt.predictor, example), 4),
            operators=attempt.predictor.operators,
            seconds=seconds,
        )
        attempt.close()
        target.parent.mkdir(parents=True, exist_ok=True)
        files.put_in_place(written, target)
        return result

    def skip(self, format: Format, reason: str) -> dict[str, FormatResult]:
        """Return what is said of a format that does not fit into memory; one that was asked for fails."""
        for part in self.parts.values():
            files.remove(part.target(format))  # it is of other weights
        verdict: Verdict = "failed" if self.asked else "skipped"
        return {name: FormatResult(format=format.key, verdict=verdict, reason=reason) for name in self.parts}


def together(parts: Mapping[str, Any]) -> list[str]:
    """Return the names of the parts that count only together: the whole network, where there is one, or all."""
    return [WHOLE] if WHOLE in parts else list(parts)


def layer_types(model: keras.Model) -> set[str]:
    """Return the class names of all layers and the names of their activations, as a `Format` names them."""
    found = set()
    for layer in flatten_layers(model, include_self=False):
        found.add(type(layer).__name__)
        activation = getattr(layer, "activation", None)
        if activation is not None:
            found.add(getattr(activation, "__name__", type(activation).__name__))
    return found


def not_offered(format: Format, found: set[str]) -> str | None:
    """Return why a format cannot take a model with these traits; None where nothing is known against it."""
    return next((f"{trait}: {reason}" for trait, reason in format.refuses.items() if trait in found), None)


def batch_of(format: Format, contract: Contract, found: set[str]) -> str | int:
    """Return how many examples a call takes: what the contract promises, or one where the format can take no more."""
    return 1 if found.intersection(format.one_by_one) else contract.batch


def weights_digest(model: keras.Model) -> str:
    """Return the SHA-256 of a model's weights, in order."""
    total = hashlib.sha256()
    for variable in model.weights:  # not `variables`: seeds are drawn anew whenever a model is rebuilt
        array = np.ascontiguousarray(variable.numpy())
        total.update(f"{array.dtype}{array.shape}".encode())
        total.update(array.tobytes())
    return total.hexdigest()


def _empty_report(parts: dict[str, _Part], reference: Reference, weights_sha256: str | None) -> ExportReport:
    """Return the report before the first format: that of the part that bears the score, with those of the others."""
    reports = {
        name: ExportReport(
            name=part.serving.contract.name,
            task=part.serving.contract.task,
            metric=BY_PARITY,
            direction="min",
            max_drop=reference.budget.text,
            model_sha256=weights_digest(part.serving.model),
            weights_sha256=weights_sha256,
            versions={name: version(name) for name in VERSIONED},
            results=(),
        )
        for name, part in parts.items()
    }
    first = together(parts)[0]
    own = {"metric": reference.metric, "direction": reference.budget.direction, "task": reference.task.name}
    return reports.pop(first).model_copy(update={**own, "part": first, "parts": reports})


def _with_earlier(report: ExportReport, folder: Path) -> ExportReport:
    """Add the formats of an earlier export of the same weights whose files are all still as they were written."""
    try:
        earlier = load_report(folder)
    except ValueError:
        return report
    known = {result.format for result in report.results}
    if (earlier.name, earlier.model_sha256) != (report.name, report.model_sha256):
        return report
    for result in earlier.results:
        results = earlier.results_of(result.format)
        is_whole = all(is_intact(folder, part, each) for part, each in results.items())
        if result.format not in known and is_whole and any(each.file for each in results.values()):
            report = report.with_results(results)
    return report.in_order(list(catalog.FORMATS))


def _finished(
    servings: Mapping[str, ServingModel], folder: Path, max_drop: str, settings: ExportSettings
) -> ExportReport | None:
    """Return what an earlier export of the same weights finished with the same settings; None where it is nothing."""
    first = servings[together(servings)[0]]
    try:
        earlier = load_report(folder)
    except ValueError:
        return None
    if (earlier.name, earlier.model_sha256) != (first.contract.name, weights_digest(first.model)):
        return None
    wanted = (max_drop, settings.input, settings.calibration)
    finished = {
        result.format
        for result in earlier.results
        if all(
            each.verdict == "not offered"
            or (each.file and is_intact(folder, part, each) and (each.max_drop, each.input, each.calibration) == wanted)
            for part, each in earlier.results_of(result.format).items()
        )
    }
    return earlier.only(finished) if finished else None


def is_intact(folder: Path, part: str, result: FormatResult) -> bool:
    """Return whether a file of an export is as it was written; a format that left none is."""
    if result.file is None:
        return True
    path = folder / part / result.file
    return path.exists() and files.digest(path) == result.sha256
