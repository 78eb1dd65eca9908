"""The serving model as a SavedModel: the source of every conversion, and a format itself."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import keras
import tensorflow as tf

from dltemplates.compat import operation_types
from dltemplates.deploy.converters.messages import find_layer
from dltemplates.tasks.serving.contract import Contract, ServingModel
from dltemplates.tasks.serving.file_digest import ASSETS, saved_model_network, sealed_texts

PYTHON_OPERATIONS = ("PyFunc", "PyFuncStateless", "EagerPyFunc")


def with_float_images(serving: ServingModel) -> ServingModel:
    """Return the serving model with float32 inputs in place of byte images.

    An integer file gets its bytes from quantization; a cast inside the model would stay in the file as a CAST.

    Raises:
        ValueError: If the model's inputs or outputs differ from its contract.
    """
    model, contract = serving.model, serving.contract
    _check_names("input", [tensor.name for tensor in model.inputs], [value.name for value in contract.inputs])
    _check_names("output", output_names(model), [value.name for value in contract.outputs])
    inputs = tuple(
        value.model_copy(update={"dtype": "float32" if value.takes_bytes else value.dtype}) for value in contract.inputs
    )
    contract = contract.model_copy(update={"inputs": inputs})
    dtypes = {value.name: value.dtype for value in inputs}
    if any(tensor.dtype != dtypes[tensor.name] for tensor in model.inputs):
        tensors = keras.tree.map_structure(
            lambda t: keras.Input(batch_shape=t.shape, dtype=dtypes[t.name], name=t.name), model.input
        )
        model = keras.models.clone_model(
            model,
            input_tensors=tensors,
            call_function=lambda layer, *args, **kwargs: layer(*args, **kwargs),
            clone_function=lambda layer: layer,
        )
    return replace(serving, model=model, contract=contract)


def save_serving(serving: ServingModel, folder: Path) -> None:
    """Write a serving model as a SavedModel with one signature, which uses the contract's names.

    Args:
        serving: The serving model, with float32 images.
        folder: Folder to write.
    """
    model, contract = serving.model, serving.contract
    names = [tensor.name for tensor in model.inputs]
    shapes = {value.name: value.shape for value in contract.inputs}  # the model may take sequences of any length
    specs = {
        tensor.name: tf.TensorSpec(_batched(shapes[tensor.name], contract.batch), tensor.dtype, name=tensor.name)
        for tensor in model.inputs
    }

    def serve(**arrays):
        result = model(arrays[names[0]] if len(names) == 1 else arrays, training=False)
        if not isinstance(result, dict):
            result = dict(zip(output_names(model), tf.nest.flatten(result), strict=True))
        return {value.name: result[value.name] for value in contract.outputs}

    module = tf.Module()
    module.weights = [variable.value for variable in model.variables]
    signature = tf.function(serve).get_concrete_function(**specs)
    _check_python(signature.graph, model)
    tf.saved_model.save(module, str(folder), signatures={contract.signature: signature})


def export_saved_model(serving: Path, out: Path, contract: Contract) -> None:
    """Copy the serving SavedModel, and add its contract and labels."""
    shutil.copytree(serving, out)
    assets = out / ASSETS
    assets.mkdir(exist_ok=True)
    for name, text in sealed_texts(contract, saved_model_network(out)).items():
        (assets / name).write_text(text, encoding="utf-8")


def output_names(model: keras.Model) -> list[str]:
    """Return the names of a model's outputs: the keys of its output dictionary, or the names of its output layers."""
    return list(model.output) if isinstance(model.output, dict) else list(model.output_names)


def _check_python(graph: tf.Graph, model: keras.Model) -> None:
    """Raise a `ValueError` if the graph calls Python code; its file would work in this process alone."""
    graph_def = graph.as_graph_def()
    nodes = [*graph_def.node, *(node for function in graph_def.library.function for node in function.node_def)]
    for node in nodes:
        if node.op in PYTHON_OPERATIONS:
            layer = find_layer(node.name, operation_types(model))
            raise ValueError(
                f"An exported network must not run Python code. Received: layer `{layer or node.name}`, which calls "
                "`numpy_function` or `py_function`. Build it from keras.ops."
            )


def _batched(shape: tuple[int, ...], batch: str | int) -> tuple[int | None, ...]:
    return (batch if isinstance(batch, int) else None, *shape)


def _check_names(kind: str, received: list[str], expected: list[str]) -> None:
    if sorted(received) != sorted(expected):
        raise ValueError(
            f"A serving model's {kind}s must be those of its contract, {', '.join(expected)}. "
            f"Received: {', '.join(received)}. Rename the model's {kind}s."
        )
