"""The TensorFlow reader of image files. What TensorFlow would decode otherwise than Pillow goes through Pillow.

Decoded pixels equal the reference's exactly; resized ones may be one level off (of 255), because Pillow rounds
between its two passes.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
import tensorflow as tf

from dltemplates.datasets.images import GREY_WEIGHTS, fit
from dltemplates.datasets.source import Reader

if TYPE_CHECKING:
    from dltemplates.datasets.files import FileSource

DECODERS: dict[str, Callable[[tf.Tensor], tf.Tensor]] = {
    "jpeg": lambda content: tf.io.decode_jpeg(content, channels=3, dct_method="INTEGER_ACCURATE"),
    "png": lambda content: tf.io.decode_png(content, channels=3),
    "bmp": lambda content: tf.io.decode_bmp(content, channels=3),
}


def tensorflow_reader(source: FileSource) -> Reader:
    """Make the reader: from a scalar index to the tensors of one example."""
    files, image, target = source.examples.files, source.image, source.target
    height, width, channels = image.shape
    size, rule = (height, width), image.resize or "stretch"
    paths = tf.constant([f"{source.root}/{name}" for name in source.examples.names])
    fits = tf.constant([fit(file.size, size, rule) for file in files], tf.int32)  # (n, 6)
    targets = tf.constant(source.targets)
    used = sorted({file.decoder for file in files})
    branch = tf.constant([used.index(file.decoder) for file in files], tf.int32)
    needs_resize = any(file.size != size for file in files)

    def by_pillow(index: tf.Tensor) -> tf.Tensor:
        pixels = tf.numpy_function(lambda i: source.read_image(int(i)), [index], tf.uint8, stateful=False)
        return tf.ensure_shape(pixels, image.shape)

    def by_tensorflow(decoder: str, index: tf.Tensor) -> tf.Tensor:
        pixels = DECODERS[decoder](tf.io.read_file(paths[index]))
        if channels == 1:
            pixels = _grey(pixels)
        if needs_resize:
            pixels = _resize(pixels, fits[index], size)
        return tf.ensure_shape(pixels, image.shape)

    def read_image(index: tf.Tensor) -> tf.Tensor:
        branches = [
            functools.partial(by_pillow, index)
            if decoder == "pillow"
            else functools.partial(by_tensorflow, decoder, index)
            for decoder in used
        ]
        return branches[0]() if len(branches) == 1 else tf.switch_case(branch[index], branches)

    def read(index: Any) -> dict[str, Any]:
        return {image.name: read_image(index), target.name: targets[index]}

    return read


def _grey(pixels: tf.Tensor) -> tf.Tensor:
    """Colours (height, width, 3) to grey (height, width, 1), in Pillow's integers."""
    weighted = tf.cast(pixels, tf.int32) * tf.constant(GREY_WEIGHTS, tf.int32)
    grey = tf.reduce_sum(weighted, axis=-1, keepdims=True) + 2**15
    return tf.cast(tf.bitwise.right_shift(grey, np.int32(16)), tf.uint8)


def _resize(pixels: tf.Tensor, how: tf.Tensor, size: tuple[int, int]) -> tf.Tensor:
    """Cut the box out, resize it, centre it on black: (height, width, channels) to (*size, channels)."""
    top, left, height, width, inner_height, inner_width = tf.unstack(how)
    cut = pixels[top : top + height, left : left + width]
    resized = tf.image.resize(cut, (inner_height, inner_width), method="bilinear", antialias=True)
    rounded = tf.cast(tf.clip_by_value(tf.round(resized), 0, 255), tf.uint8)
    return tf.image.pad_to_bounding_box(
        rounded, (size[0] - inner_height) // 2, (size[1] - inner_width) // 2, size[0], size[1]
    )
