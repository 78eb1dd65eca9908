"""Import a Keras model trained elsewhere as a run, to export and check it like any other."""

from __future__ import annotations

import math
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import keras
import numpy as np

import dltemplates.layers  # noqa: F401 - registers the package's layers with Keras
from dltemplates import catalog
from dltemplates.datasets.spec import DatasetSpec
from dltemplates.features import Number
from dltemplates.models.recursion import deep_networks
from dltemplates.runs import Run, make_import, new_run_path
from dltemplates.tasks.load_for import load_for
from dltemplates.tasks.task import SupervisedTask, make_task
from dltemplates.template import parse_template
from dltemplates.training.recording.run_record import begin_run, score_run

EXAMPLES = 32
TARGET_KINDS = ("class", "labels", "number")  # their tasks need one row of outputs per example
ACTIVATIONS = {"class": "softmax", "labels": "sigmoid"}  # the activation that the task adds, by kind of target


def import_model(
    path: str | Path,
    *,
    task: str,
    data: str,
    input_range: tuple[float, float] = (0.0, 255.0),
    resize: str = "stretch",
    output: str | Path | None = None,
    overwrite: bool = False,
    unfinished: ExitStack | None = None,
) -> Run:
    """Import a `.keras` file as a run.

    Args:
        path: The file. The model takes an image and returns a row of numbers.
        task: The task the model was trained for. Its target is a class, labels or numbers.
        data: Name or path of data to score the model on and to calibrate integer formats. The sorted classes must be
            in the order of the model's outputs.
        input_range: The model's input values for pixels of 0 and 255, such as `(0, 1)` or `(-1, 1)`.
        resize: The method for resizing images to the model's input size.
        output: The run's folder; by default the first free one in `saved_models/`.
        overwrite: Replace a run in `output`.
        unfinished: The run stays unfinished until this stack closes, for exports that belong to the import; by default
            until the import returns. See `runs.make_import`.

    Returns:
        The run, with its scores.

    Raises:
        ValueError: If the file cannot be read, or the model does not fit the task or the data.
    """
    path = Path(path)
    low, high = input_range
    if not (math.isfinite(low) and math.isfinite(high) and low < high):
        raise ValueError(f"An input range must be two numbers, the lower first. Received: {input_range}. Try (0, 1).")
    _check_task(task)
    model = _load(path)
    height, width, channels = _image_shape(model, path)
    settings = {"name": data, "images": {"size": [height, width], "channels": channels, "resize": resize}}
    template = parse_template({"task": task, "dataset": settings, "model": path.stem}, source=str(path))
    new_run_path(path.stem, output, overwrite=overwrite)  # refuse before anything is loaded
    _, dataset = load_for(template)
    dataset = replace(dataset, spec=_without_scaling(dataset.spec))
    target_task = make_task(template.task, dataset.spec)
    examples = dataset.split("validation").read(np.arange(min(EXAMPLES, dataset.spec.sizes["validation"])))
    images = examples[dataset.spec.inputs[0].name].astype(np.float32)
    outputs = keras.ops.convert_to_numpy(model(images * np.float32((high - low) / 255) + np.float32(low)))
    logits = _logits(model, target_task.kind)
    expected = target_task.model_sizes(dataset.spec)["num_outputs"]
    if logits.output_shape != (None, expected):
        raise ValueError(
            f"The model must return a row of {expected} values to fit the data. Received: {path}, which returns "
            f"{logits.output_shape[1:]}. Choose other data with --data."
        )
    assembled = _prepend_scaling(logits, dataset.spec, input_range)
    serving = target_task.serve(assembled, dataset.spec, template, name=path.stem)[""]
    _check_served(outputs, next(iter(serving.model(images).values())), target_task.kind, path)
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


@deep_networks()
def _load(path: Path) -> keras.Model:
    if not path.is_file():
        raise ValueError(f"A Keras model must be a file. Received: {path}, which does not exist. Check the path.")
    try:
        return keras.models.load_model(path, compile=False)
    except Exception as error:  # Keras raises many kinds of errors here
        raise ValueError(
            f"A Keras model must be complete and load in safe mode. Received: {path}, which does not load. "
            "Give the module of its custom layers with --import; lambda layers with Python code cannot be loaded."
        ) from error


def _image_shape(model: keras.Model, path: Path) -> tuple[int, int, int]:
    """Return the shape of the model's only input: (height, width, channels)."""
    shapes = [tuple(tensor.shape) for tensor in model.inputs] if getattr(model, "inputs", None) else []
    if len(shapes) != 1 or len(shapes[0]) != 4 or None in shapes[0][1:] or len(model.outputs) != 1:
        received = f"inputs {', '.join(map(str, shapes))}" if shapes else "unknown inputs before its first call"
        received += f" and {len(model.outputs)} outputs" if shapes else ""
        raise ValueError(
            "A model trained elsewhere must take one image of a fixed size and return one output. "
            f"Received: {path}, with {received}. "
            "Wrap it in a `keras.Model` with a `keras.Input((height, width, channels))`."
        )
    return shapes[0][1:]


@deep_networks()
def _logits(model: keras.Model, kind: str) -> keras.Model:
    """Return the model without its final softmax or sigmoid, since the task adds its own."""
    own_activation = ACTIVATIONS.get(kind)
    if own_activation is None:
        return model
    last = model.layers[-1]
    if isinstance(last, keras.layers.Softmax) and own_activation == "softmax":
        return keras.Model(model.inputs[0], last.input)
    activation = getattr(getattr(last, "activation", None), "__name__", "linear")
    if activation not in (own_activation, "linear"):
        raise ValueError(
            f"The last layer must return logits or end in {own_activation}. Received: {last.name} with {activation}. "
            "Choose another task, or rebuild the last layer; two classes also need two outputs."
        )
    if activation == own_activation and isinstance(last, keras.layers.Activation):
        return keras.Model(model.inputs[0], last.input)
    if activation == own_activation:
        last.activation = keras.activations.linear
        return _rebuilt(model)
    return model


def _check_served(outputs: np.ndarray, served: Any, kind: str, path: Path) -> None:
    """Check on examples that the served outputs equal the model's own, with exactly one softmax or sigmoid."""
    served = keras.ops.convert_to_numpy(served)
    match kind:
        case "class":
            has_softmax = (outputs >= 0).all() and np.allclose(outputs.sum(axis=1), 1, atol=1e-3)
            expected = outputs if has_softmax else keras.ops.convert_to_numpy(keras.ops.softmax(outputs))
        case "labels":
            has_sigmoid = (outputs >= 0).all() and (outputs <= 1).all()
            expected = outputs if has_sigmoid else keras.ops.convert_to_numpy(keras.ops.sigmoid(outputs))
        case _:
            expected = outputs
    if not np.allclose(served, expected, atol=1e-3 * max(1.0, float(np.ptp(expected)))):
        raise ValueError(
            "A model trained elsewhere may compute probabilities only in its last layer. "
            f"Received: {path}, whose served output would differ from its own. Rebuild it to end in logits."
        )


def _rebuilt(model: keras.Model) -> keras.Model:
    """Rebuild a model from its config, with the same weights."""
    copy = keras.models.model_from_json(model.to_json())
    copy.set_weights(model.get_weights())
    return copy


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
