"""The main job: train a template, export it to every format, check each file, write the report."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from dltemplates.datasets.in_memory import arrays_of, passed, template_on
from dltemplates.deploy.export import Progress
from dltemplates.deploy.export_run import export
from dltemplates.deploy.report import ExportReport
from dltemplates.new_runs import check_resume
from dltemplates.reports.report import write_report
from dltemplates.runs import Run, load_run
from dltemplates.template import Template
from dltemplates.training.recording.progress import Reporter, default_reporter
from dltemplates.training.resume import run_to_resume
from dltemplates.training.strategy import Strategy
from dltemplates.training.train import train
from dltemplates.training.workers.cluster import read_cluster


def run(
    template: Template | str | Path,
    *,
    data: Any = None,
    name: str | None = None,
    output: str | Path | None = None,
    resume: bool = False,
    overwrite: bool = False,
    strategy: Strategy = "auto",
    devices: int | None = None,
    reporter: Reporter | None = None,
    progress: Progress = lambda key, state: None,
) -> tuple[Run, ExportReport]:
    """Train a template, export it to the formats it names, check each file, and write `report.html`.

        run, exports = dlt.run("resnet8_digits")

    Args:
        template: As in `train`.
        data: As in `train`.
        name: As in `train`.
        output: Folder of the run.
        resume: Continue the training or the export of the run in `output`, or of the newest run called `name`.
            Finished formats are kept.
        overwrite: Replace an existing run in `output`.
        strategy: As in `train`, without `multiworker`.
        devices: Number of devices of this machine to train on.
        reporter: As in `train`.
        progress: Called with a format and its state during the export.

    Returns:
        The run and the report of its exports; `.failed` lists the formats that did not pass.

    Raises:
        ValueError: If the template, its data, the devices or the folder break a rule; no files are left behind.
        KeyboardInterrupt: If interrupted; the run can be resumed.
    """
    check_resume(resume, overwrite)
    if strategy == "multiworker" or (strategy == "auto" and read_cluster()):
        raise ValueError(
            f"`dlt run` trains on one machine. Received: strategy {strategy} on several workers. "
            "Use --strategy single, or `dlt train` on every worker and then `dlt export`."
        )
    reporter = reporter or default_reporter()
    template, own_name = template_on(template, data)
    name = name or own_name
    unfinished = run_to_resume(template, name, output) if resume else None
    was_trained = unfinished is not None and unfinished.record.state == "done"
    if unfinished and was_trained:
        trained = load_run(unfinished.path)
    else:
        trained = train(
            template,
            data=arrays_of(data),
            name=name,
            output=unfinished.path if unfinished else output,
            resume=resume,
            overwrite=overwrite,
            strategy=strategy,
            devices=devices,
            command="dlt run",
            reporter=reporter,
        )
    states: set[str] = set()

    def note_state(key: str, state: str) -> None:
        states.add(state)
        progress(key, state)

    reporter.note(f"exporting {trained.path}")
    try:
        exports = export(trained, data=arrays_of(data), resume=resume, progress=note_state)
        with passed(arrays_of(data)):
            write_report(trained)
    except KeyboardInterrupt:
        raise KeyboardInterrupt(
            f"interrupted in the export. Continue with `dlt run {trained.template_path} --resume -o {trained.path}`."
        ) from None
    if was_trained and states <= {"kept", "not offered"}:
        reporter.note(f"{trained.path} is already trained and exported; nothing was left to do")
    return trained, exports
