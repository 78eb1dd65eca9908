"""The frozen graph, source of the TFLite and ONNX conversions, and its simplifications."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeGuard

import numpy as np
import tensorflow as tf

from dltemplates.compat import allow_inlining, without_variables
from dltemplates.features import Feature, Image, WithStatistics
from dltemplates.tasks.serving.contract import Contract

# Operations that commute with a positive factor.
TRANSPARENT = {"Identity", "Pad", "Reshape", "Transpose", "Squeeze", "ExpandDims", "MaxPool", "AvgPool"}
# Position of the kernel among the inputs of a layer; the bias is added later.
KERNEL_INPUT = {"Conv2D": 1, "DepthwiseConv2dNative": 1, "Conv3D": 1, "MatMul": 1}

CENTERED_SCALE = 1 / 128  # of images around a center, about -1 to 1
MAX_CENTER_ERROR = 1e-3  # of a byte, by which a center may differ from a whole number

GRAPH, NAMES = "graph.pb", "names.json"


@dataclass(frozen=True)
class Frozen:
    """A graph with constants in place of variables.

    Attributes:
        graph_def: The graph.
        inputs: Tensor names by input.
        outputs: Tensor names by output.
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

    def write(self, folder: Path) -> None:
        """Write the graph and its names for `read_frozen`."""
        folder.mkdir(exist_ok=True)
        (folder / GRAPH).write_bytes(self.graph_def.SerializeToString())
        (folder / NAMES).write_text(json.dumps([self.inputs, self.outputs]), encoding="utf-8")


def save_graphs(graphs: Mapping[str, Frozen], folder: Path) -> None:
    """Write graphs as a SavedModel, by the names of their signatures."""
    module = tf.Module()
    module.functions = functions = {signature: graph.to_function() for signature, graph in graphs.items()}
    # Custom gradients (silu has one) cannot be saved from a frozen graph, and inference needs none.
    options = tf.saved_model.SaveOptions(experimental_custom_gradients=False)
    tf.saved_model.save(module, str(folder), signatures=functions, options=options)


def read_frozen(folder: Path) -> Frozen:
    """Read a graph that `Frozen.write` wrote."""
    inputs, outputs = json.loads((folder / NAMES).read_text(encoding="utf-8"))
    return Frozen(tf.compat.v1.GraphDef.FromString((folder / GRAPH).read_bytes()), inputs, outputs)


def freeze(serving: Path) -> Frozen:
    """Read a SavedModel's signature, and replace its variables by constants."""
    loaded = tf.saved_model.load(str(serving))
    (signature,) = loaded.signatures.values()
    frozen = _freeze(signature)
    if allow_inlining(frozen.graph_def):
        frozen = _freeze(frozen.to_function())
    _fix_reshapes(frozen.graph_def)
    return frozen


def _freeze(function: Any) -> Frozen:
    graph_def, constants = without_variables(function)
    # TensorFlow flattens inputs and outputs in the order of their sorted names.
    tensors = [tensor.name for tensor in function.inputs if tensor.name not in constants]
    inputs = dict(zip(sorted(function.structured_input_signature[1]), tensors, strict=True))
    outputs = dict(zip(sorted(function.structured_outputs), (t.name for t in function.outputs), strict=True))
    return _prune(graph_def, Frozen(graph_def, inputs, outputs))


def _prune(graph_def: Any, frozen: Frozen) -> Frozen:
    """Keep only the nodes of a graph that the inputs and outputs of `frozen` need."""
    names = [_base(name) for name in (*frozen.inputs.values(), *frozen.outputs.values())]
    return Frozen(tf.compat.v1.graph_util.extract_sub_graph(graph_def, names), frozen.inputs, frozen.outputs)


def fold_scale(frozen: Frozen) -> tuple[Frozen, dict[str, str]]:
    """Fold the scale of each input into the kernels of the first layers, and that of each embedding into its table.

    `kernel * (scale * x) = (scale * kernel) * x`, also through zero padding, reshaping and pooling. With an offset this
    fails at the padded border, so inputs with an offset stay unchanged.

    The TFLite converter quantizes a table by the range behind its scale: a table of numbers below 1, times 11, keeps 24
    of its 256 levels.

    Args:
        frozen: The graph of a serving model.

    Returns:
        The graph with the folded scales, and by input the reason why a scale could not be folded.
    """
    graph_def = type(frozen.graph_def)()
    graph_def.CopyFrom(frozen.graph_def)
    reasons = {}
    for name, tensor in frozen.inputs.items():
        reason = _fold_input(graph_def, tensor.partition(":")[0])
        if reason:
            reasons[name] = reason
    _fold_embeddings(graph_def)
    for node in graph_def.node:
        if node.op == "NoOp":  # it waits for the old variables, and would keep the old kernels in the graph
            del node.input[:]
    return _prune(graph_def, frozen), reasons


