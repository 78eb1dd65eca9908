"""Pretrained weights, from a run or from ImageNet, in place of fresh ones."""

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
from dltemplates.models.packaged_weights import PACKAGED, load_packaged
from dltemplates.models.weights import set_weights
from dltemplates.runs import load_run
from dltemplates.settings import FRESH, ModelSettings
from dltemplates.tasks.assemble import PREPROCESSING

HEADS = ("logits", "auxiliary", "class_maps")  # layers that stay fresh if the number of classes differs

# Differences that do not change the architecture: layers for the image size or for training only, and settings that
# do not change a layer's output.
IGNORED_LAYERS = (
    *(layers.InputLayer, layers.Reshape, layers.ZeroPadding1D, layers.ZeroPadding2D, layers.ZeroPadding3D),
    *(layers.Dropout, layers.AlphaDropout, layers.GaussianDropout, layers.GaussianNoise, Saturation),
)
IGNORED_SETTINGS = ("name", "dtype", "trainable", "seed", "momentum", "dropout", "recurrent_dropout", "build_config")
IGNORED_SUFFIXES = ("_initializer", "_regularizer", "_constraint")


def load_pretrained(model: ModelSettings, network: keras.Model) -> Pretrained | None:
    """Load the weights in `model.weights`; return None for `fresh`.

    Args:
        model: The template's `[model]`.
        network: The network that will receive the weights.

    Raises:
        ValueError: If `model.weights` is neither `imagenet`, a trained run, nor a weights file of keras.applications;
            the pretrained network has another architecture; or the package with its weights is missing or broken.
    """
    if model.weights == FRESH:
        return None
    if model.weights == IMAGENET and model.name in PACKAGED:
        return load_packaged(model.name, IMAGENET, check=lambda ours: _pair(network, ours, IMAGENET))
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
            f"`model.weights` must name a network trained here. Received: {model.weights}, an imported Keras "
            "model trained elsewhere. Give another run, or leave `model.weights` out."
        )
    offset = parts[PREPROCESSING].offset if PREPROCESSING in parts else None  # None for categories only
    center = tuple(-part for part in offset) if offset else None
    return Pretrained(parts[assembled.name], center, model.weights)


def take_weights(network: keras.Model, source: Pretrained) -> list[str]:
    """Copy weights into a network of the same architecture.

    Returns:
        Names of the layers that keep their fresh weights, because their number of outputs differs.

    Raises:
        ValueError: If the architectures differ; the message names the first different layer.
    """
    copies, fresh = _pair(network, source.network, source.origin)
    for ours, theirs in copies:
        if _shapes(ours):
            set_weights(ours, theirs.get_weights())
    return fresh


def _pair(network: keras.Model, source: keras.Model, origin: str) -> tuple[list[tuple[Any, Any]], list[str]]:
    """Return pairs of layers to copy weights between, and the names of the layers that stay fresh."""
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
                f"`model.weights` must be of the same architecture. Received: {origin}, with "
                f"{_describe(theirs, differing)} where `{network.name}` has {_describe(ours, differing)}. "
                f"{_way_out(network, source)}"
            )
    return copies, fresh


def _operations(network: keras.Model) -> Iterator[keras.Operation]:
    """Yield a network's layers and plain operations in order, including those of nested models."""
    for operation in getattr(network, "operations", network.layers):
        if isinstance(operation, keras.Model):
            yield from _operations(operation)
        elif not isinstance(operation, IGNORED_LAYERS):
            yield operation


def _way_out(network: keras.Model, source: keras.Model) -> str:
    ours, theirs = ([part.shape[1:] for part in model.inputs] for model in (network, source))
    options = "the model and its options to the values of the pretrained network."
    if ours == theirs or len(theirs[0]) != 3:
        return f"Set {options}"
    height, width, channels = theirs[0]
    size = f"dataset.images.size=[{height}, {width}] and dataset.images.channels={channels}"
    return f"The weights were trained on images of {height}x{width}x{channels}: set {size}; or set {options}"


def _is_head(ours: keras.Operation | None, theirs: keras.Operation | None) -> bool:
    if ours is None or theirs is None:
        return False
    return ours.name == theirs.name and ours.name.startswith(HEADS)


def _shapes(operation: keras.Operation | None) -> list[tuple[int, ...]]:
    return [tuple(weight.shape) for weight in getattr(operation, "weights", [])]


def _settings(operation: keras.Operation) -> dict[str, Any]:
    is_layer = isinstance(operation, keras.Layer)
    return _without_ignored(keras.saving.serialize_keras_object(operation.get_config())) if is_layer else {}


def _without_ignored(config: Any) -> Any:
    """Return a config without the settings that do not change a layer's output."""
    if isinstance(config, list):
        return [_without_ignored(part) for part in config]
    if isinstance(config, dict):
        return {
            key: _without_ignored(part)
            for key, part in config.items()
            if key not in IGNORED_SETTINGS and not key.endswith(IGNORED_SUFFIXES)
        }
    return config


def _differing(ours: keras.Operation, theirs: keras.Operation) -> list[str]:
    our_settings, their_settings = _settings(ours), _settings(theirs)
    return [key for key in our_settings | their_settings if our_settings.get(key) != their_settings.get(key)]


def _describe(operation: keras.Operation | None, settings: list[str]) -> str:
    if operation is None:
        return "no further layer"
    shapes = " ".join("x".join(map(str, shape)) for shape in _shapes(operation))
    values = [f"{key}={_settings(operation).get(key)!r}" for key in settings]
    return f"{operation.name} ({', '.join(filter(None, [type(operation).__name__, shapes, *values]))})"
