"""The decoded files of a source, cached in memory or on disk, so that each file is decoded once."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterable, Iterator
from importlib.metadata import version
from pathlib import Path

import numpy as np

from dltemplates.datasets.images.fields import Size
from dltemplates.datasets.images.files import FileSource
from dltemplates.datasets.source import Arrays, ArraySource
from dltemplates.datasets.storage.cache import Layout, Stored, hold_arrays, name_of, open_arrays, write_arrays
from dltemplates.datasets.storage.locate import cache_folder

Decode = Callable[[FileSource, Size], Iterable[Arrays]]


def keep_decoded(source: FileSource, canvas: Size, decode: Decode) -> ArraySource:
    """Return the examples of `source` as arrays; decode them unless they are cached.

    Args:
        source: The files.
        canvas: Height and width of the resized images.
        decode: Function that returns the fields of all examples in order, in batches.

    Returns:
        All fields: file fields (n, *canvas, channels), and array fields (n, ...) adapted to the canvas.

    Raises:
        ValueError: If a file is broken and the source has `fail_on_bad_image`.
        OSError: If the disk is full or read-only.
    """
    if canvas not in source.decoded:
        source.decoded[canvas] = _decode_or_open(source, canvas, decode)
    return source.decoded[canvas]


def cache_path(source: FileSource, canvas: Size) -> Path:
    """Return the cache folder for the decoded files of a source."""
    return cache_folder() / "decoded" / name_of(_key(source), _layout(source, canvas))


def _decode_or_open(source: FileSource, canvas: Size, decode: Decode) -> ArraySource:
    arrays = dict(source.arrays_on(canvas))
    layout = _layout(source, canvas)
    path = cache_path(source, canvas)
    cached = open_arrays(path, layout, len(source)) if source.cache == "disk" else None
    if cached is None:
        array_batches: list[Arrays] = []  # the array fields of the examples, as read

        def decoded() -> Iterator[Arrays]:
            for batch in decode(source, canvas):
                array_batches.append({name: batch[name] for name in arrays})
                yield {name: batch[name] for name in layout}

        def is_replaced() -> bool:
            names = {name for field in source.files.values() for name in field.names}
            return bool(source.broken.keys() & names)

        if source.cache == "disk":
            # Replacements of broken files are for this run only: the files may be whole again in the next.
            cached = write_arrays(path, layout, decoded(), examples=len(source), is_kept=lambda: not is_replaced())
        else:
            cached = hold_arrays(layout, decoded(), len(source))
        if is_replaced():
            arrays = {name: np.concatenate([batch[name] for batch in array_batches]) for name in arrays}
    return ArraySource({**cached.arrays, **arrays})


def _layout(source: FileSource, canvas: Size) -> Layout:
    return {name: Stored(field.dtype, field.shape(canvas)) for name, field in source.files.items()}


def _key(source: FileSource) -> str:
    """Return a digest of everything that the pixels depend on, except their layout."""
    digest = hashlib.sha256()
    versions = [version(package) for package in ("tensorflow", "pillow")]  # other decoders may give other pixels
    digest.update(f"{versions}".encode())
    for name, field in source.files.items():
        digest.update(f"{name} {field.feature!r} ".encode())
        for path, file in zip(field.names, field.files, strict=True):
            digest.update(os.fsencode(path) + b"\0" + file.digest)
    return digest.hexdigest()
