"""The main job: train a template, export it to every format, check each file, write the report."""

from __future__ import annotations

from pathlib import Path

from dltemplates.deploy.export import Progress
from dltemplates.deploy.export_run import export
from dltemplates.deploy.report import ExportReport
from dltemplates.reports.report import write_report
from dltemplates.runs import Run
from dltemplates.template import Template
from dltemplates.training.progress import Reporter
from dltemplates.training.train import train


def run(
    template: Template,
    *,
    name: str = "run",
    output: str | Path | None = None,
    overwrite: bool = False,
    reporter: Reporter | None = None,
    progress: Progress = lambda key, state: None,
) -> tuple[Run, ExportReport]:
    """Train a template, export it to the formats it names, check each file, and write `report.html`.

    Args:
        template: What to train.
        name: Name of the run's folder in `saved_models/` where `output` is not given.
        output: The run's folder.
        overwrite: Replace a run that stands in `output`.
        reporter: Told of the training's progress.
        progress: Called with a format and what becomes of it.

    Returns:
        The run, and the report of its exports; `.failed` names those that did not pass.

    Raises:
        ValueError: If the template, its data or the folder breaks a rule; nothing is left behind.
    """
    trained = train(template, name=name, output=output, overwrite=overwrite, strategy="single", reporter=reporter)
    exports = export(trained, progress=progress)
    write_report(trained)
    return trained, exports
