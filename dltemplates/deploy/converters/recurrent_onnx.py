"""Rewriters of tf2onnx that turn Keras's loops of a GRU or a SimpleRNN into one ONNX operator each.

tf2onnx does this itself for an LSTM. Its pattern of a GRU is of an earlier Keras, so that a loop would stay,
which ONNX Runtime runs step by step. Loops with another cell, or with a mask, stay loops.

ONNX's GRU with `linear_before_reset` computes Keras's `reset_after=True`, with the gates in the same order: update,
reset, candidate.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from tf2onnx.graph_builder import GraphBuilder
from tf2onnx.graph_matcher import GraphMatcher, OpTypePattern
from tf2onnx.tf_loader import find_function
from tf2onnx.utils import ONNX_EMPTY_INPUT, make_name

ACTIVATIONS = "Tanh|Relu|Sigmoid"


def _weight(name: str) -> OpTypePattern:
    return OpTypePattern("Placeholder|PlaceholderV2|Identity", name=name)


def _state() -> OpTypePattern:
    return OpTypePattern("Placeholder|PlaceholderV2", name="state")


def _product(source: OpTypePattern, kernel: str) -> OpTypePattern:
    return OpTypePattern("MatMul", inputs=[source, _weight(kernel)], allow_reorder=False)


def _row() -> OpTypePattern:
    return OpTypePattern("TensorListGetItem", name="row")


def _gru() -> OpTypePattern:
    def bias() -> OpTypePattern:  # of the row or of the state: the two halves of one weight
        return OpTypePattern("Squeeze", inputs=[OpTypePattern("Split", inputs=["Const", _weight("bias")])])

    def of_row() -> OpTypePattern:
        return OpTypePattern(
            "Split", inputs=["Const", OpTypePattern("BiasAdd", inputs=[_product(_row(), "kernel"), bias()])]
        )

    def of_state() -> OpTypePattern:
        product = OpTypePattern("Add|AddV2", inputs=[_product(_state(), "recurrent_kernel"), bias()])
        return OpTypePattern("StridedSlice", inputs=[product, "Const", "Const", "Const"])

    def gate(name: str) -> OpTypePattern:
        return OpTypePattern("Sigmoid", name=name, inputs=[OpTypePattern("Add|AddV2", inputs=[of_row(), of_state()])])

    candidate = OpTypePattern(
        ACTIVATIONS,
        name="activation",
        inputs=[
            OpTypePattern("Add|AddV2", inputs=[of_row(), OpTypePattern("Mul", inputs=[gate("reset"), of_state()])]),
        ],
    )
    rest = OpTypePattern("Sub", inputs=["Const", gate("update")], allow_reorder=False)
    return OpTypePattern(
        "Add|AddV2",
        name="output",
        inputs=[
            OpTypePattern("Mul", inputs=[gate("update"), _state()]),
            OpTypePattern("Mul", inputs=[rest, candidate]),
        ],
    )


def _simple_rnn() -> OpTypePattern:
    of_row = OpTypePattern("BiasAdd", inputs=[_product(_row(), "kernel"), _weight("bias")])
    total = OpTypePattern("Add|AddV2", inputs=[of_row, _product(_state(), "recurrent_kernel")])
    return OpTypePattern(ACTIVATIONS, name="output", inputs=[total])


@dataclass(frozen=True)
class _Loop:
    """The body of a Keras loop: the positions of its tensors among the inputs of the `While`."""

    operator: str
    activation: str
    rows: int
    outputs: int
    state: int
    kernel: int
    recurrent_kernel: int
    bias: int


OPERATORS = {"GRU": _gru, "RNN": _simple_rnn}
ATTRIBUTES = {"GRU": {"linear_before_reset": 1}, "RNN": {}}


def rewrite_recurrent(g: Any, ops: list[Any]) -> list[Any]:
    """Find the body of a loop in a graph of a loop; replace the loops in the graph around it."""
    for operator, pattern in OPERATORS.items():
        for match in GraphMatcher(pattern(), allow_reorder=True).match_ops(ops):
            if (loop := _describe(g, operator, match)) is not None:
                g.recurrent_loop = loop
    for op in ops:
        if op.is_while():
            loop = getattr(find_function(op.get_attr_str("body")), "recurrent_loop", None)
            if loop is not None:
                _replace(g, op, loop)
    return g.get_nodes()


def _describe(g: Any, operator: str, match: Any) -> _Loop | None:
    """Return the positions of the matched tensors; None if one of them is no input of the loop."""
    output = match.get_op("output")
    writes = [op for op in g.find_output_consumers(output.output[0]) if op.type == "TensorListSetItem"]
    if len(writes) != 1:
        return None
    sources = {
        "rows": match.get_op("row").inputs[0],
        "outputs": writes[0].inputs[0],
        **{name: match.get_op(name) for name in ("state", "kernel", "recurrent_kernel", "bias")},
    }
    positions = {}
    for name, node in sources.items():
        while node.type == "Identity":
            node = node.inputs[0]
        if node.output[0] not in g.input_names:
            return None
        positions[name] = g.input_names.index(node.output[0])
    return _Loop(operator, (match.get_op("activation") or output).type, **positions)


def _replace(g: Any, op: Any, loop: _Loop) -> None:
    """Put one operator in the place of a loop, in the graph around it."""
    names = {name: op.input[getattr(loop, name)] for name in ("kernel", "recurrent_kernel", "bias")}
    rows = op.inputs[loop.rows]
    if not all(g.is_const(name) for name in names.values()) or rows.type != "TensorListFromTensor":
        return
    kernel, recurrent_kernel, bias = (g.get_tensor_value(name, as_list=False) for name in names.values())
    units = recurrent_kernel.shape[0]
    if loop.operator == "RNN":
        bias = np.stack([bias, np.zeros_like(bias)])  # ONNX has one bias for the row and one for the state
    weights = (kernel.T[None], recurrent_kernel.T[None], bias.reshape(1, -1))
    constants = [g.make_const(make_name(name), array).output[0] for name, array in zip("WRB", weights, strict=True)]
    state = GraphBuilder(g).make_unsqueeze({"data": op.input[loop.state], "axes": [0]})
    activations = ["Sigmoid", loop.activation] if loop.operator == "GRU" else [loop.activation]
    steps, batch, _ = g.get_shape(rows.input[0])
    dtype = g.get_dtype(rows.input[0])
    node = g.make_node(
        loop.operator,
        [rows.input[0], *constants, ONNX_EMPTY_INPUT, state],
        attr={"hidden_size": units, "activations": activations, "direction": "forward", **ATTRIBUTES[loop.operator]},
        output_count=2,
        shapes=[[steps, 1, batch, units], [1, batch, units]],
        dtypes=[dtype, dtype],
    )
    outputs = GraphBuilder(g).make_squeeze({"data": node.output[0], "axes": [1]})
    for stack in g.find_output_consumers(op.output[loop.outputs]):
        if stack.type == "TensorListStack":
            g.replace_all_inputs(stack.output[0], outputs)
    last = GraphBuilder(g).make_squeeze({"data": node.output[1], "axes": [0]})
    g.replace_all_inputs(op.output[loop.state], last)
