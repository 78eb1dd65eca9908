"""Printing of results: text for people or one JSON object for programs. Progress goes to stderr."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import click

from dltemplates.errors import FAILED

if TYPE_CHECKING:
    from dltemplates.deploy.report import ExportReport
    from dltemplates.runs import Run

MAX_SKIPPED_LINES = 5
SHOWN_SPLITS = ("test", "validation")  # test first: no epoch was chosen on it
LEGEND = "after each score: its number of independent examples n, or how many of them are right; its 95% interval"


class OverBudgetError(Exception):
    """An export missed its budget or failed its check."""


def show(values: dict[str, Any], as_json: bool = False) -> None:
    """Print names and values as an aligned list or as JSON."""
    if as_json:
        click.echo(json.dumps(_finite(values), indent=2))
        return
    width = max(map(len, values), default=0)
    for name, value in values.items():
        click.echo(f"{name:{width}}  {value}")


def render(renderable: Any) -> None:
    """Print a rich renderable; without a terminal, 140 characters wide."""
    from rich.console import Console

    Console(width=None if sys.stdout.isatty() else 140, highlight=False).print(renderable)


def short(name: str, value: Any) -> str:
    """Format one output of a prediction in a few characters."""
    from dltemplates.tasks.scoring.intervals import format_score

    match value:
        case float():
            return f"{name} {format_score(value)}"
        case dict():
            return " ".join(short(key, item) for key, item in value.items())
        case [{}, *_] as items:
            return f"{name} " + "; ".join(short(name, item) for item in items)
        case [*items]:
            return f"{name} {', '.join(f'{item:.4g}' if isinstance(item, float) else str(item) for item in items)}"
        case _:
            return str(value)


def scores(result: dict[str, Any]) -> None:
    """Print the scores of an evaluation, each with its evidence."""
    from dltemplates.tasks.scoring.intervals import ScoreInterval, describe_score

    intervals = {name: ScoreInterval(**interval) for name, interval in result["intervals"].items()}
    show({name: describe_score(value, intervals[name]) for name, value in result["scores"].items()})
    if result["note"]:
        click.echo(f"{result['split']}: {result['note']}")
    click.echo(LEGEND)


def run_figures(run: Run) -> dict[str, Any]:
    """Return the path, state and scores of a run, ready for JSON."""
    record = run.record
    shown = record.model_dump(mode="json", include={"state", "seconds", "scores", "intervals", "baselines"})
    return {"run": str(run.path), **shown}


def run_result(run: Run, as_json: bool) -> None:
    """Print the path and scores of a run, and its warnings."""
    record = run.record
    if as_json:
        show(run_figures(run), True)
        return
    rows = [("run", f"{run.path} (epoch {record.best_epoch} of {record.epochs} kept, {record.seconds:.0f} s)")]
    for split in sorted(record.scores, key=SHOWN_SPLITS.index):
        width = max(map(len, record.scores[split]))
        lines = [f"{name:{width}}  {record.describe_score(split, name)}" for name in record.scores[split]]
        if note := run.split_note(split):
            lines[0] += f"; {note}"
        rows += [(split if place == 0 else "", line) for place, line in enumerate(lines)]
    rows += [("baselines" if place == 0 else "", line) for place, line in enumerate(_baselines(run))]
    width = max(len(name) for name, _ in rows)
    for name, line in rows:
        click.echo(f"{name:{width}}  {line}")
    if record.intervals:
        click.echo(LEGEND)
    if record.baselines and record.baselines.advice:
        click.echo(record.baselines.advice)
    if skipped := list(record.spec.skipped.items()):
        more = f" and {len(skipped) - MAX_SKIPPED_LINES} more (run.json)" if len(skipped) > MAX_SKIPPED_LINES else ""
        named = "; ".join(f"{name}: {reason}" for name, reason in skipped[:MAX_SKIPPED_LINES])
        click.echo(f"{len(skipped)} skipped: {named}{more}")
    for warning in record.spec.warnings:
        click.echo(warning)
    if record.spec.repeated:
        click.echo(f"{record.spec.repeated} of {record.spec.sizes['train']} training examples repeat another")
    for split, unknown in record.spec.unknown.items():
        note_unknown(split, unknown)
    if replaced := record.replaced:
        click.echo(f"{len(replaced)} replaced, unreadable during training: {', '.join(replaced)}")


def _baselines(run: Run) -> list[str]:
    """Return a line for each baseline of a run, or why there are none."""
    from dltemplates.tasks.scoring.intervals import describe_score

    baselines = run.record.baselines
    if baselines is None:
        return []
    if baselines.none:
        return [f"none: {baselines.none}"]
    width = max(len(baseline.name) for baseline in baselines.results)
    lines = []
    for baseline in baselines.results:
        name, score = next(iter(baseline.scores.items()), ("", 0.0))
        shown = describe_score(score, baseline.intervals.get(name)) if name else f"skipped, {baseline.skipped}"
        note = f"; {baseline.note}" if baseline.note else ""
        lines.append(f"{baseline.name:{width}}  {f'{name} {shown}'.strip()}{note}")
    return lines


def note_unknown(split: str, unknown: dict[str, int]) -> None:
    """Print the number of rows with rare or unknown categories in a split, by column."""
    if unknown:
        counts = ", ".join(f"{count} in {name}" for name, count in unknown.items())
        click.echo(f"categories that are rare or absent in training, in {split}: {counts}")


def note(line: str | None) -> None:
    """Print a line, if any, on stderr."""
    if line:
        click.echo(line, err=True)


def export_result(report: ExportReport, as_json: bool) -> None:
    """Print the results of all formats."""
    from dltemplates.deploy.report import render as table

    note(report.data_note)
    if as_json:
        show(report.model_dump(mode="json"), True)
    else:
        render(table(report))
        for part, own in report.parts.items():
            click.echo(f"\n{part}")
            render(table(own))


def check_exports(report: ExportReport, *, require_proof: bool = False) -> None:
    """Raise an `OverBudgetError` if a format failed, or, with `require_proof`, if a drop is not proven."""
    if report.failed:
        raise OverBudgetError(
            f"{', '.join(report.failed)} did not pass. No such files are kept; the report has the reasons"
        )
    if require_proof and report.unproven:
        raise OverBudgetError(
            f"--require-proof needs the 90% interval of the drop within {report.max_drop}. Received: "
            f"{', '.join(report.unproven)}, not proven; their files stay. Increase dataset.validation or --max-drop"
        )


def check_health(faults: list[str]) -> None:
    """Exit with code 1 if there are faults."""
    if faults:
        click.echo(f"dlt: {'; '.join(faults)}. Install it again.", err=True)
        raise click.exceptions.Exit(FAILED)


@contextmanager
def export_progress(*, waits: bool = False) -> Iterator[Callable[[str, str], None]]:
    """Show the state of each format on stderr: a changing line on a terminal, one line per format elsewhere.

    Args:
        waits: Show nothing before the first format, since training has its own display.
    """
    if not sys.stderr.isatty():
        yield lambda key, state: click.echo(f"{key}: {state}", err=True) if state not in _PASSING else None
        return
    from dltemplates.training.recording.progress import console

    status = console().status("exporting")

    def show_state(key: str, state: str) -> None:
        status.update(f"exporting {key}: {state}")
        status.start()

    try:
        if not waits:
            status.start()
        yield show_state
    finally:
        status.stop()


_PASSING = ("converting", "checking")


def _finite(value: Any) -> Any:
    """Replace NaN and infinity with None, since JSON has neither."""
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
