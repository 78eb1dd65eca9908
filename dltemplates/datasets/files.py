"""Datasets whose images stay in their files until they are read."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from dltemplates.datasets.images import BrokenImageError, decode, resize_image
from dltemplates.datasets.scan import Scanned, scan
from dltemplates.datasets.source import SPLITS, ArraySource, BaseSource, Dataset, Source, origin
from dltemplates.datasets.spec import DatasetSpec
from dltemplates.datasets.values import image_value
from dltemplates.features import Feature, Image
from dltemplates.settings import DatasetSettings


@dataclass(frozen=True)
class Examples:
    """Image files and what they show.

    Attributes:
        names: Their paths below the folder of the dataset.
        files: What their headers say.
        targets: One target each, (n, ...).
    """

    names: list[str]
    files: list[Scanned]
    targets: np.ndarray

    def take(self, indices: np.ndarray) -> Examples:
        """Those at `indices`, in that order."""
        return Examples([self.names[i] for i in indices], [self.files[i] for i in indices], self.targets[indices])


class FileSource(BaseSource):
    """Image files below `root`, each decoded when it is read.

    Attributes:
        strict: Fail at a file that broke since it was scanned; else the next readable example, image and target, takes
            its place, and every other stays at its own.
        broken: Those files, each with the reason.
        cache: Where the pipeline keeps decoded images: `none`, `memory` or `disk`.
        kept: The decoded images that it keeps.
    """

    def __init__(self, root: Path, examples: Examples, *, image: Image, target: Feature, cache: str = "none"):
        self.root = root
        self.examples = examples
        self.image = image
        self.target = target
        self.targets = examples.targets.astype(target.dtype)
        self.cache = cache
        self.kept: dict[Any, ArraySource] = {}
        self.strict = True
        self.broken: dict[str, str] = {}

    def __len__(self) -> int:
        return len(self.examples.names)

    @property
    def keys(self) -> list[str]:
        """The names of the files."""
        return self.examples.names

    def column(self, name: str) -> np.ndarray:
        return self.targets if name == self.target.name else super().column(name)

    @property
    def size(self) -> tuple[int, int]:
        """Height and width of the input."""
        return self.image.shape[0], self.image.shape[1]

    def read(self, indices: np.ndarray) -> dict[str, np.ndarray]:
        """Read the examples at `indices` (n,).

        Raises:
            ValueError: If a file is gone or broken and this is strict, or none is whole; names it.
        """
        images = np.empty((len(indices), *self.image.shape), np.uint8)
        found = np.array(indices, np.int64)
        for position, index in enumerate(indices):
            if self.strict:
                images[position] = self.read_image(index, self.size)
            else:
                images[position], found[position] = self.read_readable(index, self.size)
        return {self.image.name: images, self.target.name: self.targets[found]}

    def read_image(self, index: int, size: tuple[int, int]) -> np.ndarray:
        """Read one image, uint8 (*size, channels): the reference for every other reader.

        Raises:
            BrokenImageError: If the file is gone, broken, or holds an image of another size than it did; names it.
        """
        path = self.root / self.examples.names[index]
        pixels = decode(path, self.image.shape[2])
        was, now = self.examples.files[index].size, pixels.shape[:2]
        if now != was:
            change = f"{now[0]}x{now[1]} now, {was[0]}x{was[1]} when it was scanned"
            raise BrokenImageError(
                f"An image must keep its size while it is in use. Received: {path} ({change}). "
                "Start anew, or put the old one back.",
                change,
            )
        return resize_image(pixels, size, self.image.resize or "stretch")

    def read_readable(self, index: int, size: tuple[int, int]) -> tuple[np.ndarray, np.int64]:
        """Read one image, or in place of a broken one the next that is whole, and say which.

        Raises:
            ValueError: If none is whole.
        """
        for place in (*range(index, len(self)), *range(index)):
            try:
                return self.read_image(place, size), np.int64(place)
            except BrokenImageError as error:
                self.broken.setdefault(self.examples.names[place], error.reason)
        raise ValueError(f"There must be an image that is whole. Received: none of the {len(self)} in {self.root}.")

    def take(self, indices: np.ndarray) -> FileSource:
        """Those at `indices` (n,) alone: what stands in for a broken one is one of them, and `broken` is shared."""
        taken = copy.copy(self)
        taken.examples, taken.targets, taken.kept = self.examples.take(indices), self.targets[indices], {}
        return taken

    def check(self) -> None:
        """Read every image, to find out which one made TensorFlow fail.

        Raises:
            ValueError: Names the first file that is gone or broken.
        """
        for index in range(len(self)):
            self.read_image(index, self.size)


def scan_files(root: Path, names: list[str], targets: np.ndarray) -> tuple[Examples, dict[str, str]]:
    """Look at the files `names` below `root`: those that are images, and why the others are not."""
    found = scan([f"{root}/{name}" for name in names])
    skipped = {name: file for name, file in zip(names, found, strict=True) if isinstance(file, str)}
    kept = [index for index, file in enumerate(found) if isinstance(file, Scanned)]
    files = [file for file in found if isinstance(file, Scanned)]
    return Examples([names[index] for index in kept], files, targets[kept]), skipped


def file_dataset(
    root: Path, splits: dict[str, Examples], *, target: Feature, skipped: dict[str, str], settings: DatasetSettings
) -> Dataset:
    """Make a dataset of image files.

    Raises:
        ValueError: If the images have several sizes and the settings name none.
    """
    files = [file for examples in splits.values() for file in examples.files]
    channels = settings.channels or (1 if all(file.is_grey for file in files) else 3)
    image = image_value(settings.image_size or _one_size(files), channels, resize=settings.resize)
    sources: dict[str, Source] = {
        name: FileSource(root, examples, image=image, target=target, cache=settings.cache)
        for name, examples in splits.items()
    }
    sizes = {name: len(source) for name, source in sources.items()}
    return Dataset(DatasetSpec(inputs=(image,), targets=(target,), sizes=sizes, skipped=skipped), sources)


def file_sources(dataset: Dataset) -> list[FileSource]:
    """The files that the splits of a dataset are read from, whatever is wrapped around them.

    Raises:
        ValueError: If there is no such split.
    """
    found = []
    for split in SPLITS:
        source, _ = origin(dataset.split(split))
        if isinstance(source, FileSource):
            found.append(source)
    return found


def _one_size(files: list[Scanned]) -> tuple[int, int]:
    sizes = sorted({file.size for file in files}, key=lambda size: size[0] * size[1])
    if len(sizes) > 1:
        (low, left), (high, right) = sizes[0], sizes[-1]
        raise ValueError(
            f"Images of several sizes need one to be brought to. Received: {len(sizes)} sizes, {low}x{left} to "
            f"{high}x{right}. Set `dataset.image_size`, such as [224, 224] (height, width)."
        )
    return sizes[0]
