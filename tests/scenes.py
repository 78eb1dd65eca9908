"""Drawn scenes with boxes and masks that the pixels show, and two kinds of field for tests only."""

from __future__ import annotations

from typing import Literal

import numpy as np
import tensorflow as tf
from PIL import Image

from dltemplates.datasets.augment.transform import transform
from dltemplates.datasets.features import class_value, image_value
from dltemplates.datasets.images.fields import read_file
from dltemplates.datasets.images.scan import scan
from dltemplates.datasets.ragged import Ragged
from dltemplates.datasets.spec import DatasetSpec
from dltemplates.features import Boxes, Feature
from dltemplates.features.pixels import BrokenImageError

SIZE = (32, 40)
COUNTS = (3, 1, 0, 2, 3, 3, 1, 2, 3, 3)  # boxes of each scene
IMAGE = image_value(SIZE, 3, resize="stretch")
BOXES = Boxes(name="boxes", dtype="float32", shape=(4, 4))
LABEL = class_value(tuple("abcdefghij"))


class Mask(Feature):
    """A class for each pixel: (height, width, 1)."""

    kind: Literal["mask"] = "mask"


MASK = Mask(name="mask", dtype="uint8", shape=(*SIZE, 1))


@read_file.register
def _(feature: Mask, path, file, canvas):
    try:
        with Image.open(path) as picture:
            return np.asarray(picture.resize(canvas[::-1], Image.Resampling.NEAREST))[..., None]
    except OSError as error:
        raise BrokenImageError(f"A mask must be an image. Received: {path}.", "no mask") from error


@transform.register
def _(feature: Mask, array, places, crop_flip):
    if array.shape[1:3] != crop_flip.canvas:
        array = tf.image.resize(array, crop_flip.canvas, method="nearest")
    return crop_flip.apply_to_batch(array, places)


class Sound(Feature):
    """Audio samples, which have no position on the image."""

    kind: Literal["sound"] = "sound"


SOUND = Sound(name="sound", dtype="int16", shape=(6,))


@read_file.register
def _(feature: Sound, path, file, canvas):
    return np.fromfile(path, np.int16)


def spec_with(*targets, inputs=(IMAGE,)):
    """Return a spec that may hold kinds defined in tests."""
    return DatasetSpec.model_construct(inputs=inputs, targets=targets, sizes={}, fingerprint="")


def batch(example, *, training):
    """Return all fields: the image as input, the others as targets."""
    return example["image"], {name: array for name, array in example.items() if name != "image"}, None


def draw_scene(number: int, size=SIZE):
    """Return an image (height, width, 3), and its boxes (count, 4): box i is the lit part of channel i."""
    rng = np.random.default_rng(number)
    pixels, boxes = np.zeros((*size, 3), np.uint8), np.zeros((COUNTS[number], 4), np.float32)
    for channel in range(COUNTS[number]):
        top, left = (int(rng.integers(0, side * 2 // 3)) for side in size)
        bottom, right = (int(rng.integers(start + 8, side + 1)) for start, side in zip((top, left), size, strict=True))
        pixels[top:bottom, left:right, channel] = 255
        boxes[channel] = left / size[1], top / size[0], right / size[1], bottom / size[0]
    return pixels, boxes


def scene_arrays():
    """Return the images, boxes (ragged), masks and labels of all scenes."""
    images, boxes = zip(*(draw_scene(number) for number in range(len(COUNTS))), strict=True)
    images = np.stack(images)
    return {
        "image": images,
        "boxes": Ragged.of(boxes, length=4, fill=-1),
        "mask": images[..., :1] // 255,
        "label": np.arange(len(COUNTS)),
    }


def write_scenes(folder, sizes=(SIZE,), suffix="png"):
    """Write images and masks of scenes; return the names of both, their scanned headers, and the boxes."""
    boxes, names, masks = [], [], []
    for number in range(len(COUNTS)):
        pixels, own = draw_scene(number, sizes[number % len(sizes)])
        names.append(f"{number}.{suffix}")
        masks.append(f"{number}.mask.png")
        Image.fromarray(pixels).save(folder / names[-1], **({"quality": 95} if suffix == "jpg" else {}))
        Image.fromarray(pixels[..., 0] // 255).save(folder / masks[-1])
        boxes.append(own)
    found = [scan([f"{folder}/{name}" for name in some]) for some in (names, masks)]
    return names, masks, found, Ragged.of(boxes, length=4, fill=-1)


def check_scene(image, boxes, *, near=1.2):
    """Compare the boxes (4, 4) of a scene with its pixels (height, width, 3), to about a pixel; count the matches."""
    height, width = image.shape[:2]
    assert (boxes[3] == -1).all()
    seen = 0
    for channel in range(3):
        lit = image[..., channel] > 127
        rows, columns = (np.flatnonzero(lit.any(axis=axis)) for axis in (1, 0))
        if (boxes[channel] == -1).all():
            assert min(len(rows), len(columns)) <= near
            continue
        left, top, right, bottom = boxes[channel] * (width, height, width, height)
        assert 0 <= left < right <= width
        assert 0 <= top < bottom <= height
        if len(rows) and len(columns):
            found = columns[0], rows[0], columns[-1] + 1, rows[-1] + 1
            np.testing.assert_allclose(found, (left, top, right, bottom), atol=near)
            seen += 1
        else:
            assert min(right - left, bottom - top) <= near
    return seen
