"""Cost of a network: parameters, multiply-accumulates (MACs) and bytes, by layer and by stage."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import keras
from keras import layers

from dltemplates.compat import graph_nodes, operations_by_depth
from dltemplates.layers import AttentionGRUCell, MaskedAttention, RestrictedBoltzmann

BYTES = {"float32": 4, "float16": 2, "int8": 1}  # of one parameter

_CONVOLUTIONS = (layers.Conv1D, layers.Conv2D, layers.Conv3D)
_DEPTHWISE = (layers.DepthwiseConv1D, layers.DepthwiseConv2D)
_SEPARABLE = (layers.SeparableConv1D, layers.SeparableConv2D)
_PADDING = {"ZeroPadding1D", "ZeroPadding2D", "ZeroPadding3D"}
_RESHAPING = {"Reshape", "Permute"}
_RECURRENT = (layers.LSTM, layers.GRU, layers.SimpleRNN)
_TRANSPOSED = (layers.Conv1DTranspose, layers.Conv2DTranspose, layers.Conv3DTranspose)


@dataclass(frozen=True)
class Row:
    """One layer.

    Attributes:
        name: Name of the layer; in a nested model, with the model's name and a slash in front.
        kind: Class of the layer.
        output_shape: Output shape, batch first; None if the layer does not know it.
        parameters: Number of weights and biases, trainable or not.
        macs: Multiply-accumulates for one example; 0 if the output shape is unknown.
        depth: Distance from the output, in layers. In a nested model, the depth of that model comes first. Layers of
            the same depth work in parallel.
    """

    name: str
    kind: str
    output_shape: tuple[int | None, ...] | None
    parameters: int
    macs: int
    depth: tuple[int, ...]


@dataclass(frozen=True)
class Summary:
    """Layers of a network and their totals.

    Attributes:
        name: Name of the network.
        rows: The layers, in the order of the network.
        parameters: Number of weights and biases, each counted once.
        trainable: Number of weights and biases that training changes.
        macs: Multiply-accumulates for one example, in convolutions, dense and recurrent layers, and attention. Other
            layers are not counted.
        bytes: Bytes of the parameters, by the dtype in which they are stored.
    """

    name: str
    rows: tuple[Row, ...]
    parameters: int
    trainable: int
    macs: int
    bytes: dict[str, int]


@dataclass(frozen=True)
class Stage:
    """Consecutive layers that work at the same resolution.

    Attributes:
        name: Number of the stage, from 1; `classifier` for the vectors at the end.
        output_shape: Output shape of its last layer, batch first. The channels of parallel last layers are added up.
            None if the layer does not know it.
        layers: Number of layers of each kind, in order of first appearance.
        parameters: Number of weights and biases, trainable or not.
        macs: Multiply-accumulates for one example.
    """

    name: str
    output_shape: tuple[int | None, ...] | None
    layers: dict[str, int]
    parameters: int
    macs: int


def summarize(model: keras.Model) -> Summary:
    """Count the parameters and multiply-accumulates of a network.

    Args:
        model: A built model, with its nested models.

    Returns:
        The rows and totals. An axis of unknown size (a sequence of any length) counts as 1.
    """
    rows = tuple(_rows(model))
    parameters = model.count_params()
    return Summary(
        name=model.name,
        rows=rows,
        parameters=parameters,
        trainable=sum(math.prod(weight.shape) for weight in model.trainable_weights),
        macs=sum(row.macs for row in rows),
        bytes={dtype: size * parameters for dtype, size in BYTES.items()},
    )


def stages(summary: Summary) -> tuple[Stage, ...]:
    """Group the layers of a network by their resolution.

    Padding belongs to the stage of the layer after it. Reshaping, and a pooling at the end, belong to the stage
    before. Squeeze and excite, one value per channel, belongs to the stage of its map. A network with vectors only has
    a stage for each width.

    Args:
        summary: The summary from `summarize`.

    Returns:
        The stages in the order of the network. Each layer is in exactly one.
    """
    runs: list[tuple[tuple[int | None, ...], list[Row]]] = []
    for row, size in zip(summary.rows, _sizes(summary.rows), strict=True):
        if not runs or runs[-1][0] != size:
            runs.append((size, []))
        runs[-1][1].append(row)
    names = [str(number) for number in range(1, len(runs) + 1)]
    if len(runs) > 1 and runs[-1][0] == ():
        names[-1] = "classifier"
    return tuple(_stage(name, size, rows) for name, (size, rows) in zip(names, runs, strict=True))


def without_weights(build: Callable[[], keras.Model]) -> keras.Model:
    """Build a network whose weights have shapes but no values, which takes almost no time and memory.

    Args:
        build: Builds the network.

    Returns:
        The network. It can be inspected, but it cannot compute.
    """

    def sketch():
        with keras.StatelessScope(initialize_variables=False):
            return build()

    # Keras keeps a list of variables without values for each thread. A thread of its own takes its list with it.
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(sketch).result()


def describe(summary: Summary) -> str:
    """Format a summary for a terminal: a line per layer, then the totals."""
    table = [("layer", "kind", "output", "parameters", "MACs")]
    for row in summary.rows:
        shape = "?" if row.output_shape is None else " x ".join(str(size or "any") for size in row.output_shape[1:])
        table.append((row.name, row.kind, shape, f"{row.parameters:,}", f"{row.macs:,}"))
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    lines = [
        "  ".join(
            cell.ljust(width) if column < 3 else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(line, widths, strict=True))
        )
        for line in table
    ]
    lines.insert(1, "  ".join("-" * width for width in widths))
    weights = ", ".join(f"{size:,} as {dtype}" for dtype, size in summary.bytes.items())
    lines += [
        "",
        f"{summary.name}: {len(summary.rows)} layers",
        f"parameters            {summary.parameters:,} ({summary.trainable:,} trainable)",
        f"multiply-accumulates  {summary.macs:,}",
        f"bytes of parameters   {weights}",
    ]
    return "\n".join(lines)


def multiply_accumulates(layer: keras.Layer) -> int:
    """Count the multiply-accumulates of one call of a layer on one example.

    The count is 0 unless the layer is a convolution, dense, recurrent or attention.
    """
    if isinstance(layer, _TRANSPOSED):  # the whole kernel at each input position
        return math.prod(layer.kernel.shape) * _positions(layer, layer.input.shape)
    if isinstance(layer, _DEPTHWISE):  # at each output position
        return math.prod(layer.kernel.shape) * _positions(layer, layer.output.shape)
    if isinstance(layer, _SEPARABLE):
        kernels = math.prod(layer.depthwise_kernel.shape) + math.prod(layer.pointwise_kernel.shape)
        return kernels * _positions(layer, layer.output.shape)
    if isinstance(layer, _CONVOLUTIONS):
        return math.prod(layer.kernel.shape) * _positions(layer, layer.output.shape)
    if isinstance(layer, (layers.Dense, RestrictedBoltzmann)):
        return math.prod(layer.kernel.shape) * _product(layer.output.shape[1:-1])
    if isinstance(layer, layers.EinsumDense):
        return _einsum(layer)
    if isinstance(layer, layers.Bidirectional):
        both = (layer.forward_layer, layer.backward_layer)
        return sum(_recurrent(each.cell, _first(layer.input)) for each in both)
    if isinstance(layer, _RECURRENT):
        return _recurrent(layer.cell, _first(layer.input))
    if isinstance(layer, layers.RNN) and isinstance(layer.cell, AttentionGRUCell):
        return _attention_gru(layer)
    if isinstance(layer, layers.MultiHeadAttention):
        return _attention(layer, layer.get_config()["attention_axes"])
    if isinstance(layer, MaskedAttention):
        return _attention(layer, None)
    return 0


def _einsum(layer: Any) -> int:
    """Count, for each output, the axes of the kernel that are summed: `bcs,csh->bch` costs c * h * s."""
    inputs, _, of_output = layer.equation.partition("->")
    summed = (
        size for axis, size in zip(inputs.split(",")[1], layer.kernel.shape, strict=True) if axis not in of_output
    )
    return _product(layer.output.shape[1:]) * math.prod(summed)


def _first(inputs: Any) -> Any:
    """Return the sequence among the inputs of a recurrent layer; the others are its mask and states."""
    return keras.tree.flatten(inputs)[0]


def _recurrent(cell: Any, sequence: Any) -> int:
    """Count both kernels at each step."""
    kernels = math.prod(cell.kernel.shape) + math.prod(cell.recurrent_kernel.shape)
    return kernels * _product(sequence.shape[1:-1])


def _attention_gru(layer: Any) -> int:
    """Count a GRU and a query at each step, and the score and the weighted sum of each row of the memory."""
    sequence, _, memory, *_ = keras.tree.flatten(layer.input)
    cell, rows = layer.cell, _product(memory.shape[1:-1])
    attention = math.prod(cell.query.kernel.shape) + rows * (cell.units + cell.context)
    return _recurrent(cell.gru, sequence) + attention * _product(sequence.shape[1:-1])


def _attention(layer: Any, axes: Sequence[int] | None) -> int:
    """Count four dense layers, and the products of every query with each key and value along some axes, or all."""
    tokens = [tensor for tensor in keras.tree.flatten(layer.input) if len(tensor.shape) > 2]  # no mask
    query, value = tokens[0], tokens[1 if len(tokens) > 1 else 0]  # as many keys as values
    queries, values = _product(query.shape[1:-1]), _product(value.shape[1:-1])
    per_query = _product(tuple(value.shape[axis] for axis in axes or range(1, len(value.shape) - 1)))
    of_queries = math.prod(layer.query_dense.kernel.shape) + math.prod(layer.output_dense.kernel.shape)
    of_values = math.prod(layer.key_dense.kernel.shape) + math.prod(layer.value_dense.kernel.shape)
    width = layer.num_heads * (layer.key_dim + layer.value_dim)
    return queries * of_queries + values * of_values + queries * per_query * width


def _sizes(rows: Sequence[Row]) -> list[tuple[int | None, ...]]:
    """Return the resolution of each layer's stage."""
    sizes = [_resolution(row) for row in rows]
    for place in reversed(range(len(rows) - 1)):
        if rows[place].kind in _PADDING:
            sizes[place] = sizes[place + 1]
    for place in range(1, len(rows)):
        before = sizes[place - 1]
        is_excitation = _product(sizes[place]) == 1 and before in sizes[place:]
        if is_excitation or rows[place].kind in _RESHAPING or rows[place].output_shape is None:
            sizes[place] = before
    if not any(sizes):
        return [row.output_shape or () for row in rows]
    last = max(place for place, size in enumerate(sizes) if size)
    begins = next(place for place in range(last, -1, -1) if place == 0 or sizes[place - 1] != sizes[last])
    shrinks = begins > 0 and _product(sizes[last]) < _product(sizes[begins - 1])
    if shrinks and not any(row.parameters for row in rows[begins : last + 1]):
        sizes[begins : last + 1] = [sizes[begins - 1]] * (last + 1 - begins)
    return sizes


