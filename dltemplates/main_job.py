"""The main job: train a template, export it to every format, check each file, write the report."""

from __future__ import annotations

from pathlib import Path

from dltemplates.deploy.export import Progress
from dltemplates.deploy.export_run import export
from dltemplates.deploy.report import ExportReport
from dltemplates.reports.report import write_report
from dltemplates.runs import Run, check_resume, load_run
from dltemplates.template import Template
from dltemplates.training.recording.progress import Reporter, Silent
from dltemplates.training.strategy import Strategy
from dltemplates.training.train import run_to_resume, train
from dltemplates.training.workers.cluster import read_cluster


def run(
    template: Template,
    *,
    name: str = "run",
    output: str | Path | None = None,
    resume: bool = False,
    overwrite: bool = False,
    strategy: Strategy = "auto",
    devices: int | None = None,
    reporter: Reporter | None = None,
    progress: Progress = lambda key, state: None,
) -> tuple[Run, ExportReport]:
    """Train a template, export it to the formats it names, check each file, and write `report.html`.

    Args:
        template: What to train.
        name: Name of the run's folder in `saved_models/` where `output` is not given.
        output: The run's folder.
        resume: Go on with the run in `output`, or with the newest one of `name`: in its training, or in its export,
            where the formats that are finished are kept.
        overwrite: Replace a run that stands in `output`.
        strategy: As in `train`, but for `multiworker`.
        devices: How many devices of this machine train.
        reporter: Told of the progress; silent by default.
        progress: Called with a format and what becomes of it, once the training has ended.

    Returns:
        The run, and the report of its exports; `.failed` names those that did not pass.

    Raises:
        ValueError: If the template, its data, the devices or the folder break a rule; nothing is left behind.
        KeyboardInterrupt: If asked to stop; the run can be resumed.
    """
    check_resume(resume, overwrite)
    if strategy == "multiworker" or (strategy == "auto" and read_cluster()):
        raise ValueError(
            f"`dlt run` trains on one machine. Received: strategy {strategy} on several workers. "
            "Take --strategy single, or `dlt train` on every worker and then `dlt export`."
        )
    reporter = reporter or Silent()
    begun = run_to_resume(template, name, output) if resume else None
    was_trained = begun is not None and begun.record.state == "done"
    if begun and was_trained:
        trained = load_run(begun.path)
    else:
        trained = train(
            template,
            name=name,
            output=begun.path if begun else output,
            resume=resume,
            overwrite=overwrite,
            strategy=strategy,
            devices=devices,
            command="dlt run",
            reporter=reporter,
        )
    states: set[str] = set()

    def tell(key: str, state: str) -> None:
        states.add(state)
        progress(key, state)

    reporter.note(f"exporting {trained.path}")
    try:
        exports = export(trained, resume=resume, progress=tell)
        write_report(trained)
    except KeyboardInterrupt:
        raise KeyboardInterrupt(
            f"interrupted in the export. Go on with `dlt run {trained.template_path} --resume -o {trained.path}`."
        ) from None
    if was_trained and states <= {"kept", "not offered"}:
        reporter.note(f"{trained.path} was trained and exported before; nothing was left to do")
    return trained, exports