def fold_center(frozen: Frozen, contract: Contract) -> tuple[Frozen, Contract]:
    """Let the quantization of an image's input tensor hold the center of the pixels.

    A quantized tensor encodes the real numbers `scale * (q - zero_point)`. So with the center as its zero point, a file
    takes bytes as they are, and zero padding stays exact. The center must be a whole number, the same for all channels.

    Args:
        frozen: The graph of a serving model.
        contract: Its contract.

    Returns:
        The graph, whose images are `(pixel - mean) * CENTERED_SCALE`, and its contract, with mean and scale; both
        unchanged if no image has such a center.
    """
    graph_def = type(frozen.graph_def)()
    graph_def.CopyFrom(frozen.graph_def)
    inputs = []
    for value in contract.inputs:
        source = frozen.inputs[value.name]
        mean = _center_input(graph_def, source) if isinstance(value, Image) else None
        if mean is not None:
            value = value.model_copy(update={"mean": mean, "scale": CENTERED_SCALE})
        inputs.append(value)
    if tuple(inputs) == contract.inputs:
        return frozen, contract
    return _prune(graph_def, frozen), contract.model_copy(update={"inputs": tuple(inputs)})


def _center_input(graph_def: Any, source: str) -> int | None:
    """Replace `source * a + b` by a multiple of `(source - mean) * CENTERED_SCALE`, in place; return the mean."""
    nodes = {node.name: node for node in graph_def.node}
    factor, offset, last = 1.0, 0.0, _base(source)
    while True:
        readers = _readers(graph_def, last)
        node = readers[0] if len(readers) == 1 else None
        if node is None or node.op not in {"Identity", "Cast", "Mul", "AddV2", "Add", "Sub"}:
            break
        if node.op not in {"Identity", "Cast"}:
            index = 1 - [_base(name) for name in node.input[:2]].index(last)
            constant = _constant(nodes, node.input[index])
            if constant is None or np.ptp(constant) != 0 or (node.op == "Sub" and index == 0):
                return None
            number = float(constant.flat[0])
            if node.op == "Mul":
                factor, offset = factor * number, offset * number
            else:
                offset += -number if node.op == "Sub" else number
        last = node.name
    mean = round(-offset / factor) if factor > 0 else 0
    if not 0 < mean < 255 or abs(mean + offset / factor) > MAX_CENTER_ERROR:
        return None
    factor_name, scaled_name = f"{_base(source)}/factor", f"{_base(source)}/scaled"
    for node in _readers(graph_def, last, shapes=True):
        node.input[:] = [scaled_name if _base(name) == last else name for name in node.input]
    constant = graph_def.node.add(op="Const", name=factor_name)
    constant.attr["dtype"].type = tf.float32.as_datatype_enum
    constant.attr["value"].tensor.CopyFrom(tf.make_tensor_proto(np.float32(factor / CENTERED_SCALE)))
    scaled = graph_def.node.add(op="Mul", name=scaled_name, input=[source, factor_name])
    scaled.attr["T"].type = tf.float32.as_datatype_enum
    return mean


def cut_standardization(frozen: Frozen, contract: Contract) -> tuple[Frozen, Contract]:
    """Cut `(x - mean) / std` of inputs, and `x * std + mean` of outputs, from the graph; the caller then does both.

    Args:
        frozen: The graph of a serving model.
        contract: Its contract.

    Returns:
        The graph from and to standardized numbers, and its contract; both unchanged if no number has statistics.
    """
    if not any(_has_statistics(value) for value in (*contract.inputs, *contract.outputs)):
        return frozen, contract
    graph_def = type(frozen.graph_def)()
    graph_def.CopyFrom(frozen.graph_def)
    inputs, outputs, tensors = [], [], dict(frozen.outputs)
    for value in contract.inputs:
        source = frozen.inputs[value.name]
        last = _find_standardized(graph_def, _base(source), value) if _has_statistics(value) else None
        if last is not None:
            for node in _readers(graph_def, last, shapes=True):
                node.input[:] = [source if _base(name) == last else name for name in node.input]
            value = value.model_copy(update={"standardized": True})
        inputs.append(value)
    for value in contract.outputs:
        first = _find_unscaled(graph_def, tensors[value.name], value) if _has_statistics(value) else None
        if first is not None:
            tensors[value.name] = first
            value = value.model_copy(update={"standardized": True})
        outputs.append(value)
    contract = contract.model_copy(update={"inputs": tuple(inputs), "outputs": tuple(outputs)})
    return _prune(graph_def, Frozen(graph_def, frozen.inputs, tensors)), contract


def _has_statistics(value: Feature) -> TypeGuard[WithStatistics]:
    return isinstance(value, WithStatistics) and value.mean is not None


def _find_standardized(graph_def: Any, source: str, value: WithStatistics) -> str | None:
    """Return the last operation of `source / std - mean / std`; None if the graph computes something else."""
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


