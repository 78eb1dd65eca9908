"""The report of an export: `export_report.json`, and a table for the terminal."""

from __future__ import annotations

import itertools
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict
from rich.console import Console, ConsoleOptions, Group, RenderableType
from rich.table import Table
from rich.text import Text

from dltemplates.deploy.gate import GateResult
from dltemplates.files import atomic_write
from dltemplates.runs import Run
from dltemplates.tasks.scoring.intervals import ScoreInterval
from dltemplates.tasks.serving.file_digest import REPORT_FILE
from dltemplates.upgrade import read_record, upgrade_report

Verdict = Literal["passed", "failed", "not offered", "skipped"]
STYLES: dict[Verdict, str] = {"passed": "green", "failed": "bold red", "not offered": "yellow", "skipped": "yellow"}
OPTIONAL = ("agreement", "max error", "latency")  # columns that a narrow terminal leaves out, in this order


class Record(BaseModel):
    """A part of the report: unknown keys are errors; NaN and infinity are kept."""

    model_config = ConfigDict(extra="forbid", frozen=True, ser_json_inf_nan="constants")


class SplitCheck(Record):
    """The results of an exported file on one split.

    Attributes:
        examples: Number of examples.
        float_score: Score of the Keras model.
        score: Score of the file.
        drop: How much worse the file's score is; negative if it is better.
        max_error: Greatest difference from Keras on at most 256 examples, divided by the range (maximum - minimum) of
            Keras's output; None if the outputs of this split were not compared.
        changed: Number of decisions that differ from Keras's; None for a task without decisions.
        agreement: Share of decisions that equal Keras's.
        interval: The evidence behind the file's score; None in reports of earlier versions.
    """

    examples: int
    float_score: float
    score: float
    drop: float
    max_error: float | None = None
    changed: int | None = None
    agreement: float | None = None
    interval: ScoreInterval | None = None


class FormatResult(Record):
    """The result of one format.

    Attributes:
        format: Catalog key of the format.
        verdict: `passed`, `failed` (no file is left), `not offered`, or `skipped` for lack of memory.
        max_drop: The budget under which the file passed.
        input: Input dtype of int8 files, `uint8` or `int8`, in the export that passed.
        calibration: Number of calibration examples in the export that passed.
        reason: Why the format did not pass.
        remarks: Limits of the file, and of its check.
        file: Name of the file or folder.
        is_joined: Whether the file is in the exports folder itself and holds all parts of the system.
        sha256: Digest of the file; for a folder, digest of the sorted list of its files' digests.
        size: Bytes; None for a part that shares the file of the first one.
        splits: Results on `validation`, which decides, and on `test`.
        gate: The gate's result on validation, for the part that holds the system's score.
        latency_ms: Median time for one example on one thread of this machine.
        operators: Number of operations by name; empty for a SavedModel, and for a part that shares the file of the
            first one.
        seconds: Time to convert and check.
    """

    format: str
    verdict: Verdict
    max_drop: str | None = None
    input: str | None = None
    calibration: int | None = None
    reason: str | None = None
    remarks: tuple[str, ...] = ()
    file: str | None = None
    is_joined: bool = False
    sha256: str | None = None
    size: int | None = None
    splits: dict[str, SplitCheck] = {}
    gate: GateResult | None = None
    latency_ms: float | None = None
    operators: dict[str, int] = {}
    seconds: float = 0.0

    def path(self, folder: Path, part: str) -> Path | None:
        """Return the path of the file of a part, in an exports folder; None without a file."""
        return None if self.file is None else folder / ("" if self.is_joined else part) / self.file


