"""Reading batches of raw examples by index, cropped and mirrored.

NumPy reads arrays batch by batch. TensorFlow operations read files, unless the cache holds them decoded.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator

import numpy as np
import tensorflow as tf

from dltemplates.datasets.augment.transform import CropFlip, transform
from dltemplates.datasets.images.decoded import keep_decoded
from dltemplates.datasets.images.files import FileSource
from dltemplates.datasets.images.tensorflow_reader import Plan, read_files
from dltemplates.datasets.padding import crop_padding, has_padding
from dltemplates.datasets.source import Arrays, Source
from dltemplates.datasets.spec import DatasetSpec

DECODED_AT_ONCE = 32


def read_batches(
    source: Source, spec: DatasetSpec, numbers: range, plan: Plan, crop_flip: CropFlip | None, *, rows: int
) -> tf.data.Dataset:
    """Read batches of examples.

    Args:
        source: The split.
        spec: Its spec.
        numbers: The numbers of the batches to read.
        plan: Function from a batch's number to its indices (rows,) int64 and crop positions, as `crop_flip.draw`
            returns them.
        crop_flip: Crop and flip for all fields of an example; None if the examples have no image.
        rows: Examples per batch.

    Returns:
        Arrays by name, each (rows, ...), in the order of the numbers.
    """
    if isinstance(source, FileSource) and crop_flip:
        if source.cache == "none":
            return read_files(source, numbers, plan, crop_flip).map(functools.partial(_with_rows, rows))
        source = keep_decoded(source, crop_flip.canvas, decode_all)
    features = {value.name: value for value in (*spec.inputs, *spec.targets)}
    sample = source.read(np.arange(1))
    shapes = {
        name: (None, None, *value.shape[1:]) if has_padding(value, spec.inputs) else (None, *sample[name].shape[1:])
        for name, value in features.items()
    }

    def read(number):
        indices, places = plan(number)
        arrays = tf.numpy_function(
            lambda indices: [*map(crop_padding(source.read(indices), [*features.values()]).get, features)],
            [indices],
            [sample[name].dtype for name in features],
            stateful=False,
        )
        for name, array in zip(features, arrays, strict=True):
            array.set_shape(shapes[name])
        example = _with_rows(rows, dict(zip(features, arrays, strict=True)))
        if crop_flip is None:
            return example
        return {name: transform(features[name], array, places, crop_flip) for name, array in example.items()}

    batches = tf.data.Dataset.range(numbers.start, numbers.stop)
    return batches.map(read, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True)


def decode_all(source: FileSource, canvas: tuple[int, int]) -> Iterator[Arrays]:
    """Read all examples of a source in order, as the pipeline does without a cache.

    Yields:
        Fields of some examples by name, each (m, ...), on the canvas.

    Raises:
        ValueError: If a file is broken and the source has `fail_on_bad_image`; names it.
    """
    examples, rows = len(source), min(DECODED_AT_ONCE, len(source))

    def plan(number):  # the last example fills up the last batch
        indices = tf.minimum(number * rows + tf.range(rows, dtype=tf.int64), examples - 1)
        return indices, tf.zeros([rows, 3], tf.int32)

    numbers = range(-(-examples // rows))
    batches = read_files(source, numbers, plan, CropFlip(canvas, canvas)).prefetch(2)
    try:
        for start, batch in zip(range(0, examples, rows), batches, strict=True):
            count = min(rows, examples - start)
            yield {name: array.numpy()[:count] for name, array in batch.items()}
    except tf.errors.OpError:
        source.check()  # names the broken file
        raise


def _with_rows(rows: int, example: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
    """Set the static length of the arrays."""
    return {name: tf.ensure_shape(array, [rows, *array.shape[1:]]) for name, array in example.items()}