def _resolution(row: Row) -> tuple[int | None, ...]:
    """Return height and width of a map, the length of a sequence, or nothing for a vector."""
    return (row.output_shape or ())[1:-1]


def _stage(name: str, size: tuple[int | None, ...], rows: Sequence[Row]) -> Stage:
    own = [row for row in rows if size in (_resolution(row), row.output_shape)] or rows
    shape = own[-1].output_shape
    last = [row.output_shape for row in own if row.output_shape and row.depth == own[-1].depth]
    return Stage(
        name=name,
        output_shape=shape and (*shape[:-1], sum(each[-1] or 0 for each in last) or None),
        layers=dict(Counter(row.kind for row in rows)),
        parameters=sum(row.parameters for row in rows),
        macs=sum(row.macs for row in rows),
    )


def _rows(model: keras.Model, prefix: str = "", calls: int = 1, depth: tuple[int, ...] = ()) -> Iterator[Row]:
    repeats, depths, tied = _calls(model), _depths(model), _tied_logits(model)
    for layer in model.layers:
        name, times, place = prefix + layer.name, calls * repeats.get(layer.name, 1), (*depth, depths[layer.name])
        if isinstance(layer, keras.Model):
            yield from _rows(layer, f"{name}/", times, place)
        elif not isinstance(layer, layers.InputLayer):
            shape = _output_shape(layer)
            yield Row(
                name=name,
                kind=type(layer).__name__,
                output_shape=shape,
                parameters=layer.count_params(),
                macs=calls * tied[layer.name] + (0 if shape is None else times * multiply_accumulates(layer)),
                depth=place,
            )


