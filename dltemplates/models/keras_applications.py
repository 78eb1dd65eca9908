"""Pretrained ImageNet weights from `keras.applications`, for our networks with the same architecture.

The families of `keras.applications` expect different pixel ranges, and some expect blue first. Our images are RGB in
[0, 1], minus a `center`. The rest of the difference, a factor per channel and the channel order, goes into the first
convolution. The center cannot: zero padding would then not be zero any more.
"""

from __future__ import annotations

import re
import sys
import warnings
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import redirect_stdout
from dataclasses import dataclass, field, replace
from itertools import zip_longest
from pathlib import Path
from typing import Any

import h5py
import keras
import numpy as np
from keras import layers

from dltemplates import catalog
from dltemplates.errors import first_line
from dltemplates.models.build import build_network

IMAGENET = "imagenet"
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # of ImageNet's pixels; red, green, blue
CAFFE_MEAN = (123.68 / 255, 116.779 / 255, 103.939 / 255)


@dataclass(frozen=True)
class Application:
    """Network of `keras.applications` with the architecture of one of ours.

    Attributes:
        builder: Its name in `keras.applications`.
        siblings: Names of its other sizes in `keras.applications`, by the values of our options `shaped_by`.
        shaped_by: Our options that change the architecture, with their defaults.
        has_width: Whether it has our `width`, as its `alpha`.
        center: Pixel value of each of our channels that becomes 0 in its range.
        scale: Factors from our pixel values to its range, for each of our channels.
        blue_first: Whether its channel order is blue, green, red.
    """

    builder: str
    center: tuple[float, float, float] = (0.5, 0.5, 0.5)
    scale: tuple[float, float, float] = (2.0, 2.0, 2.0)
    blue_first: bool = False
    siblings: Mapping[tuple[Any, ...], str] = field(default_factory=dict)
    shaped_by: Mapping[str, Any] = field(default_factory=dict)
    has_width: bool = False

    def of(self, options: Mapping[str, Any]) -> tuple[str, dict[str, Any], dict[str, Any]]:
        """Return the network of `keras.applications` with the same weight shapes as ours.

        Args:
            options: Options of our model.

        Returns:
            Its name in `keras.applications`, its arguments, and our options that change the architecture.

        Raises:
            ValueError: If there is no such network.
        """
        if self.has_width:
            width = float(options.get("width", 1.0))
            return self.builder, {"alpha": width}, {"width": width}
        shape = {name: options.get(name, default) for name, default in self.shaped_by.items()}
        values = tuple(tuple(value) if isinstance(value, list) else value for value in shape.values())
        if shape and values not in self.siblings:
            received = ", ".join(f"{name}={value}" for name, value in shape.items())
            known = "; ".join(f"{' '.join(map(str, key))} ({name})" for key, name in self.siblings.items())
            raise ValueError(
                f"keras.applications has `model.weights` for some sizes only. Received: {received}. Available are, "
                f"of {' and '.join(shape)}: {known}."
            )
        return self.siblings.get(values, self.builder), {}, shape


def _caffe(builder: str) -> Application:
    return Application(builder, CAFFE_MEAN, (255.0, 255.0, 255.0), blue_first=True)


def _torch(builder: str, siblings: Mapping[tuple[Any, ...], str], **shaped_by: Any) -> Application:
    scale = (1 / STD[0], 1 / STD[1], 1 / STD[2])
    return Application(builder, MEAN, scale, siblings=siblings, shaped_by=shaped_by)


DENSENETS = {
    ((6, 12, 24, 16),): "DenseNet121",
    ((6, 12, 32, 32),): "DenseNet169",
    ((6, 12, 48, 32),): "DenseNet201",
}
EFFICIENTNETS = {
    (1.0, 1.0): "EfficientNetB0",
    (1.0, 1.1): "EfficientNetB1",
    (1.1, 1.2): "EfficientNetB2",
    (1.2, 1.4): "EfficientNetB3",
    (1.4, 1.8): "EfficientNetB4",
    (1.6, 2.2): "EfficientNetB5",
    (1.8, 2.6): "EfficientNetB6",
    (2.0, 3.1): "EfficientNetB7",
}


