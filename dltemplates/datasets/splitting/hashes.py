"""Hashes of raw examples, which identify an example wherever it is in the data."""

from __future__ import annotations

import functools
import hashlib
import math
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import numpy as np

from dltemplates.datasets.images.fields import FileField
from dltemplates.datasets.images.files import FileSource
from dltemplates.datasets.images.pixel_hashes import hash_files, hash_pixels
from dltemplates.datasets.ragged import Ragged
from dltemplates.datasets.series.windows import TimeSource
from dltemplates.datasets.source import ArraySource, Source, column
from dltemplates.datasets.spec import READING_RULES, DatasetSpec
from dltemplates.datasets.tables.columns import without_point
from dltemplates.datasets.tables.source import TableSource
from dltemplates.datasets.text.source import TextSource
from dltemplates.features import Boxes, ClassId, Feature, Image, Labels, Tokens

SIZE = 8  # bytes of a hash: two of a million examples collide once in 30 million datasets
MISSING = b"\1"  # in place of a missing text


def hash_examples(source: Source, spec: DatasetSpec, rules: int = READING_RULES) -> np.ndarray:
    """Hash the raw inputs and target of each example.

    Numbers are hashed by value, not as written, and classes by name, not by id. A picture is hashed by its decoded
    pixels; before version 3 of the rules, an image file by its length and its last 64 kB. A series is hashed row by
    row, not by window.

    Args:
        source: A split, as loaded.
        spec: Its spec, as loaded.
        rules: Version of the reading rules.

    Returns:
        uint64 (n,).
    """
    if isinstance(source, TimeSource):
        return hash_inputs(source, spec)
    if rules >= 3:
        return add_targets(hash_inputs(source, spec), source, spec)
    return _hash([*_input_bytes(source, spec, rules), *_target_bytes_of(source, spec)])


def hash_inputs(source: Source, spec: DatasetSpec) -> np.ndarray:
    """Hash the raw inputs of each example without its target, or each row of a series; see `hash_examples`."""
    if isinstance(source, TimeSource):
        return _hash(_bytes_of(array) for array in source.raw_rows)
    inputs = _input_bytes(source, spec, READING_RULES)
    return _hash(inputs) if inputs else np.zeros(len(source), np.uint64)


def add_targets(inputs: np.ndarray, source: Source, spec: DatasetSpec) -> np.ndarray:
    """Turn the hashes of some examples' inputs (n,) into those of the examples (n,)."""
    if isinstance(source, TimeSource):
        return inputs
    return _hash([_bytes_of(inputs), *_target_bytes_of(source, spec)])


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


def _input_bytes(source: Source, spec: DatasetSpec, rules: int) -> list[Iterable[bytes]]:
    """Return the bytes to hash of each input."""
    if isinstance(source, FileSource):
        return [_field_bytes(source, value.name, rules) for value in spec.inputs]
    if isinstance(source, TableSource):
        numbers = [column.name for column in source.columns if column.kind != "category"]
        texts = [source.raw[column.name].cat for column in source.columns if column.kind == "category"]
        inputs: list[Iterable[bytes]] = [_texts(values.categories, values.codes.to_numpy()) for values in texts]
        return [*inputs, *([_bytes_of(source.raw[numbers].to_numpy(np.float64))] if numbers else [])]
    if isinstance(source, TextSource):
        return [[text.encode() for text in source.texts[value.name]] for value in spec.inputs]
    arrays = ((value, _raw(source, value.name)) for value in spec.inputs)
    return [
        _bytes_of(np.fromiter(map(hash_pixels, array), np.uint64, len(array)))
        if rules >= 3 and _are_pictures(value, array)
        else _bytes_of(array)
        for value, array in arrays
    ]


def _target_bytes_of(source: Source, spec: DatasetSpec) -> list[Iterable[bytes]]:
    """Return the bytes to hash of each target."""
    if isinstance(source, FileSource):
        return [_field_bytes(source, value.name, 1) for value in spec.targets]
    return [_target_bytes(value, _raw(source, value.name)) for value in spec.targets]


def _are_pictures(value: Feature, array: Any) -> bool:
    is_pixels = isinstance(value, Image) and isinstance(array, np.ndarray) and array.dtype == np.uint8
    return is_pixels and array.ndim == 4 and array.shape[-1] in (1, 3)


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


def _field_bytes(source: FileSource, name: str, rules: int) -> Iterable[bytes]:
    field = source.fields[name]
    if isinstance(field, FileField):
        if rules >= 3 and isinstance(field.feature, Image):
            return _bytes_of(hash_files(source.root, field.names, field.files))
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
def _(value: Tokens, array: np.ndarray) -> Iterable[bytes]:
    return [text.encode() for text in array]


@_target_bytes.register
def _(value: Labels, array: np.ndarray) -> Iterable[bytes]:
    names = np.array(value.classes)
    return ["\0".join(sorted(names[row > 0])).encode() for row in array]


@_target_bytes.register
def _(value: Boxes, array: Any) -> Iterable[bytes]:
    if not isinstance(array, Ragged):  # without padding
        array = Ragged.of([rows[value.are_boxes(rows)] for rows in array])
    return _bytes_of(array)
