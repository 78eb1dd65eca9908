"""Datasets whose images are arrays in memory."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping, Sequence

import numpy as np

from dltemplates.datasets.images import resize_image, to_channels
from dltemplates.datasets.source import ArraySource, Dataset, Source
from dltemplates.datasets.spec import DatasetSpec, Value
from dltemplates.datasets.values import image_value, with_counts
from dltemplates.settings import DatasetSettings

FITTED_AT_ONCE = 2**28  # bytes of images that are resized when loaded; more are resized as they are read

Splits = dict[str, tuple[np.ndarray, np.ndarray]]


class FittedSource(ArraySource):
    """Image arrays that are brought to the size and channels of the input as they are read."""

    def __init__(self, arrays: dict[str, np.ndarray], image: Value):
        super().__init__(arrays)
        self.image = image

    def read(self, indices: np.ndarray) -> dict[str, np.ndarray]:
        """Read the examples at `indices` (n,)."""
        examples = super().read(indices)
        height, width, channels = self.image.shape
        fitted = np.empty((len(indices), height, width, channels), np.uint8)
        for position, image in enumerate(to_channels(examples[self.image.name], channels)):
            fitted[position] = resize_image(image, (height, width), self.image.resize or "stretch")
        return {**examples, self.image.name: fitted}


def array_dataset(settings: DatasetSettings, splits: Splits, target: Value) -> Dataset:
    """Make a dataset of uint8 images (n, height, width) or (n, height, width, channels) and their targets (n, ...)."""
    splits = {name: (images.reshape(*images.shape[:3], -1), targets) for name, (images, targets) in splits.items()}
    _, height, width, channels = splits["train"][0].shape
    image = image_value(settings.image_size or (height, width), settings.channels or channels, resize=settings.resize)
    sources: dict[str, Source] = {}
    for name, (images, targets) in splits.items():
        arrays = {image.name: images, target.name: targets.astype(target.dtype, copy=False)}
        sources[name] = _fitted(arrays, image)
    spec = DatasetSpec(
        inputs=(image,),
        targets=(with_counts(target, splits["train"][1]),),
        sizes={name: len(source) for name, source in sources.items()},
        fingerprint=fingerprint(splits),
    )
    return Dataset(spec, sources)


def _fitted(arrays: dict[str, np.ndarray], image: Value) -> Source:
    images = arrays[image.name]
    if images.shape[1:] == image.shape:
        return ArraySource(arrays)
    source = FittedSource(arrays, image)
    if len(images) * math.prod(image.shape) > FITTED_AT_ONCE:
        return source
    return ArraySource(source.read(np.arange(len(images))))


def fingerprint(splits: Mapping[str, Sequence[np.ndarray]]) -> str:
    """A digest of all that the splits hold."""
    digest = hashlib.sha256()
    for name, arrays in splits.items():
        for array in arrays:
            digest.update(f"{name} {array.dtype} {array.shape}".encode())
            digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()
