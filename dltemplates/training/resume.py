"""The run that a training resumes, checked against the template and the rules that it began with."""

from __future__ import annotations

from pathlib import Path

from dltemplates.datasets.spec import READING_RULES
from dltemplates.new_runs import latest_run_path
from dltemplates.runs import Run
from dltemplates.template import Template
from dltemplates.training.batch_size import with_fitting_batch
from dltemplates.training.resolve import filled_from


def run_to_resume(
    template: Template, name: str, output: str | Path | None, *, allow_missing: bool = False
) -> Run | None:
    """Find the run to resume.

    Args:
        template: The template to train.
        name: Name of the run's folder in `saved_models/` if `output` is None; the newest, if there are several.
        output: The run's folder.
        allow_missing: Return None if there is no run.

    Returns:
        The run, or None.

    Raises:
        ValueError: If there is no run, it is broken, or it has another template.
    """
    try:
        run = Run(Path(output) if output else latest_run_path(name))
    except ValueError:
        if allow_missing:
            return None
        raise
    if not run.record_path.exists():
        if allow_missing:
            return None
        raise ValueError(
            f"There must be a run to resume. Received: {run.path}, without a run.json. Leave out --resume."
        )
    run.verify(run.template_path, run.definition_path)
    template = filled_from(template, run.template)
    if (rules := run.record.spec.reading_rules) != READING_RULES:
        raise ValueError(
            f"A run must be resumed with the reading rules it began with. Received: {run.path}, with rules {rules}; "
            f"this version has rules {READING_RULES}. Finish the run with the version that began it, or start another."
        )
    template = with_fitting_batch(template, run.record.spec.sizes.get("train", template.train.batch_size))
    if run.template != template:
        before, now = run.template.flat(), template.flat()
        key = next(key for key in before | now if before.get(key) != now.get(key))
        raise ValueError(
            f"A run must be resumed with its own template. Received: {key} = {now.get(key)!r}, where {run.path} "
            f"has {before.get(key)!r}. Give {run.template_path}, or start a new run."
        )
    return run
