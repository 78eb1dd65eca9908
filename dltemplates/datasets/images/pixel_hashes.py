"""Hashes of decoded pictures: equal pixels have equal hashes, whatever the files' names, metadata or formats.

Each file is decoded once: hashes that took long stay in the cache folder for later commands.
"""

from __future__ import annotations

import hashlib
import io
import os
import time
import uuid
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from importlib.metadata import version
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from dltemplates.datasets.images.scan import Scanned
from dltemplates.datasets.storage.locate import cache_folder
from dltemplates.features.pixels import FORMATS, BrokenImageError, decode, orientation, to_channels

MIN_SECONDS = 1.0  # cache hashes that took at least so long
MAX_THREADS = 16
VERSION = 2  # of the hashes; earlier ones know only the high bytes of 16-bit images


def hash_pixels(image: np.ndarray) -> int:
    """Return the hash of a uint8 image (height, width, 1 or 3); a grey image equals its copy in RGB."""
    pixels = np.ascontiguousarray(to_channels(image, 3))
    digest = hashlib.blake2b(np.array(pixels.shape, "<u4").tobytes(), digest_size=8)
    digest.update(pixels.data)
    return int.from_bytes(digest.digest(), "little")


def hash_files(root: Path, names: Sequence[str], files: Sequence[Scanned]) -> np.ndarray:
    """Return the hash of each file's pixels, uint64 (n,). An unreadable file gets the hash of its bytes.

    Args:
        root: The folder of the files.
        names: Their paths below it.
        files: Data from their headers.
    """
    keys = np.array([_key(root / name, file) for name, file in zip(names, files, strict=True)], np.uint64)
    # Another version of Pillow or of the hashes may give others.
    name = _digest(os.fsencode(f"{root.resolve()} {version('pillow')} {VERSION}")).hex()
    path = cache_folder() / "pixels" / f"{name}.npy"
    known = _read(path)
    hashes = np.array([known.get(key, 0) for key in keys.tolist()], np.uint64)
    new = np.array([index for index, key in enumerate(keys.tolist()) if key not in known], np.int64)
    start = time.monotonic()
    with ThreadPoolExecutor(min(os.cpu_count() or 1, MAX_THREADS)) as pool:  # Pillow decodes without Python's lock
        found = list(pool.map(lambda index: _hash_file(root / names[index], files[index]), new))
    for index, value in zip(new.tolist(), found, strict=True):
        hashes[index] = int.from_bytes(_digest(files[index].digest), "little") if value is None else value
    if time.monotonic() - start >= MIN_SECONDS:
        whole = [index for index, value in zip(new.tolist(), found, strict=True) if value is not None]
        _write(path, known | dict(zip(keys[whole].tolist(), hashes[whole].tolist(), strict=True)))
    return hashes


def _hash_file(path: Path, file: Scanned) -> int | None:
    """Return the hash of a file's pixels, with all bits of grey 16-bit ones; None if it is unreadable."""
    try:
        pixels = decode(path, 3)
    except BrokenImageError:  # training reports it, or replaces it
        return None
    if file.bits is not None and file.is_grey:
        high, low = pixels[..., 0], _low_bytes(path)
        if low is not None and low.any() and (low != high).any():  # else a copy of an 8-bit image
            pixels = np.stack([high, low, np.zeros_like(low)], axis=-1)
    return hash_pixels(pixels)


def _low_bytes(path: Path) -> np.ndarray | None:
    """Return the low bytes of a 16-bit image, uint8 (height, width); None if Pillow reads the high ones alone."""
    with Image.open(path, formats=FORMATS) as image:
        if not image.mode.startswith("I"):
            return None
        upright = ImageOps.exif_transpose(image) if orientation(image) != 1 else image
        return (np.asarray(upright) & 255).astype(np.uint8)


def _key(path: Path, file: Scanned) -> int:
    """Return a hash that changes with the file. Its last bytes are not enough: those of two bitmaps may be equal."""
    try:
        changed = path.stat().st_mtime_ns
    except OSError:
        changed = 0
    return int.from_bytes(_digest(os.fsencode(f"{path} {changed} ") + file.digest), "little")


def _digest(content: bytes) -> bytes:
    return hashlib.blake2b(content, digest_size=8).digest()


def _read(path: Path) -> dict[int, int]:
    """Read cached hashes by key; none if there is no valid file."""
    try:
        pairs = np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError):
        return {}
    if pairs.dtype != np.uint64 or pairs.ndim != 2 or len(pairs) != 2:
        return {}
    return dict(zip(*pairs.tolist(), strict=True))


def _write(path: Path, hashes: dict[int, int]) -> None:
    content = io.BytesIO()
    np.save(content, np.array([list(hashes), list(hashes.values())], np.uint64))
    partial = path.with_name(f"{path.name}.{uuid.uuid4().hex}.partial")
    with suppress(OSError):  # without a cache, the files are decoded again
        path.parent.mkdir(parents=True, exist_ok=True)
        partial.write_bytes(content.getvalue())
        os.replace(partial, path)
