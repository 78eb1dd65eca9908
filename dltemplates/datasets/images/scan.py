"""Scanning of image files by their headers: fast enough to scan every file before training."""

from __future__ import annotations

import hashlib
import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import BinaryIO, Literal

from PIL import Image, ImageFile

from dltemplates.compat import jpeg_sampling, pixel_coding
from dltemplates.features.pixels import (
    FORMATS,
    READABLE,
    bits_in_use,
    decode,
    orientation,
    reason,
    unreadable_format,
)

Decoder = Literal["jpeg", "png", "bmp", "pillow"]

# Last bytes of a whole file. A file with other last bytes is decoded once, to check that it is whole.
ENDINGS = {"JPEG": b"\xff\xd9", "MPO": b"\xff\xd9", "PNG": b"IEND\xaeB`\x82", "GIF": b";"}
GREY_MODES = ("1", "L", "LA", "I", "I;16", "I;16B")
CHUNK = 256
TAIL = 64 * 1024  # last bytes, which identify a file together with its name and size
UPSAMPLED_ALIKE = ({(1, 1)}, {(1, 1), (2, 1)}, {(1, 1), (2, 2)})  # chroma sampling: none, 4:2:2, 4:2:0


@dataclass(frozen=True, slots=True)
class Scanned:
    """One scanned image file.

    Attributes:
        size: Height and width, upright.
        is_grey: Whether it has no colours.
        decoder: The TensorFlow decoder that gives the same pixels as Pillow; else `pillow`.
        digest: Digest of its length and last bytes.
        length: Its length in bytes.
        bits: Bits that its values use, if it has 16; None if it has 8.
    """

    size: tuple[int, int]
    is_grey: bool
    decoder: Decoder
    digest: bytes
    length: int
    bits: int | None = None


def scan(paths: list[str], formats: tuple[str, ...] = FORMATS) -> list[Scanned | str]:
    """Scan image files of some formats: return each one's data, or the reason why it is unreadable."""

    def scan_chunk(chunk: list[str]) -> list[Scanned | str]:
        return [_scan(path, formats) for path in chunk]

    chunks = [paths[start : start + CHUNK] for start in range(0, len(paths), CHUNK)]
    with ThreadPoolExecutor(max_workers=8) as pool:  # some threads parse while others wait for the disk
        return [file for chunk in pool.map(scan_chunk, chunks) for file in chunk]


def _scan(path: str, formats: tuple[str, ...]) -> Scanned | str:
    try:
        with open(path, "rb") as file, Image.open(file, formats=formats) as image:
            upright = orientation(image)
            height, width = image.size if upright >= 5 else image.size[::-1]  # orientations 5..8 swap the sides
            length = os.fstat(file.fileno()).st_size
            file.seek(max(0, length - TAIL))
            tail = file.read()
            has_end = tail.endswith(ENDINGS.get(image.format or "", b"never so"))
            is_whole = has_end or _is_whole_webp(image, file, length)
            # Pillow accepts a missing end, but TensorFlow does not.
            is_plain = upright == 1 and (is_whole or image.format == "BMP")
            decoder: Decoder = _decoder(image) if is_plain else "pillow"
            is_grey, (_, rawmode) = _is_grey(image), pixel_coding(image) or ("", "")
            bits = bits_in_use(image, is_deep=";16" in str(rawmode))
            scanned = Scanned((height, width), is_grey, decoder, _digest(length, tail), length, bits)
        if not is_whole:
            decode(path, 3)
    except Image.UnidentifiedImageError:
        return unreadable_format(path) or f"no {READABLE}"
    except Exception as error:  # Pillow's readers raise many kinds of exceptions on broken bytes
        return f"broken: {reason(error.__cause__ if isinstance(error.__cause__, Exception) else error)}"
    return scanned


def _is_whole_webp(image: Image.Image, file: BinaryIO, length: int) -> bool:
    """Return whether a file is a WebP with all the bytes that its first ones announce."""
    if image.format != "WEBP":
        return False
    file.seek(4)
    return length >= int.from_bytes(file.read(4), "little") + 8


def _is_grey(image: Image.Image) -> bool:
    if image.mode == "P" and image.palette is not None:
        step = len(image.palette.rawmode or image.palette.mode)
        colours = bytes(image.palette.palette)
        return colours[0::step] == colours[1::step] == colours[2::step]
    return image.mode in GREY_MODES


def _digest(length: int, tail: bytes) -> bytes:
    return hashlib.sha256(length.to_bytes(8, "little") + tail).digest()


def _decoder(image: ImageFile.ImageFile) -> Decoder:
    """Return the TensorFlow decoder that gives the same pixels as Pillow; else `pillow`."""
    coding = None if image.has_transparency_data else pixel_coding(image)
    if coding is None:
        return "pillow"
    codec, rawmode = coding
    if image.format in ("JPEG", "MPO") and image.mode in ("L", "RGB"):
        return "jpeg" if image.mode == "L" or jpeg_sampling(image) in UPSAMPLED_ALIKE else "pillow"
    if image.format == "PNG" and codec == "zip" and rawmode in ("L", "RGB") and not getattr(image, "is_animated", 0):
        return "png"
    if image.format == "BMP" and codec == "raw" and rawmode == "BGR":
        return "bmp"
    return "pillow"
