"""Make a run of a Keras model that was trained elsewhere, so that it is exported and checked like any other."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import keras
import numpy as np

import dltemplates.layers  # noqa: F401 - makes the package's own layers known to Keras
from dltemplates import catalog
from dltemplates.datasets.spec import DatasetSpec
from dltemplates.features import Number
from dltemplates.models.recursion import deep_networks
from dltemplates.runs import Run, make_run, new_run_path
from dltemplates.tasks.load_for import load_for
from dltemplates.tasks.task import SupervisedTask, make_task
from dltemplates.template import parse_template
from dltemplates.training.recording.run_record import begin_run, score_run

EXAMPLES = 32
TAKEN = ("class", "labels", "number")  # the kinds of target that ask for one row of outputs
PRESENTED_BY = {"class": "softmax", "labels": "sigmoid"}  # the activation that a task of this kind of target adds


def import_model(
    path: str | Path,
    *,
    task: str,
    data: str,
    input_range: tuple[float, float] = (0.0, 255.0),
    resize: str = "stretch",
    output: str | Path | None = None,
    overwrite: bool = False,
) -> Run:
    """Make a run of a `.keras` file.

    Args:
        path: The file: one image in, one row of numbers out for each.
        task: The task it was trained for, whose target is a class, labels or numbers.
        data: Name or path of data to judge it on, and to set the ranges of integer formats; classes in their sorted
            order must be the order of the model's outputs.
        input_range: What a pixel of 0 and one of 255 are to the model, such as `(0, 1)` or `(-1, 1)`.
        resize: How images of another size are brought to the model's.
        output: The run's folder; by default the first free one of `saved_models/`.
        overwrite: Replace a run in `output`.

    Returns:
        The run, with its scores.

    Raises:
        ValueError: If the file cannot be read, or the model does not fit the task or the data; says why.
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
    dataset = replace(dataset, spec=_in_own_units(dataset.spec))
    made_task = make_task(template.task, dataset.spec)
    examples = dataset.split("validation").read(np.arange(min(EXAMPLES, dataset.spec.sizes["validation"])))
    images = examples[dataset.spec.inputs[0].name].astype(np.float32)
    given = keras.ops.convert_to_numpy(model(images * np.float32((high - low) / 255) + np.float32(low)))
    logits = _logits(model, made_task.kind)
    expected = made_task.model_sizes(dataset.spec)["num_outputs"]
    if logits.output_shape != (None, expected):
        raise ValueError(
            f"The model must give a row of {expected} values, as the data asks. Received: {path}, which gives "
            f"{logits.output_shape[1:]}. Choose other data by --data."
        )
    assembled = _from_bytes(logits, dataset.spec, input_range)
    served = made_task.serve(assembled, dataset.spec, template, name=path.stem)[""]
    _check_served(given, next(iter(served.model(images).values())), made_task.kind, path)
    run = make_run(path.stem, output, overwrite=overwrite)
    begin_run(run, template, dataset, made_task, assembled)
    run.save_weights(assembled)
    run.save_record(run.record.model_copy(update={"state": "interrupted"}))  # until it is scored
    score_run(run, made_task, dataset)
    return run


def _check_task(task: str) -> None:
    found = catalog.load("task", task)
    if not (isinstance(found, type) and issubclass(found, SupervisedTask) and found.kind in TAKEN):
        raise ValueError(
            "A Keras model is exported for a task that has a class, labels or numbers as its target. "
            f"Received: {task}. Try classification, multi_label or image_regression."
        )


@deep_networks()
def _load(path: Path) -> keras.Model:
    if not path.is_file():
        raise ValueError(f"A Keras model must be a file. Received: {path}, which does not exist. Check the path.")
    try:
        return keras.models.load_model(path, compile=False)
    except Exception as error:  # Keras raises whatever the file's contents lead to
        raise ValueError(
            f"A Keras model must be whole and load in safe mode. Received: {path}, which does not. "
            "Give the module of its own layers with --import; a lambda with Python code cannot be taken."
        ) from error


