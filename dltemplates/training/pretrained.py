"""Begin with weights that were trained before, in place of fresh ones: those of a run, or of ImageNet."""

from __future__ import annotations

import difflib
from collections.abc import Iterator
from itertools import zip_longest
from pathlib import Path
from typing import Any

import keras
from keras import layers

from dltemplates.layers import Saturation
from dltemplates.models.keras_applications import IMAGENET, Pretrained, load_application
from dltemplates.runs import load_run
from dltemplates.settings import FRESH, ModelSettings
from dltemplates.tasks.assemble import PREPROCESSING

HEADS = ("logits", "auxiliary", "class_maps")  # layers that stay fresh where other classes are told apart

# What may differ in one architecture: layers that are there for the size of the images or for training alone, and
# settings that change nothing in what a layer gives for an input.
ASIDE = (
    *(layers.InputLayer, layers.Reshape, layers.ZeroPadding1D, layers.ZeroPadding2D, layers.ZeroPadding3D),
    *(layers.Dropout, layers.AlphaDropout, layers.GaussianDropout, layers.GaussianNoise, Saturation),
)
FREE = ("name", "dtype", "trainable", "seed", "momentum", "dropout", "recurrent_dropout", "build_config")
FREE_ENDINGS = ("_initializer", "_regularizer", "_constraint")


def load_pretrained(model: ModelSettings, network: keras.Model) -> Pretrained | None:
    """Open what `model.weights` names; None where it asks for fresh ones.

    Args:
        model: The template's `[model]`.
        network: That model, which is to take them.

    Raises:
        ValueError: If it is neither `imagenet`, a run of a training, nor a file of weights for a model that
            keras.applications has; or those of keras.applications are of another architecture.
    """
    if model.weights == FRESH:
        return None
    if model.weights == IMAGENET or Path(model.weights).suffix == ".h5":
        return load_application(
            model.name, model.weights, model.options, check=lambda ours: _pair(network, ours, model.weights)
        )
    if not Path(model.weights).is_dir():
        near = difflib.get_close_matches(model.weights.lower(), [FRESH, IMAGENET], n=1)
        hint = f"Did you mean {near[0]}?" if near else "`dlt list runs` names the runs here."
        raise ValueError(
            f"`model.weights` must be `{FRESH}`, `{IMAGENET}`, the folder of a run, or a `.h5` file of "
            f"keras.applications. Received: {model.weights}. {hint}"
        )
    assembled = load_run(model.weights).model()
    parts = {layer.name: layer for layer in assembled.layers}
    if assembled.name not in parts:
        raise ValueError(
            f"`model.weights` must be of a network that was trained here. Received: {model.weights}, a run of a Keras "
            "model trained elsewhere. Give another run, or leave it out."
        )
    offset = parts[PREPROCESSING].offset if PREPROCESSING in parts else None  # categories alone have none
    center = tuple(-part for part in offset) if offset else None
    return Pretrained(parts[assembled.name], center, model.weights)


def take_weights(network: keras.Model, source: Pretrained) -> list[str]:
    """Copy weights into a network of the same architecture.

    Returns:
        The layers that keep their fresh weights, since their numbers of outputs differ.

    Raises:
        ValueError: If the architectures differ; names the first layer that does.
    """
    copies, fresh = _pair(network, source.network, source.origin)
    for ours, theirs in copies:
        if _shapes(ours):
            ours.set_weights(theirs.get_weights())
    return fresh


def _pair(network: keras.Model, source: keras.Model, origin: str) -> tuple[list[tuple[Any, Any]], list[str]]:
    """The layers that are to have the same weights, each with that of the source; and those that stay fresh."""
    copies, fresh = [], []
    for ours, theirs in zip_longest(_operations(network), _operations(source)):
        same_weights = type(ours) is type(theirs) and _shapes(ours) == _shapes(theirs)
        differing = _differing(ours, theirs) if same_weights else []
        if same_weights and not differing:
            copies.append((ours, theirs))
        elif not same_weights and _is_head(ours, theirs):
            fresh.append(ours.name)
        else:
            raise ValueError(
                f"`model.weights` must be of the same architecture. Received: {origin}, where "
                f"{_describe(theirs, differing)} stands and `{network.name}` has {_describe(ours, differing)}. "
                f"{_way_out(network, source)}"
            )
    return copies, fresh


def _operations(network: keras.Model) -> Iterator[keras.Operation]:
    """What a network computes, in order: its layers, those of the models in it, and the bare operations between."""
    for operation in getattr(network, "operations", network.layers):
        if isinstance(operation, keras.Model):
            yield from _operations(operation)
        elif not isinstance(operation, ASIDE):
            yield operation


def _way_out(network: keras.Model, source: keras.Model) -> str:
    ours, theirs = ([part.shape[1:] for part in model.inputs] for model in (network, source))
    options = "the model and its options to those that the weights were trained with."
    if ours == theirs or len(theirs[0]) != 3:
        return f"Set {options}"
    height, width, channels = theirs[0]
    size = f"dataset.images.size=[{height}, {width}] and dataset.images.channels={channels}"
    return f"They were trained on images of {height}x{width}x{channels}: set {size}; or set {options}"


def _is_head(ours: keras.Operation | None, theirs: keras.Operation | None) -> bool:
    if ours is None or theirs is None:
        return False
    return ours.name == theirs.name and ours.name.startswith(HEADS)


def _shapes(operation: keras.Operation | None) -> list[tuple[int, ...]]:
    return [tuple(weight.shape) for weight in getattr(operation, "weights", [])]


def _settings(operation: keras.Operation) -> dict[str, Any]:
    is_layer = isinstance(operation, keras.Layer)
    return _computing(keras.saving.serialize_keras_object(operation.get_config())) if is_layer else {}


def _computing(config: Any) -> Any:
    """The part of a config that changes what is computed."""
    if isinstance(config, list):
        return [_computing(part) for part in config]
    if isinstance(config, dict):
        kept = {key: part for key, part in config.items() if key not in FREE and not key.endswith(FREE_ENDINGS)}
        return {key: _computing(part) for key, part in kept.items()}
    return config


def _differing(ours: keras.Operation, theirs: keras.Operation) -> list[str]:
    mine, others = _settings(ours), _settings(theirs)
    return [key for key in mine | others if mine.get(key) != others.get(key)]


def _describe(operation: keras.Operation | None, settings: list[str]) -> str:
    if operation is None:
        return "no more layer"
    shapes = " ".join("x".join(map(str, shape)) for shape in _shapes(operation))
    shown = [f"{key}={_settings(operation).get(key)!r}" for key in settings]
    return f"{operation.name} ({', '.join(filter(None, [type(operation).__name__, shapes, *shown]))})"
