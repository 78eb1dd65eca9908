"""From batches of indices to batches of raw examples, each image as it is looked at.

Arrays are read a batch at a time by NumPy; files by TensorFlow operations, or from the cache of their decoded images.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator

import numpy as np
import tensorflow as tf

from dltemplates.datasets.cache import keep_decoded
from dltemplates.datasets.files import FileSource
from dltemplates.datasets.source import Source
from dltemplates.datasets.spec import DatasetSpec
from dltemplates.datasets.tensorflow_reader import Plan, read_files
from dltemplates.datasets.view import View

DECODED_AT_ONCE = 32


def read_batches(
    source: Source, spec: DatasetSpec, numbers: range, plan: Plan, view: View | None, *, rows: int
) -> tf.data.Dataset:
    """Read batches of examples.

    Args:
        source: The split.
        spec: Its spec.
        numbers: The batches to read.
        plan: From a batch's number to its indices (rows,) int64 and their `view.places`.
        view: How images are looked at; None where the examples hold none.
        rows: The length of each batch.

    Returns:
        The examples' arrays by name, each (rows, ...), in the order of the numbers.
    """
    if isinstance(source, FileSource) and view:
        if source.cache == "none":
            return read_files(source, numbers, plan, view).map(functools.partial(_with_rows, rows))
        source = keep_decoded(source, view.canvas, decode_all)
    names = [value.name for value in (*spec.inputs, *spec.targets)]
    sample = source.read(np.arange(1))
    image = spec.inputs[0].name

    def read(number):
        indices, places = plan(number)
        arrays = tf.numpy_function(
            lambda indices: list(map(source.read(indices).__getitem__, names)),
            [indices],
            [sample[name].dtype for name in names],
            stateful=False,
        )
        for name, array in zip(names, arrays, strict=True):
            array.set_shape([None, *sample[name].shape[1:]])
        example = _with_rows(rows, dict(zip(names, arrays, strict=True)))
        return example | {image: view.look_at_all(example[image], places)} if view else example

    batches = tf.data.Dataset.range(numbers.start, numbers.stop)
    return batches.map(read, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True)


def decode_all(source: FileSource, canvas: tuple[int, int]) -> Iterator[tuple[int, np.ndarray, np.ndarray]]:
    """All examples of a source in order, as the pipeline reads them without a cache.

    Yields:
        The index of the first, some images (m, *canvas, channels), their targets (m, ...).

    Raises:
        ValueError: If a file is broken and the source strict; names it.
    """
    examples, rows = len(source), min(DECODED_AT_ONCE, len(source))

    def plan(number):  # the last batch is filled up by its last example
        indices = tf.minimum(number * rows + tf.range(rows, dtype=tf.int64), examples - 1)
        return indices, tf.zeros([rows, 3], tf.int32)

    numbers = range(-(-examples // rows))
    batches = read_files(source, numbers, plan, View(canvas, canvas)).prefetch(2)
    try:
        for start, batch in zip(range(0, examples, rows), batches, strict=True):
            count = min(rows, examples - start)
            yield start, batch[source.image.name].numpy()[:count], batch[source.target.name].numpy()[:count]
    except tf.errors.OpError:
        source.check()  # names the broken file
        raise


def _with_rows(rows: int, example: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
    """The same arrays, of known length."""
    return {name: tf.ensure_shape(array, [rows, *array.shape[1:]]) for name, array in example.items()}
