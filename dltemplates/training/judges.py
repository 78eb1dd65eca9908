"""The judge that a template names, where it has yet to be trained."""

from __future__ import annotations

from pathlib import Path

from dltemplates import catalog
from dltemplates.runs import Run
from dltemplates.settings import Named
from dltemplates.tasks.judge import judge_path
from dltemplates.template import Template, load_template


def missing_judge(task: Named) -> tuple[Template, Path] | None:
    """The template of a judge that is not there, and the folder that its run belongs into.

    Args:
        task: The task and its options, of which `judge` names one.

    Returns:
        None where there is none, or it is named and trained.

    Raises:
        ValueError: If it is neither a run nor a template.
    """
    name = task.options.get("judge")
    if not isinstance(name, str):
        return None  # the task itself says what is wrong with any other
    path = judge_path(name)
    run = Run(path)
    if run.record_path.exists() and run.record.state == "done":
        return None
    if name not in catalog.template_names():
        raise ValueError(
            f"A judge must be the folder of a finished run, or a template. Received: {name!r}. "
            "See `dlt list runs` and `dlt list templates`."
        )
    return load_template(name), path
