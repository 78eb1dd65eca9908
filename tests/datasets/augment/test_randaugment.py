"""RandAugment's operations against Pillow's, and as functions of their random draws."""

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image, ImageEnhance, ImageOps

from dltemplates.datasets.augment.randaugment import make_operations, randaugment
from dltemplates.train_settings import RandAugment

PLAIN = ("identity", "autocontrast", "equalize", "solarize", "color", "posterize", "contrast", "brightness")
NAMES = (*PLAIN, "sharpness", "rotate", "shear_x", "shear_y", "translate_x", "translate_y")
REFERENCES = {
    "autocontrast": lambda image, factor: ImageOps.autocontrast(image),
    "equalize": lambda image, factor: ImageOps.equalize(image),
    "solarize": lambda image, factor: ImageOps.solarize(image, 128),
    "posterize": lambda image, factor: ImageOps.posterize(image, 6),
    "color": lambda image, factor: ImageEnhance.Color(image).enhance(factor),
    "contrast": lambda image, factor: ImageEnhance.Contrast(image).enhance(factor),
    "brightness": lambda image, factor: ImageEnhance.Brightness(image).enhance(factor),
    "sharpness": lambda image, factor: ImageEnhance.Sharpness(image).enhance(factor),
}


@pytest.fixture(params=["colour", "grey"])
def image(request, photo):
    picture = Image.fromarray(photo // 2 + 40)  # room to stretch
    return np.atleast_3d(np.asarray(picture if request.param == "colour" else picture.convert("L")))


@pytest.mark.parametrize("name", REFERENCES)
@pytest.mark.parametrize("sign", [-1.0, 1.0])
def test_pixels_change_as_in_pillow(image, name, sign):
    picture = Image.fromarray(image.squeeze())
    expected = np.atleast_3d(np.asarray(REFERENCES[name](picture, 1 + sign * 0.45))).astype(int)
    found = make_operations(0.5)[name](tf.constant(image), sign).numpy()
    assert found.dtype == np.uint8
    assert np.abs(found - expected).max() <= 1
    if (name, image.shape[-1]) != ("color", 1):
        assert (found != image).mean() > 0.1


@pytest.mark.parametrize("name", ["autocontrast", "equalize"])
def test_an_image_of_one_colour_is_unchanged(name):
    image = tf.fill([5, 7, 3], np.uint8(77))
    np.testing.assert_array_equal(make_operations(1.0)[name](image, 1.0), image)


def test_there_are_the_papers_14_operations_and_strength_0_changes_nothing():
    image = tf.constant(np.random.default_rng(0).integers(0, 256, (9, 7, 3)), tf.uint8)
    operations = make_operations(0.0)
    assert sorted(operations) == sorted(NAMES)
    for name, apply in operations.items():
        if name not in ("autocontrast", "equalize"):  # these have no strength
            np.testing.assert_array_equal(apply(image, 1.0), image, err_msg=name)


def test_full_strength():
    image = tf.constant(np.random.default_rng(0).integers(0, 256, (331, 331, 1)), tf.uint8)
    operations = make_operations(1.0)
    np.testing.assert_array_equal(operations["solarize"](image, 1.0), 255 - image.numpy())
    np.testing.assert_array_equal(operations["posterize"](image, 1.0), image.numpy() & 0xF0)
    moved = operations["translate_x"](image, 1.0).numpy()
    np.testing.assert_array_equal(moved[:, :-150], image.numpy()[:, 150:])
    assert (moved[:, -150:] == 128).all()
    moved = operations["translate_y"](image, -1.0).numpy()
    np.testing.assert_array_equal(moved[150:], image.numpy()[:-150])
    sheared = operations["shear_x"](image, 1.0).numpy()
    np.testing.assert_array_equal(sheared[100, :-30], image.numpy()[100, 30:])
    turned = operations["rotate"](image, 1.0).numpy()
    expected = np.asarray(Image.fromarray(image.numpy()[..., 0]).rotate(30, fillcolor=128))
    assert (turned[..., 0] == expected).mean() > 0.95


@pytest.mark.parametrize("channels", [1, 3])
def test_each_image_depends_only_on_its_own_draws(channels):
    tf.config.experimental.enable_op_determinism()
    images = tf.constant(np.random.default_rng(0).integers(0, 256, (28, 16, 12, channels)), tf.uint8)
    settings = RandAugment(operations=2, magnitude=7)
    draws = np.random.default_rng(1).random((28, 4)).astype(np.float32)
    draws[:, 0] = np.arange(28) // 2 / 14 + 0.01  # each operation at least twice
    draws[:14, 2] = 0.01  # the second operation does nothing
    changed = tf.function(randaugment)(images, draws, settings).numpy()
    assert changed.dtype == np.uint8
    np.testing.assert_array_equal(randaugment(images, draws, settings), changed)
    np.testing.assert_array_equal(randaugment(images[3:5], draws[3:5], settings), changed[3:5])
    np.testing.assert_array_equal(changed[:2], images[:2])
    assert (changed[2:] != images.numpy()[2:]).any(axis=(1, 2, 3)).mean() > 0.7
    np.testing.assert_array_equal(randaugment(tf.cast(images, tf.float32), draws, settings), changed)
