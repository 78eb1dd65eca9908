"""How images are looked at as they are read: through a window of a canvas, perhaps in a mirror."""

from __future__ import annotations

from dataclasses import dataclass

import tensorflow as tf

from dltemplates.datasets.augment import cut_window, flip, whole_number
from dltemplates.features import Image
from dltemplates.settings import Augment


@dataclass(frozen=True)
class View:
    """How images are looked at.

    Attributes:
        size: Height and width of what is seen.
        canvas: Height and width that images are brought to, at least `size`.
        flips: Whether some are mirrored.
    """

    size: tuple[int, int]
    canvas: tuple[int, int]
    flips: bool = False

    @classmethod
    def whole(cls, image: Image) -> View:
        """The whole image at its input's size."""
        size = (image.shape[0], image.shape[1])
        return cls(size, size)

    @classmethod
    def of_training(cls, image: Image, settings: Augment) -> View:
        """A window of a canvas that is larger by the inverse of `random_crop`, perhaps mirrored."""
        size = (image.shape[0], image.shape[1])
        share = settings.random_crop or 1
        return cls(size, (round(size[0] / share), round(size[1] / share)), settings.flip)

    @property
    def crops(self) -> bool:
        """Whether what is seen is less than the canvas."""
        return self.canvas != self.size

    def places(self, draw: dict[str, tf.Tensor]) -> tf.Tensor:
        """Where each image's window is, and whether it is mirrored: (batch, 3) int32 of top, left, 0 or 1."""
        rows, columns = (canvas - size + 1 for canvas, size in zip(self.canvas, self.size, strict=True))
        top = whole_number(draw["window_row"], rows)
        left = whole_number(draw["window_column"], columns)
        return tf.stack([top, left, tf.cast(draw["flip"] < 0.5, tf.int32) * int(self.flips)], axis=1)

    def look_at_all(self, images: tf.Tensor, places: tf.Tensor) -> tf.Tensor:
        """Look at a batch; images that are not on the canvas yet are brought to it, stretched, with antialiasing."""
        if images.shape[1:3] != self.canvas:
            resized = tf.image.resize(images, self.canvas, method="bilinear", antialias=True)
            images = tf.cast(tf.clip_by_value(tf.round(resized), 0, 255), tf.uint8)
        if self.crops:
            images = cut_window(images, places[:, 0], places[:, 1], self.size)
        return flip(images, places[:, 2] > 0) if self.flips else images

    def look_at_one(self, image: tf.Tensor, place: tf.Tensor) -> tf.Tensor:
        """Look at one image that is on the canvas."""
        if self.crops:
            image = tf.slice(image, tf.concat([place[:2], [0]], axis=0), [*self.size, image.shape[2]])
        return self.mirror_one(image, place)

    def mirror_one(self, image: tf.Tensor, place: tf.Tensor) -> tf.Tensor:
        """Mirror one image if its place says so."""
        # tf.reverse has a fast path for a single colour image; slicing by [::-1] takes twice as long as decoding
        return tf.cond(place[2] > 0, lambda: tf.reverse(image, [1]), lambda: image) if self.flips else image
