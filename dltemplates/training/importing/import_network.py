"""The network of a Keras model trained elsewhere: float32, any batch size, one tensor in, logits out."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import keras
import numpy as np
from keras import layers, ops

import dltemplates.layers  # noqa: F401 - registers the package's layers with Keras
from dltemplates.compat import flatten_layers
from dltemplates.errors import first_line
from dltemplates.models.recursion import deep_networks

Shape = tuple[int, int, int]  # height, width, channels
ACTIVATIONS = {"class": "softmax", "labels": "sigmoid"}  # the activation that the task adds, by kind of target
OTHER_FLOATS = ("float16", "bfloat16", "float64", "mixed_float16", "mixed_bfloat16")
TINY = 1e-7  # the smallest probability whose logarithm is taken; float16 still holds it
PASSING = (layers.Flatten, layers.Reshape, layers.Dropout, layers.Identity)  # they keep the values of a row of outputs


@deep_networks()
def read_model(path: Path) -> keras.Model:
    """Read a `.keras` file.

    Raises:
        ValueError: If the file does not load in safe mode.
    """
    if not path.is_file():
        raise ValueError(f"A Keras model must be a file. Received: {path}, which does not exist. Check the path.")
    try:
        return keras.models.load_model(path, compile=False)
    except Exception as error:  # Keras raises many kinds of errors here
        raise ValueError(
            f"A Keras model must be complete and load in safe mode. Received: {path}, which does not load. "
            "Give the module of its custom layers with --import; lambda layers with Python code cannot be loaded."
        ) from error


def image_shape(model: keras.Model, path: Path, input_shape: tuple[int, ...] | None = None) -> Shape:
    """Return the shape of the model's only input: (height, width, channels).

    Args:
        model: The model.
        path: Its file, for errors.
        input_shape: The shape of the images, for a model that takes any height and width.

    Raises:
        ValueError: If the model does not take one image and return one output, or its size is unknown.
    """
    shapes = [tuple(tensor.shape) for tensor in model.inputs] if getattr(model, "inputs", None) else []
    if len(shapes) != 1 or len(shapes[0]) != 4 or len(model.outputs) != 1:
        received = f"inputs {', '.join(map(str, shapes))}" if shapes else "unknown inputs before its first call"
        received += f" and {len(model.outputs)} outputs" if shapes else ""
        raise ValueError(
            f"A model trained elsewhere must take one image and return one output. Received: {path}, with {received}. "
            "Wrap it in a `keras.Model` with a `keras.Input((height, width, channels))`."
        )
    own = shapes[0][1:]
    if input_shape is None:
        if None in own:
            example = ",".join(str(size or default) for size, default in zip(own, (224, 224, 3), strict=True))
            raise ValueError(
                "An exported model takes images of one size. "
                f"Received: {path}, whose input {shapes[0]} leaves it open. Add --input-shape {example}, with the size "
                "that the model was trained on."
            )
        return own
    is_equal = len(input_shape) == 3 and all(
        theirs in (None, ours) for theirs, ours in zip(own, input_shape, strict=True)
    )
    if not is_equal or min(input_shape) < 1:
        raise ValueError(
            f"--input-shape must be height, width and channels that fit the model. Received: {input_shape} for {path}, "
            f"whose input is {shapes[0]}. Leave it out, or give its size."
        )
    height, width, channels = input_shape
    return height, width, channels


@deep_networks()
def to_network(model: keras.Model, shape: Shape, path: Path) -> keras.Model:
    """Copy a model as a float32 network for any batch size, with one tensor as input and as output.

    Args:
        model: The model; its precision, batch size, height and width may be anything.
        shape: Height, width and channels of the images.
        path: Its file, for errors.

    Raises:
        ValueError: If the model does not allow it.
    """

    def edit(config: dict[str, Any]) -> dict[str, Any]:
        config = _plain(config)
        for layer in config["config"]["layers"]:
            if layer["class_name"] == "InputLayer":
                layer["config"] |= {"batch_shape": [None, *shape], "dtype": "float32"}
        return config

    try:
        return rebuilt(keras.Model(model.inputs[0], model.outputs[0]), edit)
    except Exception as error:  # each layer has its own errors
        raise ValueError(
            f"A model trained elsewhere must work in float32, with any batch size and images of {shape}. "
            f"Received: {path} ({first_line(error)}). Rebuild it without a fixed batch size."
        ) from error


@deep_networks()
def rebuilt(model: keras.Model, edit: Callable[[dict[str, Any]], dict[str, Any]] | None = None) -> keras.Model:
    """Rebuild a model from its definition, as loading a run does, with the same weights.

    Args:
        model: The model.
        edit: Changes to its definition.
    """
    text = model.to_json()
    copy = keras.models.model_from_json(json.dumps(edit(json.loads(text))) if edit else text)
    with tempfile.TemporaryDirectory() as folder:
        weights = Path(folder) / "model.weights.h5"  # each layer reads its own state, and converts its dtype
        model.save_weights(weights)
        copy.load_weights(weights)
    return copy


def is_rounded(model: keras.Model) -> bool:
    """Return whether a layer computes with fewer digits than float32."""
    return any("16" in layer.compute_dtype for layer in flatten_layers(model) if layer.compute_dtype)


def _plain(node: Any) -> Any:
    """Return a part of a definition in float32, without fixed batch sizes."""
    if isinstance(node, list):
        return [_plain(part) for part in node]
    if not isinstance(node, dict):
        return node
    node = {key: _plain(value) for key, value in node.items()}
    for key in ("dtype", "name") if node.keys() == {"name"} else ("dtype",):  # a policy's only key is its name
        if node.get(key) in OTHER_FLOATS:
            node[key] = "float32"
    for key in ("batch_shape", "build_input_shape", "input_shape"):
        if isinstance(node.get(key), list) and len(node[key]) > 1 and isinstance(node[key][0], int):
            node[key] = [None, *node[key][1:]]
    return node


@deep_networks()
def candidate_logits(network: keras.Model, kind: str, outputs: np.ndarray, path: Path) -> Iterator[keras.Model]:
    """Yield networks that may return the logits of a network, the best first. A check must choose.

    Args:
        network: The network.
        kind: Kind of the task's target.
        outputs: The network's outputs on some examples, (n, outputs).
        path: Its file, for errors.

    Raises:
        ValueError: If it ends in another activation than the task's.
    """
    activation = ACTIVATIONS.get(kind)
    if kind == "class" and outputs.shape[1:] == (1,):
        activation = "sigmoid"
    ending = ending_of(network)
    if activation is None or ending in ("linear", "log_softmax"):
        yield network
        return
    if ending == activation:
        yield rebuilt(_without_activation(rebuilt(network)))
    elif ending is not None:
        raise ValueError(
            f"The last layer must return logits or end in {activation}. Received: {path} with {ending}. "
            "Choose another task, or rebuild the last layer."
        )
    if _are_probabilities(outputs, activation):
        yield _with_logarithm(network, activation)
    else:
        yield network


def ending_of(network: keras.Model) -> str | None:
    """Return the name of the activation at the end of a network; None if it ends in another operation."""
    last = _functional(network).operations[-1]
    if isinstance(last, PASSING):
        return ending_of(_before(network))
    if isinstance(last, keras.Model):
        return ending_of(last)
    kind = type(last).__name__.lower()
    if kind in ("softmax", "sigmoid"):  # a layer or an operation
        return kind
    activation = getattr(last, "activation", None)
    if kind == "activation" and activation is keras.activations.linear:
        return ending_of(_before(network))
    return getattr(activation, "__name__", None)


def _without_activation(network: keras.Model) -> keras.Model:
    """Return a network without the softmax or sigmoid at its end; layers are shared and may change."""
    network = _functional(network)
    last = network.operations[-1]
    if isinstance(last, keras.Model):
        inner = _without_activation(last)
        return keras.models.clone_model(
            network,
            call_function=lambda layer, *args, **kwargs: layer(*args, **kwargs),
            clone_function=lambda layer: inner if layer is last else layer,
        )
    is_linear = isinstance(last, layers.Activation) and last.activation is keras.activations.linear
    if isinstance(last, PASSING) or is_linear:
        return keras.Model(network.inputs[0], last(_without_activation(_before(network)).outputs[0]))
    if isinstance(last, layers.Activation) or not hasattr(last, "activation"):
        return _before(network)
    last.activation = keras.activations.linear
    return network


def _before(network: keras.Model) -> keras.Model:
    """Return a network without its last operation."""
    network = _functional(network)
    return keras.Model(network.inputs[0], network.operations[-1].input)


def _functional(network: keras.Model) -> keras.Model:
    """Return a functional model with the layers of a `Sequential`."""
    if isinstance(network, keras.Sequential):
        return keras.Model(network.inputs[0], network.outputs[0], name=network.name)
    return network


def _are_probabilities(outputs: np.ndarray, activation: str) -> bool:
    are_fractions = bool((outputs >= 0).all() and (outputs <= 1 + 1e-3).all())
    return are_fractions and (activation == "sigmoid" or np.allclose(outputs.sum(axis=1), 1, atol=1e-3))


def _with_logarithm(network: keras.Model, activation: str) -> keras.Model:
    """Append the logits of probabilities: log(p) for softmax, log(p / (1 - p)) for sigmoid."""
    probabilities = network.outputs[0]
    logits = ops.log(ops.maximum(probabilities, TINY))
    if activation == "sigmoid":
        logits = logits - ops.log(ops.maximum(1.0 - probabilities, TINY))
    return keras.Model(network.inputs[0], logits)
