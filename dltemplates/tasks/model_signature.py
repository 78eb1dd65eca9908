"""The shapes and parts that a task needs in a network, checked before training."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple, NoReturn

from dltemplates.datasets.spec import DatasetSpec

if TYPE_CHECKING:
    import keras

    from dltemplates.tasks.task import Task


class Shapes(NamedTuple):
    """Input and output shapes of a network or one of its parts, without the batch axis; None for any.

    Attributes:
        input_shape: The shape of its input.
        output_shape: The shape of its output; for several outputs, the shape of each by name.
        other_output_shape: Another shape that its output may have.
    """

    input_shape: tuple[int | None, ...] | None = None
    output_shape: tuple[int | None, ...] | dict[str, tuple[int, ...]] | None = None
    other_output_shape: tuple[int | None, ...] | None = None


def vector_output(sizes: dict[str, Any]) -> dict[str, Shapes]:
    """Return the signature of a network with one output vector."""
    return {"": Shapes(sizes.get("input_shape"), (sizes["num_outputs"],))}


def check_network(network: keras.Model, task: Task, spec: DatasetSpec) -> None:
    """Raise a `ValueError` unless a network has the shapes and parts that a task needs.

    Args:
        network: The network from its builder.
        task: The task to train it for.
        spec: The spec of the training data.
    """
    import keras

    signature = task.model_signature(spec)
    whole = signature.get("", Shapes())
    if not network.built and whole.input_shape:
        network(keras.Input(whole.input_shape))  # the user's own network may be built by its first call
    for path, shapes in signature.items():
        layer: Any = network
        for name in filter(None, path.split("/")):
            layer = next((inner for inner in getattr(layer, "layers", ()) if inner.name == name), None)
        subject = f"a part `{path}`" if path else "a network"
        if layer is None:
            _raise_mismatch(network, task, subject, "none of that name")
        actual_shapes = _shapes_of(layer, by_name=isinstance(shapes.output_shape, dict))
        for name, required, actual in zip(("input", "output"), shapes[:2], actual_shapes, strict=True):
            if name == "output" and shapes.other_output_shape and _shapes_match(shapes.other_output_shape, actual):
                continue
            if required is not None and not _shapes_match(required, actual):
                _raise_mismatch(network, task, f"{subject} with {name} shape {required}", f"{name} shape {actual}")


def _raise_mismatch(network: keras.Model, task: Task, needed: str, received: str) -> NoReturn:
    raise ValueError(
        f"Model `{network.name}` does not fit task {task.name}, which needs {needed}. Received: {received}. "
        "Choose a model that fits the task: `dlt list models`."
    )


def _shapes_of(layer: keras.Layer, *, by_name: bool) -> tuple[Any, Any]:
    """Return the shape of a layer's first input, and of its output, or of `logits` among several outputs.

    None if unknown; for several outputs without logits, or with `by_name`, the shapes of all outputs.
    """
    import keras

    input_shape, output_shape = getattr(layer, "input", None), getattr(layer, "output", None)
    input_shape = None if input_shape is None else keras.tree.flatten(input_shape)[0]
    output_shape = (
        output_shape.get("logits", output_shape) if isinstance(output_shape, dict) and not by_name else output_shape
    )
    return tuple(keras.tree.map_structure(_shape_of, tensors) for tensors in (input_shape, output_shape))


def _shape_of(tensor: Any) -> Any:
    return None if tensor is None else tuple(tensor.shape[1:])


def _shapes_match(required: Any, actual: Any) -> bool:
    if actual is None:
        return True
    if isinstance(required, dict):
        return isinstance(actual, dict) and all(
            name in actual and _shapes_match(shape, actual[name]) for name, shape in required.items()
        )
    return len(required) == len(actual) and all(
        size in (None, required_size) for required_size, size in zip(required, actual, strict=True)
    )
