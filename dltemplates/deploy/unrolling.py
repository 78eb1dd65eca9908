"""Unrolled recurrent layers, for the formats whose converter cannot calibrate a loop."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from dltemplates.compat import flatten_layers, graph_nodes

if TYPE_CHECKING:
    import keras

    from dltemplates.tasks.serving.contract import Contract

MAX_STEPS = 150  # of an unrolled layer: 140 steps of 32 LSTM units make a file of 0.5 MB
MIN_EXAMPLES = 1_000  # for calibration: each step has ranges of its own, and values outside them are clipped


@contextlib.contextmanager
def unrolled(model: keras.Model) -> Iterator[None]:
    """Let the recurrent layers of a model write out their steps while it is traced, with the same weights."""
    loops = [layer for layer in flatten_layers(model) if getattr(layer, "unroll", None) is False]
    try:
        for layer in loops:
            layer.unroll = True
        yield
    finally:
        for layer in loops:
            layer.unroll = False


def count_steps(model: keras.Model, contract: Contract) -> int:
    """Return the steps of the longest recurrent layer of a functional model; 0 without one.

    Args:
        model: The served model.
        contract: Its contract; the length of its longest input counts where the model does not fix the length.
    """
    longest = max((value.shape[0] for value in contract.inputs if value.shape), default=0)
    return max((length or longest for length in _lengths(model)), default=0)


def _lengths(model: Any) -> Iterator[int | None]:
    import keras

    for operation, inputs, _ in graph_nodes(model):
        if graph_nodes(operation):
            yield from _lengths(operation)
        elif isinstance(operation, keras.Layer) and any(hasattr(x, "unroll") for x in flatten_layers(operation)):
            yield inputs[0].shape[1]
