"""The reference image reader, in NumPy and Pillow only, so that exported files get the same pixels as in training.

Every image becomes uint8 (height, width, channels): upright by EXIF, transparent parts over white, the highest byte of
the bits in use if it has 16, the first frame of an animation.
"""

from __future__ import annotations

import io
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
from PIL import ExifTags, Image, ImageOps, features

Resize = Literal["stretch", "crop", "pad"]
FIRST_FORMATS = ("JPEG", "PNG", "BMP", "GIF")  # of the earlier reading rules
FORMATS = (*FIRST_FORMATS, "WEBP", *(("AVIF",) if features.check("avif") else ()))
READABLE = "JPEG, PNG, BMP, GIF or WebP"
CONVERT = "{0} is not read: convert it to {1}, such as by `magick mogrify -format {2} *.{3}`"
UNREADABLE = {  # formats of photos that are named instead of passed over
    "HEIC": CONVERT.format("HEIC", "JPEG", "jpg", "heic"),
    "AVIF": CONVERT.format("AVIF", "JPEG", "jpg", "avif"),
    "TIFF": CONVERT.format("TIFF", "PNG", "png", "tif"),
}
HEIC_BRANDS = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs", b"mif1", b"msf1")
HEAD = 64  # first bytes, which name a file's format


class BrokenImageError(ValueError):
    """An unreadable image, with a short reason."""

    def __init__(self, message: str, reason: str):
        super().__init__(message)
        self.reason = reason


class Fit(NamedTuple):
    """Steps to resize an image: cut out this box, resize it to `inner`, and center it on black."""

    top: int
    left: int
    height: int
    width: int
    inner_height: int
    inner_width: int


