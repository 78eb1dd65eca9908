"""The decoded files of a source, kept in memory or on disk, so that each file is decoded once."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator
from importlib.metadata import version
from pathlib import Path

import numpy as np

from dltemplates.datasets.images.fields import Size
from dltemplates.datasets.images.files import FileSource
from dltemplates.datasets.source import Arrays, ArraySource
from dltemplates.datasets.storage.cache import Layout, Stored, name_of, open_arrays, write_arrays
from dltemplates.datasets.storage.locate import cache_folder

Decode = Callable[[FileSource, Size], Iterable[Arrays]]


def keep_decoded(source: FileSource, canvas: Size, decode: Decode) -> ArraySource:
    """Return the examples of `source` as arrays, decoded now unless they are already kept.

    Args:
        source: The files.
        canvas: Height and width that they are resized to.
        decode: Returns the fields of all examples, some at once, in order.

    Returns:
        All fields: those in files (n, *canvas, channels), and those in arrays (n, ...) as they are on the canvas.

    Raises:
        ValueError: If a file is broken and the source has `fail_on_bad_image`.
        OSError: If the disk is full or read-only.
    """
    if canvas not in source.kept:
        source.kept[canvas] = _keep(source, canvas, decode)
    return source.kept[canvas]


def cache_path(source: FileSource, canvas: Size) -> Path:
    """Return the folder on disk for the decoded files of a source."""
    return cache_folder() / "decoded" / name_of(_key(source), _layout(source, canvas))


def _keep(source: FileSource, canvas: Size, decode: Decode) -> ArraySource:
    arrays = dict(source.arrays_on(canvas))
    layout = _layout(source, canvas)
    path = cache_path(source, canvas)
    kept = open_arrays(path, layout, len(source)) if source.cache == "disk" else None
    if kept is None:
        read: list[Arrays] = []  # the fields in arrays, of the examples that were read

        def decoded() -> Iterator[Arrays]:
            for batch in decode(source, canvas):
                read.append({name: batch[name] for name in arrays})
                yield {name: batch[name] for name in layout}

        def is_replaced() -> bool:
            names = {name for field in source.files.values() for name in field.names}
            return bool(source.broken.keys() & names)

        if source.cache == "disk":
            # What replaces a broken file is for this run only: the file may be whole again at the next.
            kept = write_arrays(path, layout, decoded(), examples=len(source), is_kept=lambda: not is_replaced())
        else:
            kept = _in_memory(layout, decoded(), len(source))
        if is_replaced():
            arrays = {name: np.concatenate([batch[name] for batch in read]) for name in arrays}
    return ArraySource({**kept.arrays, **arrays})


def _in_memory(layout: Layout, batches: Iterable[Arrays], examples: int) -> ArraySource:
    arrays = {name: np.empty((examples, *stored.shape), stored.dtype) for name, stored in layout.items()}
    start = 0
    for batch in batches:
        end = start + len(next(iter(batch.values())))
        for name, array in arrays.items():
            array[start:end] = batch[name]
        start = end
    return ArraySource(arrays)


def _layout(source: FileSource, canvas: Size) -> Layout:
    return {name: Stored(field.dtype, field.shape(canvas)) for name, field in source.files.items()}


def _key(source: FileSource) -> str:
    """All that the pixels depend on, beside their layout."""
    digest = hashlib.sha256()
    versions = [version(package) for package in ("tensorflow", "pillow")]  # another decoder may give other pixels
    digest.update(f"{versions}".encode())
    for name, field in source.files.items():
        digest.update(f"{name} {field.feature!r} ".encode())
        for path, file in zip(field.names, field.files, strict=True):
            digest.update(path.encode() + b"\0" + file.digest)
    return digest.hexdigest()
