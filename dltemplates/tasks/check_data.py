"""The check that a task can use the inputs and targets of a dataset; the error names the way out."""

from __future__ import annotations

import math
import shlex
from pathlib import Path

from dltemplates.datasets.series.sequences import are_sequences
from dltemplates.datasets.spec import DatasetSpec
from dltemplates.features import ClassId, Feature, Labels, Number, classes_of, columns_of
from dltemplates.settings import ARRAYS
from dltemplates.tasks.task import Task

MIN_PER_CLASS = 3  # examples: one for each split
ONE_HOT = "; or, if they are one-hot labels, make them classes, `y.argmax(axis=1)`"


def check_data(name: str, task: type[Task], spec: DatasetSpec, data: str | None = None) -> None:
    """Check that a task can use the inputs and targets of a dataset.

    Args:
        name: The task's name in the template.
        task: Its class.
        spec: The spec of the data, as it was loaded.
        data: Name or path of the data, for a template to train; None for a run or an exported file.

    Raises:
        ValueError: If it cannot.
    """
    targets = (task.kind,) if task.target_kinds is None else task.target_kinds
    are_right = len(spec.inputs) <= task.max_inputs and all(value.kind in task.input_kinds for value in spec.inputs)
    if task.input_kinds and not are_right:
        rule, received = f"one input, of kind {' or '.join(f'`{kind}`' for kind in task.input_kinds)}", spec.inputs
        setting = _setting_for_inputs(task.input_kinds, spec.inputs)
    elif targets and targets != tuple(value.kind for value in spec.targets):
        rule, received = f"targets of kind {', '.join(f'`{kind}`' for kind in targets)}", spec.targets
        setting = _setting_for_target(targets[0], spec.targets[0])
        if not setting and data and not are_sequences(spec) and (message := _wrong_target(name, spec.targets[0], data)):
            raise ValueError(message)
    else:
        if data and task.needs_target and spec.targets and (message := _numbers_as_classes(spec, data)):
            raise ValueError(message)
        return
    shown = ", ".join(f"`{value.name}` of kind `{value.kind}`" for value in received)
    raise ValueError(
        f"Task {name} needs {rule}. Received: {shown}. Choose the task that fits the data: `dlt list tasks`{setting}."
    )


def _setting_for_inputs(kinds: tuple[str, ...], inputs: tuple[Feature, ...]) -> str:
    """Return the setting that gives an input of such a kind, as the end of a message; empty if there is none."""
    first, *others = inputs
    if "series" in kinds and columns_of(first):
        return "; or read a CSV file as a series, --set dataset.series.window=24"
    if first.kind in kinds and [value.kind for value in others] == ["category"]:
        skipped = " ".join(f"--set dataset.table.columns.{column.name}=skip" for column in columns_of(others[0]))
        return f"; or leave the categories out, {skipped}"
    return ""


def _setting_for_target(kind: str, target: Feature) -> str:
    """Return the way to a target of such a kind, as the end of a message; empty if there is none."""
    if kind == "class":
        is_many = isinstance(target, Labels) or (isinstance(target, Number) and math.prod(target.shape) > 1)
        return ONE_HOT if is_many else ""
    if not (kind == "number" and isinstance(target, ClassId) and target.columns):
        return ""
    from dltemplates.datasets.tables.columns import are_numbers  # imports pandas, which most commands do not need

    if not are_numbers(classes_of(target)):
        return ""
    return f"; or set the kind of the column, --set dataset.table.columns.{target.columns[0].name}=number"


def _wrong_target(task: str, target: Feature, data: str) -> str:
    """Return the message for text in a regression or numbers in a classification of a table; empty for other tasks."""
    match task, target:
        case "regression", ClassId(columns=[column, *_]):
            rule, content, template, kind = "numbers", "text", "table_classification", ""
        case "classification", Number(columns=[column, *_]):
            rule, content, template = "classes", "numbers", "table_regression"
            kind = f"dataset.table.columns.{column.name}"
        case _:
            return ""
    if data == ARRAYS:
        way_out = f'train("{template}", data=(x, y))'
        other = f'load the template with {{"{kind}": "category"}}'
    else:
        setting = shlex.quote(f"dataset.target={column.name}")
        way_out = f"dlt run {template} --data {shlex.quote(data)} --set {setting}"
        other = f"add --set {shlex.quote(f'{kind}=category')}"
    other = f"; or, if each number is a class, {other}" if kind else ""
    return f"Task {task} predicts {rule}. Received: {column.name}, which has {content}. Try `{way_out}`{other}."


def _numbers_as_classes(spec: DatasetSpec, data: str) -> str:
    """Return the message for class ids of arrays that are so many that they seem to be numbers; empty for others."""
    target, examples = spec.targets[0], sum(spec.sizes.values())
    if not isinstance(target, ClassId) or target.columns or not (data == ARRAYS or Path(data).suffix == ".npz"):
        return ""
    from dltemplates.datasets.images.npz import AS_NUMBERS, names_of  # imports that other data does not need
    from dltemplates.datasets.tables.column_kinds import MAX_CLASS_NUMBERS

    count = len(target.classes)
    is_named = target.classes != names_of(None, count)
    if is_named or count <= MAX_CLASS_NUMBERS or examples >= MIN_PER_CLASS * count:
        return ""
    names = "pass their names as text, `y.astype(str)`" if data == ARRAYS else "add their names, `classes`"
    return (
        f"A class needs several examples. Received: class ids up to {count - 1} for {examples} examples. For classes, "
        f"{names}; {AS_NUMBERS}."
    )
