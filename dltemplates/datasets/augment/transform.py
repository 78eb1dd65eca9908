"""One crop and one flip for all fields of an example: its image, its boxes, its mask.

`CropFlip` holds the settings of crop and flip. It draws an array of places: the window of each example in a batch, and
whether it is mirrored. `transform` applies them to a field. A new kind of feature that lies on the image registers its
own function: `@transform.register`.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass

import tensorflow as tf

from dltemplates.datasets.augment.images import cut_window, flip, whole_number
from dltemplates.features import Boxes, Feature, Image
from dltemplates.features.boxes import PADDING
from dltemplates.train_settings import Augment


@dataclass(frozen=True)
class CropFlip:
    """A random window of a canvas, perhaps mirrored.

    Attributes:
        size: Height and width of the window.
        canvas: Height and width of the resized image, at least `size`.
        flips: Whether some windows are mirrored.
    """

    size: tuple[int, int]
    canvas: tuple[int, int]
    flips: bool = False

    @classmethod
    def whole(cls, image: Image) -> CropFlip:
        """Return a window that covers the whole image at the input's size."""
        size = (image.shape[0], image.shape[1])
        return cls(size, size)

    @classmethod
    def of_training(cls, image: Image, settings: Augment) -> CropFlip:
        """Return a window of a canvas larger by the inverse of `random_crop`, perhaps mirrored."""
        size = (image.shape[0], image.shape[1])
        share = settings.random_crop or 1
        return cls(size, (round(size[0] / share), round(size[1] / share)), settings.flip)

    @property
    def crops(self) -> bool:
        """Whether the window is smaller than the canvas."""
        return self.canvas != self.size

    def draw(self, draws: dict[str, tf.Tensor]) -> tf.Tensor:
        """Return the place of each window.

        Args:
            draws: Numbers in [0, 1) by name, each (batch,): `window_row`, `window_column` and `flip`.

        Returns:
            (batch, 3) int32: top, left, and 1 where the window is mirrored, else 0.
        """
        rows, columns = (canvas - size + 1 for canvas, size in zip(self.canvas, self.size, strict=True))
        top = whole_number(draws["window_row"], rows)
        left = whole_number(draws["window_column"], columns)
        return tf.stack([top, left, tf.cast(draws["flip"] < 0.5, tf.int32) * int(self.flips)], axis=1)

    def apply_to_batch(self, pixels: tf.Tensor, places: tf.Tensor) -> tf.Tensor:
        """Crop and mirror pixels (batch, *canvas, channels): (batch, *size, channels)."""
        if self.crops:
            pixels = cut_window(pixels, places[:, 0], places[:, 1], self.size)
        return flip(pixels, places[:, 2] > 0) if self.flips else pixels

    def apply_to_one(self, pixels: tf.Tensor, place: tf.Tensor) -> tf.Tensor:
        """Crop and mirror the pixels of one example, (*canvas, channels): (*size, channels)."""
        if self.crops:
            pixels = tf.slice(pixels, tf.concat([place[:2], [0]], axis=0), [*self.size, pixels.shape[2]])
        return self.mirror_one(pixels, place)

    def mirror_one(self, pixels: tf.Tensor, place: tf.Tensor) -> tf.Tensor:
        """Mirror the pixels of one example if its place says so."""
        # tf.reverse has a fast path for a single colour image; slicing by [::-1] takes twice as long as decoding.
        return tf.cond(place[2] > 0, lambda: tf.reverse(pixels, [1]), lambda: pixels) if self.flips else pixels


@functools.singledispatch
def transform(feature: Feature, array: tf.Tensor, places: tf.Tensor, crop_flip: CropFlip) -> tf.Tensor:
    """Crop and mirror one field of a batch. A field that is not on the image, such as a class, stays unchanged.

    Args:
        feature: The field's feature.
        array: The field of each example, (batch, ...).
        places: The windows, (batch, 3), as `crop_flip.draw` returns them.
        crop_flip: The crop and the flip.

    Returns:
        (batch, ...), each example cropped to its window.
    """
    return array


def is_spatial(feature: Feature) -> bool:
    """Return whether a feature lies on the image, so that `transform` moves it along."""
    return transform.dispatch(type(feature)) is not transform.dispatch(object)


@transform.register
def _(feature: Image, array: tf.Tensor, places: tf.Tensor, crop_flip: CropFlip) -> tf.Tensor:
    is_of_other_size = feature.shape[:2] != crop_flip.size
    if is_of_other_size and crop_flip.crops:
        raise ValueError(
            "`train.augment.random_crop` cuts one window from all images of an example, so they must have one size. "
            f"Received: {feature.shape[:2]} for `{feature.name}`, {crop_flip.size} for the first. Leave it out."
        )
    if not is_of_other_size and array.shape[1:3] != crop_flip.canvas:  # stretched, with antialiasing
        resized = tf.image.resize(array, crop_flip.canvas, method="bilinear", antialias=True)
        array = tf.cast(tf.clip_by_value(tf.round(resized), 0, 255), tf.uint8)
    return crop_flip.apply_to_batch(array, places)


@transform.register
def _(feature: Boxes, array: tf.Tensor, places: tf.Tensor, crop_flip: CropFlip) -> tf.Tensor:
    # Boxes are clipped to the window; a box outside becomes padding. Rows keep their positions, so the classes of the
    # boxes still match by row.
    left, top, right, bottom = tf.unstack(array, axis=-1)  # each (batch, max_boxes)
    if crop_flip.crops:
        begin_row, begin_column = (tf.cast(places[:, axis, None], array.dtype) for axis in (0, 1))
        (height, width), (canvas_height, canvas_width) = crop_flip.size, crop_flip.canvas
        left, right = ((x * canvas_width - begin_column) / width for x in (left, right))
        top, bottom = ((y * canvas_height - begin_row) / height for y in (top, bottom))
    if crop_flip.flips:
        mirrored = places[:, 2, None] > 0
        left, right = tf.where(mirrored, 1 - right, left), tf.where(mirrored, 1 - left, right)
    clipped = tf.clip_by_value(tf.stack([left, top, right, bottom], axis=-1), 0, 1)
    is_box = (clipped[..., 2] > clipped[..., 0]) & (clipped[..., 3] > clipped[..., 1])
    return tf.where(is_box[..., None], clipped, tf.constant(PADDING, array.dtype))
