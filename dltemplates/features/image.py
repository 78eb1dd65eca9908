"""Images."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar, Literal

import numpy as np

from dltemplates.features.feature import Arrays, Feature
from dltemplates.features.pixels import Resize, decode, resize_image, write_image

RESIZE_RULES: dict[Resize, str] = {
    "stretch": "stretched to {0}x{1} (height x width)",
    "crop": "the middle of the aspect ratio of {0}x{1} (height x width), then scaled to that",
    "pad": "scaled to fit into {0}x{1} (height x width), black around it",
}


class Image(Feature):
    """An image: (height, width, channels), 0 to 255.

    How an image file becomes this array is said by `upright`, `background`, `color`, `resize` and `filter`, in this
    order. A loader on another platform follows them.

    Attributes:
        resize: How an image of another size is brought to `shape`; None for an image that is read from no file.
        upright: An image is turned as its EXIF orientation says.
        background: What is behind transparent parts.
        filter: How pixels are interpolated; with antialiasing where the image shrinks.
    """

    suffix: ClassVar = ".png"
    takes_bytes: ClassVar = True

    kind: Literal["image"] = "image"
    resize: Resize | None = None
    upright: Literal[True] = True
    background: Literal["white"] = "white"
    filter: Literal["bilinear"] = "bilinear"

    @property
    def color(self) -> Literal["grey", "rgb"] | None:
        """The colours that a file is decoded to: `grey` by ITU-R 601 luma, or `rgb`; None for other channels."""
        return {1: "grey", 3: "rgb"}.get(self.shape[-1])  # type: ignore[return-value]

    @property
    def preparation(self) -> str:
        """All that is done to an image file, in a sentence for people; empty for an image that is read from no file."""
        if self.resize is None:
            return ""
        colors = {"grey": "grey, ITU-R 601 luma", "rgb": "RGB"}.get(self.color or "", f"{self.shape[-1]} channels")
        size = RESIZE_RULES[self.resize].format(*self.shape)
        over = f"transparency over {self.background}; {colors}"
        return f"upright by EXIF; {over}; {size}, {self.filter} with antialiasing"

    @property
    def limits(self) -> tuple[float, float]:
        """A byte's."""
        return 0.0, 255.0

    @property
    def unit(self) -> float:
        """White."""
        return 255.0

    def clip(self, array: np.ndarray) -> np.ndarray:
        """Cut off what is darker than black or brighter than white."""
        return np.clip(array, 0, 255)

    def calibrate(self, array: np.ndarray) -> None:
        """Give one pixel of the last two images either end of a byte's range, so that the input's range is just that.

        Whole images of black and white would stretch the ranges behind it too.
        """
        array[-2, 0, 0] = 0
        array[-1, 0, 0] = 255

    def read(self, given: Path | str | bytes) -> Arrays:
        """Read an image file, or its bytes.

        Args:
            given: A path, or the bytes of a JPEG, PNG, BMP or GIF.

        Returns:
            uint8 (1, *shape) by name.

        Raises:
            ValueError: If it is no image, or a broken one; names it.
        """
        height, width, channels = self.shape
        pixels = resize_image(decode(given, channels), (height, width), self.resize or "stretch")
        return {self.name: pixels[None]}

    def write(self, path: Path, array: np.ndarray) -> None:
        """Write an image (*shape), 0 to 255, as a PNG file."""
        write_image(path, array)
