"""What an export left: `export_report.json`, and the table for the terminal."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, ValidationError
from rich.console import Group
from rich.table import Table
from rich.text import Text

from dltemplates import runs

REPORT_FILE = "export_report.json"
Verdict = Literal["passed", "failed", "not offered"]
STYLES: dict[Verdict, str] = {"passed": "green", "failed": "bold red", "not offered": "yellow"}


class Record(BaseModel):
    """A part of the report: unknown keys are errors, figures that are no numbers are kept as such."""

    model_config = ConfigDict(extra="forbid", frozen=True, ser_json_inf_nan="constants")


class SplitCheck(Record):
    """How a written file did on one split.

    Attributes:
        examples: How many there were.
        float_score: The score of the Keras model.
        score: The score of the file.
        drop: How much worse that is; negative where it is better.
        max_error: Greatest difference from Keras, divided by the range (greatest less least) of Keras's output.
        changed: Decisions that differ from Keras's; None for a task that takes none.
        agreement: The share that does not.
    """

    examples: int
    float_score: float
    score: float
    drop: float
    max_error: float
    changed: int | None = None
    agreement: float | None = None


class FormatResult(Record):
    """What became of one format.

    Attributes:
        format: Catalog key of the format.
        verdict: `passed`, `failed` (no file is left), or `not offered`.
        max_drop: Greatest drop that was allowed to a file that passed.
        reason: Why it did not pass.
        remarks: What is worth knowing all the same.
        file: Name of the file or folder.
        sha256: Its digest; of a folder, that of the sorted list of its files' digests.
        size: Bytes.
        splits: The figures on `validation`, which decides, and on `test`.
        latency_ms: Median time of one example on one thread of this machine.
        operators: How often each operation occurs; empty for a SavedModel.
        seconds: Time to convert and check.
    """

    format: str
    verdict: Verdict
    max_drop: str | None = None
    reason: str | None = None
    remarks: tuple[str, ...] = ()
    file: str | None = None
    sha256: str | None = None
    size: int | None = None
    splits: dict[str, SplitCheck] = {}
    latency_ms: float | None = None
    operators: dict[str, int] = {}
    seconds: float = 0.0


class ExportReport(Record):
    """What became of every format of a served model.

    Attributes:
        format_version: Version of this record.
        name: Name of the served model.
        task: Catalog name of its task.
        metric: The score that decides.
        direction: Whether a larger or smaller score is better.
        max_drop: Greatest drop allowed: a number, or a share of the float score; earlier files may have another.
        model_sha256: Digest of the weights it was made from.
        weights_sha256: Digest of the run's file of weights, if it was made from a run.
        versions: Versions of what it was made with.
        results: One for each format.
        parts: What became of the parts of the network that are exported too, each in a folder of its name.
        data_note: How the data differed from what the run was trained on; None where it did not.
    """

    format_version: Literal[1] = 1
    name: str
    task: str
    metric: str
    direction: Literal["max", "min"]
    max_drop: str
    model_sha256: str
    weights_sha256: str | None = None
    versions: dict[str, str]
    results: tuple[FormatResult, ...]
    parts: dict[str, ExportReport] = {}
    data_note: str | None = None

    @property
    def failed(self) -> tuple[str, ...]:
        """The formats that failed, those of parts with the part's name in front."""
        own = tuple(result.format for result in self.results if result.verdict == "failed")
        return own + tuple(f"{part} {key}" for part, report in self.parts.items() for key in report.failed)

    def result(self, key: str) -> FormatResult:
        """What became of one format.

        Raises:
            ValueError: If the report has nothing on it.
        """
        for result in self.results:
            if result.format == key:
                return result
        known = ", ".join(result.format for result in self.results)
        raise ValueError(f"The report must hold the format. Received: {key!r}. It holds: {known}.")

    def remarks(self, result: FormatResult) -> tuple[str, ...]:
        """What is worth knowing of one of its results."""
        if result.max_drop in (None, self.max_drop):
            return result.remarks
        return (*result.remarks, f"exported earlier, when a drop of at most {result.max_drop} was allowed")

    def is_of(self, run: runs.Run) -> bool:
        """Whether it was made from the weights that a run has now."""
        return self.weights_sha256 == run.record.sha256.get(run.weights_path.name)

    def save(self, folder: Path) -> None:
        """Write `export_report.json` into the folder of the exports."""
        runs.atomic_write(folder / REPORT_FILE, self.model_dump_json(indent=2))


def load_report(folder: str | Path) -> ExportReport:
    """Read the `export_report.json` of a folder.

    Raises:
        ValueError: If it is missing or broken.
    """
    path = Path(folder) / REPORT_FILE
    try:
        return ExportReport.model_validate_json(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ValueError(f"An exports folder must hold {REPORT_FILE}. Received: {folder}. `dlt export` it.") from None
    except (ValidationError, UnicodeDecodeError) as error:
        first_line = str(error).splitlines()[0]
        raise ValueError(f"{REPORT_FILE} must be whole. Received: {path} ({first_line}). Export again.") from None


def load_run_report(run: runs.Run) -> ExportReport | None:
    """Read what the last export of a run left; None where there was none.

    Raises:
        ValueError: If it is broken.
    """
    return load_report(run.exports_path) if (run.exports_path / REPORT_FILE).is_file() else None


def render(report: ExportReport) -> Group:
    """The report for a terminal: a table, then what needs more words."""
    table = Table(box=None, pad_edge=False, collapse_padding=True, header_style="bold")
    table.add_column("format", no_wrap=True)
    on_validation = ("drop\n(val)", "max error\n(val)", "changed\n(val)", "agreement\n(val)")
    for heading in ("size", f"{report.metric} (test)", *on_validation, "latency"):
        table.add_column(heading, justify="right")
    table.add_column("verdict", no_wrap=True)
    notes: list[Text] = []
    for result in report.results:
        table.add_row(result.format, *_figures(result), Text(result.verdict, STYLES[result.verdict]))
        if result.reason:
            notes.append(Text(f"{result.format}: {result.reason}", STYLES[result.verdict]))
        notes += [Text(f"{result.format}: {remark}") for remark in report.remarks(result)]
    notes += [
        Text(f"{result.format}: {_operators(result.operators)}", "dim") for result in report.results if result.operators
    ]
    legend = (
        f"The drop on validation (val) decides: at most {report.max_drop}. "
        "Max error is divided by the range of Keras's output. "
        "Changed counts decisions that differ from Keras's; agreement is the share that does not. "
        "Latency is the median of one example on one thread."
    )
    return Group(table, *notes, Text(legend, "dim"))


def _figures(result: FormatResult) -> list[str]:
    validation, test = result.splits.get("validation"), result.splits.get("test")
    size = "" if result.size is None else f"{result.size / 1000:,.1f} kB"
    latency = "" if result.latency_ms is None else f"{result.latency_ms:.3f} ms"
    if validation is None:
        return [size, "", "", "", "", "", latency]
    changed = "" if validation.changed is None else f"{validation.changed} of {validation.examples}"
    agreement = "" if validation.agreement is None else f"{validation.agreement:.4f}"
    score = "" if test is None else f"{test.score:.4f}"
    return [size, score, f"{validation.drop:.4f}", f"{validation.max_error:.1e}", changed, agreement, latency]


def _operators(operators: dict[str, int]) -> str:
    return ", ".join(name if count == 1 else f"{count} {name}" for name, count in operators.items())
