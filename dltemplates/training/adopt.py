"""Make a run of a Keras model that was trained elsewhere, so that it is exported and checked like any other."""

from __future__ import annotations

from pathlib import Path

import keras

from dltemplates.datasets.load import load_dataset
from dltemplates.datasets.source import Dataset
from dltemplates.datasets.spec import DatasetSpec
from dltemplates.runs import Run, atomic_path, new_run_path
from dltemplates.tasks.task import make_task
from dltemplates.template import DatasetSettings, Named, Template
from dltemplates.training.record import create_run, score_run

PRESENTED_BY = {"class": "softmax", "labels": "sigmoid"}  # the activation that a task of this kind of target adds


def adopt(
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
        task: The task it was trained for.
        data: Name or path of data to judge it on, and to set the ranges of integer formats; classes in their sorted
            order must be the order of the model's outputs.
        input_range: What a pixel of 0 and one of 255 are to the model, such as `(0, 1)` or `(-1, 1)`.
        resize: How images of another size are brought to the model's.
        output: The run's folder; by default the first free one of `saved_models/`.
        overwrite: Replace a run that stands in `output`.

    Returns:
        The run, with its scores.

    Raises:
        ValueError: If the file cannot be read, or the model does not fit the task or the data; says why.
    """
    path = Path(path)
    model = _load(path)
    height, width, channels = _image_shape(model, path)
    settings = DatasetSettings.model_validate(
        {"name": data, "image_size": (height, width), "channels": channels, "resize": resize}
    )
    template = Template(task=Named(name=task), dataset=settings, model=Named(name=path.stem))
    run_path = new_run_path(path.stem, output, overwrite=overwrite)
    dataset = load_dataset(settings)
    dataset = Dataset(_in_own_units(dataset.spec), dataset.splits)
    made_task = make_task(template.task, dataset.spec.targets)
    logits = _logits(model, made_task.kind)
    expected = made_task.sizes(dataset.spec)["num_outputs"]
    if logits.output_shape != (None, expected):
        raise ValueError(
            f"The model must give a row of {expected} values, as the data asks. Received: {path}, which gives "
            f"{logits.output_shape[1:]}. Choose other data by --data."
        )
    assembled = _from_bytes(logits, dataset.spec, input_range)
    run = create_run(run_path, template, dataset.spec, made_task, assembled)
    with atomic_path(run.weights_path) as weights_path:
        assembled.save_weights(weights_path)
    run.save_record(run.record.model_copy(update={"state": "interrupted"}))  # until it is scored
    score_run(run, made_task, dataset)
    return run


def _load(path: Path) -> keras.Model:
    if not path.is_file():
        raise ValueError(f"A Keras model must be a file. Received: {path}, which does not exist. Check the path.")
    try:
        return keras.models.load_model(path, compile=False)
    except Exception as error:  # Keras raises whatever the file's contents lead to
        first_line = str(error).strip().splitlines()[0]
        raise ValueError(
            f"A Keras model must load in safe mode. Received: {path} ({first_line}). "
            "Give the module of its own layers with --import; a lambda with Python code cannot be taken."
        ) from error


def _image_shape(model: keras.Model, path: Path) -> tuple[int, int, int]:
    """The one input of the model, as (height, width, channels)."""
    shapes = [tuple(tensor.shape) for tensor in model.inputs] if getattr(model, "inputs", None) else []
    if len(shapes) != 1 or len(shapes[0]) != 4 or None in shapes[0][1:] or len(model.outputs) != 1:
        shown = ", ".join(map(str, shapes)) or "no inputs known before it is called"
        raise ValueError(
            "A model trained elsewhere must take one image of a fixed size and give one output. Received: "
            f"{path}, with inputs {shown}. Wrap it in a `keras.Model` with a `keras.Input((height, width, channels))`."
        )
    return shapes[0][1:]


def _logits(model: keras.Model, kind: str) -> keras.Model:
    """The model without the activation that makes probabilities of its logits: the task adds its own."""
    wanted = PRESENTED_BY.get(kind)
    if wanted is None:
        return model
    last = model.layers[-1]
    if isinstance(last, keras.layers.Softmax) and wanted == "softmax":
        return keras.Model(model.inputs, last.input)
    activation = getattr(getattr(last, "activation", None), "__name__", "linear")
    if activation not in (wanted, "linear"):
        raise ValueError(
            f"The last layer must give logits or end in {wanted}. Received: {last.name} with {activation}. "
            "Choose the task that fits, or rebuild the last layer."
        )
    if activation == wanted and isinstance(last, keras.layers.Activation):
        return keras.Model(model.inputs, last.input)
    if activation == wanted:
        last.activation = keras.activations.linear
        return _rebuilt(model)
    return model


def _rebuilt(model: keras.Model) -> keras.Model:
    """The same layers and weights, made anew from their configs."""
    copy = keras.models.model_from_json(model.to_json())
    copy.set_weights(model.get_weights())
    return copy


def _from_bytes(model: keras.Model, spec: DatasetSpec, input_range: tuple[float, float]) -> keras.Model:
    """Put the scaling from 0..255 to what the model takes in front of it."""
    (image,) = spec.inputs
    inputs = keras.Input(image.shape, name=image.name, dtype=image.dtype)
    low, high = input_range
    x = inputs
    if (low, high) != (0, 255):
        x = keras.layers.Rescaling((high - low) / 255, offset=low, name="preprocessing")(inputs)
    return keras.Model(inputs, model(x), name=model.name)


def _in_own_units(spec: DatasetSpec) -> DatasetSpec:
    """The spec with numbers left as they are: the model was trained to give them in their own unit."""
    targets = tuple(
        target.model_copy(update={"mean": (0.0,) * target.shape[0], "std": (1.0,) * target.shape[0]})
        if target.kind == "number"
        else target
        for target in spec.targets
    )
    return spec.model_copy(update={"targets": targets})
