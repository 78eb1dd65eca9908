"""Comparison of runs: scores, sizes, and the settings that differ."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.table import Table

from dltemplates.deploy.report import load_run_report
from dltemplates.runs import Run, load_run
from dltemplates.tasks.load_for import data_note
from dltemplates.tasks.scoring.intervals import format_score


def compare(paths: Sequence[Run | str | Path]) -> dict[str, dict[str, Any]]:
    """Compare runs.

        dlt.compare(["saved_models/mlp_digits", "saved_models/resnet8_digits"])

    Args:
        paths: Runs or their folders.

    Returns:
        For each run, by its path: its scores and sizes, the settings that differ between the runs, and under `data`
        how its data changed since training, or None.

    Raises:
        ValueError: If a run is incomplete.
    """
    folders = [path.path if isinstance(path, Run) else path for path in paths]
    runs = {str(path): load_run(path) for path in folders}
    settings = {name: run.template.flat() for name, run in runs.items()}
    keys = list(dict.fromkeys(key for flat in settings.values() for key in flat))
    differing = [key for key in keys if len({repr(flat.get(key)) for flat in settings.values()}) > 1]
    rows: dict[str, dict[str, Any]] = {}
    for name, run in runs.items():
        record = run.record
        scores: dict[str, Any] = {}
        for split, part in record.scores.items():
            for key, value in part.items():
                scores[f"{split} {key}"] = value
                if interval := record.intervals.get(split, {}).get(key):
                    scores[f"{split} {key}, n and 95%"] = str(interval)
        sizes = {"parameters": record.parameters, "macs": record.macs, "seconds": round(record.seconds, 1)}
        exports = load_run_report(run)
        results = exports.results if exports is not None and exports.is_of(run) else ()
        files = {f"{result.format} bytes": result.size for result in results if result.size}
        own_settings = {key: settings[name].get(key) for key in differing}
        rows[name] = scores | sizes | files | own_settings | {"data": data_note(run)}
    return rows


def render(rows: dict[str, dict[str, Any]]) -> Table:
    """Build a table with one column per run and one row per value."""
    table = Table("", *rows, box=None, pad_edge=False, header_style="bold")
    for key in dict.fromkeys(key for row in rows.values() for key in row if key != "data"):
        table.add_row(key, *(_text(row.get(key)) for row in rows.values()))
    return table


def _text(value: Any) -> str:
    if value is None:
        return ""
    return format_score(value) if isinstance(value, float) else f"{value:,}" if isinstance(value, int) else str(value)