def _image_shape(model: keras.Model, path: Path) -> tuple[int, int, int]:
    """The one input of the model, as (height, width, channels)."""
    shapes = [tuple(tensor.shape) for tensor in model.inputs] if getattr(model, "inputs", None) else []
    if len(shapes) != 1 or len(shapes[0]) != 4 or None in shapes[0][1:] or len(model.outputs) != 1:
        shown = ", ".join(map(str, shapes)) or "no inputs known before it is called"
        shown += f" and {len(model.outputs)} outputs" if shapes else ""
        raise ValueError(
            "A model trained elsewhere must take one image of a fixed size and give one output. Received: "
            f"{path}, with inputs {shown}. Wrap it in a `keras.Model` with a `keras.Input((height, width, channels))`."
        )
    return shapes[0][1:]


@deep_networks()
def _logits(model: keras.Model, kind: str) -> keras.Model:
    """The model without the activation that makes probabilities of its logits: the task adds its own."""
    wanted = PRESENTED_BY.get(kind)
    if wanted is None:
        return model
    last = model.layers[-1]
    if isinstance(last, keras.layers.Softmax) and wanted == "softmax":
        return keras.Model(model.inputs[0], last.input)
    activation = getattr(getattr(last, "activation", None), "__name__", "linear")
    if activation not in (wanted, "linear"):
        raise ValueError(
            f"The last layer must give logits or end in {wanted}. Received: {last.name} with {activation}. "
            "Choose the task that fits, or "
            "rebuild the last layer; two classes, too, take two outputs."
        )
    if activation == wanted and isinstance(last, keras.layers.Activation):
        return keras.Model(model.inputs[0], last.input)
    if activation == wanted:
        last.activation = keras.activations.linear
        return _rebuilt(model)
    return model


def _check_served(given: np.ndarray, served: Any, kind: str, path: Path) -> None:
    """Check on examples that what will be served is what the model gives, made probabilities once and only once."""
    served = keras.ops.convert_to_numpy(served)
    match kind:
        case "class":
            is_presented = (given >= 0).all() and np.allclose(given.sum(axis=1), 1, atol=1e-3)
            wanted = given if is_presented else keras.ops.convert_to_numpy(keras.ops.softmax(given))
        case "labels":
            is_presented = (given >= 0).all() and (given <= 1).all()
            wanted = given if is_presented else keras.ops.convert_to_numpy(keras.ops.sigmoid(given))
        case _:
            wanted = given
    if not np.allclose(served, wanted, atol=1e-3 * max(1.0, float(np.ptp(wanted)))):
        raise ValueError(
            "A model trained elsewhere must make its probabilities, if at all, in its last layer and nowhere else. "
            f"Received: {path}, whose served output would differ from its own. Rebuild it to end in logits."
        )


def _rebuilt(model: keras.Model) -> keras.Model:
    """The same layers and weights, made anew from their configs."""
    copy = keras.models.model_from_json(model.to_json())
    copy.set_weights(model.get_weights())
    return copy


@deep_networks()
def _from_bytes(model: keras.Model, spec: DatasetSpec, input_range: tuple[float, float]) -> keras.Model:
    """Put the scaling from 0..255 to what the model takes in front of it."""
    (image,) = spec.inputs
    inputs = keras.Input(image.shape, name=image.name, dtype=image.dtype)
    network = keras.Model(model.inputs[0], model.outputs[0], name="network")  # its own name might be that of the input
    low, high = input_range
    x = inputs
    if (low, high) != (0, 255):
        x = keras.layers.Rescaling((high - low) / 255, offset=low, name="preprocessing")(inputs)
    return keras.Model(inputs, network(x), name="adopted")


def _in_own_units(spec: DatasetSpec) -> DatasetSpec:
    """The spec with numbers left as they are: the model was trained to give them in their own unit."""
    targets = tuple(
        target.model_copy(update={"mean": (0.0,) * target.shape[0], "std": (1.0,) * target.shape[0]})
        if isinstance(target, Number)
        else target
        for target in spec.targets
    )
    return spec.model_copy(update={"targets": targets})