class ExportReport(Record):
    """The results of every format of a serving model.

        report = dlt.export(run)
        report.failed, report.result("tflite:int8").file

    Attributes:
        format_version: Version of this record; see `upgrade.py`.
        name: Name of the serving model.
        task: Catalog name of its task.
        metric: Name of the gate's score.
        direction: Whether a larger or smaller score is better.
        max_drop: The budget: a number, or a share of the float score. Files of an earlier export may have another.
        model_sha256: Digest of the exported weights.
        weights_sha256: Digest of the run's weights file, for the export of a run.
        versions: Versions of the libraries.
        results: One for each format.
        part: The part that holds the system's score; empty for the whole network.
        parts: Reports of the other parts, each in a subfolder with the part's name.
        data_note: How the data differs from the run's training data; None if it is the same.
    """

    format_version: Literal["1.3"] = "1.3"
    name: str
    task: str
    metric: str
    direction: Literal["max", "min"]
    max_drop: str
    model_sha256: str
    weights_sha256: str | None = None
    versions: dict[str, str]
    results: tuple[FormatResult, ...]
    part: str = ""
    parts: dict[str, ExportReport] = {}
    data_note: str | None = None

    @property
    def failed(self) -> tuple[str, ...]:
        """The formats that failed, with the part's name before the format of a part."""
        keys = tuple(result.format for result in self.results if result.verdict == "failed")
        return keys + tuple(f"{part} {key}" for part, report in self.parts.items() for key in report.failed)

    def result(self, key: str) -> FormatResult:
        """Return the result of one format.

        Raises:
            ValueError: If the report does not hold the format.
        """
        for result in self.results:
            if result.format == key:
                return result
        known = ", ".join(result.format for result in self.results)
        raise ValueError(f"The report must hold the format. Received: {key!r}. It holds: {known}.")

    @property
    def unproven(self) -> tuple[str, ...]:
        """The formats that passed although no 90% interval within the budget proves their drop."""
        return tuple(r.format for r in self.results if r.verdict == "passed" and r.gate and not r.gate.proven)

    @property
    def evidence(self) -> dict[str, list[str]]:
        """The formats that passed, by the evidence that their 90% interval gives."""
        formats: dict[str, list[str]] = {}
        for result in self.results:
            if result.verdict == "passed" and result.gate and result.gate.evidence:
                formats.setdefault(result.gate.evidence, []).append(result.format)
        return formats

    def results_of(self, key: str) -> dict[str, FormatResult]:
        """Return the results of one format by part."""
        reports = {self.part: self, **self.parts}
        results = ((part, result) for part, report in reports.items() for result in report.results)
        return {part: result for part, result in results if result.format == key}

    def with_results(self, results: Mapping[str, FormatResult]) -> ExportReport:
        """Return the report with the results of one more format, by part."""
        parts = {
            part: report.model_copy(update={"results": (*report.results, results[part])}) if part in results else report
            for part, report in self.parts.items()
        }
        first = (*self.results, results[self.part]) if self.part in results else self.results
        return self.model_copy(update={"results": first, "parts": parts})

    def only(self, keys: Collection[str]) -> ExportReport:
        """Return the report with these formats only."""
        results = tuple(result for result in self.results if result.format in keys)
        return self.model_copy(
            update={"results": results, "parts": {part: report.only(keys) for part, report in self.parts.items()}}
        )

    def in_order(self, keys: Sequence[str]) -> ExportReport:
        """Return the report with its formats in the order of `keys`, others last."""

        def position(result: FormatResult) -> int:
            return keys.index(result.format) if result.format in keys else len(keys)

        return self.model_copy(
            update={
                "results": tuple(sorted(self.results, key=position)),
                "parts": {part: report.in_order(keys) for part, report in self.parts.items()},
            }
        )

    @property
    def tested_on(self) -> str | None:
        """The number of independent units behind the scores on test; None if unknown."""
        formats: dict[str, list[str]] = {}
        for result in self.results:
            if (check := result.splits.get("test")) and check.interval:
                plural = "" if check.interval.units == 1 else "s"
                units = f"block{plural} of the series" if check.interval.of_blocks else f"independent example{plural}"
                formats.setdefault(f"n = {check.interval.units:,} {units}", []).append(result.format)
        if len(formats) < 2:
            return next((f"{self.metric} on test: {count}" for count in formats), None)
        counts = (f"{count} for {', '.join(keys)}" for count, keys in formats.items())
        return f"{self.metric} on test: {'; '.join(counts)}"

    def remarks(self, result: FormatResult) -> tuple[str, ...]:
        """Return the remarks on a result, and its budget if that is another than the report's."""
        if result.max_drop in (None, self.max_drop):
            return result.remarks
        return (*result.remarks, f"exported earlier, when a drop of at most {result.max_drop} was allowed")

    def is_of(self, run: Run) -> bool:
        """Return whether this is an export of a run's present weights."""
        return self.weights_sha256 == run.record.sha256.get(run.weights_path.name)

    def save(self, folder: Path) -> None:
        """Write `export_report.json` into an exports folder."""
        atomic_write(folder / REPORT_FILE, self.model_dump_json(indent=2))


