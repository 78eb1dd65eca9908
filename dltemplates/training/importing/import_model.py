"""Import a Keras model trained elsewhere as a run, to export and check it like any other."""

from __future__ import annotations

import math
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import keras
import numpy as np

from dltemplates import catalog
from dltemplates.datasets.classes import with_classes_of
from dltemplates.datasets.source import Dataset
from dltemplates.datasets.spec import DatasetSpec
from dltemplates.features import ClassId, Labels, Number, classes_of
from dltemplates.models.recursion import deep_networks
from dltemplates.new_runs import make_import, new_run_path
from dltemplates.runs import Run
from dltemplates.settings import Named
from dltemplates.tasks.load_for import load_for
from dltemplates.tasks.task import SupervisedTask, Task, make_task
from dltemplates.template import Template, parse_template
from dltemplates.training.importing.import_checks import (
    DEFAULT_RANGE,
    InputRange,
    check_outputs,
    comparison_images,
    find_mistake,
    run_model,
    serves_outputs,
    to_range,
)
from dltemplates.training.importing.import_network import (
    ACTIVATIONS,
    candidate_logits,
    ending_of,
    image_shape,
    is_rounded,
    read_model,
    rebuilt,
    to_network,
)
from dltemplates.training.recording.run_record import begin_run, score_run

TARGET_KINDS = ("class", "labels", "number")  # their tasks need one row of outputs per example


def import_model(
    path: str | Path,
    *,
    task: str,
    data: str,
    input_range: InputRange | None = None,
    input_shape: tuple[int, ...] | None = None,
    class_names: tuple[str, ...] | None = None,
    resize: str = "stretch",
    output: str | Path | None = None,
    overwrite: bool = False,
    unfinished: ExitStack | None = None,
) -> Run:
    """Import a `.keras` file as a run.

        run = dlt.import_model("theirs.keras", task="classification", data="photographs", input_range=(0, 1))

    The run's network is float32 and takes any number of images. It returns what the model returns in inference.

    Args:
        path: The file. The model takes an image and returns a row of numbers.
        task: The task the model was trained for. Its target is a class, labels or numbers.
        data: Name or path of data to score the model on and to calibrate integer formats.
        input_range: The model's input values for pixels of 0 and 255, such as `(0, 1)` or `(-1, 1)`; None for
            `(0, 255)`, unless another range is clearly better.
        input_shape: Height, width and channels, for a model that takes images of any size.
        class_names: The classes or labels in the order of the model's outputs; None for the data's order, unless
            another one is clearly better.
        resize: The method for resizing images to the model's input size.
        output: The run's folder; by default the first free one in `saved_models/`.
        overwrite: Replace a run in `output`.
        unfinished: The run stays unfinished until this stack closes, for exports that belong to the import; by default
            until the import returns. See `new_runs.make_import`.

    Returns:
        The run, with its scores. Doubts about the given range or order are among its warnings.

    Raises:
        ValueError: If the file cannot be read; if the model does not fit the task or the data; or if the range or the
            order was left out and another one is clearly better.
    """
    path = Path(path)
    low, high = input_range or DEFAULT_RANGE
    if not (math.isfinite(low) and math.isfinite(high) and low < high):
        raise ValueError(f"An input range must be two numbers, the lower first. Received: {input_range}. Try (0, 1).")
    _check_task(task)
    model = read_model(path)
    shape = image_shape(model, path, input_shape)
    network = to_network(model, shape, path)
    settings = {"name": data, "images": {"size": list(shape[:2]), "channels": shape[2], "resize": resize}}
    template = parse_template({"task": task, "dataset": settings, "model": path.stem}, source=str(path))
    new_run_path(path.stem, output, overwrite=overwrite)  # refuse before anything is loaded
    target_task, dataset = load_for(template)
    dataset = replace(dataset, spec=_without_scaling(dataset.spec))
    if class_names is not None:
        dataset = _with_class_order(dataset, class_names)
    template, target_task = _task_for(network, template, target_task, dataset.spec)
    _check_size(network, target_task, dataset.spec, path)

    images = comparison_images(dataset)
    scaled = to_range(images, (low, high))
    check_outputs(model, network, scaled, path, rounded=is_rounded(model))
    assembled, logits = _assemble(network, images, scaled, template, target_task, dataset.spec, (low, high), path)
    mistake = find_mistake(logits, dataset, input_range=input_range, classes_are_given=class_names is not None)
    if mistake is not None:
        if mistake.is_forgotten:
            raise ValueError(mistake.message)
        warnings = (*dataset.spec.warnings, mistake.message)
        dataset = replace(dataset, spec=dataset.spec.model_copy(update={"warnings": warnings}))

    with ExitStack() as import_only:
        run = (unfinished or import_only).enter_context(make_import(path.stem, output, overwrite=overwrite))
        begin_run(run, template, dataset, target_task, assembled)
        run.save_weights(assembled)
        run.save_record(run.record.model_copy(update={"state": "interrupted"}))  # until the run is scored
        score_run(run, target_task, dataset)
    return run


