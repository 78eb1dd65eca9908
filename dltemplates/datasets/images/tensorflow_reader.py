"""The TensorFlow reader of files. Pillow decodes files for which TensorFlow would give other pixels.

TensorFlow reads images; the reference reader reads other file fields, such as masks.

Decoded pixels equal the reference's exactly. Resized pixels may differ by one level (of 255), because Pillow rounds
between its two passes.

One loop reads the examples of a batch, several batches at a time: this is cheaper than a `map` over single examples.
An example costs little more than its decoding, because all data known without its bytes (path, window, boxes) is
gathered once per batch.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Callable

import numpy as np
import tensorflow as tf

from dltemplates.datasets.augment.transform import CropFlip, transform
from dltemplates.datasets.images.files import FileSource
from dltemplates.datasets.ragged import Ragged
from dltemplates.features import Resize
from dltemplates.features.pixels import GREY_WEIGHTS, BrokenImageError, fit

DECODERS: dict[str, Callable[[tf.Tensor], tf.Tensor]] = {
    "jpeg": lambda content: tf.io.decode_jpeg(content, channels=3, dct_method="INTEGER_ACCURATE"),
    "png": lambda content: tf.io.decode_png(content, channels=3),
    "bmp": lambda content: tf.io.decode_bmp(content, channels=3),
}
MARGIN = 1  # columns: at the edges of a partly decoded JPEG, colours lack the neighbours to blend with
MAX_BATCHES = 16  # batches read in parallel

Row = dict[str, tf.Tensor]
Example = dict[str, tf.Tensor]
Plan = Callable[[tf.Tensor], tuple[tf.Tensor, tf.Tensor]]


def read_files(source: FileSource, numbers: range, plan: Plan, crop_flip: CropFlip) -> tf.data.Dataset:
    """Read batches of files, as `reading.read_batches` says.

    Without `fail_on_bad_image`, the examples of a failed batch are read again, one by one. If one fails again, the
    reference reader takes the next readable example. So a broken file does not change a bit of any other example.
    """
    image = source.images[0].feature
    others = {name: field for name, field in source.files.items() if name != image.name}
    arrays = {
        name: array if isinstance(array, Ragged) else tf.constant(array)
        for name, array in source.arrays_on(crop_flip.canvas).items()
    }
    known, read_one = known_of_files(source, crop_flip), example_reader(source, crop_flip)
    window_shape = (*crop_flip.size, image.shape[2])

    def on_canvas(count: int) -> Example:
        """Allocate arrays for the other file fields of some examples."""
        return {name: np.empty((count, *field.shape(crop_flip.canvas)), field.dtype) for name, field in others.items()}

    def read_others(indices: np.ndarray) -> list[np.ndarray]:
        pixels = on_canvas(len(indices))
        for name, array in pixels.items():
            for position, index in enumerate(indices):
                array[position] = source.read_file(name, int(index), crop_flip.canvas)
        return list(pixels.values())

    def complete(pixels: tf.Tensor, rest: list[tf.Tensor], indices: tf.Tensor, places: tf.Tensor) -> Example:
        """Build examples from cropped images and other fields, which are still to be cropped."""
        example = {name: _gather(array, indices) for name, array in arrays.items()}
        for (name, field), array in zip(others.items(), rest, strict=True):
            example[name] = tf.ensure_shape(array, [None, *field.shape(crop_flip.canvas)])
        example = {
            name: transform(source.fields[name].feature, array, places, crop_flip) for name, array in example.items()
        }
        return {image.name: tf.ensure_shape(pixels, [None, *window_shape])} | example

    dtypes = [tf.as_dtype(field.dtype) for field in others.values()]

    def read(number: tf.Tensor) -> Example:
        indices, places = plan(number)
        signature = tf.TensorSpec(window_shape, tf.uint8)
        pixels = tf.map_fn(read_one, known(indices, places), fn_output_signature=signature, parallel_iterations=1)
        rest = tf.numpy_function(read_others, [indices], dtypes, stateful=False) if others else []
        return complete(pixels, rest, indices, places)

    def read_one_by_one(number: np.int64) -> list[np.ndarray]:
        with tf.device("CPU:0"):  # as for the graph
            indices, places = plan(tf.constant(number))
            rows, readable = known(indices, places), indices.numpy()
            pixels, rest = np.empty([len(readable), *window_shape], np.uint8), on_canvas(len(readable))
            for position, index in enumerate(indices.numpy()):
                try:
                    pixels[position] = read_one({name: column[position] for name, column in rows.items()})
                    example = {name: source.read_file(name, int(index), crop_flip.canvas) for name in others}
                except (tf.errors.OpError, BrokenImageError):
                    example, readable[position] = source.read_readable(int(index), crop_flip.canvas)
                    pixels[position] = crop_flip.apply_to_one(tf.constant(example.pop(image.name)), places[position])
                for name, array in example.items():
                    rest[name][position] = array
        return [pixels, readable, places.numpy(), *rest.values()]

    def read_again(number: tf.Tensor) -> Example:
        # In Python, operation by operation: in the graph, even operations that do not run cost time in every batch.
        signature = [tf.uint8, tf.int64, tf.int32, *dtypes]
        pixels, indices, places, *rest = tf.numpy_function(read_one_by_one, [number], signature, stateful=False)
        return complete(pixels, rest, tf.ensure_shape(indices, [None]), tf.ensure_shape(places, [None, 3]))

    at_once = min(os.cpu_count() or 1, MAX_BATCHES)
    if source.fail_on_bad_image:
        batches = tf.data.Dataset.range(numbers.start, numbers.stop)
        return batches.map(read, num_parallel_calls=at_once, deterministic=True)
    no_pixels, no_places = tf.zeros([0, *window_shape], tf.uint8), tf.zeros([0, 3], tf.int32)
    nothing = complete(no_pixels, read_others(np.arange(0)), tf.zeros([0], tf.int64), no_places)
    return _without_gaps(numbers, read, read_again, nothing, at_once=at_once)


def _gather(array: tf.Tensor | Ragged, indices: tf.Tensor) -> tf.Tensor:
    """Gather some examples of an array; pad those of a ragged one."""
    if not isinstance(array, Ragged):
        return tf.gather(array, indices)
    padded = tf.numpy_function(array.__getitem__, [indices], tf.as_dtype(array.dtype), stateful=False)
    return tf.ensure_shape(padded, [None, *array.shape[1:]])


def _without_gaps(
    numbers: range, read: Callable[..., Example], read_again: Callable[..., Example], nothing: Example, *, at_once: int
) -> tf.data.Dataset:
    """Read batches, and read failed ones again.

    A mark, `nothing`, which cannot fail, follows each batch. Failed batches are dropped, so a mark directly after
    another mark means a batch to read again. (One dataset per batch, with `ignore_errors().concatenate(...)`, would
    cost a tenth of the speed.)
    """

    def read_or_mark(place):
        return place, tf.cond(place % 2 == 0, lambda: read(place // 2), lambda: nothing)

    def fill_gap(was_read, element):
        place, batch = element
        is_mark = place % 2 == 1
        is_gap = tf.logical_and(is_mark, tf.logical_not(was_read))
        return tf.logical_not(is_mark), tf.cond(is_gap, lambda: read_again(place // 2), lambda: batch)

    places = tf.data.Dataset.range(2 * numbers.start, 2 * numbers.stop)
    batches = places.map(read_or_mark, num_parallel_calls=2 * at_once, deterministic=True).ignore_errors()
    return batches.scan(tf.constant(False), fill_gap).filter(lambda batch: tf.size(tf.nest.flatten(batch)[0]) > 0)


def known_of_files(source: FileSource, crop_flip: CropFlip) -> Callable[[tf.Tensor, tf.Tensor], Row]:
    """Return a function from indices and places to the examples' data known without their files, (batch, ...)."""
    field, kinds = source.images[0], _kinds(source, crop_flip)
    files = field.files
    used = sorted(set(kinds))
    paths = tf.constant([os.fsencode(f"{source.root}/{name}") for name in field.names])
    columns = {"kind": tf.constant([used.index(kind) for kind in kinds], tf.int32)} if len(used) > 1 else {}
    if "window" in used:
        columns["length"] = tf.constant([file.length for file in files], tf.int32)
    if any(file.size != crop_flip.canvas for file in files):
        rule: Resize = field.feature.resize or "stretch"
        columns["size"] = tf.constant([file.size for file in files], tf.int32)  # (n, 2)
        columns["fit"] = tf.constant([fit(file.size, crop_flip.canvas, rule) for file in files], tf.int32)  # (n, 6)

    def known(indices: tf.Tensor, places: tf.Tensor) -> Row:
        row = {name: tf.gather(column, indices) for name, column in {"path": paths, **columns}.items()}
        if "pillow" in used:
            row["index"] = indices
        if "window" in used:
            row["window"], row["begin"] = _windows(places, crop_flip)
        return row | {"place": places}

    return known