def _find_unscaled(graph_def: Any, output: str, value: WithStatistics) -> str | None:
    """Return the tensor with `output = tensor * std + mean`; None if the graph computes something else."""
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
    constant = _constant(nodes, name)
    return constant is not None and bool(np.allclose(constant, expected, rtol=1e-5, atol=0))


def _fold_input(graph_def: Any, source: str) -> str | None:
    """Fold the scale of one input, in place; return the reason if that is impossible."""
    nodes = {node.name: node for node in graph_def.node}
    factor, scaled = 1.0, source
    while True:  # follow x * a, x + 0, x - 0, x / a
        readers = _readers(graph_def, scaled)
        node = readers[0] if len(readers) == 1 else None
        if node is not None and node.op == "Identity":
            scaled = node.name
            continue
        if node is None or node.op not in {"Mul", "AddV2", "Add", "Sub", "RealDiv"}:
            break
        index = 1 - [_base(name) for name in node.input[:2]].index(scaled)
        constant = _constant(nodes, node.input[index])
        if constant is None or constant.size != 1:
            return f"{node.op} of the input by something else than one constant number"
        number = float(constant.reshape(()))
        if node.op == "Mul" and number > 0:
            factor *= number
        elif node.op == "RealDiv" and index == 1 and number > 0:
            factor /= number
        elif number != 0 or node.op not in {"AddV2", "Add", "Sub"} or (node.op == "Sub" and index == 0):
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
        index = KERNEL_INPUT[layer.op]
        kernel = np.asarray(_constant(nodes, layer.input[index]))
        constant = graph_def.node.add(op="Const", name=f"{layer.name}/scaled_kernel")
        constant.attr["dtype"].type = tf.as_dtype(kernel.dtype).as_datatype_enum
        constant.attr["value"].tensor.CopyFrom(tf.make_tensor_proto((kernel * factor).astype(kernel.dtype)))
        layer.input[index] = constant.name
    for node in _readers(graph_def, scaled, shapes=True):
        node.input[:] = [source if _base(name) == scaled else name for name in node.input]
    return None


def _fold_embeddings(graph_def: Any) -> None:
    """Fold `table[ids] * factor` into the table, in place."""
    nodes = {node.name: node for node in graph_def.node}
    for node in list(graph_def.node):
        table = _constant(nodes, node.input[0]) if node.op == "GatherV2" else None
        readers = _readers(graph_def, node.name, shapes=True)
        if table is None or table.dtype != np.float32 or [reader.op for reader in readers] != ["Mul"]:
            continue
        (scaled,) = readers
        factor = _constant(nodes, scaled.input[1 - [_base(name) for name in scaled.input].index(node.name)])
        if factor is None or factor.size != 1:
            continue
        constant = graph_def.node.add(op="Const", name=f"{node.name}/scaled_table")
        constant.attr["dtype"].type = tf.float32.as_datatype_enum
        constant.attr["value"].tensor.CopyFrom(tf.make_tensor_proto(table * factor.reshape(())))
        node.input[0] = constant.name
        for reader in _readers(graph_def, scaled.name, shapes=True):
            reader.input[:] = [node.name if _base(name) == scaled.name else name for name in reader.input]


def _first_layers(graph_def: Any, tensor: str, layers: list[Any]) -> str | None:
    """Append the layers that `tensor` reaches through transparent operations; return the reason if it fails."""
    readers = _readers(graph_def, tensor)
    if not readers:
        return "the input is also an output"
    for node in readers:
        if node.op in KERNEL_INPUT and _base(node.input[0]) == tensor:
            layers.append(node)
        elif node.op in TRANSPARENT:
            reason = _first_layers(graph_def, node.name, layers)
            if reason:
                return reason
        else:
            return f"{node.op} before the first layer"
    return None


def _fix_reshapes(graph_def: Any) -> None:
    """Give each reshape with one unknown size, the batch, the constant shape (-1, ...).

    So the exported files hold no shape arithmetic.
    """
    nodes = {node.name: node for node in graph_def.node}
    for node in list(graph_def.node):
        shape = nodes.get(_base(node.input[1])) if node.op == "Reshape" else None
        if shape is None or shape.op != "Pack":
            continue
        parts = [_constant(nodes, name) for name in shape.input if not name.startswith("^")]
        if sum(part is None for part in parts) == 1:
            sizes = np.array([-1 if part is None else int(part) for part in parts], np.int32)
            constant = graph_def.node.add(op="Const", name=f"{node.name}/constant_shape")
            constant.attr["dtype"].type = tf.int32.as_datatype_enum
            constant.attr["value"].tensor.CopyFrom(tf.make_tensor_proto(sizes))
            node.input[1] = constant.name
            node.attr["Tshape"].type = tf.int32.as_datatype_enum


def _readers(graph_def: Any, tensor: str, *, shapes: bool = False) -> Sequence[Any]:
    """Return the operations that read a tensor; with `shapes`, also those that read its shape only."""
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
