"""Datasets whose images are arrays in memory."""

from __future__ import annotations

import math

import numpy as np

from dltemplates.datasets.features import image_value
from dltemplates.datasets.images.fields import fit_array
from dltemplates.datasets.source import ArraySource, Dataset, Source
from dltemplates.datasets.spec import DatasetSpec
from dltemplates.features import Feature, Image
from dltemplates.features.pixels import resize_image, to_channels
from dltemplates.settings import DatasetSettings

RESIZED_AT_ONCE = 2**28  # bytes of images that are resized at once; more are resized as they are read

Splits = dict[str, tuple[np.ndarray, np.ndarray]]


class ImageArrays(ArraySource):
    """Images and targets as they were given; read as images of the input's size and channels."""

    def __init__(self, arrays: dict[str, np.ndarray], image: Image, target: Feature):
        super().__init__(arrays)
        self.image = image
        self.target = target
        self._fitted: Source | None = None

    def read(self, indices: np.ndarray) -> dict[str, np.ndarray]:
        """Read the examples at `indices` (n,)."""
        images, targets = (self.arrays[value.name][indices] for value in (self.image, self.target))
        return {self.image.name: self._resize(images), self.target.name: self._fit(targets)}

    def fitted(self, spec: DatasetSpec) -> Source:
        """The images resized once for all splits, unless they would take too much memory."""
        if self._fitted is None:
            images, targets = self.arrays[self.image.name], self.arrays[self.target.name]
            if len(images) * math.prod(self.image.shape) > RESIZED_AT_ONCE and images.shape[1:] != self.image.shape:
                self._fitted = self
            else:
                arrays = {self.image.name: self._resize(images), self.target.name: self._fit(targets)}
                self._fitted = ArraySource(arrays)
        return self._fitted

    def _fit(self, targets: np.ndarray) -> np.ndarray:
        """The targets as they are on the resized images."""
        sizes = np.tile(self.arrays[self.image.name].shape[1:3], (len(targets), 1))
        targets = targets.astype(self.target.dtype, copy=False)
        height, width, _ = self.image.shape
        return fit_array(self.target, targets, sizes, (height, width), self.image.resize or "stretch")

    def _resize(self, images: np.ndarray) -> np.ndarray:
        height, width, channels = self.image.shape
        if images.shape[1:] == self.image.shape:
            return images
        resized = np.empty((len(images), height, width, channels), np.uint8)
        for position, image in enumerate(to_channels(images, channels)):
            resized[position] = resize_image(image, (height, width), self.image.resize or "stretch")
        return resized


def array_dataset(settings: DatasetSettings, splits: Splits, target: Feature) -> Dataset:
    """Make a dataset of uint8 images (n, height, width) or (n, height, width, channels) and their targets (n, ...)."""
    splits = {name: (images.reshape(*images.shape[:3], -1), targets) for name, (images, targets) in splits.items()}
    _, height, width, channels = splits["train"][0].shape
    given = settings.of_images()
    image = image_value(given.size or (height, width), given.channels or channels, resize=given.resize)
    sources: dict[str, Source] = {
        name: ImageArrays({image.name: images, target.name: targets}, image, target)
        for name, (images, targets) in splits.items()
    }
    sizes = {name: len(source) for name, source in sources.items()}
    return Dataset(DatasetSpec(inputs=(image,), targets=(target,), sizes=sizes), sources)
