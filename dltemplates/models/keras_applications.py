"""Weights of `keras.applications` for the networks of ours that are the same, so that ImageNet's can be begun with.

Their images are not ours: each family wants its own range, and some blue first. Ours are red, green, blue between 0 and
1, less a `center`; what is left of the difference, a factor for each channel and their order, goes into the first
convolution. The center stays outside: zero padding would not be zero any more.
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
    """A network of `keras.applications` that we have too.

    Attributes:
        builder: Its name there.
        siblings: The names there of what other values of some options of ours make of it.
        shaped_by: Those options and their defaults.
        has_width: Whether it has our `width`, as its `alpha`.
        center: The pixel, of ours, that is 0 to it.
        scale: What a difference of 1 between two pixels is to it, for each of our channels.
        blue_first: Whether its channels are blue, green, red.
    """

    builder: str
    center: tuple[float, float, float] = (0.5, 0.5, 0.5)
    scale: tuple[float, float, float] = (2.0, 2.0, 2.0)
    blue_first: bool = False
    siblings: Mapping[tuple[Any, ...], str] = field(default_factory=dict)
    shaped_by: Mapping[str, Any] = field(default_factory=dict)
    has_width: bool = False

    def of(self, options: Mapping[str, Any]) -> tuple[str, dict[str, Any], dict[str, Any]]:
        """The one that has the shape of ours.

        Args:
            options: Of ours.

        Returns:
            Its name there, the arguments that it is built with, and the options of ours that shape it.

        Raises:
            ValueError: If there is none of that shape.
        """
        if self.has_width:
            width = float(options.get("width", 1.0))
            return self.builder, {"alpha": width}, {"width": width}
        shape = {name: options.get(name, default) for name, default in self.shaped_by.items()}
        values = tuple(tuple(value) if isinstance(value, list) else value for value in shape.values())
        if shape and values not in self.siblings:
            shown = ", ".join(f"{name}={value}" for name, value in shape.items())
            known = "; ".join(f"{' '.join(map(str, key))} ({name})" for key, name in self.siblings.items())
            raise ValueError(
                f"`model.weights` of keras.applications are for the shapes that it has. Received: {shown}. There are, "
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
    """A network with weights to begin with.

    Attributes:
        network: It.
        center: The pixel that is 0 to it, for each channel; None where that is black.
        origin: Where it is from, for messages.
    """

    network: keras.Model
    center: tuple[float, ...] | None
    origin: str


def load_application(
    name: str, weights: str, options: Mapping[str, Any], *, check: Callable[[keras.Model], Any] = lambda ours: None
) -> Pretrained:
    """Make a network of ours with the weights that `keras.applications` has for it.

    Args:
        name: Of our model.
        weights: `imagenet`, which is downloaded into Keras's cache, or the path of a `.h5` file of such weights, the
            classifier included.
        options: Of our model; those that shape it choose among its siblings.
        check: Looks at the network that will have the weights, before they are downloaded.

    Raises:
        ValueError: If it has no such network, the weights cannot be had, or the file's are of another one; names the
            first layer that differs.
    """
    if name not in APPLICATIONS:
        raise ValueError(
            f"`model.weights` = {weights} is for networks that keras.applications has too. Received: model {name}. "
            f"There are: {', '.join(APPLICATIONS)}; for others give a run of your own."
        )
    if weights != IMAGENET and not Path(weights).is_file():
        raise ValueError(
            f"`model.weights` must be a file that is there. Received: {weights}. Check the path, or set it to "
            "`imagenet`, a run or `fresh`."
        )
    application = APPLICATIONS[name]
    their_name, arguments, shape = application.of(options)
    ours = build_network(name, catalog.MODELS[name].sizes, shape)
    check(ours)
    builder = getattr(keras.applications, their_name)
    try:
        # Keras tells of a download on stdout, and warns of all that does not fit before the error says so.
        with redirect_stdout(sys.stderr), warnings.catch_warnings(action="ignore"):
            theirs = builder(weights=weights, classifier_activation=None, **arguments)
    except Exception as error:  # whatever the download or the file's contents lead to
        if weights != IMAGENET:
            twin = builder(weights=None, **arguments)
            difference = _first_difference(weights, twin) if h5py.is_hdf5(weights) else None
            raise ValueError(
                f"`model.weights` must be those of keras.applications.{their_name}, with its classifier of 1000 "
                f"classes. Received: {weights} for {name}: {difference or first_line(error)}. Give the file that "
                "belongs to the model, or set it to `imagenet`, a run or `fresh`."
            ) from error
        raise ValueError(
            f"`model.weights` must be there to be read. Received: {weights} for {name}: "
            f"{first_line(error).rstrip('.')}. Without a network, bring its file, with the classifier, and give the "
            "path; or set it to `fresh`."
        ) from error
    application = _with_normalization(application, theirs)
    take_application(ours, theirs, application)
    return Pretrained(ours, application.center, weights)


def _with_normalization(application: Application, theirs: keras.Model) -> Application:
    """How images of theirs differ from ours, where a `Normalization` in it says so: it is ImageNet's, or its own.

    Of ImageNet's, `imagenet` divides once more by the root of the deviation, and a file does not say so.
    """
    for layer in theirs.layers:
        if isinstance(layer, layers.Normalization):
            mean, variance = (np.ravel(keras.ops.convert_to_numpy(weight)) for weight in layer.weights[:2])
            if not np.allclose(mean, MEAN, atol=1e-3):
                return replace(application, center=tuple(mean.tolist()), scale=tuple((variance**-0.5).tolist()))
    return application


def _first_difference(path: str, twin: keras.Model) -> str | None:
    """Name the first layer of a network for which a file has other weights; None where all are alike."""
    taking = [layer for layer in twin.layers if layer.weights]
    with h5py.File(path) as file:
        kept = _by_class(file["layers"], taking) if "layers" in file else _in_order(file.get("model_weights", file))
        for layer, found in zip_longest(taking, kept):
            wanted = [tuple(weight.shape) for weight in layer.weights] if layer else []
            if sorted(found or []) != sorted(wanted):
                place = f"in `{layer.name}`" if layer else "after the last layer"
                return f"{place} it has {_shown(found or [])} where {_shown(wanted)} belongs"
    return None


def _by_class(group: h5py.Group, taking: list[layers.Layer]) -> Iterator[list[tuple[int, ...]]]:
    """Shapes in a file as Keras 3 writes it: `conv2d`, `conv2d_1` and so on, whatever the layers' names are."""
    counts: Counter[str] = Counter()
    for layer in taking:
        kind = re.sub(r"(?<!^)(?=[A-Z][a-z])", "_", type(layer).__name__).lower()
        key = f"{kind}_{counts[kind]}" if counts[kind] else kind
        counts[kind] += 1
        yield [values.shape for values in group.get(f"{key}/vars", {}).values()]


