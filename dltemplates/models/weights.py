"""Weights from one layer to another, with the values that layers compute from them."""

from __future__ import annotations

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
