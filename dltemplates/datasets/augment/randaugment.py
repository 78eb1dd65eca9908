"""RandAugment (Cubuk 2020, https://arxiv.org/abs/1909.13719): a few of 14 operations, all with one magnitude.

The magnitude is 0 to 10. Every operation grows with it, up to the strongest in AutoAugment's search spaces: rotation
by 30 degrees, shear by 0.3, translation by 150 of 331 pixels, 4 bits posterized away, all levels solarized, and colour,
contrast, brightness and sharpness changed by a factor of 1 ± 0.9. Directions are random. Operations that move pixels
take the nearest pixel, and mid-grey beyond the edge, as the paper's code does. Colour, contrast, sharpness, equalize
and autocontrast follow Pillow, and so work on one grey channel as on others.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import tensorflow as tf

from dltemplates.train_settings import RandAugment

MAX_MAGNITUDE = 10.0
GREY = 128.0
LUMA = (0.299, 0.587, 0.114)
SMOOTH = ((1, 1, 1), (1, 5, 1), (1, 1, 1))  # Pillow's ImageFilter.SMOOTH, over 13

Operation = Callable[[tf.Tensor, tf.Tensor], tf.Tensor]  # takes an image, and a direction 1 or -1


def randaugment(images: tf.Tensor, draws: tf.Tensor, settings: RandAugment) -> tf.Tensor:
    """Apply random operations to each image.

    Args:
        images: Images (batch, height, width, channels), 0..255; fractions are rounded.
        draws: Numbers in [0, 1), (batch, 2 * operations): the operation and its direction, in turn.
        settings: Number and magnitude of the operations.

    Returns:
        uint8 images of the same shape.
    """
    operations = list(make_operations(settings.magnitude / MAX_MAGNITUDE).values())
    images = images if images.dtype == tf.uint8 else tf.cast(tf.round(images), tf.uint8)

    def change(arguments: tuple[tf.Tensor, tf.Tensor]) -> tf.Tensor:
        image, drawn = arguments
        for which, direction in zip(*[iter(tf.unstack(drawn, num=2 * settings.operations))] * 2, strict=True):
            sign = tf.where(direction < 0.5, -1.0, 1.0)
            index = tf.cast(which * len(operations), tf.int32)
            branches = [lambda image=image, sign=sign, apply=apply: apply(image, sign) for apply in operations]
            image = tf.ensure_shape(tf.switch_case(index, branches), images.shape[1:])
        return image

    signature = tf.TensorSpec(images.shape[1:], tf.uint8)
    return tf.map_fn(change, (images, draws), fn_output_signature=signature, parallel_iterations=1)


def make_operations(strength: float) -> dict[str, Operation]:
    """Build the 14 operations at `strength` 0..1, by name.

    Each takes a uint8 image (height, width, channels) and a direction.
    """
    factor = 0.9 * strength
    return {
        "identity": lambda image, sign: image,
        "autocontrast": lambda image, sign: autocontrast(image),
        "equalize": lambda image, sign: equalize(image),
        "rotate": lambda image, sign: _move(image, rotation([sign * strength * math.pi / 6], image.shape[:2])),
        "solarize": lambda image, sign: solarize(image, 256 - round(256 * strength)),
        "color": lambda image, sign: blend(_grey(image), image, 1 + sign * factor),
        "posterize": lambda image, sign: posterize(image, 8 - round(4 * strength)),
        "contrast": lambda image, sign: contrast(image, 1 + sign * factor),
        "brightness": lambda image, sign: blend(tf.zeros_like(image), image, 1 + sign * factor),
        "sharpness": lambda image, sign: blend(smooth(image), image, 1 + sign * factor),
        "shear_x": lambda image, sign: _move(image, _matrix(b=sign * 0.3 * strength)),
        "shear_y": lambda image, sign: _move(image, _matrix(d=sign * 0.3 * strength)),
        "translate_x": lambda image, sign: _move(image, _matrix(c=sign * _shift(image.shape[1], strength))),
        "translate_y": lambda image, sign: _move(image, _matrix(f=sign * _shift(image.shape[0], strength))),
    }


def autocontrast(image: tf.Tensor) -> tf.Tensor:
    """Stretch each channel to 0..255."""
    levels = tf.cast(image, tf.float32)
    low = tf.reduce_min(levels, axis=[0, 1])
    high = tf.reduce_max(levels, axis=[0, 1])
    stretched = tf.floor((levels - low) * 255 / tf.maximum(high - low, 1) + 1e-4)  # the 1e-4 keeps whole numbers whole
    return tf.where(high > low, tf.cast(tf.clip_by_value(stretched, 0, 255), tf.uint8), image)


def equalize(image: tf.Tensor) -> tf.Tensor:
    """Make each channel's levels equally frequent."""
    channels = image.shape[-1]
    offsets = 256 * tf.range(channels)
    places = tf.cast(image, tf.int32) + offsets  # one histogram of 256 bins for each channel, side by side
    bins = 256 * channels
    counts = tf.reshape(tf.math.bincount(tf.reshape(places, [-1]), minlength=bins, maxlength=bins), [channels, 256])
    last = tf.reduce_max(tf.where(counts > 0, tf.range(256), 0), axis=1)
    step = (tf.reduce_sum(counts, axis=1) - tf.gather(counts, last, axis=1, batch_dims=1)) // 255
    before = tf.cumsum(counts, axis=1, exclusive=True)
    table = tf.minimum((before + step[:, None] // 2) // tf.maximum(step[:, None], 1), 255)
    table = tf.where(step[:, None] > 0, table, tf.range(256))
    return tf.cast(tf.gather(tf.reshape(table, [-1]), places), tf.uint8)


def solarize(image: tf.Tensor, threshold: int) -> tf.Tensor:
    """Invert the levels from `threshold` on."""
    return tf.where(tf.cast(image, tf.int32) >= threshold, 255 - image, image)


def posterize(image: tf.Tensor, bits: int) -> tf.Tensor:
    """Keep the highest `bits` of each level."""
    return tf.bitwise.bitwise_and(image, tf.constant(256 - 2 ** (8 - bits), tf.uint8))


def contrast(image: tf.Tensor, factor: tf.Tensor) -> tf.Tensor:
    """Stretch about the mean of the grey image."""
    mean = tf.floor(tf.reduce_mean(tf.cast(_grey(image), tf.float32)) + 0.5)
    return blend(tf.cast(tf.fill(image.shape, mean), tf.uint8), image, factor)


def smooth(image: tf.Tensor) -> tf.Tensor:
    """Average each pixel with its eight neighbours, by weights; border pixels stay unchanged."""
    height, width = image.shape[:2]
    levels = tf.cast(image, tf.float32)
    inner = tf.add_n(
        [
            levels[row : height - 2 + row, column : width - 2 + column] * (weight / 13)
            for row, weights in enumerate(SMOOTH)
            for column, weight in enumerate(weights)
        ]
    )
    rows, columns = tf.range(height)[:, None], tf.range(width)[None]
    is_inner = (rows > 0) & (rows < height - 1) & (columns > 0) & (columns < width - 1)
    padded = tf.pad(tf.cast(inner + 0.5, tf.uint8), [[1, 1], [1, 1], [0, 0]])
    return tf.where(is_inner[..., None], padded, image)


def blend(degenerate: tf.Tensor, image: tf.Tensor, factor: tf.Tensor) -> tf.Tensor:
    """Interpolate from `degenerate` (factor 0) to `image` (factor 1), and extrapolate beyond."""
    start, end = tf.cast(degenerate, tf.float32), tf.cast(image, tf.float32)
    return tf.cast(tf.clip_by_value(start + factor * (end - start), 0, 255), tf.uint8)


def rotation(angles: Any, size: tuple[int, int]) -> tf.Tensor:
    """Return the transforms (n, 8) that rotate images of `size` about their centre by `angles` (n,), in radians."""
    height, width = (float(side) for side in size)
    cosine, sine = tf.cos(angles), tf.sin(angles)
    x_offset = ((width - 1) - (cosine * (width - 1) - sine * (height - 1))) / 2
    y_offset = ((height - 1) - (sine * (width - 1) + cosine * (height - 1))) / 2
    zero = tf.zeros_like(cosine)
    return tf.stack([cosine, -sine, x_offset, sine, cosine, y_offset, zero, zero], axis=1)


def transform(images: tf.Tensor, transforms: tf.Tensor, *, interpolation: str, fill: float) -> tf.Tensor:
    """Take the pixel at (x, y) from (a x + b y + c, d x + e y + f), for transforms (n, 8) of a, b, c, d, e, f, 0, 0."""
    return tf.raw_ops.ImageProjectiveTransformV3(
        images=images,
        transforms=transforms,
        output_shape=tf.shape(images)[1:3],
        fill_value=fill,
        interpolation=interpolation,
        fill_mode="CONSTANT",
    )


def _move(image: tf.Tensor, transforms: tf.Tensor) -> tf.Tensor:
    return transform(image[None], transforms, interpolation="NEAREST", fill=GREY)[0]


def _matrix(*, b: Any = 0.0, c: Any = 0.0, d: Any = 0.0, f: Any = 0.0) -> tf.Tensor:
    return tf.stack([1.0, b, c, d, 1.0, f, 0.0, 0.0])[None]


def _shift(side: int, strength: float) -> int:
    return round(side * strength * 150 / 331)


def _grey(image: tf.Tensor) -> tf.Tensor:
    """Convert a colour image to its luma, in as many channels; leave a grey one unchanged."""
    if image.shape[-1] == 1:
        return image
    luma = tf.reduce_sum(tf.cast(image, tf.float32) * LUMA, axis=-1, keepdims=True)
    return tf.cast(tf.repeat(tf.round(luma), 3, axis=-1), tf.uint8)
