"""Export a serving model: convert to every format, check each file, keep those that pass, report on all."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np

from dltemplates import catalog
from dltemplates.datasets.source import Dataset
from dltemplates.deploy import files
from dltemplates.deploy.budget import Budget
from dltemplates.deploy.calibration import calibration
from dltemplates.deploy.check import GATE, CheckError, Reference, check, check_input
from dltemplates.deploy.convert import ConversionError, Converter
from dltemplates.deploy.formats.format import Format, load_format
from dltemplates.deploy.report import ExportReport, FormatResult, load_report
from dltemplates.runtimes import Arrays, SavedModelPredictor, load_predictor
from dltemplates.settings import ExportSettings
from dltemplates.tasks.contract import Contract, ServingModel
from dltemplates.tasks.task import Task

if TYPE_CHECKING:
    import keras

Progress = Callable[[str, str], None]
SERVING = "serving"
VERSIONED = ("tensorflow", "keras", "tf2onnx", "onnx", "onnxruntime", "ai-edge-litert", "numpy")


def export_serving(
    serving: ServingModel,
    task: Task,
    dataset: Dataset,
    folder: Path,
    settings: ExportSettings | None = None,
    *,
    formats: Sequence[str] | None = None,
    max_drop: str | float | None = None,
    weights_sha256: str | None = None,
    progress: Progress = lambda key, state: None,
) -> ExportReport:
    """Export a serving model to every format wanted, and check each.

    A file takes its final name only once it has passed; a format that does not pass leaves no file, not even that of an
    earlier export. What an earlier export made of the same weights and is not made again stays in the report.

    Args:
        serving: What is exported.
        task: Its task, which judges.
        dataset: `train` sets the ranges of integer formats, `validation` decides, `test` is reported.
        folder: Where the files go.
        settings: The formats, the budget, the input of int8 files, the number of calibration examples.
        formats: Formats asked for by name, instead of those of `settings`; one that is not offered then fails.
        max_drop: Greatest drop of the score, before that of `settings` and that of the task.
        weights_sha256: Digest of the run's file of weights, if it is a run that is exported.
        progress: Called with a format and what is done with it (`converting`, `checking`) or became of it.

    Returns:
        The report, which lies in the folder too.

    Raises:
        ValueError: If a format, the budget or the data is wrong, or the model's inputs or outputs are not those of its
            contract.
        OSError: If a file cannot be written.
    """
    from dltemplates.deploy.saved_model import with_float_images

    settings = settings or ExportSettings()
    wanted = [load_format(key) for key in dict.fromkeys(settings.formats if formats is None else formats)]
    text = next(str(drop) for drop in (max_drop, settings.max_drop, task.budget) if drop is not None)
    direction: Literal["max", "min"] = "min" if task.by_parity else task.direction
    budget = Budget(text, direction)
    for split in ("train", GATE):
        if len(dataset.split(split)) == 0:
            raise ValueError(f"Split `{split}` must hold examples to export. Received: 0. Use data that has some.")
    serving = with_float_images(serving)
    found = traits(serving.model)
    with files.work_folder(folder) as work, Converter(work / "log.txt") as converter:
        needed = any(format.needs_examples for format in wanted)
        ranges = calibration(serving.contract, dataset, settings.calibration) if needed else {}
        for batch in {batch_of(format, serving.contract, found) for format in wanted}:
            _write_job(_job_folder(work, batch), serving, batch, ranges)
        reference = Reference(serving, task, dataset, budget)
        exporter = _Exporter(converter, work, folder, reference, settings.input, found)
        report = ExportReport(
            name=serving.contract.name,
            task=task.name,
            metric=exporter.reference.metric,
            direction=direction,
            max_drop=text,
            model_sha256=weights_digest(serving.model),
            weights_sha256=weights_sha256,
            versions={name: version(name) for name in VERSIONED},
            results=(),
        )
        for format in wanted:
            reason = not_offered(format, found)
            result = exporter.refuse(format, reason, formats) if reason else exporter.export(format, progress)
            report = report.model_copy(update={"results": (*report.results, result)})
            _with_earlier(report, folder).save(folder)  # after each, so that files and report agree if it ends here
            progress(format.key, result.verdict)
    return _with_earlier(report, folder)


class _Exporter:
    """What the formats of one export share."""

    def __init__(
        self, converter: Converter, work: Path, folder: Path, reference: Reference, integer_type: str, found: set[str]
    ):
        self.converter = converter
        self.work = work
        self.folder = folder
        self.reference = reference
        self.contract = reference.serving.contract
        self.integer_type = integer_type
        self.found = found

    def refuse(self, format: Format, reason: str, formats: Sequence[str] | None) -> FormatResult:
        """Say that a format is not offered: a failure where it was asked for by name."""
        files.remove(self.folder / files.file_name(self.contract.name, format))
        if formats is None:
            return FormatResult(format=format.key, verdict="not offered", reason=reason)
        return FormatResult(format=format.key, verdict="failed", reason=f"not offered: {reason}")

    def export(self, format: Format, progress: Progress) -> FormatResult:
        """Convert, check, and put the file in its place if it passes."""
        start = time.perf_counter()
        name = files.file_name(self.contract.name, format)
        written, target = self.work / name, self.folder / name
        try:
            result = self._attempt(format, written, progress)
            files.put_in_place(written, target)
        except OSError:  # the disk, not the format
            raise
        except Exception as error:  # a runtime that refuses to run a file has its own kinds of error
            expected = isinstance(error, (CheckError, ConversionError, ValueError))
            reason = str(error) if expected else f"{type(error).__name__}: {error}"
            result = FormatResult(format=format.key, verdict="failed", reason=reason)
            files.remove(written)
            files.remove(target)
        return result.model_copy(update={"seconds": round(time.perf_counter() - start, 3)})

    def _attempt(self, format: Format, written: Path, progress: Progress) -> FormatResult:
        if self.reference.problem:
            raise CheckError(self.reference.problem)
        progress(format.key, "converting")
        batch = batch_of(format, self.contract, self.found)
        job = _job_folder(self.work, batch)
        reply = self.converter.ask(
            do="convert",
            format=format.key,
            serving=str(job / SERVING),
            work=str(job),
            out=str(written),
            contract=self.contract.model_copy(update={"batch": batch}).model_dump_json(),
            integer_type=self.integer_type,
        )
        progress(format.key, "checking")
        predictor = load_predictor(written)
        remarks = check_input(predictor, reply["unfolded"]) if format.integer else ()
        if batch != self.contract.batch:
            remarks += (f"takes {batch} example a call, as its recurrent layers need",)
        splits, more = check(format, predictor, self.reference)
        example = self.reference.example
        if isinstance(predictor, SavedModelPredictor):
            np.savez(self.work / "example.npz", allow_pickle=False, **example)
            # The child's TensorFlow has one thread; how many this process has was settled when it was imported.
            timed = self.converter.ask(do="latency", path=str(written), example=str(self.work / "example.npz"))
            latency = timed["latency_ms"]
        else:
            latency = predictor.latency(example)
        return FormatResult(
            format=format.key,
            verdict="passed",
            max_drop=self.reference.budget.text,
            remarks=remarks + more,
            file=written.name,
            sha256=files.digest(written),
            size=files.size(written),
            splits=splits,
            latency_ms=round(latency, 4),
            operators=predictor.operators,
        )


def traits(model: keras.Model) -> set[str]:
    """The class names of all layers and the names of their activations, as a `Format` names them."""
    found = set()
    for layer in model._flatten_layers(include_self=False):
        found.add(type(layer).__name__)
        activation = getattr(layer, "activation", None)
        if activation is not None:
            found.add(getattr(activation, "__name__", type(activation).__name__))
    return found


def not_offered(format: Format, found: set[str]) -> str | None:
    """Why a format cannot take a model with these traits; None where nothing is known against it."""
    return next((f"{trait}: {reason}" for trait, reason in format.refuses.items() if trait in found), None)


def batch_of(format: Format, contract: Contract, found: set[str]) -> str | int:
    """How many examples a call of a format takes: what the contract promises, or one where it can take no more."""
    return 1 if found.intersection(format.one_by_one) else contract.batch


def _job_folder(work: Path, batch: str | int) -> Path:
    return work / f"job-{batch}"


def _write_job(folder: Path, serving: ServingModel, batch: str | int, ranges: Arrays) -> None:
    """Write what formats of one batch rule are converted from: the serving model, and what sets the ranges."""
    from dltemplates.deploy.saved_model import save_serving

    folder.mkdir()
    contract = serving.contract.model_copy(update={"batch": batch})
    save_serving(ServingModel(serving.model, contract), folder / SERVING)
    np.savez(folder / "calibration.npz", allow_pickle=False, **ranges)


def weights_digest(model: keras.Model) -> str:
    """The SHA-256 of a model's weights, in order."""
    total = hashlib.sha256()
    for variable in model.weights:  # not `variables`: seeds are drawn anew whenever a model is rebuilt
        array = np.ascontiguousarray(variable.numpy())
        total.update(f"{array.dtype}{array.shape}".encode())
        total.update(array.tobytes())
    return total.hexdigest()


def _with_earlier(report: ExportReport, folder: Path) -> ExportReport:
    """Add the formats of an earlier export of the same weights whose files are still as they were written."""
    try:
        earlier = load_report(folder)
    except ValueError:
        return report
    if (earlier.name, earlier.model_sha256) != (report.name, report.model_sha256):
        return report
    results = {result.format: result for result in report.results}
    for result in earlier.results:
        path = folder / result.file if result.file else None
        if result.format not in results and path is not None and path.exists() and files.digest(path) == result.sha256:
            results[result.format] = result
    ordered = tuple(results[key] for key in catalog.FORMATS if key in results)
    return report.model_copy(update={"results": ordered})
