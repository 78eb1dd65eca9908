"""What a task needs of a network, and whether a network has it: known before anything is trained."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple, NoReturn

from dltemplates.datasets.spec import DatasetSpec

if TYPE_CHECKING:
    import keras

    from dltemplates.tasks.task import Task


class Shapes(NamedTuple):
    """The shapes of what a network, or a part of it, takes and gives of one example; None for any.

    Attributes:
        takes: The shape of its input.
        gives: The shape of its output; of several outputs, the shape of each by its name.
    """

    input_shape: tuple[int, ...] | None = None
    output_shape: tuple[int, ...] | dict[str, tuple[int, ...]] | None = None


def vector_output(sizes: dict[str, Any]) -> dict[str, Shapes]:
    """What a task needs that has a row of outputs, of the sizes that it gives."""
    return {"": Shapes(sizes["input_shape"], (sizes["num_outputs"],))}


def check_network(network: keras.Model, task: Task, spec: DatasetSpec) -> None:
    """Raise a `ValueError` unless a network takes, gives and holds what a task needs.

    Args:
        network: As its builder made it.
        task: What it is to be trained for.
        spec: The spec of the data it is to be trained on.
    """
    import keras

    signature = task.model_signature(spec)
    whole = signature.get("", Shapes())
    if not network.built and whole.input_shape:
        network(keras.Input(whole.input_shape))  # a network of the user's own that knows its shapes once it is called
    for path, shapes in signature.items():
        layer: Any = network
        for name in filter(None, path.split("/")):
            layer = next((inner for inner in getattr(layer, "layers", ()) if inner.name == name), None)
        what = f"a part `{path}`" if path else "a network"
        if layer is None:
            _refuse(network, task, what, "none of that name")
        found_shapes = _shapes_of(layer, by_name=isinstance(shapes.output_shape, dict))
        for verb, wanted, found in zip(("takes", "gives"), shapes, found_shapes, strict=True):
            if wanted is not None and found is not None and not _agree(wanted, found):
                _refuse(network, task, f"{what} that {verb} {wanted}", f"one that {verb} {found}")


def _refuse(network: keras.Model, task: Task, needed: str, received: str) -> NoReturn:
    raise ValueError(
        f"Model `{network.name}` cannot do task {task.name}, which needs {needed}. Received: {received}. "
        "Choose a model that fits the task: `dlt list models`."
    )


def _shapes_of(layer: keras.Layer, *, by_name: bool) -> tuple[Any, Any]:
    """The shapes of what a layer takes, first where it takes several, and gives, of logits where it gives more.

    None where it is not known; of several outputs without logits, or `by_name`, all of their shapes.
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


def _agree(wanted: Any, found: Any) -> bool:
    if isinstance(wanted, dict):
        return isinstance(found, dict) and all(name in found and _agree(wanted[name], found[name]) for name in wanted)
    return len(wanted) == len(found) and all(theirs in (None, ours) for ours, theirs in zip(wanted, found, strict=True))
