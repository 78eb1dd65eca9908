"""One crop and one flip move everything on an image: image, mask and boxes."""

import numpy as np
import pytest
import tensorflow as tf
from scenes import BOXES, COUNTS, IMAGE, LABEL, MASK, SIZE, SOUND, batch, check_scene, scene_arrays, spec_with

from dltemplates.datasets.augment.transform import CropFlip, is_spatial, transform
from dltemplates.datasets.features import image_value
from dltemplates.datasets.images.arrays import ImageArrays
from dltemplates.datasets.images.fields import fit_array
from dltemplates.datasets.pipeline import Shard, TrainingOrder, evaluation_batches, training_batches
from dltemplates.datasets.source import ArraySource
from dltemplates.train_settings import Augment

SPEC = spec_with(BOXES, MASK, LABEL)
BOTH = Augment(random_crop=0.75, flip=True)


@pytest.fixture(scope="module")
def source():
    return ArraySource(scene_arrays())


def batches(source, steps, augment=BOTH, spec=SPEC, seed=3, shard=Shard()):  # noqa: B008
    dataset = training_batches(
        source, spec, TrainingOrder(len(source), 4, seed), steps=steps, batch=batch, augment=augment, shard=shard
    )
    return [(images, targets) for images, targets, _ in dataset.as_numpy_iterator()]


def assert_same(found, expected):
    assert len(found) == len(expected) > 0
    for some, others in zip(found, expected, strict=True):
        assert set(some[1]) == set(others[1]) == {"boxes", "mask", "label"}
        tf.nest.map_structure(np.testing.assert_array_equal, some, others)


@pytest.mark.parametrize(
    "augment", [Augment(), Augment(flip=True), Augment(random_crop=0.75), BOTH], ids=["none", "flip", "crop", "both"]
)
def test_boxes_and_masks_match_the_image(source, augment):
    seen = moved = 0
    arrays = scene_arrays()
    for images, targets in batches(source, range(10), augment):
        for image, boxes, mask, label in zip(
            images, *(targets[key] for key in ("boxes", "mask", "label")), strict=True
        ):
            seen += check_scene(image, boxes)
            is_border = (image[..., 0] > 20) & (image[..., 0] < 235)
            assert is_border.mean() < 0.2
            np.testing.assert_array_equal((mask[..., 0] == 1)[~is_border], (image[..., 0] > 127)[~is_border])
            moved += (boxes != arrays["boxes"][label[None]][0]).any()
    assert seen > 60
    assert (moved > 10) == (augment != Augment())


def test_evaluation_crops_and_flips_nothing(source):
    dataset = evaluation_batches(source, SPEC, batch_size=5, batch=batch)
    found = [targets for _, targets, _ in dataset.as_numpy_iterator()]
    arrays = scene_arrays()
    for name in ("boxes", "mask", "label"):
        np.testing.assert_array_equal(np.concatenate([targets[name] for targets in found]), arrays[name][:])


def test_crops_and_flips_depend_on_seed_step_and_position(source):
    whole = batches(source, range(6))
    assert_same(batches(source, range(6)), whole)
    assert_same(batches(source, range(4, 6)), whole[4:])
    others = batches(source, range(6), seed=4)
    assert any((some[1]["boxes"] != other[1]["boxes"]).any() for some, other in zip(whole, others, strict=True))


def test_shards_add_up_to_the_whole_batch(source):
    whole = batches(source, range(2, 5))
    for part in range(2):
        rows = slice(part * 2, part * 2 + 2)
        expected = [tf.nest.map_structure(lambda array: array[rows], step) for step in whole]  # noqa: B023
        assert_same(batches(source, range(2, 5), shard=Shard(2, range(part, part + 1))), expected)


@pytest.mark.parametrize(
    "setting", [{"crop_padding": 2}, {"rotation": 5}, {"randaugment": {}}, {"mixup": 0.2}, {"cutmix": 1.0}]
)
def test_augmentations_that_would_not_move_boxes_are_refused(source, setting):
    (name,) = setting
    with pytest.raises(
        ValueError, match=rf"`train.augment.{name}`.*Received: data with boxes, mask\. Leave out {name}"
    ):
        batches(source, range(1), Augment(**setting))


def test_colours_change_the_image_alone(source):
    plain = batches(source, range(3))
    changed = batches(source, range(3), BOTH.model_copy(update={"brightness": 0.3, "contrast": 0.3, "cutout": 4}))
    for (images, targets), (others, other_targets) in zip(plain, changed, strict=True):
        assert (images != others).any()
        tf.nest.map_structure(np.testing.assert_array_equal, targets, other_targets)


