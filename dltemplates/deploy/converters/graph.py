"""The frozen graph that TFLite and ONNX are converted from, and what is simplified in it first."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeGuard

import numpy as np
import tensorflow as tf

from dltemplates.compat import allow_inlining, without_variables
from dltemplates.features import Feature, WithStatistics
from dltemplates.runtimes import SIGNATURE
from dltemplates.tasks.serving.contract import Contract

# Where a tensor goes through one of these, a positive factor may be applied before or after.
TRANSPARENT = {"Identity", "Pad", "Reshape", "Transpose", "Squeeze", "ExpandDims", "MaxPool", "AvgPool"}
# Position of the kernel among the inputs of a layer; its bias is added after it.
KERNEL_INPUT = {"Conv2D": 1, "DepthwiseConv2dNative": 1, "Conv3D": 1, "MatMul": 1}

GRAPH, NAMES = "graph.pb", "names.json"


@dataclass(frozen=True)
class Frozen:
    """A graph without variables.

    Attributes:
        graph_def: The graph.
        inputs: The tensor of each input, by the input's name.
        outputs: The tensor of each output, by the output's name.
    """

    graph_def: Any
    inputs: dict[str, str]
    outputs: dict[str, str]

    def to_function(self) -> Any:
        """Return the graph as a concrete function from named inputs to a dictionary of outputs."""
        wrapped = tf.compat.v1.wrap_function(lambda: tf.graph_util.import_graph_def(self.graph_def, name=""), [])
        element = wrapped.graph.as_graph_element
        specs = {
            name: tf.TensorSpec(element(tensor).shape, element(tensor).dtype, name=name)
            for name, tensor in self.inputs.items()
        }
        pruned = wrapped.prune(
            [element(tensor) for tensor in self.inputs.values()],
            {name: element(tensor) for name, tensor in self.outputs.items()},
        )
        call = tf.function(lambda **arrays: pruned(*(arrays[name] for name in self.inputs)))
        return call.get_concrete_function(**specs)

    def save(self, folder: Path) -> None:
        """Write the graph as a SavedModel with one signature."""
        module = tf.Module()
        module.function = function = self.to_function()
        # Gradients of their own (silu has one) cannot be saved from a frozen graph, and nothing here asks for any.
        options = tf.saved_model.SaveOptions(experimental_custom_gradients=False)
        tf.saved_model.save(module, str(folder), signatures={SIGNATURE: function}, options=options)

    def write(self, folder: Path) -> None:
        """Write what `read_frozen` reads."""
        folder.mkdir(exist_ok=True)
        (folder / GRAPH).write_bytes(self.graph_def.SerializeToString())
        (folder / NAMES).write_text(json.dumps([self.inputs, self.outputs]), encoding="utf-8")


def read_frozen(folder: Path) -> Frozen:
    """Read what `Frozen.write` wrote."""
    inputs, outputs = json.loads((folder / NAMES).read_text(encoding="utf-8"))
    return Frozen(tf.compat.v1.GraphDef.FromString((folder / GRAPH).read_bytes()), inputs, outputs)


def freeze(serving: Path) -> Frozen:
    """Read the signature of a SavedModel as a graph of constants."""
    loaded = tf.saved_model.load(str(serving))
    frozen = _freeze(loaded.signatures[SIGNATURE])
    if allow_inlining(frozen.graph_def):
        frozen = _freeze(frozen.to_function())
    _settle_reshapes(frozen.graph_def)
    return frozen


def _freeze(function: Any) -> Frozen:
    graph_def, constants = without_variables(function)
    # Flattened inputs and outputs come in the order of their sorted names.
    tensors = [tensor.name for tensor in function.inputs if tensor.name not in constants]
    inputs = dict(zip(sorted(function.structured_input_signature[1]), tensors, strict=True))
    outputs = dict(zip(sorted(function.structured_outputs), (t.name for t in function.outputs), strict=True))
    return _needed(graph_def, Frozen(graph_def, inputs, outputs))


def _needed(graph_def: Any, frozen: Frozen) -> Frozen:
    """A graph with the inputs and outputs of another, less what they do not need."""
    needed = [_base(name) for name in (*frozen.inputs.values(), *frozen.outputs.values())]
    return Frozen(tf.compat.v1.graph_util.extract_sub_graph(graph_def, needed), frozen.inputs, frozen.outputs)


def fold_scale(frozen: Frozen) -> tuple[Frozen, dict[str, str]]:
    """Multiply the factor that an input is scaled by into the kernels of the first layers.

    `kernel * (scale * x) = (scale * kernel) * x`, also through zero padding, reshaping and pooling; with an offset it
    does not hold at the padded border, so that is left as it is.

    Args:
        frozen: The graph of a serving model.

    Returns:
        The graph without the factors that could be folded, and for each input where one could not, the reason.
    """
    graph_def = type(frozen.graph_def)()
    graph_def.CopyFrom(frozen.graph_def)
    reasons = {}
    for name, tensor in frozen.inputs.items():
        reason = _fold_input(graph_def, tensor.partition(":")[0])
        if reason:
            reasons[name] = reason
    for node in graph_def.node:
        if node.op == "NoOp":  # waits for variables that are constants now, and would keep the kernels as they were
            del node.input[:]
    return _needed(graph_def, frozen), reasons


def cut_standardization(frozen: Frozen, contract: Contract) -> tuple[Frozen, Contract]:
    """Take `(x - mean) / std` of numbers out of the graph, and the way back of what it gives, for its caller to do.

    Args:
        frozen: The graph of a serving model.
        contract: Its contract.

    Returns:
        The graph that takes and gives standardized numbers, and the contract that says so; as they were where there
        are none.
    """
    if not any(_has_statistics(value) for value in (*contract.inputs, *contract.outputs)):
        return frozen, contract
    graph_def = type(frozen.graph_def)()
    graph_def.CopyFrom(frozen.graph_def)
    inputs, outputs, tensors = [], [], dict(frozen.outputs)
    for value in contract.inputs:
        source = frozen.inputs[value.name]
        last = _standardization(graph_def, _base(source), value) if _has_statistics(value) else None
        if last is not None:
            for node in _readers(graph_def, last, shapes=True):
                node.input[:] = [source if _base(name) == last else name for name in node.input]
            value = value.model_copy(update={"standardized": True})
        inputs.append(value)
    for value in contract.outputs:
        first = _way_back(graph_def, tensors[value.name], value) if _has_statistics(value) else None
        if first is not None:
            tensors[value.name] = first
            value = value.model_copy(update={"standardized": True})
        outputs.append(value)
    contract = contract.model_copy(update={"inputs": tuple(inputs), "outputs": tuple(outputs)})
    return _needed(graph_def, Frozen(graph_def, frozen.inputs, tensors)), contract


def _has_statistics(value: Feature) -> TypeGuard[WithStatistics]:
    return isinstance(value, WithStatistics) and value.mean is not None


def _standardization(graph_def: Any, source: str, value: WithStatistics) -> str | None:
    """The last operation of `source / std - mean / std`; None where something else is done to it."""
    nodes = {node.name: node for node in graph_def.node}
    mean, std = np.array(value.mean), np.array(value.std)
    expected = [("Mul", 1 / std), ("AddV2", -mean / std)]
    while expected:
        readers = _readers(graph_def, source)
        op, constant = expected[0]
        if len(readers) != 1 or readers[0].op not in ("Identity", op):
            return None
        if readers[0].op == op:
            if not _is_constant(nodes, readers[0].input[1], constant):
                return None
            del expected[0]
        source = readers[0].name
    return source


def _way_back(graph_def: Any, output: str, value: WithStatistics) -> str | None:
    """The tensor that becomes `output` by `tensor * std + mean`; None where that is made otherwise."""
    nodes = {node.name: node for node in graph_def.node}
    expected = [("AddV2", np.array(value.mean)), ("Mul", np.array(value.std))]
    while expected:
        node = nodes[_base(output)]
        op, constant = expected[0]
        if node.op not in ("Identity", op):
            return None
        if node.op == op:
            if not _is_constant(nodes, node.input[1], constant):
                return None
            del expected[0]
        output = node.input[0]
    return output if ":" in output else f"{output}:0"


def _is_constant(nodes: dict[str, Any], name: str, expected: np.ndarray) -> bool:
    found = _constant(nodes, name)
    return found is not None and bool(np.allclose(found, expected, rtol=1e-5, atol=0))


def _fold_input(graph_def: Any, source: str) -> str | None:
    nodes = {node.name: node for node in graph_def.node}
    factor, scaled = 1.0, source
    while True:  # go through x * a, x + 0, x - 0, x / a
        readers = _readers(graph_def, scaled)
        node = readers[0] if len(readers) == 1 else None
        if node is not None and node.op == "Identity":
            scaled = node.name
            continue
        if node is None or node.op not in {"Mul", "AddV2", "Add", "Sub", "RealDiv"}:
            break
        place = 1 - [_base(name) for name in node.input[:2]].index(scaled)
        constant = _constant(nodes, node.input[place])
        if constant is None or constant.size != 1:
            return f"{node.op} of the input by what is not one number"
        number = float(constant.reshape(()))
        if node.op == "Mul" and number > 0:
            factor *= number
        elif node.op == "RealDiv" and place == 1 and number > 0:
            factor /= number
        elif number != 0 or node.op not in {"AddV2", "Add", "Sub"} or (node.op == "Sub" and place == 0):
            return f"{node.op} of the input by {number:g}"
        scaled = node.name
    layers: list[Any] = []
    reason = _first_layers(graph_def, scaled, layers)
    if reason:
        return reason
    for layer in layers:
        kernel = _constant(nodes, layer.input[KERNEL_INPUT[layer.op]])
        if kernel is None:
            return f"{layer.op} whose kernel is not constant"
    for layer in layers:
        place = KERNEL_INPUT[layer.op]
        kernel = np.asarray(_constant(nodes, layer.input[place]))
        constant = graph_def.node.add(op="Const", name=f"{layer.name}/scaled_kernel")
        constant.attr["dtype"].type = tf.as_dtype(kernel.dtype).as_datatype_enum
        constant.attr["value"].tensor.CopyFrom(tf.make_tensor_proto((kernel * factor).astype(kernel.dtype)))
        layer.input[place] = constant.name
    for node in _readers(graph_def, scaled, shapes=True):
        node.input[:] = [source if _base(name) == scaled else name for name in node.input]
    return None


def _first_layers(graph_def: Any, tensor: str, layers: list[Any]) -> str | None:
    """Collect the layers that `tensor` reaches through transparent operations, or say what is in the way."""
    readers = _readers(graph_def, tensor)
    if not readers:
        return "an input that is an output"
    for node in readers:
        if node.op in KERNEL_INPUT and _base(node.input[0]) == tensor:
            layers.append(node)
        elif node.op in TRANSPARENT:
            reason = _first_layers(graph_def, node.name, layers)
            if reason:
                return reason
        else:
            return f"{node.op} in front of the first layer"
    return None


def _settle_reshapes(graph_def: Any) -> None:
    """Give a reshape whose only unknown size is the batch the constant shape (-1, ...).

    It leaves no shape arithmetic in the exported files.
    """
    nodes = {node.name: node for node in graph_def.node}
    for node in list(graph_def.node):
        shape = nodes.get(_base(node.input[1])) if node.op == "Reshape" else None
        if shape is None or shape.op != "Pack":
            continue
        parts = [_constant(nodes, name) for name in shape.input if not name.startswith("^")]
        if sum(part is None for part in parts) == 1:
            sizes = np.array([-1 if part is None else int(part) for part in parts], np.int32)
            constant = graph_def.node.add(op="Const", name=f"{node.name}/settled_shape")
            constant.attr["dtype"].type = tf.int32.as_datatype_enum
            constant.attr["value"].tensor.CopyFrom(tf.make_tensor_proto(sizes))
            node.input[1] = constant.name
            node.attr["Tshape"].type = tf.int32.as_datatype_enum


def _readers(graph_def: Any, tensor: str, *, shapes: bool = False) -> Sequence[Any]:
    """The operations that read a tensor; those that ask only for its shape where told."""
    return [
        node
        for node in graph_def.node
        if any(_base(name) == tensor for name in node.input if not name.startswith("^"))
        and (shapes or node.op != "Shape")
    ]


def _constant(nodes: dict[str, Any], name: str) -> np.ndarray | None:
    node = nodes[_base(name)]
    if node.op == "Identity":
        return _constant(nodes, node.input[0])
    if node.op == "Cast":
        array = _constant(nodes, node.input[0])
        return None if array is None else array.astype(tf.as_dtype(node.attr["DstT"].type).as_numpy_dtype)
    return tf.make_ndarray(node.attr["value"].tensor) if node.op == "Const" else None


def _base(name: str) -> str:
    return name.removeprefix("^").partition(":")[0]
