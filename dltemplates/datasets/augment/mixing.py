"""Mixing pairs of examples: Mixup (Zhang 2018, https://arxiv.org/abs/1710.09412) and CutMix (Yun 2019,
https://arxiv.org/abs/1905.04899).

The partner of position p in a batch is p XOR 1; the last one of an odd batch is its own partner. Each epoch has a new
order, so neighbours are a random pair. An even part of a batch contains whole pairs.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf

from dltemplates.datasets.augment.images import by_name, in_box, whole_number
from dltemplates.train_settings import Augment

POINTS = 4097  # size of the table of Beta quantiles: shares are exact to about 1/4000


def mix_images(images: tf.Tensor, draws: tf.Tensor, settings: Augment) -> tuple[tf.Tensor, tf.Tensor]:
    """Mix each image with its partner.

    Args:
        images: Images (batch, height, width, channels), 0..255.
        draws: Numbers in [0, 1), (batch, ...); a pair uses those of its first image.
        settings: The alphas; at least one is greater than 0.

    Returns:
        Images of the same shape (float32 under Mixup), and each image's own share (batch,) in its mix.
    """
    count = tf.shape(images)[0]
    positions = tf.range(count)
    partner = partners(count)
    draw = by_name(tf.gather(draws, positions - positions % 2))
    takes_cutmix = tf.fill([count], settings.cutmix > 0)
    if settings.mixup and settings.cutmix:
        takes_cutmix = draw["mix"] < 0.5
    others = tf.gather(images, partner)
    share = tf.ones([count])
    if settings.mixup:
        drawn = beta(draw["share"], settings.mixup)
        share = tf.where(takes_cutmix, share, drawn)
        images = mixed(tf.cast(images, tf.float32), tf.cast(others, tf.float32), share)
    if settings.cutmix:
        drawn = beta(draw["share"], settings.cutmix)
        inside = cutmix_box(drawn, draw["box_row"], draw["box_column"], images.shape[1:3])
        inside &= takes_cutmix[:, None, None, None]
        images = tf.where(inside, tf.cast(others, images.dtype), images)
        outside = 1 - tf.reduce_mean(tf.cast(inside, tf.float32), axis=[1, 2, 3])
        share = tf.where(takes_cutmix, outside, share)
    return images, share


def mix_values(values: Any, share: tf.Tensor) -> Any:
    """Mix floats (batch, ...), such as targets and weights, with their partners'.

    Args:
        values: A tensor, or a structure of tensors.
        share: Each example's own share, (batch,).
    """
    partner = partners(tf.shape(share)[0])
    return tf.nest.map_structure(lambda value: mixed(value, tf.gather(value, partner), share), values)


def partners(count: tf.Tensor) -> tf.Tensor:
    """Return the position of each example's partner in a batch: (count,) int32."""
    return tf.minimum(tf.bitwise.bitwise_xor(tf.range(count), 1), count - 1)


def mixed(own: tf.Tensor, other: tf.Tensor, share: tf.Tensor) -> tf.Tensor:
    """Return the weighted mean of `own` and `other`, both (batch, ...), with weight `share` (batch,) for `own`."""
    share = tf.reshape(tf.cast(share, own.dtype), [-1, *[1] * (len(own.shape) - 1)])
    return share * own + (1 - share) * other


def cutmix_box(share: tf.Tensor, row: tf.Tensor, column: tf.Tensor, size: tuple[int, int]) -> tf.Tensor:
    """Mark the pixels taken from the other image: (batch, *size, 1) booleans.

    They form a box with the image's aspect ratio and 1 - `share` of its area, centred on any pixel, cut by the border.
    """
    ratio = tf.sqrt(1 - share)
    height, width = (tf.cast(side * ratio, tf.int32) for side in size)
    top = whole_number(row, size[0]) - height // 2
    left = whole_number(column, size[1]) - width // 2
    return in_box(top, left, top + height, left + width, size)


def beta(draw: tf.Tensor, alpha: float) -> tf.Tensor:
    """Turn uniform numbers in [0, 1) into Beta(alpha, alpha) numbers, by a table of quantiles."""
    from scipy.special import betaincinv

    table = tf.constant(betaincinv(alpha, alpha, np.linspace(0, 1, POINTS)), tf.float32)
    place = draw * (POINTS - 1)
    below = tf.cast(place, tf.int32)
    rest = place - tf.cast(below, tf.float32)
    return (1 - rest) * tf.gather(table, below) + rest * tf.gather(table, below + 1)