CORNERS = np.float32([[0, 0, 1, 1], [0.5, 0.25, 0.75, 0.5], [0, 0, 0.1, 0.1], [-1, -1, -1, -1]])


def move(boxes, crop_flip, place):
    return transform(BOXES, tf.constant(boxes[None]), tf.constant([place]), crop_flip).numpy()[0]


def test_a_box_is_moved_clipped_or_dropped():
    crop_flip = CropFlip((20, 20), (40, 40), flips=True)
    none = [-1, -1, -1, -1]
    np.testing.assert_allclose(move(CORNERS, crop_flip, [10, 20, 0]), [[0, 0, 1, 1], [0, 0, 0.5, 0.5], none, none])
    np.testing.assert_allclose(move(CORNERS, crop_flip, [10, 20, 1]), [[0, 0, 1, 1], [0.5, 0, 1, 0.5], none, none])
    mirrored = move(CORNERS, CropFlip((20, 20), (20, 20), flips=True), [0, 0, 1])
    np.testing.assert_allclose(mirrored, [[0, 0, 1, 1], [0.25, 0.25, 0.5, 0.5], [0.9, 0, 1, 0.1], none])


def test_a_box_is_unchanged_to_the_bit_without_crop_or_flip():
    low, high = np.random.default_rng(0).random((2, 4, 2), np.float32) / 2
    boxes = np.concatenate([low, 0.5 + high], axis=1)
    np.testing.assert_array_equal(move(boxes, CropFlip((20, 20), (20, 20)), [0, 0, 0]), boxes)


@pytest.mark.parametrize(
    ("rule", "size", "expected"),
    [
        ("stretch", (40, 80), CORNERS),
        # the middle 40 of 80 columns
        ("crop", (40, 80), [[0, 0, 1, 1], [0.5, 0.25, 1, 0.5], [-1] * 4, [-1] * 4]),
        # 20 of 40 rows, 10 black ones above and below
        ("pad", (40, 80), [[0, 0.25, 1, 0.75], [0.5, 0.375, 0.75, 0.5], [0, 0.25, 0.1, 0.3], [-1] * 4]),
        ("crop", (80, 40), [[0, 0, 1, 1], [0.5, 0, 0.75, 0.5], [-1] * 4, [-1] * 4]),
    ],
)
def test_boxes_follow_the_resize_rule(rule, size, expected):
    found = fit_array(BOXES, CORNERS[None], np.array([size]), (40, 40), rule)
    np.testing.assert_allclose(found, [expected], atol=1e-6)


@pytest.mark.parametrize("rule", ["stretch", "crop", "pad"])
def test_boxes_of_image_arrays_follow_the_resize_rule(rule):
    arrays = scene_arrays()
    image = image_value((24, 24), 3, resize=rule)
    source = ImageArrays({"image": arrays["image"], "boxes": arrays["boxes"][:]}, image, BOXES)
    for found in (source.read(np.arange(len(source))), source.fitted(None).read(np.arange(len(source)))):
        seen = [check_scene(image, boxes) for image, boxes in zip(found["image"], found["boxes"], strict=True)]
        assert sum(seen) >= sum(COUNTS) - 5


def test_spatial_features_are_recognized():
    assert [is_spatial(feature) for feature in (IMAGE, BOXES, MASK, LABEL, SOUND)] == [True, True, True, False, False]


def test_other_features_are_unchanged():
    numbers = tf.range(4)
    assert transform(LABEL, numbers, tf.constant([[3, 3, 1]] * 4), CropFlip((2, 2), (9, 9), flips=True)) is numbers


def test_random_crop_refuses_images_of_two_sizes():
    small = image_value((16, 20), 3, resize="stretch").model_copy(update={"name": "small"})
    source = ArraySource({"image": np.zeros((4, *SIZE, 3), np.uint8), "small": np.zeros((4, 16, 20, 3), np.uint8)})
    with pytest.raises(ValueError, match=r"random_crop.*Received: \(16, 20\) for `small`, \(32, 40\) for the first"):
        batches(source, range(1), spec=spec_with(small))
    ((_, targets),) = batches(source, range(1), Augment(flip=True), spec=spec_with(small))
    assert targets["small"].shape == (4, 16, 20, 3)