APPLICATIONS = {
    "vgg16": _caffe("VGG16"),
    "vgg19": _caffe("VGG19"),
    "resnet50": _caffe("ResNet50"),
    "resnet101": _caffe("ResNet101"),
    "resnet152": _caffe("ResNet152"),
    "preact_resnet50": Application("ResNet50V2"),
    "preact_resnet101": Application("ResNet101V2"),
    "preact_resnet152": Application("ResNet152V2"),
    "densenet121": _torch("DenseNet121", DENSENETS, blocks=(6, 12, 24, 16)),
    "mobilenet_v1": Application("MobileNet", has_width=True),
    "mobilenet_v2": Application("MobileNetV2", has_width=True),
    "mobilenet_v3_small": Application("MobileNetV3Small", has_width=True),
    "mobilenet_v3_large": Application("MobileNetV3Large", has_width=True),
    "efficientnet_b0": _torch("EfficientNetB0", EFFICIENTNETS, width=1.0, depth=1.0),
}


@dataclass(frozen=True)
class Pretrained:
    """Network with pretrained weights.

    Attributes:
        network: The network.
        center: Pixel value of each channel that becomes 0 at its input; None for black.
        origin: Origin of the weights, for messages.
    """

    network: keras.Model
    center: tuple[float, ...] | None
    origin: str


def load_application(
    name: str, weights: str, options: Mapping[str, Any], *, check: Callable[[keras.Model], Any] = lambda ours: None
) -> Pretrained:
    """Build one of our networks with its weights from `keras.applications`.

    Args:
        name: Name of our model.
        weights: `imagenet`, which Keras downloads into its cache, or the path of an `.h5` file of such weights with the
            classifier.
        options: Options of our model.
        check: Checks the network before its weights are downloaded.

    Raises:
        ValueError: If `keras.applications` has no such network, the weights cannot be downloaded or read, or the file
            holds the weights of another network; names the first layer that differs.
    """
    if name not in APPLICATIONS:
        raise ValueError(
            f"`model.weights` = {weights} is for the networks of keras.applications. Received: model {name}. "
            f"There are: {', '.join(APPLICATIONS)}. For other models set it to one of your runs."
        )
    if weights != IMAGENET and not Path(weights).is_file():
        raise ValueError(
            f"`model.weights` must be an existing file. Received: {weights}. Check the path, or set it to "
            "`imagenet`, a run or `fresh`."
        )
    application = APPLICATIONS[name]
    their_name, arguments, shape = application.of(options)
    ours = build_network(name, catalog.MODELS[name].sizes, shape)
    check(ours)
    builder = getattr(keras.applications, their_name)
    try:
        # Keras prints its downloads to stdout, and warns of weights that do not fit before it raises an error.
        with redirect_stdout(sys.stderr), warnings.catch_warnings(action="ignore"):
            theirs = builder(weights=weights, classifier_activation=None, **arguments)
    except Exception as error:  # the download or the file may fail in many ways
        if weights != IMAGENET:
            twin = builder(weights=None, **arguments)
            difference = _first_difference(weights, twin) if h5py.is_hdf5(weights) else None
            raise ValueError(
                f"`model.weights` must be the weights of keras.applications.{their_name}, with its classifier of 1000 "
                f"classes. Received: {weights} for {name}: {difference or first_line(error)}. Give the file that "
                "belongs to the model, or set it to `imagenet`, a run or `fresh`."
            ) from error
        raise ValueError(
            f"`model.weights` must be downloadable. Received: {weights} for {name}: "
            f"{first_line(error).rstrip('.')}. Without a network connection, set it to the path of the file with the "
            "classifier, or to `fresh`."
        ) from error
    application = _with_normalization(application, theirs)
    take_application(ours, theirs, application)
    return Pretrained(ours, application.center, weights)


