"""Begin with weights that were trained before, in place of fresh ones: those of a run, or of ImageNet."""

from __future__ import annotations

from itertools import zip_longest
from pathlib import Path

import keras

from dltemplates.models.keras_applications import IMAGENET, Pretrained, load_application
from dltemplates.runs import load_run
from dltemplates.settings import FRESH, ModelSettings
from dltemplates.tasks.assemble import PREPROCESSING

HEADS = ("logits", "auxiliary")  # layers that stay fresh where other classes are told apart


def load_pretrained(model: ModelSettings) -> Pretrained | None:
    """Open what `model.weights` names; None where it asks for fresh ones.

    Raises:
        ValueError: If it is neither `imagenet`, a run, nor a file of weights for a model that keras.applications has.
    """
    if model.weights == FRESH:
        return None
    if model.weights == IMAGENET or Path(model.weights).suffix == ".h5":
        return load_application(model.name, model.weights)
    assembled = load_run(model.weights).model()
    offset = assembled.get_layer(PREPROCESSING).offset
    return Pretrained(assembled.get_layer(assembled.name), tuple(offset) if offset else None, model.weights)


def take_weights(network: keras.Model, source: Pretrained) -> list[str]:
    """Copy weights into a network of the same architecture.

    Returns:
        The layers that keep their fresh weights, since their numbers of outputs differ.

    Raises:
        ValueError: If the architectures differ; names the first layer that does.
    """
    fresh, copies = [], []
    for ours, theirs in zip_longest(_weighted(network), _weighted(source.network)):
        if _shapes(ours) == _shapes(theirs) and type(ours) is type(theirs):
            copies.append((ours, theirs))
        elif ours is not None and theirs is not None and ours.name == theirs.name and ours.name.startswith(HEADS):
            fresh.append(ours.name)
        else:
            raise ValueError(
                f"`model.weights` must be of the same architecture. Received: {source.origin}, where "
                f"{_describe(theirs)} stands and `{network.name}` has {_describe(ours)}. "
                "Set the model and its options to those that the weights were trained with."
            )
    for ours, theirs in copies:
        ours.set_weights(theirs.get_weights())
    return fresh


def _weighted(network: keras.Model) -> list[keras.Layer]:
    return [layer for layer in network.layers if layer.weights]


def _shapes(layer: keras.Layer | None) -> list[tuple[int, ...]]:
    return [] if layer is None else [tuple(weight.shape) for weight in layer.weights]


def _describe(layer: keras.Layer | None) -> str:
    if layer is None:
        return "no more layer"
    return f"{layer.name} ({type(layer).__name__}, {' '.join('x'.join(map(str, shape)) for shape in _shapes(layer))})"
