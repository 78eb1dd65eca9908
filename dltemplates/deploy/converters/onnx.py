"""ONNX files: float32, float16, and int8 (QDQ, per channel) with raw bytes as input."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import tensorflow as tf
import tf2onnx
from onnx import numpy_helper
from onnxruntime import quantization
from onnxruntime.quantization.shape_inference import quant_pre_process
from onnxruntime.transformers.float16 import convert_float_to_float16
from onnxruntime.transformers.onnx_model import OnnxModel
from tf2onnx import optimizer, tf_loader, tfonnx
from tf2onnx.handler import tf_op

from dltemplates.compat import optimize_in_place
from dltemplates.deploy.converters.graph import Frozen
from dltemplates.deploy.converters.recurrent_onnx import rewrite_recurrent
from dltemplates.tasks.serving.contract import Contract
from dltemplates.tasks.serving.file_digest import sealed_texts

OPSET = 17
MOVING = {"Transpose", "Reshape", "Flatten", "Squeeze", "Unsqueeze", "Identity"}
TYPES = {"uint8": quantization.QuantType.QUInt8, "int8": quantization.QuantType.QInt8}
MIN_FLOAT16 = 2.0**-24  # smallest float16 above 0


def convert_onnx(frozen: Frozen, contract: Contract) -> onnx.ModelProto:
    """Convert a frozen graph to ONNX float32, with the contract's names and a free batch size."""
    logging.getLogger("tf2onnx").setLevel(logging.ERROR)
    inputs, outputs = list(frozen.inputs.values()), list(frozen.outputs.values())
    with tf.Graph().as_default(), tf.device("/cpu:0"):
        graph_def = tf_loader.tf_optimize(inputs, outputs, frozen.graph_def)
    try:
        graph = optimize_in_place(_translate(graph_def, frozen))
    except Exception:  # skip the pass that fails, at the price of a copy of the graph before each pass
        graph = optimizer.optimize_graph(_translate(graph_def, frozen), catch_errors=True)
    model = graph.make_model(f"converted from {contract.name}")
    _keep_padding(model)
    for value in (*model.graph.input, *model.graph.output):
        first = value.type.tensor_type.shape.dim[0]
        if contract.batch == "dynamic":
            first.dim_param = "batch"
        else:
            first.dim_value = contract.batch
    return model


def _translate(graph_def: Any, frozen: Frozen) -> tf2onnx.graph.Graph:
    """Translate a graph to ONNX operators, without optimization; inputs and outputs keep their names."""
    names = {tensor: name for name, tensor in {**frozen.inputs, **frozen.outputs}.items()}
    with tf.Graph().as_default() as graph, tf.device("/cpu:0"):
        tf.import_graph_def(graph_def, name="")
        return tfonnx.process_tf_graph(
            graph,
            continue_on_error=True,
            opset=OPSET,
            input_names=list(frozen.inputs.values()),
            output_names=list(frozen.outputs.values()),
            tensors_to_rename=names,
            custom_rewriter=[rewrite_recurrent],
        )


def _keep_padding(model: onnx.ModelProto) -> None:
    """Pad with a tiny number instead of 0 before max pooling.

    ONNX Runtime 1.31 moves zero padding into the pooling, which then pads with minus infinity: a wrong result where all
    other values are negative. It does not move padding with another number.
    """
    pooled = {node.input[0] for node in model.graph.node if node.op_type == "MaxPool"}
    for node in model.graph.node:
        if node.op_type == "Pad" and node.output[0] in pooled and len(node.input) == 2:  # no value: pads with 0
            name = f"{node.name}_value"
            model.graph.initializer.append(numpy_helper.from_array(np.array(MIN_FLOAT16, np.float32), name))
            node.input.append(name)


def to_float16(model: onnx.ModelProto) -> onnx.ModelProto:
    """Halve the weights; inputs and outputs stay float32."""
    halved = convert_float_to_float16(model, keep_io_types=True)
    OnnxModel(halved).topological_sort()  # the conversion appends its casts at the end
    return halved


def to_int8(model: onnx.ModelProto, folder: Path, examples: dict[str, np.ndarray], integer: str) -> onnx.ModelProto:
    """Quantize weights (per channel) and activations to int8.

    Args:
        model: The float32 model.
        folder: Folder for intermediate files.
        examples: Calibration inputs by name, each (n, ...).
        integer: Dtype of image inputs and of all activations: `uint8` or `int8`.
    """
    source, prepared, quantized = (folder / name for name in ("float.onnx", "prepared.onnx", "quantized.onnx"))
    onnx.save(model, source)
    quant_pre_process(str(source), str(prepared), skip_symbolic_shape=True)
    quantization.quantize_static(
        str(prepared),
        str(quantized),
        _Examples(examples),
        quant_format=quantization.QuantFormat.QDQ,
        per_channel=True,
        activation_type=TYPES[integer],
        weight_type=quantization.QuantType.QInt8,
    )
    if any(node.op_type == "LSTM" for node in model.graph.node):  # no static quantization: its activations stay float
        quantization.quantize_dynamic(
            str(quantized),
            str(quantized),
            op_types_to_quantize=["LSTM"],
            per_channel=True,
            weight_type=quantization.QuantType.QInt8,
        )
    return onnx.load(quantized)