def example_reader(source: FileSource, crop_flip: CropFlip) -> Callable[[Row], tf.Tensor]:
    """Return a function from one example's known data to its pixels, cropped and mirrored."""
    used = sorted(set(_kinds(source, crop_flip)))
    image = source.images[0].feature
    channels = image.shape[2]
    on_canvas = [*crop_flip.canvas, channels]

    def by_pillow(row: Row) -> tf.Tensor:
        pixels = tf.numpy_function(
            lambda index: source.read_file(image.name, int(index), crop_flip.canvas),
            [row["index"]],
            tf.uint8,
            stateful=False,
        )
        return crop_flip.apply_to_one(tf.ensure_shape(pixels, on_canvas), row["place"])

    def by_window(row: Row) -> tf.Tensor:
        content = tf.io.read_file(row["path"])
        # A file of another length may contain an image of another size: an impossible window makes it fail.
        window = tf.where(tf.strings.length(content) == row["length"], row["window"], -1)
        pixels = tf.io.decode_and_crop_jpeg(content, window, channels=3, dct_method="INTEGER_ACCURATE")
        pixels = tf.slice(pixels, row["begin"], [*crop_flip.size, 3])
        return crop_flip.mirror_one(_grey(pixels) if channels == 1 else pixels, row["place"])

    def by_tensorflow(decoder: str, row: Row) -> tf.Tensor:
        pixels = DECODERS[decoder](tf.io.read_file(row["path"]))
        pixels = _grey(pixels) if channels == 1 else pixels
        if "fit" in row:
            # Has no effect, but fails if the file now contains an image of another size.
            pixels = tf.broadcast_to(pixels, tf.concat([row["size"], [channels]], axis=0))
            pixels = _resize(pixels, row["fit"], crop_flip.canvas)
        return crop_flip.apply_to_one(tf.ensure_shape(pixels, on_canvas), row["place"])

    readers: dict[str, Callable[[Row], tf.Tensor]] = {"pillow": by_pillow, "window": by_window}

    def read(row: Row) -> tf.Tensor:
        branches = [functools.partial(readers.get(kind, functools.partial(by_tensorflow, kind)), row) for kind in used]
        pixels = branches[0]() if len(used) == 1 else tf.switch_case(row["kind"], branches)
        return tf.ensure_shape(pixels, [*crop_flip.size, channels])

    return read