def fit(size: tuple[int, int], target: tuple[int, int], rule: Resize) -> Fit:
    """Return the steps to resize an image of `size` (height, width) to `target` (height, width)."""
    (height, width), (new_height, new_width) = size, target
    box = (0, 0, height, width)
    inner = (new_height, new_width)
    is_taller = height * new_width > width * new_height
    if rule == "crop" and is_taller:
        cut = max(1, _divide(width * new_height, new_width))
        box = ((height - cut) // 2, 0, cut, width)
    elif rule == "crop":
        cut = max(1, _divide(height * new_width, new_height))
        box = (0, (width - cut) // 2, height, cut)
    elif rule == "pad" and is_taller:
        inner = (new_height, max(1, _divide(width * new_height, height)))
    elif rule == "pad":
        inner = (max(1, _divide(height * new_width, width)), new_width)
    return Fit(*box, *inner)


def resize_image(image: np.ndarray, size: tuple[int, int], rule: Resize) -> np.ndarray:
    """Resize a uint8 image (height, width, channels) to `size` (height, width): bilinear, antialiased."""
    if image.shape[:2] == tuple(size):
        return image
    top, left, height, width, *inner = fit((image.shape[0], image.shape[1]), size, rule)
    cut = image[top : top + height, left : left + width]
    picture = Image.fromarray(cut[..., 0] if image.shape[-1] == 1 else cut)
    resized = np.asarray(picture.resize((inner[1], inner[0]), Image.Resampling.BILINEAR))
    resized = resized.reshape(*inner, image.shape[-1])
    if tuple(inner) == tuple(size):
        return resized
    canvas = np.zeros((*size, image.shape[-1]), np.uint8)
    top, left = (size[0] - inner[0]) // 2, (size[1] - inner[1]) // 2
    canvas[top : top + inner[0], left : left + inner[1]] = resized
    return canvas


def decode(source: Path | str | bytes, channels: int, *, bits: int | None = None) -> np.ndarray:
    """Decode a JPEG, PNG, BMP, GIF or WebP; an AVIF, where Pillow can.

    Args:
        source: A path, or a file's bytes.
        channels: 1 for grey, 3 for RGB.
        bits: Bits that the values of a grey 16-bit file use; None for 16. The highest value becomes white.

    Returns:
        uint8 (height, width, channels), 0..255.

    Raises:
        BrokenImageError: If the file is broken or of another format; names it.
    """
    try:
        with Image.open(io.BytesIO(source) if isinstance(source, bytes) else source, formats=FORMATS) as image:
            upright = orientation(image)
            picture = _flatten(ImageOps.exif_transpose(image) if upright != 1 else image, bits or 16)
            pixels = np.asarray(picture.convert("L" if channels == 1 else "RGB"))
    except Exception as error:  # Pillow's decoders raise many kinds of exceptions on broken bytes
        name = "bytes" if isinstance(source, bytes) else source
        why = reason(error)
        if isinstance(error, Image.UnidentifiedImageError):
            why = unreadable_format(source) or why
        raise BrokenImageError(
            f"An image must be a valid {READABLE}. Received: {name} ({why}). Replace or remove it.", why
        ) from error
    return pixels.reshape(*pixels.shape[:2], channels)


def to_channels(images: np.ndarray, channels: int) -> np.ndarray:
    """Convert uint8 images (..., 1 or 3) to grey (..., 1) or RGB (..., 3), as Pillow does."""
    if images.shape[-1] == channels:
        return images
    if channels == 3:
        return np.repeat(images, 3, axis=-1)
    # ITU-R 601 in 16-bit fixed point, the same integers that Pillow and the TensorFlow reader use
    grey = images.astype(np.int32) @ np.array(GREY_WEIGHTS, np.int32)
    return ((grey + 2**15) >> 16).astype(np.uint8)[..., None]


GREY_WEIGHTS = (19595, 38470, 7471)


def orientation(image: Image.Image) -> int:
    """Read the EXIF orientation from an opened file's header; 1 is upright."""
    if not {"exif", "xmp", "XML:com.adobe.xmp", "Raw profile type exif"} & set(image.info):
        return 1  # without these keys, `getexif` would decode a whole PNG to search behind its pixels
    return image.getexif().get(ExifTags.Base.Orientation, 1)


def reason(error: Exception) -> str:
    """Shorten Pillow's error to a few words on one line."""
    if isinstance(error, Image.UnidentifiedImageError):
        return "not an image of these formats"
    return " ".join(str(error).split()) or type(error).__name__


def unreadable_format(source: Path | str | bytes) -> str | None:
    """Return the advice for a photo in a format that is not read; None for other files."""
    if isinstance(source, bytes):
        head = source[:HEAD]
    else:
        with open(source, "rb") as file:
            head = file.read(HEAD)
    if head.startswith((b"II*\0", b"MM\0*")):
        return UNREADABLE["TIFF"]
    if head[4:8] == b"ftyp" and (b"avif" in head[8:] or b"avis" in head[8:]):
        return UNREADABLE["AVIF"]
    return UNREADABLE["HEIC"] if head[4:8] == b"ftyp" and head[8:12] in HEIC_BRANDS else None


def bits_in_use(image: Image.Image, *, is_deep: bool) -> int | None:
    """Return how many bits the values of an image with 16 bits use; of colours, Pillow reads the high byte alone.

    Args:
        image: The opened file; it is decoded.
        is_deep: Whether the file has 16 bits per value.

    Returns:
        0 for a black image, to 16; None for an image with 8 bits.
    """
    if not is_deep:
        return None
    highest = int(np.asarray(image)[..., :3].max() if image.mode in ("RGB", "RGBA") else np.asarray(image).max())
    return highest.bit_length() + (8 if highest and not image.mode.startswith("I") else 0)


def _flatten(image: Image.Image, bits: int) -> Image.Image:
    """Convert to 8 bits without transparency."""
    if image.mode.startswith("I"):
        values = np.asarray(image).astype(np.int64)
        levels = values >> (bits - 8) if bits >= 8 else values * 255 // (2**bits - 1)
        return Image.fromarray(levels.clip(0, 255).astype(np.uint8))
    if image.has_transparency_data:
        image = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", image.size, "white"), image).convert("RGB")
    return image


def _divide(numerator: int, denominator: int) -> int:
    """Divide integers, rounding to the nearest."""
    return (2 * numerator + denominator) // (2 * denominator)


def write_image(path: Path, image: np.ndarray) -> None:
    """Write an image as a PNG file.

    Args:
        path: The file to write.
        image: (height, width, channels), 0..255; rounded to whole numbers.
    """
    pixels = np.clip(np.rint(image), 0, 255).astype(np.uint8)
    Image.fromarray(pixels[..., 0] if pixels.shape[-1] == 1 else pixels).save(path, "PNG")
