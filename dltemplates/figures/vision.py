"""What a trained image network has learned to see: its first filters, its maps from shallow to deep, where it looks.

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

STAGES = 5  # of the feature maps
MAPS = 8  # of a stage
LOOKED_AT = 8  # images of Grad-CAM, at most half of them wrong
FINE = 4  # places along a side: a coarser map says little of where

CONVOLUTIONS = (layers.Conv2D, layers.DepthwiseConv2D, layers.SeparableConv2D)
ACTIVATIONS = (layers.Activation, layers.ReLU, layers.LeakyReLU, layers.PReLU)
# What belongs to the convolution that it follows; a sum, to the last of those that it adds.
FOLLOWERS = (*ACTIVATIONS, layers.BatchNormalization, layers.Add)


@dataclass(frozen=True, eq=False)
class Call:
    """A layer at work on a batch: what it read, and what it made of it."""

    layer: Any
    inputs: list[Any]
    output: Any


@dataclass(frozen=True)
class Stage:
    """The maps of a convolution, after its normalization and activation.

    Attributes:
        name: The layers, first and last.
        maps: float32 (n, height, width, maps).
    """

    name: str
    maps: np.ndarray


def vision_figures(serving: ServingModel, task: Task, source: Source, evaluation: Evaluation) -> dict[str, Figure]:
    """Draw what an image network sees in a few of the images of a split.

    Args:
        serving: The trained network, as it is served.
        task: Its task.
        source: The split.
        evaluation: How the network does on the whole split.

    Returns:
        `filters`, `feature_maps` and, of a network that tells classes apart, `grad_cam`; without those that it has
        nothing to show for, as one without convolutions has not. One that fails says so in its figure and a warning.
    """
    if [value.kind for value in serving.contract.inputs] != ["image"]:
        return {}
    look = _Look(serving, task, source, evaluation)
    drawings: dict[str, Callable[[], Figure | None]] = {"filters": look.filters, "feature_maps": look.feature_maps}
    if task.kind == "class":
        drawings["grad_cam"] = look.grad_cam
    drawn = {name: attempt(name, drawing) for name, drawing in drawings.items()}
    return {name: figure for name, figure in drawn.items() if figure is not None}


class _Look:
    """The pictures of one network."""

    def __init__(self, serving: ServingModel, task: Task, source: Source, evaluation: Evaluation):
        self.model = serving.model
        self.task = task
        self.images = lambda indices: source.read(indices)[serving.contract.inputs[0].name]
        self.targets = evaluation.targets
        self.decisions = evaluation.decisions
        self.errors = np.zeros(len(evaluation)) if evaluation.errors is None else evaluation.errors

    @cached_property
    def pair(self) -> np.ndarray:
        """Two images: right ones of two classes, where there are such."""
        indices = np.arange(min(2, len(self.errors)))
        right = np.flatnonzero(self.errors == 0)
        if self.task.kind == "class" and len(right):
            label = self.targets[self.task.target.name][right]
            indices = np.array([right[0], *right[label != label[0]][:1]])
        return self.images(indices)

    @cached_property
    def calls(self) -> list[Call]:
        """The network at work on the pair."""
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
        place = last_map(self.calls)
        if place is None:
            return None
        wrong = [
            int(index) for index in np.argsort(-self.errors, kind="stable")[: LOOKED_AT // 2] if self.errors[index] > 0
        ]
        indices = np.array(spread(np.flatnonzero(self.errors == 0), LOOKED_AT - len(wrong)) + wrong)
        images, decided = self.images(indices), np.asarray(self.decisions)[indices]
        heat = grad_cam(self.model, images, decided, place)
        names, truth = classes_of(self.task.target), self.targets[self.task.target.name][indices]
        titles = [f"true: {names[t]}\npredicted: {names[p]}" for t, p in zip(truth, decided, strict=True)]
        return grad_cam_figure(images, heat, titles, decided != truth, self.calls[place].layer.name)


def spread(indices: np.ndarray, count: int) -> list[int]:
    """At most `count` of the indices, evenly spread over them."""
    places = np.linspace(0, len(indices) - 1, min(count, len(indices))).round().astype(int)
    return [int(indices[place]) for place in places]


def trace(model: keras.Model, images: np.ndarray, seen: Callable[[int, Call], None] | None = None) -> list[Call]:
    """Run a model layer by layer, those of nested models too, on the CPU.

    Args:
        model: A functional model of one input.
        images: A batch, as the model takes it.
        seen: Told of each call, and its place among all, as it is made.

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
            given = zip(keras.tree.flatten(args[0]), operation.inputs, strict=True)
            return run_through_graph(operation, [tf.cast(tensor, reference.dtype) for tensor, reference in given], run)
        output = operation(*args, **kwargs)
        read = [value for value in keras.tree.flatten((args, kwargs)) if tf.is_tensor(value)]
        calls.append(Call(operation, read, output))
        if seen:
            seen(len(calls) - 1, calls[-1])
        return output

    with tf.device("CPU"):
        run(model, tf.convert_to_tensor(images))
    return calls