def load_report(folder: str | Path) -> ExportReport:
    """Read `export_report.json` from a folder.

    Raises:
        ValueError: If it is missing, broken, or of a later major version.
    """
    path = Path(folder) / REPORT_FILE
    try:
        text = path.read_bytes()
    except FileNotFoundError:
        raise ValueError(f"An exports folder must hold {REPORT_FILE}. Received: {folder}. Run `dlt export`.") from None
    return read_record(ExportReport, text, upgrade_report, name=REPORT_FILE, source=path, way_out="Export again.")


def load_run_report(run: Run) -> ExportReport | None:
    """Read the report of a run's last export; return None if there is none.

    Raises:
        ValueError: If it is broken.
    """
    return load_report(run.exports_path) if (run.exports_path / REPORT_FILE).is_file() else None


class ExportTable:
    """The table of a report for a terminal; a narrow terminal shows fewer columns."""

    def __init__(self, report: ExportReport):
        self._report = report

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[RenderableType]:
        any_width = options.update(max_width=10_000)
        for count in range(len(OPTIONAL) + 1):
            hidden = OPTIONAL[:count]
            table = self._table(hidden)
            if console.measure(table, options=any_width).maximum <= options.max_width:
                break
        yield table
        if hidden:
            yield Text(f"A wider terminal also shows: {', '.join(hidden)}.", "dim")

    def _table(self, hidden: Sequence[str]) -> Table:
        table = Table(box=None, pad_edge=False, collapse_padding=True, header_style="bold")
        table.add_column("format", no_wrap=True)
        score = f"{self._report.metric} (test)"
        on_validation = ("drop (val)", "max error (val)", "changed (val)", "agreement (val)")
        headings = ("size", score, "95% interval (test)", *on_validation, "latency")
        shown = [heading.removesuffix(" (val)") not in hidden for heading in headings]
        for heading in itertools.compress(headings, shown):
            broken = heading if heading == score else heading.replace(" (", "\n(")
            table.add_column(broken, justify="right", no_wrap=True)
        table.add_column("verdict", no_wrap=True)
        for result in self._report.results:
            figures = itertools.compress(_figures(result), shown)
            table.add_row(result.format, *figures, Text(result.verdict, STYLES[result.verdict]))
        return table


def render(report: ExportReport) -> Group:
    """Format the report for a terminal: a table, then reasons, remarks and a legend."""
    notes: list[Text] = []
    for result in report.results:
        if result.reason:
            notes.append(Text(f"{result.format}: {result.reason}", STYLES[result.verdict]))
        notes += [Text(f"{result.format}: {remark}") for remark in report.remarks(result)]
    notes += [
        Text(f"{result.format}: {_operators(result.operators)}", "dim") for result in report.results if result.operators
    ]
    notes += [Text(f"{', '.join(keys)}: {evidence}") for evidence, keys in report.evidence.items()]
    if counts := report.tested_on:
        notes.append(Text(counts))
    legend = (
        f"The drop on validation (val) decides: at most {report.max_drop}. "
        "Max error: the greatest difference from Keras, divided by the range of Keras's output. "
        "Changed: decisions that differ from Keras's. Agreement: the share of equal decisions. "
        "Latency: the median time for one example on one thread."
    )
    return Group(ExportTable(report), *notes, Text(legend, "dim"))


def _figures(result: FormatResult) -> list[str]:
    validation, test = result.splits.get("validation"), result.splits.get("test")
    size = "" if result.size is None else f"{result.size / 1000:,.1f} kB"
    latency = "" if result.latency_ms is None else f"{result.latency_ms:.3f} ms"
    if validation is None:
        return [size, "", "", "", "", "", "", latency]
    changed = "" if validation.changed is None else f"{validation.changed} of {validation.examples}"
    agreement = "" if validation.agreement is None else f"{validation.agreement:.4f}"
    score = "" if test is None else f"{test.score:.4f}"
    error = "" if validation.max_error is None else f"{validation.max_error:.1e}"
    interval = "" if test is None or test.interval is None else test.interval.range
    return [size, score, interval, f"{validation.drop:.4f}", error, changed, agreement, latency]


def _operators(operators: dict[str, int]) -> str:
    return ", ".join(name if count == 1 else f"{count} {name}" for name, count in operators.items())