def take_integers(model: onnx.ModelProto, contract: Contract, integer: str) -> Contract:
    """Make a QDQ model take byte features, such as images, as integers.

    If the first operation is a QuantizeLinear, remove it: the file then takes its integers. Otherwise, add a
    DequantizeLinear in front.

    Args:
        model: The model, changed in place.
        contract: The contract of the float model.
        integer: Dtype of image inputs: `uint8` or `int8`.

    Returns:
        The contract with the new dtypes and quantization.
    """
    graph = model.graph
    numbers = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
    inputs = []
    for value in contract.inputs:
        if value.takes_bytes:
            quantize = _first_quantize(graph, value.name)
            if quantize is None:
                quantization = value.byte_quantization(integer)
                _dequantize(graph, value.name, quantization, integer)
            else:
                scale, zero_point = (numbers[name] for name in quantize.input[1:])
                quantization = (float(scale), int(zero_point))
                _rename_input(graph, quantize.output[0], quantize.input[0])
                graph.node.remove(quantize)
            tensor = next(tensor for tensor in graph.input if tensor.name == value.name)
            tensor.type.tensor_type.elem_type = onnx.helper.np_dtype_to_tensor_dtype(np.dtype(integer))
            value = value.model_copy(update={"dtype": integer, "quantization": quantization})
        inputs.append(value)
    del graph.value_info[:]  # the types of inner tensors have changed
    return contract.model_copy(update={"inputs": tuple(inputs)})


def _dequantize(graph: onnx.GraphProto, tensor: str, quantization: tuple[float, int], integer: str) -> None:
    names = [f"{tensor}_{part}" for part in ("dequantized", "scale", "zero_point")]
    _rename_input(graph, tensor, names[0])
    arrays = (np.array(quantization[0], np.float32), np.array(quantization[1], integer))
    graph.initializer.extend(numpy_helper.from_array(a, name) for a, name in zip(arrays, names[1:], strict=True))
    graph.node.insert(0, onnx.helper.make_node("DequantizeLinear", [tensor, *names[1:]], names[:1], name=names[0]))


def _rename_input(graph: onnx.GraphProto, old: str, new: str) -> None:
    for node in graph.node:
        node.input[:] = [new if name == old else name for name in node.input]


def _first_quantize(graph: onnx.GraphProto, tensor: str) -> onnx.NodeProto | None:
    """Return the QuantizeLinear that a tensor reaches through changes of shape or order only; None if there is none."""
    readers = [node for node in graph.node if tensor in node.input]
    if len(readers) != 1 or any(output.name == tensor for output in graph.output):
        return None
    (node,) = readers
    if node.op_type == "QuantizeLinear":
        return node
    return _first_quantize(graph, node.output[0]) if node.op_type in MOVING else None


def write(model: onnx.ModelProto, out: Path, contract: Contract) -> None:
    """Write an `.onnx` file with its contract inside."""
    used = {node.domain for node in model.graph.node}
    opsets = [entry for entry in model.opset_import if entry.domain in used]  # converters list unused ones too
    del model.opset_import[:]
    model.opset_import.extend(opsets)
    del model.metadata_props[:]
    network = model.SerializeToString()
    metadata = onnx.ModelProto()
    onnx.helper.set_model_props(metadata, sealed_texts(contract, [network]))
    out.write_bytes(network + metadata.SerializeToString())  # protocol buffers are joined by appending


@tf_op("Erfc")
class _Erfc:
    """`1 - erf(x)`, used by gelu; tf2onnx does not support it."""

    @classmethod
    def version_9(cls, ctx, node, **kwargs):
        _rewrite(ctx, node, "Erf", "Sub", one_first=True)


@tf_op("Expm1")
class _Expm1:
    """`exp(x) - 1`, used by celu; tf2onnx does not support it."""

    @classmethod
    def version_9(cls, ctx, node, **kwargs):
        _rewrite(ctx, node, "Exp", "Sub", one_first=False)


def _rewrite(ctx, node, inner: str, outer: str, *, one_first: bool) -> None:
    """Replace a node by `outer(inner(x), 1)`, or `outer(1, inner(x))`."""
    dtype, shape = ctx.get_dtype(node.output[0]), ctx.get_shape(node.output[0])
    one = ctx.make_const(f"{node.name}_one", np.array(1, onnx.helper.tensor_dtype_to_np_dtype(dtype))).output[0]
    value = ctx.make_node(inner, [node.input[0]], dtypes=[dtype], shapes=[shape]).output[0]
    ctx.remove_node(node.name)
    inputs = [one, value] if one_first else [value, one]
    ctx.make_node(outer, inputs, name=node.name, outputs=node.output, dtypes=[dtype], shapes=[shape])


class _Examples(quantization.CalibrationDataReader):
    def __init__(self, examples: dict[str, np.ndarray]):
        count = len(next(iter(examples.values())))
        self._rows = iter([{name: array[i : i + 1] for name, array in examples.items()} for i in range(count)])

    def get_next(self):
        return next(self._rows, None)
