"""A cache of arrays on disk, memory-mapped and read on demand.

A cache is a folder with one `.npy` file per array. Its name is a digest of everything that the numbers depend on. It
is written to a temporary folder and moved into place when complete; an incomplete one is written again.
"""

from __future__ import annotations

import errno
import hashlib
import math
import os
import shutil
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np

from dltemplates.datasets.ragged import Ragged
from dltemplates.datasets.source import ArraySource
from dltemplates.datasets.storage.locate import cache_folder

FORMAT = 1  # version of the files; part of a cache's name

Batch = Mapping[str, Any]  # arrays (m, ...) by name; a sequence of m arrays for a ragged one


@dataclass(frozen=True)
class Stored:
    """One array of a cache.

    Attributes:
        dtype: The NumPy dtype.
        shape: Shape of an example; of a row for a ragged array.
        is_ragged: Whether examples differ in their number of rows; their rows are stored one after the other.
        length: Rows of each ragged example after padding; None for those of the longest.
        fill: The number in padding rows of a ragged array.
    """

    dtype: str
    shape: tuple[int, ...]
    is_ragged: bool = False
    length: int | None = None
    fill: float = 0

    def __post_init__(self) -> None:
        if np.dtype(self.dtype).hasobject:
            raise ValueError(
                f"A cache holds numbers and text of a fixed length. Received: dtype {self.dtype}. "
                "Encode it, for example as bytes of dtype uint8."
            )


Layout = Mapping[str, Stored]


def convert(examples: Callable[[], Iterable[Batch]], layout: Layout, key: str) -> ArraySource:
    """Convert sequential examples into a source with random access, once.

    Args:
        examples: Function that returns the examples, each a dict of arrays by name; called if the cache lacks them.
        layout: The arrays.
        key: A text that names everything the examples depend on: a file's digest, the reader's version.

    Returns:
        The examples in their order, from the user's cache folder.

    Raises:
        ValueError: If there is no example, or one has another shape or dtype than the layout says.
        OSError: If the disk is full or read-only.
    """
    path = cache_folder() / "converted" / name_of(key, layout)
    source = open_arrays(path, layout)
    if source is not None:
        return source
    batches = ({name: np.asarray(array)[None] for name, array in example.items()} for example in examples())
    return write_arrays(path, layout, batches)


def name_of(key: str, layout: Layout) -> str:
    """Return the name of a cache: a digest of its key and its layout."""
    return hashlib.sha256(f"{FORMAT} {sorted(layout.items())} {key}".encode()).hexdigest()[:40]


def open_arrays(path: Path, layout: Layout, examples: int | None = None) -> ArraySource | None:
    """Open the cache at `path`; None if it is missing or incomplete.

    Args:
        path: Its folder.
        layout: Its arrays.
        examples: The number of examples that it must hold; None if unknown.
    """
    arrays: dict[str, Any] = {}
    for name, stored in layout.items():
        values: Any = _open(_values(path, name), stored.dtype, stored.shape)
        if values is not None and stored.is_ragged:
            offsets = _open(_offsets(path, name), "int64", ())
            values = None if offsets is None else _ragged(values, offsets, stored)
        if values is None:
            return None
        arrays[name] = values
    lengths = {len(array) for array in arrays.values()} | ({examples} if examples is not None else set())
    return ArraySource(arrays) if len(lengths) == 1 else None


def write_arrays(
    path: Path,
    layout: Layout,
    batches: Iterable[Batch],
    *,
    examples: int | None = None,
    is_kept: Callable[[], bool] = lambda: True,
) -> ArraySource:
    """Write a cache, and open it.

    Args:
        path: Its folder.
        layout: Its arrays.
        batches: All examples in their order.
        examples: The number of examples, if known; a disk without space for them is refused at once.
        is_kept: Called after writing; returns whether the cache stays for later runs.

    Raises:
        ValueError: If there is no example, or one has another shape or dtype than the layout says.
        OSError: If the disk is full or read-only; nothing is left behind.
    """
    partial = path.with_name(f"{path.name}.{uuid.uuid4().hex}.partial")
    try:
        with _explaining(path.parent):
            partial.mkdir(parents=True)
            _check_space(partial, layout, examples or 0)
        written = _write(partial, layout, batches)
        # Files may be moved or removed while they are mapped.
        source = open_arrays(partial, layout, written)
        if source is None:
            raise ValueError(
                f"All arrays of a cache must hold the same number of examples. Received: {written} of "
                f"`{next(iter(layout))}`, and other numbers of {', '.join([*layout][1:])}. Correct the reader."
            )
        if is_kept():
            with _explaining(path.parent):
                _move(partial, path)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return source


def hold_arrays(layout: Layout, batches: Iterable[Batch], examples: int) -> ArraySource:
    """Hold examples in memory.

    Args:
        layout: The arrays, none of them ragged.
        batches: All examples in their order.
        examples: Their number.
    """
    arrays = {name: np.empty((examples, *stored.shape), stored.dtype) for name, stored in layout.items()}
    start = 0
    for batch in batches:
        end = start + len(next(iter(batch.values())))
        for name, array in arrays.items():
            array[start:end] = batch[name]
        start = end
    return ArraySource(arrays)