def _calls(model: keras.Model) -> dict[str, int]:
    """Return how often a model calls each of its layers; shared layers are called more than once."""
    described: list[dict[str, Any]] = model.get_config().get("layers", [])
    return {layer["name"]: len(layer["inbound_nodes"]) for layer in described if "inbound_nodes" in layer}


def _depths(model: keras.Model) -> dict[str, int]:
    """Return the depth of each layer, counted from the output; in a model without a graph, its position."""
    ordered = operations_by_depth(model) or {place: [layer] for place, layer in enumerate(model.layers)}
    return {layer.name: depth for depth, beside in ordered.items() for layer in beside}


def _tied_logits(model: keras.Model) -> Counter[str]:
    """Return the multiply-accumulates of embeddings whose weights also give logits, by layer name."""
    counts: Counter[str] = Counter()
    for layer, inputs, outputs in graph_nodes(model):
        if isinstance(layer, layers.ReversibleEmbedding) and keras.backend.is_float_dtype(inputs[0].dtype):
            counts[layer.name] += math.prod(layer.embeddings.shape) * _product(outputs[0].shape[1:-1])
    return counts


def _output_shape(layer: keras.Layer) -> tuple[int | None, ...] | None:
    try:
        output = layer.output
    except AttributeError:  # a layer of a subclassed model was never called on symbolic tensors
        return None
    return tuple(output.shape) if isinstance(output, keras.KerasTensor) else None


def _positions(layer: Any, shape: tuple[int | None, ...]) -> int:
    """Return the number of positions of an image or a sequence, without its channels."""
    return _product(shape[1:-1] if layer.data_format == "channels_last" else shape[2:])


def _product(sizes: tuple[int | None, ...]) -> int:
    return math.prod(size or 1 for size in sizes)
