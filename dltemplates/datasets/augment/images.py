"""Random changes of training images, as pure functions of images and random numbers.

Every function takes a batch (batch, height, width, channels) of values 0..255, and one number in [0, 1) per image and
degree of freedom. It returns a batch of the same shape. No function keeps or draws a random state.
"""

from __future__ import annotations

import math

import tensorflow as tf

from dltemplates.datasets.augment.randaugment import randaugment, rotation, transform
from dltemplates.train_settings import Augment

NAMES = (
    *("window_row", "window_column", "flip", "row", "column", "angle", "brightness", "contrast"),
    *("cutout_row", "cutout_column", "mix", "share", "box_row", "box_column"),
)


def count_draws(settings: Augment) -> int:
    """Return the count of random numbers per image: one for each of `NAMES`, two for each operation of RandAugment."""
    return len(NAMES) + (2 * settings.randaugment.operations if settings.randaugment else 0)


def by_name(draws: tf.Tensor) -> dict[str, tf.Tensor]:
    """Name the draws (batch, count_draws): arrays (batch,) by name."""
    return dict(zip(NAMES, tf.unstack(draws[:, : len(NAMES)], num=len(NAMES), axis=1), strict=True))


def augment_images(images: tf.Tensor, draws: tf.Tensor, settings: Augment) -> tf.Tensor:
    """Change each image as the template says. Crops to a window and flips were applied on reading.

    Args:
        images: Images (batch, height, width, channels), any number type, 0..255.
        draws: Numbers in [0, 1), (batch, count_draws(settings)).
        settings: Kinds and strengths of the changes.

    Returns:
        Images of the same shape, 0..255: float32 after rotation, brightness or contrast, otherwise the same dtype.
    """
    draw = by_name(draws)
    if settings.crop_padding:
        images = crop(images, draw["row"], draw["column"], settings.crop_padding)
    if settings.randaugment:
        images = randaugment(images, draws[:, len(NAMES) :], settings.randaugment)
    if settings.rotation or settings.brightness or settings.contrast:
        images = tf.cast(images, tf.float32)
    if settings.rotation:
        images = rotate(images, draw["angle"], settings.rotation)
    if settings.brightness:
        images = brighten(images, draw["brightness"], settings.brightness)
    if settings.contrast:
        images = change_contrast(images, draw["contrast"], settings.contrast)
    if settings.cutout:
        images = cutout(images, draw["cutout_row"], draw["cutout_column"], settings.cutout)
    return images


def whole_number(draw: tf.Tensor, count: int) -> tf.Tensor:
    """Turn a draw into an integer in 0..count - 1, all equally likely."""
    return tf.cast(draw * count, tf.int32)


def flip(images: tf.Tensor, mirrored: tf.Tensor) -> tf.Tensor:
    """Mirror the images where `mirrored` (batch,) is true, left to right."""
    return tf.where(mirrored[:, None, None, None], tf.reverse(images, [2]), images)


def cut_window(images: tf.Tensor, top: tf.Tensor, left: tf.Tensor, size: tuple[int, int]) -> tf.Tensor:
    """Cut a window of `size` (height, width) out of each image, with its corner at `top` and `left` (batch,)."""
    images = tf.gather(images, top[:, None] + tf.range(size[0]), axis=1, batch_dims=1)
    return tf.gather(images, left[:, None] + tf.range(size[1]), axis=2, batch_dims=1)


def crop(images: tf.Tensor, row: tf.Tensor, column: tf.Tensor, padding: int) -> tf.Tensor:
    """Pad each side by `padding` black pixels and crop to the old size, with the corner from `row` and `column`."""
    height, width = images.shape[1:3]
    padded = tf.pad(images, [[0, 0], [padding, padding], [padding, padding], [0, 0]])
    places = 2 * padding + 1
    return cut_window(padded, whole_number(row, places), whole_number(column, places), (height, width))


def rotate(images: tf.Tensor, draw: tf.Tensor, degrees: float) -> tf.Tensor:
    """Rotate about the centre by up to `degrees` either way: bilinear, black beyond the edge."""
    angle = (2 * draw - 1) * (degrees * math.pi / 180)
    return transform(images, rotation(angle, images.shape[1:3]), interpolation="BILINEAR", fill=0.0)


def brighten(images: tf.Tensor, draw: tf.Tensor, share: float) -> tf.Tensor:
    """Add up to `share` of 255 either way, and clip."""
    return tf.clip_by_value(images + ((2 * draw - 1) * (share * 255))[:, None, None, None], 0, 255)


def change_contrast(images: tf.Tensor, draw: tf.Tensor, share: float) -> tf.Tensor:
    """Stretch about each image's mean by a factor of 1 ± `share` at most, and clip."""
    mean = tf.reduce_mean(images, axis=[1, 2, 3], keepdims=True)
    factor = (1 + (2 * draw - 1) * share)[:, None, None, None]
    return tf.clip_by_value((images - mean) * factor + mean, 0, 255)


def cutout(images: tf.Tensor, row: tf.Tensor, column: tf.Tensor, side: int) -> tf.Tensor:
    """Set a square of `side` pixels to black (DeVries 2017).

    Its centre may be any pixel, so the border may cut the square; the paper finds this important.
    """
    height, width = images.shape[1:3]
    top = whole_number(row, height) - side // 2
    left = whole_number(column, width) - side // 2
    inside = in_box(top, left, top + side, left + side, (height, width))
    return tf.where(inside, tf.zeros([], images.dtype), images)


def in_box(top: tf.Tensor, left: tf.Tensor, bottom: tf.Tensor, right: tf.Tensor, size: tuple[int, int]) -> tf.Tensor:
    """Mark the pixels in the box from `top` and `left` to before `bottom` and `right` (batch,): (batch, *size, 1)."""
    rows, columns = tf.range(size[0])[None], tf.range(size[1])[None]
    in_rows = (rows >= top[:, None]) & (rows < bottom[:, None])
    in_columns = (columns >= left[:, None]) & (columns < right[:, None])
    return (in_rows[:, :, None] & in_columns[:, None, :])[..., None]
