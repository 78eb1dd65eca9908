"""Datasets of files that are decoded on reading."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from dltemplates.datasets.features import image_value
from dltemplates.datasets.images.doubts import depth_doubts, format_doubts
from dltemplates.datasets.images.fields import ArrayField, Field, FileField, Size, fit_array, read_file
from dltemplates.datasets.images.scan import Scanned, scan
from dltemplates.datasets.ragged import Ragged
from dltemplates.datasets.source import SPLITS, Arrays, ArraySource, BaseSource, Dataset, Source, origin
from dltemplates.datasets.spec import READING_RULES, DatasetSpec
from dltemplates.features import Feature, Image
from dltemplates.features.pixels import FIRST_FORMATS, FORMATS, BrokenImageError
from dltemplates.settings import DatasetSettings


@dataclass(frozen=True)
class Examples:
    """Image files, each with a target.

    Attributes:
        names: Paths of the files below the dataset's folder.
        files: Data from their headers.
        targets: (n, ...).
    """

    names: list[str]
    files: list[Scanned]
    targets: np.ndarray

    def fields(self, image: Image, target: Feature) -> dict[str, Field]:
        """Return the two fields of these examples."""
        return {
            image.name: FileField(image, self.names, self.files),
            target.name: ArrayField(target, self.targets.astype(target.dtype)),
        }


class FileSource(BaseSource):
    """Examples with named fields, at least one of them in files that are decoded on reading.

    All fields of an example are read together: pixels are resized to one canvas, and coordinates adapted to it.

    Attributes:
        root: The folder of the files.
        fields: The fields by name: an image, its mask, its boxes, its class.
        cache: The pipeline's cache of decoded files: `none`, `memory` or `disk`.
        fail_on_bad_image: Whether a file that broke after the scan is an error; otherwise the next readable example,
            with all its fields, replaces it.
        broken: The broken files, each with the reason.
        decoded: The cached decoded examples, by canvas.

    Raises:
        ValueError: If there is no file field, the fields differ in length, or an image and its mask differ in size;
            names the file.
    """

    def __init__(self, root: Path, fields: dict[str, Field], *, cache: str = "none"):
        self.root = root
        self.fields = fields
        self.cache = cache
        self.fail_on_bad_image = True
        self.broken: dict[str, str] = {}
        self.decoded: dict[Size, ArraySource] = {}
        _check(root, fields, self.files)

    def __len__(self) -> int:
        return len(self.keys)

    @property
    def files(self) -> dict[str, FileField]:
        """The file fields."""
        return {name: field for name, field in self.fields.items() if isinstance(field, FileField)}

    @property
    def arrays(self) -> dict[str, ArrayField]:
        """The array fields."""
        return {name: field for name, field in self.fields.items() if isinstance(field, ArrayField)}

    @property
    def images(self) -> list[FileField]:
        """The image fields; the first sets the size and the resize rule for all other fields."""
        return [field for field in self.files.values() if isinstance(field.feature, Image)]

    @property
    def size(self) -> Size | None:
        """Height and width of the image; None if there is none."""
        return self.images[0].feature.shape[:2] if self.images else None

    @property
    def keys(self) -> list[str]:
        """The file names of the first field."""
        return next(iter(self.files.values())).names

    def column(self, name: str) -> np.ndarray:
        if name not in self.arrays:
            return super().column(name)
        return self.read_arrays(np.arange(len(self)), self.size)[name]

    def read(self, indices: np.ndarray) -> Arrays:
        """Read the examples at `indices` (n,).

        Raises:
            ValueError: If a file is missing or broken and `fail_on_bad_image` is set, or no file is whole; names it.
        """
        arrays = {
            name: np.empty((len(indices), *field.shape(self.size)), field.dtype) for name, field in self.files.items()
        }
        readable = np.array(indices, np.int64)
        for position, index in enumerate(indices):
            if self.fail_on_bad_image:
                example = self.read_files(index, self.size)
            else:
                example, readable[position] = self.read_readable(index, self.size)
            for name, array in example.items():
                arrays[name][position] = array
        return arrays | self.read_arrays(readable, self.size)

    def read_files(self, index: int, canvas: Size | None) -> Arrays:
        """Read the files of one example, images resized to a canvas: the reference of all readers.

        Raises:
            BrokenImageError: If a file is missing, broken, or now has an image of another size; names it.
        """
        return {name: self.read_file(name, index, canvas) for name in self.files}

    def read_file(self, name: str, index: int, canvas: Size | None) -> np.ndarray:
        """Read the file of one field of one example, as `read_files` does."""
        field = self.files[name]
        return read_file(field.feature, self.root / field.names[index], field.files[index], canvas)

    def read_arrays(self, indices: np.ndarray, canvas: Size | None) -> dict[str, Any]:
        """Return the array fields of the examples at `indices` (n,), each (n, ...), adapted to a canvas."""
        return {
            name: self._fit(field.feature, field.array[indices], indices, canvas) for name, field in self.arrays.items()
        }

    def arrays_on(self, canvas: Size | None) -> dict[str, np.ndarray | Ragged]:
        """Return the array fields of all examples, adapted to a canvas; they may be ragged."""
        every = np.arange(len(self))
        return {name: self._fit(field.feature, field.array, every, canvas) for name, field in self.arrays.items()}

    def _fit(self, feature: Feature, array: Any, indices: np.ndarray, canvas: Size | None) -> Any:
        if canvas is None:
            return array
        image = self.images[0]
        sizes = np.array([image.files[index].size for index in indices], np.int64).reshape(-1, 2)
        return fit_array(feature, array, sizes, canvas, image.feature.resize or "stretch")

    def read_readable(self, index: int, canvas: Size | None) -> tuple[Arrays, np.int64]:
        """Read the files of one example, or the next readable one if it is broken; return its index, too.

        Raises:
            ValueError: If no example is readable.
        """
        for place in (*range(index, len(self)), *range(index)):
            example = {}
            for name, field in self.files.items():
                try:
                    example[name] = self.read_file(name, place, canvas)
                except BrokenImageError as error:
                    self.broken.setdefault(field.names[place], error.reason)
                    break
            else:
                return example, np.int64(place)
        raise ValueError(f"There must be a readable image. Received: none of the {len(self)} in {self.root}.")

    def take(self, indices: np.ndarray) -> FileSource:
        """Return the examples at `indices` (n,) alone; replacements come from them, and `broken` is shared."""
        taken = copy.copy(self)
        taken.fields, taken.decoded = {name: field.take(indices) for name, field in self.fields.items()}, {}
        return taken

    def check(self) -> None:
        """Read every file, to find the one that made TensorFlow fail.

        Raises:
            ValueError: If a file is missing or broken; names the first one.
        """
        for index in range(len(self)):
            self.read_files(index, self.size)


def _check(root: Path, fields: dict[str, Field], files: dict[str, FileField]) -> None:
    if not files:
        raise ValueError(
            f"A source of files needs a file field. Received: {', '.join(fields) or 'none'}. Use `ArraySource`."
        )
    lengths = {name: len(field) for name, field in fields.items()}
    if len(set(lengths.values())) > 1:
        received = ", ".join(f"{length} of `{name}`" for name, length in lengths.items())
        raise ValueError(f"Each example must have every field. Received: {received}. Leave out incomplete examples.")
    pictures = [field for field in files.values() if field.on_canvas]
    for first, field in ((pictures[0], other) for other in pictures[1:]):
        if field.feature.shape[:2] != first.feature.shape[:2]:
            raise ValueError(
                "The fields on an image must be read at its size. Received: "
                f"{first.feature.shape[:2]} for `{first.feature.name}`, {field.feature.shape[:2]} for "
                f"`{field.feature.name}`. Give both the same height and width."
            )
        for name, file, other, expected in zip(field.names, field.files, first.names, first.files, strict=True):
            if file.size != expected.size:
                raise ValueError(
                    "The files of an example must have one size. Received: "
                    f"{root / other} ({expected.size[0]}x{expected.size[1]}) and {root / name} "
                    f"({file.size[0]}x{file.size[1]}). Correct one of them, or leave both out."
                )


def scan_files(
    root: Path, names: list[str], targets: np.ndarray, *, rules: int = READING_RULES
) -> tuple[Examples, dict[str, str]]:
    """Scan the files `names` below `root`: return the images, and the reasons for skipping the other files."""
    scanned = scan([f"{root}/{name}" for name in names], FORMATS if rules >= 3 else FIRST_FORMATS)
    skipped = {name: file for name, file in zip(names, scanned, strict=True) if isinstance(file, str)}
    readable = [index for index, file in enumerate(scanned) if isinstance(file, Scanned)]
    files = [file for file in scanned if isinstance(file, Scanned)]
    return Examples([names[index] for index in readable], files, targets[readable]), skipped


def file_dataset(
    root: Path,
    splits: dict[str, Examples],
    *,
    target: Feature,
    skipped: dict[str, str],
    settings: DatasetSettings,
    warnings: Sequence[str] = (),
) -> Dataset:
    """Build a dataset from image files.

    Args:
        root: The folder of the files.
        splits: The examples of each split.
        target: Their target.
        skipped: Skipped files, each with the reason.
        settings: The size and channels.
        warnings: Warnings about the names of files and classes.

    Raises:
        ValueError: If the images differ in size and the settings set none, or the settings stretch 16-bit colours.
    """
    files = [file for examples in splits.values() for file in examples.files]
    image_settings = settings.of_images()
    channels = image_settings.channels or (1 if all(file.is_grey for file in files) else 3)
    size, bits = image_settings.size or _one_size(files), image_settings.bits
    image = image_value(size, channels, resize=image_settings.resize, bits=bits)
    warnings = (*warnings, *format_doubts(skipped), *depth_doubts(files, bits))
    sources: dict[str, Source] = {
        name: FileSource(root, examples.fields(image, target), cache=settings.cache)
        for name, examples in splits.items()
    }
    sizes = {name: len(source) for name, source in sources.items()}
    spec = DatasetSpec(inputs=(image,), targets=(target,), sizes=sizes, skipped=skipped, warnings=warnings)
    return Dataset(spec, sources)


def file_sources(dataset: Dataset) -> list[FileSource]:
    """Return the file sources below the splits' wrappers.

    Raises:
        ValueError: If there is no such split.
    """
    sources = []
    for split in SPLITS:
        source, _ = origin(dataset.split(split))
        if isinstance(source, FileSource):
            sources.append(source)
    return sources


def _one_size(files: list[Scanned]) -> tuple[int, int]:
    sizes = sorted({file.size for file in files}, key=lambda size: size[0] * size[1])
    if len(sizes) > 1:
        (low, left), (high, right) = sizes[0], sizes[-1]
        raise ValueError(
            f"Images of different sizes must be resized to one. Received: {len(sizes)} sizes, {low}x{left} to "
            f"{high}x{right}. Set `dataset.images.size`, such as [224, 224] (height, width)."
        )
    return sizes[0]
