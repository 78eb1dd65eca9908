"""The named fields of examples that lie in files, and how NumPy and Pillow read them: the reference.

A new kind of feature that lies in files registers its reader, `@read_file.register`; one whose numbers are places on
the image registers `@fit_array.register`.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from dltemplates.datasets.images import BrokenImageError, decode, resize_image
from dltemplates.datasets.ragged import Ragged
from dltemplates.datasets.scan import Scanned
from dltemplates.datasets.spec import Resize, Value

Size = tuple[int, int]  # height and width


@dataclass(frozen=True)
class FileField:
    """A field of which each example has a file.

    Attributes:
        feature: What the files hold.
        names: Their paths below the folder of the dataset.
        files: What their headers say.
        dtype: Of what `read_file` returns.
        on_canvas: Whether it has a height and a width, which are those of the canvas that the image is resized to:
            an image, a mask, but not a sound.
    """

    feature: Any
    names: list[str]
    files: list[Scanned]
    dtype: str = "uint8"
    on_canvas: bool = True

    def __len__(self) -> int:
        return len(self.names)

    def shape(self, canvas: Size | None) -> tuple[int, ...]:
        """Return the shape of what `read_file` returns."""
        return (*canvas, *self.feature.shape[2:]) if canvas and self.on_canvas else self.feature.shape

    def take(self, indices: np.ndarray) -> FileField:
        """Return the files at `indices` alone, in that order."""
        return replace(self, names=[self.names[i] for i in indices], files=[self.files[i] for i in indices])


@dataclass(frozen=True)
class ArrayField:
    """A field that is held in an array.

    Attributes:
        feature: What the array holds.
        array: (examples, ...).
    """

    feature: Any
    array: np.ndarray | Ragged

    def __len__(self) -> int:
        return len(self.array)

    def take(self, indices: np.ndarray) -> ArrayField:
        """Return the examples at `indices` alone, in that order."""
        array = self.array
        return replace(self, array=array.take(indices) if isinstance(array, Ragged) else array[indices])


Field = FileField | ArrayField


@functools.singledispatch
def read_file(feature: Any, path: Path, file: Scanned, canvas: Size | None) -> np.ndarray:
    """Read one file.

    Args:
        feature: What the file holds.
        path: The file.
        file: What its header said when it was scanned.
        canvas: Height and width to resize to, if it has a height and a width; None where an example has no image.

    Returns:
        An array of the shape and dtype of the field.

    Raises:
        BrokenImageError: If the file is gone, broken, or another than was scanned; names it.
    """
    raise TypeError(
        f"A field of files needs a reader of its kind. Received: `{feature.name}` of kind {type(feature).__name__}. "
        "Register one with `read_file.register`."
    )


@read_file.register
def _(feature: Value, path: Path, file: Scanned, canvas: Size | None) -> np.ndarray:
    pixels = decode(path, feature.shape[2])
    was, now = file.size, pixels.shape[:2]
    if now != was:
        change = f"{now[0]}x{now[1]} now, {was[0]}x{was[1]} when it was scanned"
        raise BrokenImageError(
            f"An image must keep its size while it is in use. Received: {path} ({change}). "
            "Start anew, or put the old one back.",
            change,
        )
    return resize_image(pixels, canvas or (feature.shape[0], feature.shape[1]), feature.resize or "stretch")


@functools.singledispatch
def fit_array(feature: Any, array: Any, sizes: np.ndarray, canvas: Size, rule: Resize) -> Any:
    """Move what an array says of images to where it is on a canvas. Most features do not depend on that.

    Args:
        feature: What the array holds.
        array: (n, ...), as it lies in the data; may be `Ragged`.
        sizes: Height and width of the images, (n, 2).
        canvas: Height and width that the images are resized to.
        rule: How.

    Returns:
        (n, ...).
    """
    return array
