"""The evaluator that a template names: which run it is, and whether that has yet to be trained."""

from __future__ import annotations

from pathlib import Path

from dltemplates import catalog
from dltemplates.datasets.spec import DatasetSpec
from dltemplates.features import ClassId, classes_of
from dltemplates.runs import Run
from dltemplates.tasks.generation import Generation
from dltemplates.tasks.load_for import load_for
from dltemplates.tasks.scoring.evaluator import check_classes, check_size, evaluator_path
from dltemplates.tasks.task import Task
from dltemplates.template import Template, load_template


def missing_evaluator(task: Task, spec: DatasetSpec) -> tuple[Template, Path] | None:
    """The template of an evaluator that is not there, and the folder that its run belongs into.

    Args:
        task: The task, which may have one.
        spec: The data whose like is to be judged.

    Returns:
        None where there is none, or it is named and trained.

    Raises:
        ValueError: If it is neither a run nor a template, or the one of a template does not fit the data.
    """
    name = task.evaluator_name if isinstance(task, Generation) else None
    if name is None:
        return None
    path = evaluator_path(name)
    run = Run(path)
    if run.record_path.exists() and run.record.state == "done":
        return None
    if name not in catalog.template_names():
        raise ValueError(
            f"An evaluator must be the folder of a finished run, or a template. Received: {name!r}. "
            "See `dlt list runs` and `dlt list templates`."
        )
    template = load_template(name)
    if template.task.name != "classification":
        raise ValueError(
            f"An evaluator must be a classifier of images. Received: {name}, for the task {template.task.name}. "
            "Choose another: --set task.evaluator=TEMPLATE; or do without: --set task.evaluator=none."
        )
    try:
        judged = load_for(template)[1].spec
    except ValueError as error:
        raise ValueError(f"{error} Or do without its evaluator: --set task.evaluator=none.") from None
    check_size(name, judged.inputs[0].shape, spec.inputs[0].shape)
    check_classes(name, classes_of(judged.targets[0]), [value for value in spec.targets if isinstance(value, ClassId)])
    return template, path


def evaluator_summary(task: Task) -> str | None:
    """Say which run is a task's judge, and how good that is itself; None where it has none."""
    if not (isinstance(task, Generation) and task.evaluator_name):
        return None
    run = Run(evaluator_path(task.evaluator_name))
    scores = [f"{name} {score:.4f} on test" for name, score in run.record.scores.get("test", {}).items()]
    return f"scored by {', '.join([str(run.path), *scores[:1]])}"
