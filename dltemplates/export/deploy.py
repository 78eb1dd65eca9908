"""Export a run: its serving model, judged by its task on its data."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from dltemplates.datasets.load import load_dataset
from dltemplates.export.export import Progress, export_serving
from dltemplates.export.report import ExportReport
from dltemplates.runs import Run, load_run


def export(
    run: Run | str | Path,
    *,
    formats: Sequence[str] | None = None,
    max_drop: str | float | None = None,
    progress: Progress = lambda key, state: None,
) -> ExportReport:
    """Export a run to every format wanted, and check each file in its own runtime.

    Args:
        run: A finished run, or its folder.
        formats: Catalog keys of formats; by default those of its template.
        max_drop: Greatest drop of the score: `0.01`, or `"1%"` of the float score; by default the template's.
        progress: Called with a format and what becomes of it.

    Returns:
        The report; `.failed` says whether a format missed its budget or failed its check. It lies in `exports/` beside
        the files that passed.

    Raises:
        ValueError: If the run is not whole, or a format or the budget is wrong.
    """
    if not isinstance(run, Run):
        run = load_run(run)
    template = run.template
    dataset = load_dataset(template.dataset)
    return export_serving(
        run.serving(),
        run.task(),
        dataset,
        run.exports_path,
        template.export,
        formats=formats,
        max_drop=max_drop,
        progress=progress,
    )
