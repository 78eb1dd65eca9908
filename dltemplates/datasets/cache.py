"""Decoded images of file datasets, kept in memory or on disk, so that each file is decoded once.

On disk they are a `.npy` in the cache folder, mapped into memory and read where an example asks for it. Its name is a
digest of all that its pixels depend on; it is written beside its place and moved there when it is whole.
"""

from __future__ import annotations

import hashlib
import os
import uuid
from collections.abc import Callable, Iterable
from importlib.metadata import version
from pathlib import Path

import numpy as np

from dltemplates.datasets.files import FileSource
from dltemplates.datasets.locate import cache_folder
from dltemplates.datasets.source import ArraySource

Size = tuple[int, int]
Decode = Callable[[FileSource, Size], Iterable[tuple[int, np.ndarray, np.ndarray]]]


def keep_decoded(source: FileSource, size: Size, decode: Decode) -> ArraySource:
    """The examples of `source` as arrays, decoded now unless they are already kept.

    Args:
        source: The image files.
        size: Height and width that images are brought to.
        decode: Gives all examples in order: the index of the first, some images and as many targets.

    Returns:
        Images uint8 (n, *size, channels) and targets (n, ...).

    Raises:
        ValueError: If a file is broken and the source strict.
        OSError: If the disk is full or read-only.
    """
    if size not in source.kept:
        source.kept[size] = (
            _on_disk(source, size, decode) if source.cache == "disk" else _in_memory(source, size, decode)
        )
    return source.kept[size]


def cache_path(source: FileSource, size: Size) -> Path:
    """Where the decoded images of a source are kept on disk."""
    digest = hashlib.sha256()
    versions = [version(package) for package in ("tensorflow", "pillow")]  # another decoder may give other pixels
    digest.update(f"{_shape(source, size)} {source.image.resize} {versions}".encode())
    for name, file in zip(source.examples.names, source.examples.files, strict=True):
        digest.update(name.encode() + b"\0" + file.digest)
    return cache_folder() / "decoded" / f"{digest.hexdigest()[:40]}.npy"


def _in_memory(source: FileSource, size: Size, decode: Decode) -> ArraySource:
    return _fill(source, size, decode, np.empty(_shape(source, size), np.uint8))


def _on_disk(source: FileSource, size: Size, decode: Decode) -> ArraySource:
    path = cache_path(source, size)
    images = _open(path, _shape(source, size))
    if images is not None:
        return ArraySource({source.image.name: images, source.target.name: source.targets})
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f"{path.name}.{uuid.uuid4().hex}.partial")
    try:
        images = np.lib.format.open_memmap(partial, mode="w+", dtype=np.uint8, shape=_shape(source, size))
        with partial.open("r+b") as file:  # a full disk is an error here, and a crash once the array is written to
            os.posix_fallocate(file.fileno(), 0, partial.stat().st_size)
        filled = _fill(source, size, decode, images)
        images.flush()
        # What stands in for a broken file is for this run only: the file may be whole again at the next.
        if filled.arrays[source.target.name] is source.targets:
            os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)
    return filled


def _open(path: Path, shape: tuple[int, ...]) -> np.ndarray | None:
    """The array at `path`; None if there is none, or another than it must be."""
    try:
        images = np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError, EOFError):
        return None
    is_whole = isinstance(images, np.memmap) and images.offset + images.nbytes == path.stat().st_size
    return images if is_whole and images.shape == shape and images.dtype == np.uint8 else None


def _fill(source: FileSource, size: Size, decode: Decode, images: np.ndarray) -> ArraySource:
    targets = source.targets.copy()
    for start, some, of_them in decode(source, size):
        images[start : start + len(some)] = some
        targets[start : start + len(some)] = of_them
    targets = targets if source.broken.keys() & set(source.examples.names) else source.targets
    return ArraySource({source.image.name: images, source.target.name: targets})


def _shape(source: FileSource, size: Size) -> tuple[int, ...]:
    return (len(source), *size, source.image.shape[2])
