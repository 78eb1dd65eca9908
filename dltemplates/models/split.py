"""A network split in two: layers that stay frozen, and the last layers, which are trained on their outputs."""

from __future__ import annotations

import math
from typing import Any, Literal

import keras
from keras import layers

from dltemplates.compat import graph_nodes
from dltemplates.models.recursion import deep_networks

Part = Literal["head", "last_blocks"]
"""The layers to train: `head`, the last layer with weights; or `last_blocks`, those with a quarter of the kernels."""

LAST_BLOCKS = 1 / 4  # share of the kernels
NOISE = (layers.Dropout, layers.AlphaDropout, layers.GaussianDropout, layers.GaussianNoise, layers.SpatialDropout2D)


@deep_networks()
def layers_before(network: keras.Model, part: Part) -> keras.Model:
    """Return the frozen layers of a network, which share their weights with it; see `find_border`."""
    return keras.Model(network.inputs[0], find_border(network, part))


@deep_networks()
def layers_of(network: keras.Model, part: Part) -> keras.Model:
    """Return the last layers of a network, which share their weights with it; see `find_border`."""
    return keras.Model(find_border(network, part), network.outputs[0], name=network.name)


def find_border(network: keras.Model, part: Part) -> Any:
    """Find where to split a network: where all paths from its input to its output meet.

    The part to train begins as late as its number of kernels allows. Dropout in front of the head belongs to the head.

    Args:
        network: A functional network with one input and one output.
        part: The layers to train.

    Returns:
        The tensor between the frozen layers and the layers to train.

    Raises:
        ValueError: If the network has several inputs or outputs, or no kernel.
    """
    if len(network.inputs) > 1 or len(network.outputs) > 1:
        raise ValueError(
            "A network to split into frozen layers and a head must have one input and one output. Received: "
            f"{network.name} with {len(network.inputs)} and {len(network.outputs)}. Try --set train.trainable=all."
        )
    nodes = graph_nodes(network)
    kernels = [_count_kernels(operation) for operation, _, _ in nodes]
    wanted = {"head": 1, "last_blocks": math.ceil(LAST_BLOCKS * sum(kernels))}[part]
    if not sum(kernels):
        raise ValueError(
            f"A network to split into frozen layers and a head must have a kernel. Received: {network.name} without "
            "one. Try --set train.trainable=all."
        )
    cuts = [index for index in _cuts(nodes) if sum(kernels[index + 1 :]) >= wanted]
    while part == "head" and len(cuts) > 1 and isinstance(nodes[cuts[-1]][0], NOISE):
        cuts.pop()
    (tensor,) = nodes[cuts[-1]][2]
    return tensor


def _cuts(nodes: list[tuple[keras.Operation, list[Any], list[Any]]]) -> list[int]:
    """Return the positions of the calls through which every path from input to output leads."""
    position_of = {id(tensor): index for index, (_, _, outputs) in enumerate(nodes) for tensor in outputs}
    last_use = [index for index, _ in enumerate(nodes)]
    for index, (_, inputs, _) in enumerate(nodes):
        for tensor in inputs:
            last_use[position_of[id(tensor)]] = index
    cuts, needed_until = [], 0
    for index, (_, _, outputs) in enumerate(nodes):
        if needed_until <= index and len(outputs) == 1:  # no earlier output is read after this call
            cuts.append(index)
        needed_until = max(needed_until, last_use[index])
    return cuts


def _count_kernels(operation: keras.Operation) -> int:
    """Return the number of trained arrays with two or more axes: biases and normalizations have one."""
    weights = operation.weights if isinstance(operation, keras.Layer) else []
    return sum(len(weight.shape) > 1 for weight in weights)
