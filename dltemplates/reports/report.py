"""The report of a run: one HTML file with its figures, scores and exports, nothing to fetch."""

from __future__ import annotations

import base64
from pathlib import Path

from jinja2 import Environment, PackageLoader

from dltemplates.export.report import load_run_report
from dltemplates.runs import Run, atomic_write, load_run


def write_report(run: Run | str | Path) -> Path:
    """Write the `report.html` of a run.

    Args:
        run: A finished run, or its folder.

    Returns:
        The path of the report.

    Raises:
        ValueError: If the run is not whole.
    """
    if not isinstance(run, Run):
        run = load_run(run)
    exports = load_run_report(run)
    environment = Environment(loader=PackageLoader("dltemplates", "reports"), autoescape=True, trim_blocks=True)
    environment.filters["kilobytes"] = lambda size: f"{size / 1000:,.1f} kB"
    page = environment.get_template("report.html").render(
        run=run,
        record=run.record,
        template_text=run.template_path.read_text(encoding="utf-8"),
        figures={path.stem.replace("_", " "): _inline(path) for path in sorted(run.figures_path.glob("*.png"))},
        exports=exports,
        exports_are_its_own=exports is not None and exports.is_of(run),
    )
    atomic_write(run.report_path, page)
    return run.report_path


def _inline(path: Path) -> str:
    """A picture as a data URL."""
    return f"data:image/png;base64,{base64.b64encode(path.read_bytes()).decode()}"
