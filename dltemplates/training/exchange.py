"""Copies of a model in which some layers are exchanged for others that train better and compute the same."""

from __future__ import annotations

from collections.abc import Callable

import keras
from keras import layers

from dltemplates.models.recursion import deep_networks


@deep_networks()
def exchange_layers(model: keras.Model, exchange: Callable[[layers.Layer], type[layers.Layer]]) -> keras.Model:
    """Copy a model, each layer of the class that `exchange` says; the same variables with the same values.

    Args:
        model: A functional model, built; models nested in it are copied too.
        exchange: Gives the class of a layer's copy, which must take the layer's configuration and variables.
    """

    def copy_of(layer: layers.Layer) -> layers.Layer:
        return exchange(layer).from_config(layer.get_config())

    copy = keras.models.clone_model(model, clone_function=copy_of, recursive=True)
    for old, new in zip(model.variables, copy.variables, strict=True):  # the states of random generators too
        new.assign(old)
    return copy
