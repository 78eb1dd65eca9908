"""Random changes of training images, as pure functions of the images and of numbers drawn for them.

Every function takes a batch (batch, height, width, channels), float32 in 0..255, and one number in [0, 1) per image and
degree of freedom, and returns a batch of the same shape. Nothing here holds or draws a random state.
"""

from __future__ import annotations

import math

import tensorflow as tf

from dltemplates.settings import Augment

DRAWS = 6  # flip, row, column, angle, brightness, contrast


def augment_images(images: tf.Tensor, draws: tf.Tensor, settings: Augment) -> tf.Tensor:
    """Change a batch as the template says.

    Args:
        images: Images (batch, height, width, channels), any number type, 0..255.
        draws: Numbers in [0, 1), (batch, DRAWS).
        settings: Which changes, how far.

    Returns:
        Float32 images of the same shape, 0..255.
    """
    images = tf.cast(images, tf.float32)
    flip_draw, row, column, angle, shift, stretch = tf.unstack(draws, axis=1)
    if settings.flip:
        images = flip(images, flip_draw)
    if settings.crop_padding:
        images = crop(images, row, column, settings.crop_padding)
    if settings.rotation:
        images = rotate(images, angle, settings.rotation)
    if settings.brightness:
        images = brighten(images, shift, settings.brightness)
    if settings.contrast:
        images = change_contrast(images, stretch, settings.contrast)
    return images


def flip(images: tf.Tensor, draw: tf.Tensor) -> tf.Tensor:
    """Mirror the images whose draw is below one half, left to right."""
    return tf.where(draw[:, None, None, None] < 0.5, images[:, :, ::-1], images)


def crop(images: tf.Tensor, row: tf.Tensor, column: tf.Tensor, padding: int) -> tf.Tensor:
    """Pad each side by `padding` black pixels and crop back, the corner given by `row` and `column`."""
    height, width = images.shape[1:3]
    padded = tf.pad(images, [[0, 0], [padding, padding], [padding, padding], [0, 0]])
    rows = _offset(row, padding)[:, None] + tf.range(height)
    columns = _offset(column, padding)[:, None] + tf.range(width)
    padded = tf.gather(padded, rows, axis=1, batch_dims=1)
    return tf.gather(padded, columns, axis=2, batch_dims=1)


def _offset(draw: tf.Tensor, padding: int) -> tf.Tensor:
    """An integer in 0..2 * padding, each as likely."""
    return tf.cast(draw * (2 * padding + 1), tf.int32)


def rotate(images: tf.Tensor, draw: tf.Tensor, degrees: float) -> tf.Tensor:
    """Turn about the centre by up to `degrees` either way, bilinear, black beyond the edge."""
    height, width = (float(size) for size in images.shape[1:3])
    angle = (2 * draw - 1) * (degrees * math.pi / 180)
    cosine, sine, zero = tf.cos(angle), tf.sin(angle), tf.zeros_like(angle)
    x_offset = ((width - 1) - (cosine * (width - 1) - sine * (height - 1))) / 2
    y_offset = ((height - 1) - (sine * (width - 1) + cosine * (height - 1))) / 2
    transforms = tf.stack([cosine, -sine, x_offset, sine, cosine, y_offset, zero, zero], axis=1)
    return tf.raw_ops.ImageProjectiveTransformV3(
        images=images,
        transforms=transforms,
        output_shape=tf.shape(images)[1:3],
        fill_value=0.0,
        interpolation="BILINEAR",
        fill_mode="CONSTANT",
    )


def brighten(images: tf.Tensor, draw: tf.Tensor, share: float) -> tf.Tensor:
    """Add up to `share` of 255 either way, and clip."""
    return tf.clip_by_value(images + ((2 * draw - 1) * (share * 255))[:, None, None, None], 0, 255)


def change_contrast(images: tf.Tensor, draw: tf.Tensor, share: float) -> tf.Tensor:
    """Stretch about each image's mean by a factor of 1 plus or minus up to `share`, and clip."""
    mean = tf.reduce_mean(images, axis=[1, 2, 3], keepdims=True)
    factor = (1 + (2 * draw - 1) * share)[:, None, None, None]
    return tf.clip_by_value((images - mean) * factor + mean, 0, 255)
