"""Weights from one layer to another, with the values that layers compute from them."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np

from dltemplates.compat import flatten_layers


def set_weights(layer: keras.Layer, weights: list[np.ndarray]) -> None:
    """Set the weights of a layer or model, and refresh the values that it computes from them."""
    layer.set_weights(weights)
    refresh(layer)


def refresh(layer: keras.Layer) -> None:
    """Recompute what a layer or model caches from its weights.

    Keras does this only when it loads a file. Until then an adapted `Normalization` has the mean and variance in its
    weights, but standardizes with 0 and 1.
    """
    for part in flatten_layers(layer):
        if isinstance(part, keras.layers.Normalization):
            part.finalize_state()


def copy_states(source: keras.Layer, target: keras.Layer) -> None:
    """Copy the state of each layer to its counterpart, as saving and loading a weights file does.

    Args:
        source: A layer or model.
        target: Another one with the same layers; other dtypes are converted.
    """
    for ours, theirs in zip(flatten_layers(target), flatten_layers(source), strict=True):
        state: dict[str, Any] = {}
        theirs.save_own_variables(state)
        if state:
            ours.load_own_variables({name: np.asarray(value) for name, value in state.items()})
