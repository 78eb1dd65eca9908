"""The named fields of examples in files, and their reference readers in NumPy and Pillow.

A new kind of feature in files registers its reader: `@read_file.register`. A kind with coordinates on the image also
registers `@fit_array.register`.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from dltemplates.datasets.images.scan import Scanned
from dltemplates.datasets.ragged import Ragged
from dltemplates.features import Boxes, Image, Resize
from dltemplates.features.boxes import PADDING
from dltemplates.features.pixels import BrokenImageError, decode, fit, resize_image

Size = tuple[int, int]  # height and width


@dataclass(frozen=True)
class FileField:
    """A field with one file per example.

    Attributes:
        feature: The feature in the files.
        names: Paths of the files below the dataset's folder.
        files: Data from their headers.
        dtype: Dtype of the arrays from `read_file`.
        on_canvas: Whether it is resized to the canvas with the image: true for an image or a mask, but not for a sound.
    """

    feature: Any
    names: list[str]
    files: list[Scanned]
    dtype: str = "uint8"
    on_canvas: bool = True

    def __len__(self) -> int:
        return len(self.names)

    def shape(self, canvas: Size | None) -> tuple[int, ...]:
        """Return the shape of the arrays from `read_file`."""
        return (*canvas, *self.feature.shape[2:]) if canvas and self.on_canvas else self.feature.shape

    def take(self, indices: np.ndarray) -> FileField:
        """Return the files at `indices` alone, in that order."""
        return replace(self, names=[self.names[i] for i in indices], files=[self.files[i] for i in indices])


@dataclass(frozen=True)
class ArrayField:
    """A field in an array.

    Attributes:
        feature: The feature in the array.
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
        feature: The feature in the file.
        path: The file.
        file: Data from its header, from the scan.
        canvas: Height and width to resize to, if the field is on the canvas; None for examples without an image.

    Returns:
        An array of the shape and dtype of the field.

    Raises:
        BrokenImageError: If the file is missing, broken, or changed since the scan; names it.
    """
    raise TypeError(
        f"A file field needs a reader for its kind. Received: `{feature.name}` of kind {type(feature).__name__}. "
        "Register one with `read_file.register`."
    )


@read_file.register
def _(feature: Image, path: Path, file: Scanned, canvas: Size | None) -> np.ndarray:
    pixels = decode(path, feature.shape[2], bits=feature.bits)
    was, now = file.size, pixels.shape[:2]
    if now != was:
        change = f"{now[0]}x{now[1]} now, {was[0]}x{was[1]} when it was scanned"
        raise BrokenImageError(
            f"An image must keep its size while it is in use. Received: {path} ({change}). "
            "Start again, or restore the old file.",
            change,
        )
    return resize_image(pixels, canvas or (feature.shape[0], feature.shape[1]), feature.resize or "stretch")


@functools.singledispatch
def fit_array(feature: Any, array: Any, sizes: np.ndarray, canvas: Size, rule: Resize) -> Any:
    """Adapt an array's coordinates to images resized to a canvas. Most features have none.

    Args:
        feature: The feature in the array.
        array: The raw array, (n, ...); may be `Ragged`.
        sizes: Height and width of the images, (n, 2).
        canvas: Height and width of the resized images.
        rule: The resize rule.

    Returns:
        (n, ...).
    """
    return array


@fit_array.register
def _(feature: Boxes, array: Any, sizes: np.ndarray, canvas: Size, rule: Resize) -> Any:
    if rule == "stretch":
        return array  # stretching keeps shares of width and height
    boxes = array[:] if isinstance(array, Ragged) else array
    fits = np.array([fit((height, width), canvas, rule) for height, width in sizes.tolist()]).reshape(-1, 6)
    top, left, height, width, inner_height, inner_width = fits.T[:, :, None, None].astype(boxes.dtype)
    x, y = boxes[..., 0::2], boxes[..., 1::2]  # (n, max_boxes, 2): left and right, top and bottom
    full_height, full_width = sizes.T[:, :, None, None].astype(boxes.dtype)
    x = (x * full_width - left) / width * inner_width + (canvas[1] - inner_width) // 2
    y = (y * full_height - top) / height * inner_height + (canvas[0] - inner_height) // 2
    fitted = np.stack([x[..., 0], y[..., 0], x[..., 1], y[..., 1]], axis=-1)
    fitted = np.clip(fitted / np.array([canvas[1], canvas[0]] * 2, boxes.dtype), 0, 1)
    is_box = (fitted[..., 2] > fitted[..., 0]) & (fitted[..., 3] > fitted[..., 1])
    return np.where(is_box[..., None], fitted, np.array(PADDING, boxes.dtype))
