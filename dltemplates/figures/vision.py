"""Figures of a trained image network: first-layer filters, feature maps by depth, and Grad-CAM.

Selvaraju et al.: "Grad-CAM: Visual Explanations from Deep Networks via Gradient-based Localization", ICCV 2017,
https://arxiv.org/abs/1610.02391, section 3. The hierarchy from edges to parts: Zeiler, Fergus: "Visualizing and
Understanding Convolutional Networks", ECCV 2014, https://arxiv.org/abs/1311.2901, section 4.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import keras
import numpy as np
from keras import layers
from matplotlib.figure import Figure

from dltemplates.compat import run_through_graph
from dltemplates.datasets.source import Source
from dltemplates.features import classes_of
from dltemplates.figures.run import attempt
from dltemplates.figures.vision_drawings import feature_maps_figure, filters_figure, grad_cam_figure
from dltemplates.tasks.scoring.evaluation import Evaluation
from dltemplates.tasks.serving.contract import ServingModel
from dltemplates.tasks.task import Task

STAGES = 5  # stages of feature maps
MAPS = 8  # maps per stage
GRAD_CAM_IMAGES = 8  # at most half of them wrong
FINE = 4  # pixels along a side; coarser maps locate little

CONVOLUTIONS = (layers.Conv2D, layers.DepthwiseConv2D, layers.SeparableConv2D)
ACTIVATIONS = (layers.Activation, layers.ReLU, layers.LeakyReLU, layers.PReLU)
# Layers that join the stage of the convolution before them; a sum joins its last input's stage.
FOLLOWERS = (*ACTIVATIONS, layers.BatchNormalization, layers.Add)


@dataclass(frozen=True, eq=False)
class Call:
    """One call of a layer on a batch: its inputs and output."""

    layer: Any
    inputs: list[Any]
    output: Any


@dataclass(frozen=True)
class Stage:
    """The maps of a convolution, after its normalization and activation.

    Attributes:
        name: The first and last layer.
        maps: float32 (n, height, width, maps).
    """

    name: str
    maps: np.ndarray


def vision_figures(serving: ServingModel, task: Task, source: Source, evaluation: Evaluation) -> dict[str, Figure]:
    """Draw an image network's filters, feature maps and Grad-CAM on a few images of a split.

    Args:
        serving: The served network.
        task: Its task.
        source: The split.
        evaluation: The network's evaluation on the whole split.

    Returns:
        `filters`, `feature_maps` and, for a classifier, `grad_cam`; empty figures are left out, as for a network
        without convolutions. A drawing that fails becomes a warning and a figure with the reason.
    """
    if [value.kind for value in serving.contract.inputs] != ["image"]:
        return {}
    drawer = _VisionFigures(serving, task, source, evaluation)
    drawings: dict[str, Callable[[], Figure | None]] = {"filters": drawer.filters, "feature_maps": drawer.feature_maps}
    if task.kind == "class":
        drawings["grad_cam"] = drawer.grad_cam
    figures = {name: attempt(name, drawing) for name, drawing in drawings.items()}
    return {name: figure for name, figure in figures.items() if figure is not None}


class _VisionFigures:
    """Figures of one network."""

    def __init__(self, serving: ServingModel, task: Task, source: Source, evaluation: Evaluation):
        self.model = serving.model
        self.task = task
        self.images = lambda indices: source.read(indices)[serving.contract.inputs[0].name]
        self.targets = evaluation.targets
        self.decisions = evaluation.decisions
        self.errors = np.zeros(len(evaluation)) if evaluation.errors is None else evaluation.errors

    @cached_property
    def pair(self) -> np.ndarray:
        """Two correctly classified images of different classes, if possible."""
        indices = np.arange(min(2, len(self.errors)))
        right = np.flatnonzero(self.errors == 0)
        if self.task.kind == "class" and len(right):
            label = self.targets[self.task.target.name][right]
            indices = np.array([right[0], *right[label != label[0]][:1]])
        return self.images(indices)

    @cached_property
    def calls(self) -> list[Call]:
        """The calls of the network's layers on the pair."""
        return trace(self.model, self.pair)

    def filters(self) -> Figure | None:
        first = first_convolutions(self.calls)
        if not first:
            return None
        filters = np.concatenate([kernels(layer) for layer in first])
        return filters_figure(filters, " and ".join(layer.name for layer in first))

    def feature_maps(self) -> Figure | None:
        stages = feature_maps(self.calls)
        return feature_maps_figure(self.pair, [(stage.name, stage.maps) for stage in stages]) if stages else None

    def grad_cam(self) -> Figure | None:
        position = last_map(self.calls)
        if position is None:
            return None
        worst = np.argsort(-self.errors, kind="stable")[: GRAD_CAM_IMAGES // 2]
        wrong = [int(index) for index in worst if self.errors[index] > 0]
        indices = np.array(evenly_spaced(np.flatnonzero(self.errors == 0), GRAD_CAM_IMAGES - len(wrong)) + wrong)
        images, predicted = self.images(indices), np.asarray(self.decisions)[indices]
        heat = grad_cam(self.model, images, predicted, position)
        names, truth = classes_of(self.task.target), self.targets[self.task.target.name][indices]
        titles = [f"true: {names[t]}\npredicted: {names[p]}" for t, p in zip(truth, predicted, strict=True)]
        return grad_cam_figure(images, heat, titles, predicted != truth, self.calls[position].layer.name)


def evenly_spaced(indices: np.ndarray, count: int) -> list[int]:
    """Return at most `count` of the indices, evenly spaced."""
    positions = np.linspace(0, len(indices) - 1, min(count, len(indices))).round().astype(int)
    return [int(indices[position]) for position in positions]


def trace(model: keras.Model, images: np.ndarray, on_call: Callable[[int, Call], None] | None = None) -> list[Call]:
    """Run a model layer by layer on the CPU, including the layers of nested models.

    Args:
        model: A functional model with one input.
        images: A batch of the model's inputs.
        on_call: Called after each layer with the position of its call, and the call.

    Returns:
        Every call, in order.
    """
    import tensorflow as tf

    calls: list[Call] = []

    def run(operation: Any, *args: Any, **kwargs: Any) -> Any:
        if isinstance(operation, keras.Sequential):
            (output,) = args
            for layer in operation.layers:
                output = run(layer, output)
            return output
        if isinstance(operation, keras.Function):
            pairs = zip(keras.tree.flatten(args[0]), operation.inputs, strict=True)
            return run_through_graph(operation, [tf.cast(tensor, reference.dtype) for tensor, reference in pairs], run)
        output = operation(*args, **kwargs)
        inputs = [value for value in keras.tree.flatten((args, kwargs)) if tf.is_tensor(value)]
        calls.append(Call(operation, inputs, output))
        if on_call:
            on_call(len(calls) - 1, calls[-1])
        return output

    with tf.device("CPU"):
        run(model, tf.convert_to_tensor(images))
    return calls


def first_convolutions(calls: Sequence[Call]) -> list[Any]:
    """Return the first convolution, and parallel ones with the same input and kernel size."""
    convolutions = [call for call in calls if isinstance(call.layer, CONVOLUTIONS)]
    return [
        call.layer
        for call in convolutions
        if call.inputs[0] is convolutions[0].inputs[0] and call.layer.kernel_size == convolutions[0].layer.kernel_size
    ]


def kernels(layer: Any) -> np.ndarray:
    """Return the kernels of a convolution, (filters, height, width, channels)."""
    kernel = layer.depthwise_kernel if isinstance(layer, layers.SeparableConv2D) else layer.kernel
    array = kernel.numpy()
    if not isinstance(layer, layers.Conv2D):  # each channel has its own filters
        array = array.reshape(*array.shape[:2], 1, -1)
    return np.moveaxis(array, -1, 0)


def feature_maps(calls: Sequence[Call]) -> list[Stage]:
    """Return the maps of a few convolutions, evenly spaced over those with maps larger than one pixel.

    Args:
        calls: The calls of a network.

    Returns:
        At most five stages, each with the eight maps that vary most; empty without convolutions.
    """
    stages = [stage for stage in _stages(calls) if _map_side(stage[-1].output) > 1]
    return [_stage(stages[index]) for index in evenly_spaced(np.arange(len(stages)), STAGES)]


def _stages(calls: Sequence[Call]) -> list[list[Call]]:
    """Group each convolution with its followers; convolutions added before any activation form one stage."""
    stages: dict[int, list[Call]] = {}  # by the position of the convolution
    ends: dict[int, int] = {}  # tensor id -> stage
    for position, call in enumerate(calls):
        if isinstance(call.layer, CONVOLUTIONS):
            stage = position
        elif isinstance(call.layer, FOLLOWERS):
            followed = {ends[id(tensor)] for tensor in call.inputs if ends.get(id(tensor)) in stages}
            if not followed:
                continue
            *others, stage = sorted(followed)
            for other in others:
                if not _is_activated(stages[other][-1].layer):
                    del stages[other]
        else:
            continue
        stages.setdefault(stage, []).append(call)
        ends[id(call.output)] = stage
    return list(stages.values())


def _is_activated(layer: Any) -> bool:
    linear = getattr(layer, "activation", None) in (None, keras.activations.linear)
    return isinstance(layer, ACTIVATIONS) or not linear


def _stage(calls: Sequence[Call]) -> Stage:
    maps = calls[-1].output.numpy().astype(np.float32)
    height, width, count = maps.shape[1:]
    liveliest = np.sort(np.argsort(-maps.std(axis=(1, 2)).mean(axis=0), kind="stable")[:MAPS])
    first, last = calls[0].layer.name, calls[-1].layer.name
    name = first if first == last else f"{first} to {last}"
    return Stage(f"{name}: {height}x{width}, {len(liveliest)} of {count} maps", maps[..., liveliest])


def grad_cam(model: keras.Model, images: np.ndarray, classes: np.ndarray, position: int) -> np.ndarray:
    """Return Grad-CAM: `relu(sum_k a_k A_k)`, the maps A_k weighted by the mean gradient a_k of a class's logit.

    For two classes it is the gradient of the log-odds, the difference of their logits: with `binary`, the first
    class's logit is always 0.

    Args:
        model: The served model, whose last layer takes the logits.
        images: Raw images, (n, height, width, channels).
        classes: The class to explain for each image, (n,).
        position: The position, in the calls of `trace`, of the layer with the maps.

    Returns:
        The heat, float32 (n, rows, columns, 1), at least 0.
    """
    import tensorflow as tf

    with tf.GradientTape(watch_accessed_variables=False) as tape:
        calls = trace(model, images, lambda index, call: tape.watch(call.output) if index == position else None)
        (logits,) = calls[-1].inputs
        score = tf.gather(logits, classes, batch_dims=1)
        if logits.shape[-1] == 2:
            score -= tf.gather(logits, 1 - classes, batch_dims=1)
    maps = calls[position].output
    weights = tf.reduce_mean(tape.gradient(score, maps), axis=(1, 2), keepdims=True)
    return tf.nn.relu(tf.reduce_sum(weights * maps, axis=-1, keepdims=True)).numpy()


def last_map(calls: Sequence[Call]) -> int | None:
    """Return the position of the last call with maps through which all information flows; None for none.

    Outputs of a branch do not count, since other branches bypass them. A coarse map counts only if no fine one exists,
    and no map counts if attention mixes its pixels later.
    """
    first = next((index for index, call in enumerate(calls) if isinstance(call.layer, CONVOLUTIONS)), len(calls))
    attention = [index for index, call in enumerate(calls) if isinstance(call.layer, layers.MultiHeadAttention)]
    maps = [index for index in _cuts(calls) if index >= first]
    for min_side in (FINE, 2):
        for index in maps:
            call = calls[index]
            if _map_side(call.output) >= min_side and not isinstance(call.layer, layers.ZeroPadding2D):
                return None if any(later > index for later in attention) else index
    return None


def _cuts(calls: Sequence[Call]) -> list[int]:
    """Return the calls, last to first, that cut the network in two: no later call uses an earlier tensor."""
    positions = range(len(calls))[::-1]
    producers = {id(tensor): index for index in positions for tensor in keras.tree.flatten(calls[index].output)}
    cuts, oldest = [], len(calls)  # the earliest producer of a tensor that later calls use
    for index in positions:
        if oldest >= index:
            cuts.append(index)
        oldest = min([oldest, *(producers.get(id(tensor), -1) for tensor in calls[index].inputs)])
    return cuts


def _map_side(output: Any) -> int:
    """Return the shorter side of a batch of maps in pixels; 0 for any other output."""
    shape = getattr(output, "shape", ())
    return min(shape[1:3]) if len(shape) == 4 else 0