def first_convolutions(calls: Sequence[Call]) -> list[Any]:
    """The first convolution of a network, and those beside it, which read the same by kernels of the same size."""
    found = [call for call in calls if isinstance(call.layer, CONVOLUTIONS)]
    return [
        call.layer
        for call in found
        if call.inputs[0] is found[0].inputs[0] and call.layer.kernel_size == found[0].layer.kernel_size
    ]


def kernels(layer: Any) -> np.ndarray:
    """The kernels of a convolution, (filters, height, width, channels)."""
    kernel = layer.depthwise_kernel if isinstance(layer, layers.SeparableConv2D) else layer.kernel
    array = kernel.numpy()
    if not isinstance(layer, layers.Conv2D):  # each channel has filters of its own
        array = array.reshape(*array.shape[:2], 1, -1)
    return np.moveaxis(array, -1, 0)


def feature_maps(calls: Sequence[Call]) -> list[Stage]:
    """The maps of a few convolutions, evenly spread from the first to the last that keeps places apart.

    Args:
        calls: What a network did.

    Returns:
        At most five stages, each with the eight maps that vary most; empty without convolutions.
    """
    stages = [stage for stage in _stages(calls) if _places(stage[-1].output) > 1]
    return [_stage(stages[place]) for place in spread(np.arange(len(stages)), STAGES)]


def _stages(calls: Sequence[Call]) -> list[list[Call]]:
    """Each convolution with what follows it; one that is added to another before any activation goes with it."""
    stages: dict[int, list[Call]] = {}  # by the place of the convolution
    ends: dict[int, int] = {}  # the stage that a tensor belongs to, by the tensor's id
    for place, call in enumerate(calls):
        if isinstance(call.layer, CONVOLUTIONS):
            stage = place
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


def grad_cam(model: keras.Model, images: np.ndarray, classes: np.ndarray, place: int) -> np.ndarray:
    """Where a model looks: `relu(sum_k a_k A_k)`, the maps A_k weighted by the mean gradient a_k of a class's logit.

    Of two classes it is that of the log-odds, the difference of their logits: the first class's is always 0 where one
    logit tells them apart.

    Args:
        model: The served model, whose last layer reads the logits.
        images: Raw images, (n, height, width, channels).
        classes: The class to explain of each image, (n,).
        place: Which of the calls of `trace` makes the maps.

    Returns:
        The heat, float32 (n, rows, columns, 1), 0 and up.
    """
    import tensorflow as tf

    with tf.GradientTape(watch_accessed_variables=False) as tape:
        calls = trace(model, images, lambda here, call: tape.watch(call.output) if here == place else None)
        (logits,) = calls[-1].inputs
        score = tf.gather(logits, classes, batch_dims=1)
        if logits.shape[-1] == 2:
            score -= tf.gather(logits, 1 - classes, batch_dims=1)
    maps = calls[place].output
    weights = tf.reduce_mean(tape.gradient(score, maps), axis=(1, 2), keepdims=True)
    return tf.nn.relu(tf.reduce_sum(weights * maps, axis=-1, keepdims=True)).numpy()


def last_map(calls: Sequence[Call]) -> int | None:
    """Which call is the last, from the first convolution on, whose maps keep places apart and are all that is read on.

    What a branch makes is left out, since others go past it. A coarse map is taken only without a fine one, and none at
    all if attention mixes the places after it.
    """
    first = next((place for place, call in enumerate(calls) if isinstance(call.layer, CONVOLUTIONS)), len(calls))
    attends = [place for place, call in enumerate(calls) if isinstance(call.layer, layers.MultiHeadAttention)]
    maps = [place for place in _cuts(calls) if place >= first]
    for least in (FINE, 2):
        for place in maps:
            if _places(calls[place].output) >= least and not isinstance(calls[place].layer, layers.ZeroPadding2D):
                return None if any(later > place for later in attends) else place
    return None


def _cuts(calls: Sequence[Call]) -> list[int]:
    """The calls, last to first, that cut a network in two: none after them reads a tensor made before them."""
    places = range(len(calls))[::-1]
    made = {id(tensor): place for place in places for tensor in keras.tree.flatten(calls[place].output)}
    cuts, oldest = [], len(calls)  # of the tensors that are read on, by the call that made it first
    for place in places:
        if oldest >= place:
            cuts.append(place)
        oldest = min([oldest, *(made.get(id(tensor), -1) for tensor in calls[place].inputs)])
    return cuts


def _places(output: Any) -> int:
    """The places along the shorter side of a batch of maps; 0 of anything else."""
    shape = getattr(output, "shape", ())
    return min(shape[1:3]) if len(shape) == 4 else 0