def _kinds(source: FileSource, crop_flip: CropFlip) -> list[str]:
    """Return how to read each file: by one of the `DECODERS`, by `pillow`, or the `window` alone of a JPEG."""
    files = source.images[0].files
    is_window = [crop_flip.crops and file.decoder == "jpeg" and file.size == crop_flip.canvas for file in files]
    return ["window" if yes else file.decoder for file, yes in zip(files, is_window, strict=True)]


def _windows(places: tf.Tensor, crop_flip: CropFlip) -> tuple[tf.Tensor, tf.Tensor]:
    """Return the windows to decode (batch, 4), with a margin left and right, and the crop's start there (batch, 3)."""
    top, left, _ = tf.unstack(places, num=3, axis=1)
    first = tf.maximum(left - MARGIN, 0)
    last = tf.minimum(left + crop_flip.size[1] + MARGIN, crop_flip.canvas[1])
    zero = tf.zeros_like(top)
    return tf.stack([top, first, zero + crop_flip.size[0], last - first], axis=1), tf.stack(
        [zero, left - first, zero], axis=1
    )


def _grey(pixels: tf.Tensor) -> tf.Tensor:
    """Convert colours (height, width, 3) to grey (height, width, 1), in Pillow's integers."""
    weighted = tf.cast(pixels, tf.int32) * tf.constant(GREY_WEIGHTS, tf.int32)
    grey = tf.reduce_sum(weighted, axis=-1, keepdims=True) + 2**15
    return tf.cast(tf.bitwise.right_shift(grey, np.int32(16)), tf.uint8)


def _resize(pixels: tf.Tensor, how: tf.Tensor, size: tuple[int, int]) -> tf.Tensor:
    """Cut out the box, resize it, and centre it on black: (height, width, channels) to (*size, channels)."""
    top, left, height, width, inner_height, inner_width = tf.unstack(how, num=6)
    cut = pixels[top : top + height, left : left + width]
    resized = tf.image.resize(cut, (inner_height, inner_width), method="bilinear", antialias=True)
    rounded = tf.cast(tf.clip_by_value(tf.round(resized), 0, 255), tf.uint8)
    return tf.image.pad_to_bounding_box(
        rounded, (size[0] - inner_height) // 2, (size[1] - inner_width) // 2, size[0], size[1]
    )
