"""Images."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar, Literal

import numpy as np

from dltemplates.features.feature import BYTE_OFFSETS, Arrays, Feature
from dltemplates.features.pixels import Resize, decode, resize_image, write_image

RESIZE_RULES: dict[Resize, str] = {
    "stretch": "stretched to {0}x{1} (height x width)",
    "crop": "center-cropped to the aspect ratio of {0}x{1} (height x width), then scaled to that size",
    "pad": "scaled to fit into {0}x{1} (height x width), black around it",
}


class Image(Feature):
    """An image: (height, width, channels), 0 to 255.

    `upright`, `bits`, `background`, `color`, `resize` and `filter` say, in this order, how to turn an image file into
    this array. A loader on another platform follows them.

    Attributes:
        resize: How to resize an image to `shape`; None if the image is not read from a file.
        upright: Rotate the image as its EXIF orientation says.
        background: Color behind transparent parts.
        filter: Interpolation of pixels, with antialiasing when the image shrinks.
        bits: Bits that the values of 16-bit files use: `value >> (bits - 8)` is a byte; None for 16.
        mean: In an integer file whose input tensor encodes `(pixel - mean) * scale`, its whole number; else None. The
            file takes bytes in any case.
        scale: Factor of these numbers.
    """

    suffix: ClassVar = ".png"
    takes_bytes: ClassVar = True

    kind: Literal["image"] = "image"
    resize: Resize | None = None
    upright: Literal[True] = True
    background: Literal["white"] = "white"
    filter: Literal["bilinear"] = "bilinear"
    bits: int | None = None
    mean: int | None = None
    scale: float | None = None

    @property
    def color(self) -> Literal["grey", "rgb"] | None:
        """Colors to decode a file to: `grey` by ITU-R 601 luma, or `rgb`; None for other channels."""
        return {1: "grey", 3: "rgb"}.get(self.shape[-1])  # type: ignore[return-value]

    @property
    def preparation(self) -> str:
        """All preprocessing of an image file, as a sentence for people; empty if the image is not read from a file."""
        if self.resize is None:
            return ""
        colors = {"grey": "grey, ITU-R 601 luma", "rgb": "RGB"}.get(self.color or "", f"{self.shape[-1]} channels")
        size = RESIZE_RULES[self.resize].format(*self.shape)
        over = f"transparency over {self.background}; {colors}"
        deep = "" if self.bits is None else f"16-bit values read as {self.bits}-bit; "
        return f"upright by EXIF; {deep}{over}; {size}, {self.filter} with antialiasing"

    @property
    def limits(self) -> tuple[float, float]:
        """Range of a byte."""
        return 0.0, 255.0

    @property
    def unit(self) -> float:
        """Value of white."""
        return 255.0

    def clip(self, array: np.ndarray) -> np.ndarray:
        """Clip to the range from black to white."""
        return np.clip(array, 0, 255)

    def encode(self, array: np.ndarray) -> np.ndarray:
        """Encode as any feature does; the pixels of a file with a mean become bytes, or centered and scaled floats."""
        if self.mean is None or self.scale is None:
            return super().encode(array)
        if self.dtype in BYTE_OFFSETS:
            return (np.clip(np.rint(array), 0, 255).astype(np.int16) + BYTE_OFFSETS[self.dtype]).astype(self.dtype)
        return ((array.astype(np.float32) - np.float32(self.mean)) * np.float32(self.scale)).astype(self.dtype)

    def byte_quantization(self, dtype: str) -> tuple[float, int]:
        """Return the scale and the zero point that leave bytes as they are, and center and scale them."""
        _, offset = super().byte_quantization(dtype)
        return self.scale or 1.0, (self.mean or 0) + offset

    def calibrate(self, array: np.ndarray) -> None:
        """Set one pixel of the last two images to 0 and 255, so that the input's range is exactly a byte's.

        Fully black and white images would also stretch the ranges of later layers.
        """
        array[-2, 0, 0] = 0
        array[-1, 0, 0] = 255

    def read(self, file: Path | str | bytes) -> Arrays:
        """Read an image file, or its bytes.

        Args:
            file: A path, or the bytes of a JPEG, PNG, BMP, GIF or WebP.

        Returns:
            uint8 (1, *shape), keyed by name.

        Raises:
            ValueError: If the file is broken or not an image; names it.
        """
        height, width, channels = self.shape
        pixels = resize_image(decode(file, channels, bits=self.bits), (height, width), self.resize or "stretch")
        return {self.name: pixels[None]}

    def write(self, path: Path, array: np.ndarray) -> None:
        """Write an image (*shape), 0 to 255, to a PNG file."""
        write_image(path, array)