@contextmanager
def _explaining(folder: Path) -> Iterator[None]:
    """Add the cause and a fix to an error of the disk."""
    try:
        yield
    except OSError as error:
        raise OSError(
            error.errno,
            f"The cache needs a writable disk with free space. Received: {error.strerror}. "
            "Free space, or set DLT_CACHE to a folder on another disk. It is now",
            str(folder),
        ) from error


class _Writer:
    """A `.npy` file that grows row by row."""

    def __init__(self, path: Path, name: str, dtype: str, shape: tuple[int, ...]):
        self.name, self.dtype, self.shape, self.rows = name, np.dtype(dtype), shape, 0
        self.folder = path.parent.parent
        with _explaining(self.folder):
            self.file = path.open("wb")
        self._write_header()

    def add(self, rows: np.ndarray) -> None:
        """Add rows (m, *shape)."""
        if not np.can_cast(rows.dtype, self.dtype, "safe") or rows.shape[1:] != self.shape:
            raise ValueError(
                f"`{self.name}` must be {self.dtype} of shape {self.shape}, as its layout says. "
                f"Received: {rows.dtype} of shape {rows.shape[1:]}. Correct the layout, or the reader."
            )
        with _explaining(self.folder):
            self.file.write(rows.astype(self.dtype, copy=False).tobytes())
        self.rows += len(rows)

    def close(self) -> None:
        """Write the number of rows into the header."""
        with _explaining(self.folder), self.file:
            self.file.seek(0)
            self._write_header()

    def _write_header(self) -> None:
        # NumPy's header leaves space for a longer number of rows, so rewriting it does not change its length.
        header = {
            "descr": np.lib.format.dtype_to_descr(self.dtype),
            "fortran_order": False,
            "shape": (self.rows, *self.shape),
        }
        np.lib.format.write_array_header_1_0(self.file, header)


def _write(path: Path, layout: Layout, batches: Iterable[Batch]) -> int:
    """Write the arrays into a new folder, and return the number of examples."""
    written = 0
    with ExitStack() as stack:
        values, offsets = {}, {}
        for name, stored in layout.items():
            values[name] = _Writer(_values(path, name), name, stored.dtype, stored.shape)
            stack.callback(values[name].close)
            if stored.is_ragged:
                offsets[name] = _Writer(_offsets(path, name), name, "int64", ())
                stack.callback(offsets[name].close)
                offsets[name].add(np.zeros(1, np.int64))
        for batch in batches:
            for name, writer in values.items():
                if name not in offsets:
                    writer.add(batch[name])
                    continue
                for rows in batch[name]:
                    _check_length(name, rows, layout[name])
                    writer.add(rows)
                    offsets[name].add(np.array([writer.rows], np.int64))
            written += len(next(iter(batch.values())))
    if not written:
        raise ValueError("A cache must hold at least one example. Received: none. Check the source of the examples.")
    return written


def _check_length(name: str, rows: Sequence[Any], stored: Stored) -> None:
    if stored.length is not None and len(rows) > stored.length:
        raise ValueError(
            f"`{name}` must have at most {stored.length} rows, as its layout says. Received: {len(rows)}. "
            "Raise `length`, or drop rows."
        )


def _check_space(folder: Path, layout: Layout, examples: int) -> None:
    fixed = [stored for stored in layout.values() if not stored.is_ragged]
    needed = examples * sum(np.dtype(stored.dtype).itemsize * math.prod(stored.shape) for stored in fixed)
    if shutil.disk_usage(folder).free < needed:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def _move(partial: Path, path: Path) -> None:
    """Move a complete cache into place, over a broken one."""
    if path.exists():
        broken = path.with_name(f"{path.name}.{uuid.uuid4().hex}.partial")
        with suppress(FileNotFoundError):  # another process was faster
            os.replace(path, broken)
        shutil.rmtree(broken, ignore_errors=True)
    try:
        os.replace(partial, path)
    except OSError as error:
        if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
            raise  # otherwise another process was faster


def _open(path: Path, dtype: str, shape: tuple[int, ...]) -> np.ndarray | None:
    """Map the array at `path`; None if it is missing, incomplete, or has another dtype or shape."""
    try:
        array = np.load(path, mmap_mode="r", allow_pickle=False)
        length = path.stat().st_size
    except (OSError, ValueError, EOFError):
        return None
    is_whole = isinstance(array, np.memmap) and array.offset + array.nbytes == length
    return array if is_whole and array.shape[1:] == shape and array.dtype == np.dtype(dtype) else None


def _ragged(values: np.ndarray, offsets: np.ndarray, stored: Stored) -> Ragged | None:
    try:
        return Ragged(values, np.asarray(offsets), length=stored.length, fill=stored.fill)
    except ValueError:  # values and offsets do not match
        return None


def _values(path: Path, name: str) -> Path:
    return path / f"{quote(name, safe='')}.npy"


def _offsets(path: Path, name: str) -> Path:
    return path / f"{quote(name, safe='')}+offsets.npy"  # quoted names contain no +
