"""Hashes of raw examples, which identify an example wherever it is in the data."""

from __future__ import annotations

import functools
import hashlib
import math
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import numpy as np

from dltemplates.datasets.images.fields import Field, FileField
from dltemplates.datasets.images.files import FileSource
from dltemplates.datasets.ragged import Ragged
from dltemplates.datasets.series.windows import TimeSource
from dltemplates.datasets.source import ArraySource, Source, column
from dltemplates.datasets.spec import DatasetSpec
from dltemplates.datasets.tables.columns import without_point
from dltemplates.datasets.tables.source import TableSource
from dltemplates.features import Boxes, ClassId, Feature, Labels

SIZE = 8  # bytes of a hash: two of a million examples collide once in 30 million datasets
MISSING = b"\1"  # in place of a missing text


def hash_examples(source: Source, spec: DatasetSpec) -> np.ndarray:
    """Hash the raw inputs and target of each example.

    Numbers are hashed by value, not as written, and classes by name, not by id. An image file is hashed by its length
    and its last 64 kB, which differ between any two compressed images. A series is hashed row by row, not by window.

    Args:
        source: A split, as loaded.
        spec: Its spec, as loaded.

    Returns:
        uint64 (n,).
    """
    if isinstance(source, TimeSource):
        return _hash(_bytes_of(array) for array in source.raw_rows)
    inputs: list[Iterable[bytes]]
    if isinstance(source, TableSource):
        numbers = [column.name for column in source.columns if column.kind != "category"]
        texts = [source.raw[column.name].cat for column in source.columns if column.kind == "category"]
        inputs = [_texts(values.categories, values.codes.to_numpy()) for values in texts]
        inputs += [_bytes_of(source.raw[numbers].to_numpy(np.float64))] if numbers else []
    elif isinstance(source, FileSource):
        return _hash(_field_bytes(source.fields[value.name]) for value in (*spec.inputs, *spec.targets))
    else:
        inputs = [_bytes_of(_raw(source, value.name)) for value in spec.inputs]
    return _hash([*inputs, *(_target_bytes(value, _raw(source, value.name)) for value in spec.targets)])


def fingerprint(hashes: Mapping[str, np.ndarray], *, ordered: bool = False) -> str:
    """Return a digest of the splits' examples, by default independent of their order.

    Args:
        hashes: Hashes of the examples, by split.
        ordered: Whether the digest depends on the order.
    """
    digest = hashlib.sha256()
    for split, split_hashes in hashes.items():
        digest.update(f"{split} {len(split_hashes)} ".encode())
        digest.update((split_hashes if ordered else np.sort(split_hashes)).astype("<u8").tobytes())
    return digest.hexdigest()


def _hash(parts: Iterable[Iterable[bytes]]) -> np.ndarray:
    digests = [hashlib.blake2b(b"\0".join(row), digest_size=SIZE).digest() for row in zip(*parts, strict=True)]
    return np.frombuffer(b"".join(digests), "<u8").astype(np.uint64)


def _raw(source: Source, name: str) -> Any:
    return source.arrays[name] if isinstance(source, ArraySource) else column(source, name)


def _bytes_of(array: Any) -> Iterator[bytes]:
    """Yield the bytes of each row of numbers; -0 becomes 0, and every NaN the same NaN."""
    if isinstance(array, Ragged):  # without padding
        return (next(_bytes_of(array.rows(index)[None])) for index in range(len(array)))
    if array.dtype.kind == "f":
        array = np.where(np.isnan(array), np.array(np.nan, array.dtype), array + np.array(0, array.dtype))
    array = array.astype(array.dtype.newbyteorder("<"), copy=False)
    return (row.tobytes() for row in array)


def _texts(categories: Iterable[str], codes: np.ndarray) -> list[bytes]:
    """Return the bytes of each text; `1.0` becomes `1`."""
    known = [*(without_point(text).encode() for text in categories), MISSING]  # a missing text has code -1
    return [known[code] for code in codes]


def _field_bytes(field: Field) -> Iterable[bytes]:
    if isinstance(field, FileField):
        return [file.digest for file in field.files]
    return _target_bytes(field.feature, field.array)


@functools.singledispatch
def _target_bytes(value: Feature, array: Any) -> Iterable[bytes]:
    """Return the bytes to hash of each target."""
    return _bytes_of(array)


@_target_bytes.register
def _(value: ClassId, array: np.ndarray) -> Iterable[bytes]:
    ids = array.astype(np.int64).reshape(len(array), math.prod(value.shape))  # one id, or one per box
    return map(b"\0".join, zip(*(_texts(value.classes, place) for place in ids.T), strict=True))


@_target_bytes.register
def _(value: Labels, array: np.ndarray) -> Iterable[bytes]:
    names = np.array(value.classes)
    return ["\0".join(sorted(names[row > 0])).encode() for row in array]


@_target_bytes.register
def _(value: Boxes, array: Any) -> Iterable[bytes]:
    if not isinstance(array, Ragged):  # without padding
        array = Ragged.of([rows[value.are_boxes(rows)] for rows in array])
    return _bytes_of(array)
