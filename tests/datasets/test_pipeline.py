import numpy as np
import pytest
import tensorflow as tf

from dltemplates.datasets import augment
from dltemplates.datasets.pipeline import TrainingOrder, evaluation_batches, training_batches
from dltemplates.datasets.source import ArraySource
from dltemplates.datasets.spec import DatasetSpec, Value
from dltemplates.settings import Augment

IMAGE = Value(name="image", kind="image", dtype="float32", shape=(6, 6, 1), range=(0, 255))
LABEL = Value(name="label", kind="class", dtype="int64", shape=(), classes=("even", "odd"))
SPEC = DatasetSpec(inputs=(IMAGE,), targets=(LABEL,), sizes={"train": 10}, fingerprint="")
PIXELS = np.random.default_rng(0).integers(0, 256, (10, 6, 6, 1)).astype("uint8")
PIXELS[:, 0, 0, 0] = np.arange(10)  # so that an example can be told by its first pixel
SOURCE = ArraySource({"image": PIXELS, "label": np.arange(10) % 2})
ALL = Augment(flip=True, crop_padding=1, rotation=15, brightness=0.1, contrast=0.2)


def batches(first, last, augment=Augment(), seed=3, class_weights=None):  # noqa: B008
    order = TrainingOrder(10, 4, seed)
    return list(
        training_batches(
            SOURCE,
            SPEC,
            order,
            steps=range(first, last),
            encode=lambda target: target,
            augment=augment,
            class_weights=class_weights,
        ).as_numpy_iterator()
    )


def test_each_epoch_sees_every_example_once_in_another_order():
    order = TrainingOrder(10, 4, seed=3)
    seen = np.concatenate([order.indices(tf.constant(step, tf.int64)) for step in range(5)])
    assert sorted(seen[:10]) == sorted(seen[10:]) == list(range(10))
    assert list(seen[:10]) != list(seen[10:])


def test_the_seed_changes_the_order():
    step = tf.constant(0, tf.int64)
    assert list(TrainingOrder(1000, 64, 0).indices(step)) != list(TrainingOrder(1000, 64, 1).indices(step))


@pytest.mark.parametrize("settings", [Augment(), ALL])
def test_beginning_at_a_step_gives_what_would_have_come(settings):
    whole, rest = batches(0, 7, settings), batches(4, 7, settings)
    assert len(rest) == 3
    for (images, labels, weights), (later_images, later_labels, later_weights) in zip(whole[4:], rest, strict=True):
        np.testing.assert_array_equal(images, later_images)
        np.testing.assert_array_equal(labels, later_labels)
        np.testing.assert_array_equal(weights, later_weights)


def test_batches_hold_the_examples_of_the_order_and_are_full():
    order = TrainingOrder(10, 4, seed=3)
    for step, (images, labels, weights) in enumerate(batches(0, 5)):
        indices = order.indices(tf.constant(step, tf.int64)).numpy()
        np.testing.assert_array_equal(images[:, 0, 0, 0], indices)
        np.testing.assert_array_equal(labels, indices % 2)
        assert weights.tolist() == [1, 1, 1, 1]


def test_class_weights_are_sample_weights():
    for _, labels, weights in batches(0, 3, class_weights=np.float32([0.5, 2])):
        np.testing.assert_array_equal(weights, np.where(labels == 1, 2, 0.5))


def test_evaluation_sees_every_example_once_in_order():
    parts = list(evaluation_batches(SOURCE, SPEC, batch_size=4, encode=lambda target: target).as_numpy_iterator())
    assert [len(images) for images, _ in parts] == [4, 4, 2]
    np.testing.assert_array_equal(np.concatenate([images for images, _ in parts]), PIXELS)


IMAGES = tf.constant(PIXELS[:4], tf.float32)


def test_no_augmentation_leaves_images_alone():
    draws = tf.random.stateless_uniform([4, augment.DRAWS], [0, 0])
    np.testing.assert_array_equal(augment.augment_images(IMAGES, draws, Augment()), IMAGES)


def test_augmentation_is_a_function_of_its_draws():
    draws = tf.random.stateless_uniform([4, augment.DRAWS], [0, 1])
    once, again = (augment.augment_images(IMAGES, draws, ALL).numpy() for _ in range(2))
    np.testing.assert_array_equal(once, again)
    assert not np.allclose(once, IMAGES)
    assert once.min() >= 0
    assert once.max() <= 255


def test_flip_mirrors_below_one_half():
    flipped = augment.flip(IMAGES, tf.constant([0.0, 0.49, 0.5, 0.99]))
    np.testing.assert_array_equal(flipped[:2], IMAGES[:2, :, ::-1])
    np.testing.assert_array_equal(flipped[2:], IMAGES[2:])


def test_crop_shifts_by_up_to_the_padding_and_fills_with_black():
    zero, one = tf.zeros(4), tf.fill([4], 0.999)
    corner = augment.crop(IMAGES, zero, zero, 2).numpy()
    np.testing.assert_array_equal(corner[:, 2:, 2:], IMAGES[:, :-2, :-2])
    assert not corner[:, :2].any()
    other = augment.crop(IMAGES, one, one, 2).numpy()
    np.testing.assert_array_equal(other[:, :-2, :-2], IMAGES[:, 2:, 2:])
    middle = augment.crop(IMAGES, tf.fill([4], 0.5), tf.fill([4], 0.5), 2)
    np.testing.assert_array_equal(middle, IMAGES)


def test_rotation_by_nothing_and_by_a_right_angle():
    np.testing.assert_allclose(augment.rotate(IMAGES, tf.fill([4], 0.5), 90), IMAGES, atol=1e-3)
    turned = augment.rotate(IMAGES, tf.ones(4), 90).numpy()
    np.testing.assert_allclose(turned, np.rot90(IMAGES, axes=(1, 2)), atol=1e-2)


def test_brightness_adds_and_contrast_stretches_about_the_mean():
    grey = tf.fill([1, 6, 6, 1], 100.0)
    np.testing.assert_allclose(augment.brighten(grey, tf.ones(1), 0.1), 125.5)
    np.testing.assert_allclose(augment.change_contrast(grey, tf.ones(1), 0.5), 100)
    half = augment.change_contrast(IMAGES, tf.zeros(4), 0.5).numpy()
    np.testing.assert_allclose(half.std(axis=(1, 2, 3)), IMAGES.numpy().std(axis=(1, 2, 3)) / 2, rtol=1e-4)
