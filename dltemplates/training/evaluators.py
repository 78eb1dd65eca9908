"""The evaluator of a generation task: its run, or the template to train it from."""

from __future__ import annotations

from pathlib import Path

from dltemplates import catalog_templates
from dltemplates.datasets.spec import DatasetSpec
from dltemplates.features import ClassId, classes_of
from dltemplates.runs import Run
from dltemplates.tasks.generation import Generation
from dltemplates.tasks.load_for import load_for
from dltemplates.tasks.scoring.evaluator import check_classes, check_size, evaluator_path
from dltemplates.tasks.task import Task
from dltemplates.template import Template, load_template


def missing_evaluator(task: Task, spec: DatasetSpec) -> tuple[Template, Path] | None:
    """Return the template of an untrained evaluator, and the folder for its run.

    Args:
        task: The task.
        spec: The spec of the data that the generator imitates.

    Returns:
        The template and the folder; None if the task has no evaluator, or it is trained already.

    Raises:
        ValueError: If the evaluator is neither a run nor a template, or its template does not fit the data.
    """
    name = task.evaluator_name if isinstance(task, Generation) else None
    if name is None:
        return None
    path = evaluator_path(name)
    run = Run(path)
    if run.record_path.exists() and run.record.state == "done":
        return None
    if name not in catalog_templates.names():
        raise ValueError(
            f"An evaluator must be the folder of a finished run, or a template. Received: {name!r}. "
            "See `dlt list runs` and `dlt list templates`."
        )
    template = load_template(name)
    if template.task.name != "classification":
        raise ValueError(
            f"An evaluator must be a classifier of images. Received: {name}, for the task {template.task.name}. "
            "Choose another with --set task.evaluator=TEMPLATE, or none with --set task.evaluator=none."
        )
    try:
        evaluator_spec = load_for(template)[1].spec
    except ValueError as error:
        raise ValueError(f"{error} Or use no evaluator: --set task.evaluator=none.") from None
    check_size(name, evaluator_spec.inputs[0].shape, spec.inputs[0].shape)
    check_classes(
        name, classes_of(evaluator_spec.targets[0]), [value for value in spec.targets if isinstance(value, ClassId)]
    )
    return template, path


def evaluator_summary(task: Task) -> str | None:
    """Return a line with the run of a task's evaluator and its own score; None if the task has no evaluator."""
    if not (isinstance(task, Generation) and task.evaluator_name):
        return None
    run = Run(evaluator_path(task.evaluator_name))
    scores = [f"test {name} {run.record.describe_score('test', name)}" for name in run.record.scores.get("test", {})]
    return f"scored by {', '.join([str(run.path), *scores[:1]])}"