def _in_order(group: h5py.Group) -> Iterator[list[tuple[int, ...]]]:
    """Shapes in a file as Keras wrote it before, and as those of ImageNet are."""
    for name in group.attrs.get("layer_names", ()):
        if shapes := [group[name][weight].shape for weight in group[name].attrs["weight_names"]]:
            yield shapes


def _shown(shapes: list[tuple[int, ...]]) -> str:
    return " ".join("x".join(map(str, shape)) for shape in shapes) or "nothing"


def take_application(ours: keras.Model, theirs: keras.Model, application: Application) -> None:
    """Copy the weights of theirs into ours, which then gives for `x - center` what theirs gives for its own range.

    Args:
        ours: A network of ours.
        theirs: The same of `keras.applications`; a `Normalization` in front of it is part of its range.
        application: How its images differ.
    """
    folded: dict[str, np.ndarray] = {}  # biases, by the name of the batch normalization behind them
    pairs = zip(_weighted(ours), _weighted(theirs), strict=True)
    for place, (mine, layer) in enumerate(pairs):
        values = layer.get_weights()
        if place == 0:
            kernel = values[0][:, :, ::-1] if application.blue_first else values[0]
            values[0] = kernel * np.array(application.scale, np.float32)[:, None]
        if len(values) > len(mine.weights):
            folded[_reader(theirs, layer).name] = values.pop()
        if layer.name in folded:  # what is normalized lacks the bias, so its mean does too
            values[-2] = values[-2] - folded[layer.name]
        mine.set_weights([value.reshape(weight.shape) for value, weight in zip(values, mine.weights, strict=True)])


def _weighted(network: keras.Model) -> list[layers.Layer]:
    return [layer for layer in network.layers if layer.weights and not isinstance(layer, layers.Normalization)]


def _reader(network: keras.Model, layer: layers.Layer) -> layers.Layer:
    """The layer that takes what another gives."""
    return next(other for other in network.layers if other is not layer and other.input is layer.output)
