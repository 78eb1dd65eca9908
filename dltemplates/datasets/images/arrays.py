"""Datasets of image arrays in memory."""

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

RESIZED_AT_ONCE = 2**28  # bytes of images to resize in advance; larger datasets are resized on reading

Splits = dict[str, tuple[np.ndarray, np.ndarray]]


class ImageArrays(ArraySource):
    """Raw images and targets; read in the input's size and channels."""

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
        """Resize the images once for all splits, unless this takes too much memory."""
        if self._fitted is None:
            images, targets = self.arrays[self.image.name], self.arrays[self.target.name]
            if len(images) * math.prod(self.image.shape) > RESIZED_AT_ONCE and images.shape[1:] != self.image.shape:
                self._fitted = self
            else:
                arrays = {self.image.name: self._resize(images), self.target.name: self._fit(targets)}
                self._fitted = ArraySource(arrays)
        return self._fitted

    def _fit(self, targets: np.ndarray) -> np.ndarray:
        """Adapt the targets to the resized images."""
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
    """Build a dataset from uint8 images (n, height, width) or (n, height, width, channels) and targets (n, ...)."""
    splits = {name: (images.reshape(*images.shape[:3], -1), targets) for name, (images, targets) in splits.items()}
    _, height, width, channels = splits["train"][0].shape
    image_settings = settings.of_images()
    image = image_value(
        image_settings.size or (height, width), image_settings.channels or channels, resize=image_settings.resize
    )
    sources: dict[str, Source] = {
        name: ImageArrays({image.name: images, target.name: targets}, image, target)
        for name, (images, targets) in splits.items()
    }
    sizes = {name: len(source) for name, source in sources.items()}
    return Dataset(DatasetSpec(inputs=(image,), targets=(target,), sizes=sizes), sources)