def _with_normalization(application: Application, theirs: keras.Model) -> Application:
    """Return the application with the center and scale of the `Normalization` layer in `theirs`, if it has its own.

    With ImageNet's statistics the layer does not show the whole scale: Keras divides once more by the root of the
    standard deviation for `imagenet`, but not for a file. The application's own values are right then.
    """
    for layer in theirs.layers:
        if isinstance(layer, layers.Normalization):
            mean, variance = (np.ravel(keras.ops.convert_to_numpy(weight)) for weight in layer.weights[:2])
            if not np.allclose(mean, MEAN, atol=1e-3):
                return replace(application, center=tuple(mean.tolist()), scale=tuple((variance**-0.5).tolist()))
    return application


def _first_difference(path: str, twin: keras.Model) -> str | None:
    """Describe the first layer of a network whose weight shapes differ from a file's; None if all are equal."""
    weighted = [layer for layer in twin.layers if layer.weights]
    with h5py.File(path) as file:
        kept = _by_class(file["layers"], weighted) if "layers" in file else _in_order(file.get("model_weights", file))
        for layer, found in zip_longest(weighted, kept):
            wanted = [tuple(weight.shape) for weight in layer.weights] if layer else []
            if sorted(found or []) != sorted(wanted):
                place = f"in `{layer.name}`" if layer else "after the last layer"
                return f"{place} it has {_format_shapes(found or [])} instead of {_format_shapes(wanted)}"
    return None


def _by_class(group: h5py.Group, weighted: list[layers.Layer]) -> Iterator[list[tuple[int, ...]]]:
    """Yield the shapes in a file of Keras 3, which names layers by class: `conv2d`, `conv2d_1` and so on."""
    counts: Counter[str] = Counter()
    for layer in weighted:
        kind = re.sub(r"(?<!^)(?=[A-Z][a-z])", "_", type(layer).__name__).lower()
        key = f"{kind}_{counts[kind]}" if counts[kind] else kind
        counts[kind] += 1
        yield [values.shape for values in group.get(f"{key}/vars", {}).values()]


def _in_order(group: h5py.Group) -> Iterator[list[tuple[int, ...]]]:
    """Yield the shapes in a file of an earlier Keras, the format of the ImageNet weights."""
    for name in group.attrs.get("layer_names", ()):
        if shapes := [group[name][weight].shape for weight in group[name].attrs["weight_names"]]:
            yield shapes


def _format_shapes(shapes: list[tuple[int, ...]]) -> str:
    return " ".join("x".join(map(str, shape)) for shape in shapes) or "nothing"


def take_application(ours: keras.Model, theirs: keras.Model, application: Application) -> None:
    """Copy weights from `theirs` to `ours`, which then computes the same for `x - center`.

    Args:
        ours: Our network.
        theirs: The same network of `keras.applications`, with or without a `Normalization` layer in front.
        application: The difference between their pixel range and ours.
    """
    folded: dict[str, np.ndarray] = {}  # biases, by the name of the batch normalization after them
    pairs = zip(_weighted(ours), _weighted(theirs), strict=True)
    for number, (mine, layer) in enumerate(pairs):
        values = layer.get_weights()
        if number == 0:
            kernel = values[0][:, :, ::-1] if application.blue_first else values[0]
            values[0] = kernel * np.array(application.scale, np.float32)[:, None]
        if len(values) > len(mine.weights):
            folded[_next_layer(theirs, layer).name] = values.pop()
        if layer.name in folded:  # our convolution has no bias: subtract theirs from the mean of the normalization
            values[-2] = values[-2] - folded[layer.name]
        mine.set_weights([value.reshape(weight.shape) for value, weight in zip(values, mine.weights, strict=True)])


def _weighted(network: keras.Model) -> list[layers.Layer]:
    return [layer for layer in network.layers if layer.weights and not isinstance(layer, layers.Normalization)]


def _next_layer(network: keras.Model, layer: layers.Layer) -> layers.Layer:
    """Return the layer that takes another layer's output."""
    return next(other for other in network.layers if other is not layer and other.input is layer.output)