def _check_task(task: str) -> None:
    task_class = catalog.load("task", task)
    if not (
        isinstance(task_class, type) and issubclass(task_class, SupervisedTask) and task_class.kind in TARGET_KINDS
    ):
        raise ValueError(
            "A Keras model needs a task whose target is a class, labels or numbers. "
            f"Received: {task}. Try classification, multi_label or image_regression."
        )


def _with_class_order(dataset: Dataset, class_names: tuple[str, ...]) -> Dataset:
    """Return the data with its classes or labels in another order."""
    target = dataset.spec.targets[0]
    if not isinstance(target, ClassId | Labels):
        raise ValueError(
            f"--class-names is for data with classes or labels. Received: {','.join(class_names)} for targets of kind "
            f"{target.kind}. Leave it out."
        )
    classes = classes_of(target)
    if sorted(class_names) != sorted(classes):
        raise ValueError(
            "--class-names must be all classes of the data, each once, in the order of the model's outputs. "
            f"Received: {','.join(class_names)}. The classes are {','.join(classes)}."
        )
    reference = dataset.spec.model_copy(update={"targets": (target.with_classes(class_names),)})
    reordered = with_classes_of(reference, dataset)
    if target.counts is None:
        return reordered
    counts = dict(zip(classes, target.counts, strict=True))
    update = {"counts": tuple(counts[name] for name in class_names)}
    targets = (reordered.spec.targets[0].model_copy(update=update),)
    return replace(reordered, spec=reordered.spec.model_copy(update={"targets": targets}))


def _task_for(network: keras.Model, template: Template, task: Task, spec: DatasetSpec) -> tuple[Template, Task]:
    """Return the template and the task for the data; with option `binary` for a network with one output."""
    named = template.task
    if task.kind == "class" and len(task.labels or ()) == 2 and network.output_shape == (None, 1):
        named = Named(name=named.name, **named.options | {"binary": True})
    return template.model_copy(update={"task": named}), make_task(named, spec)


def _check_size(network: keras.Model, task: Task, spec: DatasetSpec, path: Path) -> None:
    expected = task.model_sizes(spec)["num_outputs"]
    if network.output_shape != (None, expected):
        raise ValueError(
            f"The model must return a row of {expected} values to fit the data. Received: {path}, which returns "
            f"{network.output_shape[1:]}. Choose other data with --data."
        )


@deep_networks()
def _assemble(
    network: keras.Model,
    images: np.ndarray,
    scaled: np.ndarray,
    template: Template,
    task: Task,
    spec: DatasetSpec,
    input_range: InputRange,
    path: Path,
) -> tuple[keras.Model, keras.Model]:
    """Return the model of the run, whose served outputs equal the network's, and its part from pixels to logits.

    Args:
        network: The network, with or without a softmax or sigmoid at its end.
        images: Pixels 0..255 for the comparison, (n, height, width, channels).
        scaled: The same in the network's range.
        template: The template.
        task: The task.
        spec: The spec of the data.
        input_range: The network's range.
        path: The file, for errors.

    Raises:
        ValueError: If the probabilities are computed in a way that cannot be served.
    """
    outputs = run_model(network, scaled)
    for logits in candidate_logits(network, task.kind, outputs, path):
        assembled = _prepend_scaling(logits, spec, input_range)
        serving = task.serve(rebuilt(assembled), spec, template, name=path.stem)[""]
        are_logits = logits is network
        if serves_outputs(run_model(serving.model, images), outputs, task.kind, are_logits=are_logits):
            return assembled, logits
    raise ValueError(
        f"A model trained elsewhere must return logits, or probabilities of {ACTIVATIONS.get(task.kind, 'no')}. "
        f"Received: {path}, which ends in {ending_of(network)}, and whose served output would differ from its own. "
        "Rebuild it to end in logits."
    )


@deep_networks()
def _prepend_scaling(model: keras.Model, spec: DatasetSpec, input_range: tuple[float, float]) -> keras.Model:
    """Prepend the scaling from 0..255 to the model's input range."""
    (image,) = spec.inputs
    inputs = keras.Input(image.shape, name=image.name, dtype=image.dtype)
    network = keras.Model(model.inputs[0], model.outputs[0], name="network")  # its own name might equal the input's
    low, high = input_range
    x = inputs
    if (low, high) != (0, 255):
        x = keras.layers.Rescaling((high - low) / 255, offset=low, name="preprocessing")(inputs)
    return keras.Model(inputs, network(x), name="imported")


def _without_scaling(spec: DatasetSpec) -> DatasetSpec:
    """Return the spec with unscaled numbers: the model returns them in their own unit."""
    targets = tuple(
        target.model_copy(update={"mean": (0.0,) * target.shape[0], "std": (1.0,) * target.shape[0]})
        if isinstance(target, Number)
        else target
        for target in spec.targets
    )
    return spec.model_copy(update={"targets": targets})
