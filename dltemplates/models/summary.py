"""What a network costs: parameters, multiply-accumulates, bytes, layer by layer."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import keras
from keras import layers

BYTES = {"float32": 4, "float16": 2, "int8": 1}  # of one parameter

_CONVOLUTIONS = (layers.Conv1D, layers.Conv2D, layers.Conv3D)
_DEPTHWISE = (layers.DepthwiseConv1D, layers.DepthwiseConv2D)
_SEPARABLE = (layers.SeparableConv1D, layers.SeparableConv2D)
_TRANSPOSED = (layers.Conv1DTranspose, layers.Conv2DTranspose, layers.Conv3DTranspose)


@dataclass(frozen=True)
class Row:
    """One layer.

    Attributes:
        name: Its name; after the name of the nested model that it lies in, and a slash.
        kind: Its class.
        output_shape: What it gives, batch first; None where the layer does not know.
        parameters: Its weights and biases, trainable or not.
        macs: Multiply-accumulates for one example.
    """

    name: str
    kind: str
    output_shape: tuple[int | None, ...] | None
    parameters: int
    macs: int


@dataclass(frozen=True)
class Summary:
    """A network's layers and what they come to.

    Attributes:
        name: Name of the network.
        rows: Its layers, in the order of the network.
        parameters: Weights and biases, each counted once.
        trainable: Those that training changes.
        macs: Multiply-accumulates for one example, in convolutions and dense layers; others are not counted.
        bytes: Bytes of the parameters by the type that they are stored in.
    """

    name: str
    rows: tuple[Row, ...]
    parameters: int
    trainable: int
    macs: int
    bytes: dict[str, int]


def summarize(model: keras.Model) -> Summary:
    """Count what a network costs.

    Args:
        model: A built model; nested models are walked.

    Returns:
        Its rows and totals. An axis left open (a sequence of any length) counts as one step.
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


def describe(summary: Summary) -> str:
    """Lay a summary out for a terminal: a line per layer, then the totals."""
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
    """Multiply-accumulates of one call of a layer on one example; 0 unless it is a convolution or dense."""
    if isinstance(layer, _TRANSPOSED):  # each place of the input meets the whole kernel
        return math.prod(layer.kernel.shape) * _places(layer, layer.input.shape)
    if isinstance(layer, _DEPTHWISE):  # each place of the output
        return math.prod(layer.kernel.shape) * _places(layer, layer.output.shape)
    if isinstance(layer, _SEPARABLE):
        kernels = math.prod(layer.depthwise_kernel.shape) + math.prod(layer.pointwise_kernel.shape)
        return kernels * _places(layer, layer.output.shape)
    if isinstance(layer, _CONVOLUTIONS):
        return math.prod(layer.kernel.shape) * _places(layer, layer.output.shape)
    if isinstance(layer, layers.Dense):
        return math.prod(layer.kernel.shape) * _product(layer.output.shape[1:-1])
    return 0


def _rows(model: keras.Model, prefix: str = "", calls: int = 1) -> Iterator[Row]:
    repeats = _calls(model)
    for layer in model.layers:
        name, times = prefix + layer.name, calls * repeats.get(layer.name, 1)
        if isinstance(layer, keras.Model):
            yield from _rows(layer, f"{name}/", times)
        elif not isinstance(layer, layers.InputLayer):
            yield Row(
                name=name,
                kind=type(layer).__name__,
                output_shape=_output_shape(layer),
                parameters=layer.count_params(),
                macs=times * multiply_accumulates(layer),
            )


def _calls(model: keras.Model) -> dict[str, int]:
    """How often a model calls each of its layers: a shared one works more than once."""
    described: list[dict[str, Any]] = model.get_config().get("layers", [])
    return {layer["name"]: len(layer["inbound_nodes"]) for layer in described if "inbound_nodes" in layer}


def _output_shape(layer: keras.Layer) -> tuple[int | None, ...] | None:
    try:
        output = layer.output
    except AttributeError:  # a layer of a subclassed model was never called on symbolic tensors
        return None
    return tuple(output.shape) if isinstance(output, keras.KerasTensor) else None


def _places(layer: Any, shape: tuple[int | None, ...]) -> int:
    """Number of places of an image or a sequence, its channels left out."""
    return _product(shape[1:-1] if layer.data_format == "channels_last" else shape[2:])


def _product(sizes: tuple[int | None, ...]) -> int:
    return math.prod(size or 1 for size in sizes)
