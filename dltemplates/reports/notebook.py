"""A run in a notebook: its scores, figures and exports."""

from __future__ import annotations

from dltemplates.deploy.report import load_run_report
from dltemplates.reports.report import figures_of, load_page
from dltemplates.runs import Run


def run_html(run: Run) -> str:
    """Return a run as HTML: its scores, the table of its exports, and its figures."""
    try:
        record, exports = run.record, load_run_report(run)
    except ValueError:  # deleted or broken: `describe` says so
        record, exports = None, None
    return load_page("notebook.html").render(
        run=run, record=record, exports=exports, figures=figures_of(run) if record else []
    )
