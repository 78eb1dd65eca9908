"""Examples of several fields in files: an image, its mask, its boxes, a sound."""

import re

import numpy as np
import pytest
import tensorflow as tf
from scenes import BOXES, COUNTS, LABEL, MASK, SIZE, SOUND, batch, check_scene, spec_with, write_scenes

from dltemplates.datasets.features import image_value
from dltemplates.datasets.images.fields import ArrayField, FileField, read_file
from dltemplates.datasets.images.files import FileSource
from dltemplates.datasets.images.scan import Scanned
from dltemplates.datasets.pipeline import Shard, TrainingOrder, evaluation_batches, training_batches
from dltemplates.datasets.splitting.hashes import hash_examples
from dltemplates.train_settings import Augment

BOTH = Augment(random_crop=0.75, flip=True)
WINDOW = (24, 30)  # of 32x40, so that a JPEG is decoded in part
SIZES = (SIZE, (48, 40), (36, 64))


def make_source(folder, size=SIZE, sizes=(SIZE,), resize="stretch", suffix="png", cache="none", masks=True):
    folder.mkdir(exist_ok=True)
    names, mask_names, (files, mask_files), boxes = write_scenes(folder, sizes, suffix)
    assert {type(file) for file in (*files, *mask_files)} == {Scanned}
    mask = MASK.model_copy(update={"shape": (*size, 1)})
    fields = {
        "image": FileField(image_value(size, 3, resize=resize), names, files),
        "mask": FileField(mask, mask_names, mask_files),
        "boxes": ArrayField(BOXES, boxes),
        "label": ArrayField(LABEL, np.arange(len(names))),
    }
    if not masks:
        del fields["mask"]
    return FileSource(folder, fields, cache=cache)


def spec_of(source):
    image, *targets = (field.feature for field in source.fields.values())
    return spec_with(*targets, inputs=(image,))


def batches(source, steps, augment=BOTH, shard=Shard()):  # noqa: B008
    order = TrainingOrder(len(source), 4, 3)
    dataset = training_batches(source, spec_of(source), order, steps=steps, batch=batch, augment=augment, shard=shard)
    return [(images, targets) for images, targets, _ in dataset.as_numpy_iterator()]


def assert_same(found, expected):
    assert len(found) == len(expected) > 0
    for some, others in zip(found, expected, strict=True):
        tf.nest.map_structure(np.testing.assert_array_equal, some, others)


def check_masks(images, masks):
    """Compare masks with the first channel of the images, where it is sharp."""
    for image, mask in zip(images[..., 0], masks[..., 0], strict=True):
        sharp = (image < 5) | (image > 250)
        assert sharp.mean() > 0.7
        np.testing.assert_array_equal(mask[sharp] == 1, image[sharp] > 127)


@pytest.mark.parametrize("strict", [True, False])
@pytest.mark.parametrize(
    ("options", "augment"),
    [
        ({}, Augment()),
        ({}, BOTH),
        ({"size": WINDOW, "suffix": "jpg"}, BOTH),
        ({"size": WINDOW, "suffix": "gif"}, BOTH),
    ],
    ids=["plain", "resized", "window", "pillow"],
)
def test_boxes_and_masks_match_the_image(tmp_path, options, augment, strict):
    source = make_source(tmp_path, **options)
    source.fail_on_bad_image = strict
    seen = 0
    for images, targets in batches(source, range(5), augment):
        seen += sum(check_scene(*pair) for pair in zip(images, targets["boxes"], strict=True))
        if options.get("suffix") != "jpg":  # JPEG mixes the channels
            check_masks(images, targets["mask"])
    assert seen > 25
    assert source.broken == {}


@pytest.mark.parametrize("cache", ["none", "memory", "disk"])
@pytest.mark.parametrize("rule", ["stretch", "crop", "pad"])
def test_boxes_follow_the_resize_rule_with_every_cache(tmp_path, monkeypatch, rule, cache):
    monkeypatch.setenv("DLT_CACHE", str(tmp_path / "cache"))
    source = make_source(tmp_path / "data", (30, 36), SIZES, rule, cache=cache, masks=False)
    found = batches(source, range(5))
    seen = sum(check_scene(*pair) for images, targets in found for pair in zip(images, targets["boxes"], strict=True))
    assert seen > 20
    if cache == "none":
        reference = source.read(np.arange(len(source)))
        seen = [check_scene(*pair) for pair in zip(reference["image"], reference["boxes"], strict=True)]
        assert sum(seen) >= sum(COUNTS) - 5
    else:
        assert_same(found, batches(make_source(tmp_path / "data", (30, 36), SIZES, rule, masks=False), range(5)))


@pytest.mark.parametrize("cache", ["memory", "disk"])
def test_all_fields_in_files_are_cached(tmp_path, monkeypatch, cache):
    monkeypatch.setenv("DLT_CACHE", str(tmp_path / "cache"))
    expected = batches(make_source(tmp_path / "data"), range(3))
    assert_same(batches(make_source(tmp_path / "data", cache=cache), range(3)), expected)
    if cache == "disk":
        source = make_source(tmp_path / "data", cache=cache)
        for path in (tmp_path / "data").iterdir():
            path.unlink()
        assert_same(batches(source, range(3)), expected)
        assert sorted(path.name for path in (tmp_path / "cache").rglob("*.npy")) == ["image.npy", "mask.npy"]


def test_the_reference_reader_reads_all_fields_alike(tmp_path):
    source = make_source(tmp_path)
    reference = source.read(np.array([4, 0, 7]))
    assert {name: array.shape for name, array in reference.items()} == {
        "image": (3, *SIZE, 3),
        "mask": (3, *SIZE, 1),
        "boxes": (3, 4, 4),
        "label": (3,),
    }
    dataset = evaluation_batches(source, spec_of(source), batch_size=10, batch=batch)
    ((images, targets, _),) = dataset.as_numpy_iterator()
    for name, array in reference.items():
        np.testing.assert_array_equal((targets | {"image": images})[name][[4, 0, 7]], array)
    check_masks(reference["image"], reference["mask"])
    assert source.column("boxes").shape == (10, 4, 4)
    np.testing.assert_array_equal(source.column("mask")[[4, 0, 7]], reference["mask"])


def test_crops_and_flips_depend_on_seed_step_and_position(tmp_path):
    source = make_source(tmp_path)
    whole = batches(source, range(4))
    assert_same(batches(source, range(2, 4)), whole[2:])
    for part in range(2):
        rows = slice(part * 2, part * 2 + 2)
        expected = [tf.nest.map_structure(lambda array: array[rows], step) for step in whole]  # noqa: B023
        assert_same(batches(source, range(4), shard=Shard(2, range(part, part + 1))), expected)


@pytest.mark.parametrize("cache", ["none", "memory", "disk"])
@pytest.mark.parametrize("name", ["4.png", "4.mask.png"])
def test_a_broken_file_of_any_field_replaces_the_whole_example(tmp_path, monkeypatch, name, cache):
    monkeypatch.setenv("DLT_CACHE", str(tmp_path / "cache"))
    whole = batches(make_source(tmp_path / "data"), range(3))
    source = make_source(tmp_path / "data", cache=cache)
    source.fail_on_bad_image = False
    (tmp_path / "data" / name).write_text("no image")
    replaced = 0
    for (images, targets), (others, expected) in zip(batches(source, range(3)), whole, strict=True):
        was_four = expected["label"] == 4
        np.testing.assert_array_equal(targets["label"], np.where(was_four, 5, expected["label"]))
        for found, other in ((images, others), *((targets[key], expected[key]) for key in ("mask", "boxes"))):
            np.testing.assert_array_equal(found[~was_four], other[~was_four])
        for pair in zip(images, targets["boxes"], strict=True):
            check_scene(*pair)
        check_masks(images, targets["mask"])
        replaced += was_four.sum()
    assert replaced
    assert [*source.broken] == [name]
    reference = source.read(np.array([3, 4]))
    assert reference["label"].tolist() == [3, 5]
    source.fail_on_bad_image = True
    with pytest.raises(ValueError, match=f"Received: .*{re.escape(name)}"):
        source.read(np.array([4]))
    with pytest.raises(ValueError, match=f"Received: .*{re.escape(name)}"):
        source.check()


def test_take_selects_examples(tmp_path):
    source = make_source(tmp_path, sizes=SIZES, resize="crop")
    indices = np.array([7, 2, 4])
    taken = source.take(indices)
    assert taken.keys == ["7.png", "2.png", "4.png"]
    assert len(taken) == 3
    expected = source.read(indices)
    for name, array in taken.read(np.arange(3)).items():
        np.testing.assert_array_equal(array, expected[name])


def test_a_hash_covers_the_files_and_the_rows_of_an_example(tmp_path):
    source = make_source(tmp_path)
    hashes = hash_examples(source, spec_of(source))
    assert len(set(hashes)) == 10
    np.testing.assert_array_equal(hash_examples(source.take(np.array([3, 1])), spec_of(source)), hashes[[3, 1]])
    longer = source.fields["boxes"].array.take(np.arange(10))
    longer.length = 9
    source.fields["boxes"] = ArrayField(BOXES, longer)
    np.testing.assert_array_equal(hash_examples(source, spec_of(source)), hashes)
    padded = source.fields["boxes"].array[:]
    source.fields["boxes"] = ArrayField(BOXES, padded)
    np.testing.assert_array_equal(hash_examples(source, spec_of(source)), hashes)
    padded[3, 0] += 0.1
    assert np.flatnonzero(hash_examples(source, spec_of(source)) != hashes).tolist() == [3]
    (tmp_path / "5.mask.png").write_bytes((tmp_path / "6.mask.png").read_bytes())
    others = hash_examples(make_source_again(tmp_path, source), spec_of(source))
    assert np.flatnonzero(others != hashes).tolist() == [3, 5]


def make_source_again(folder, source):
    from dltemplates.datasets.images.scan import scan

    masks = source.fields["mask"]
    files = scan([f"{folder}/{name}" for name in masks.names])
    return FileSource(folder, source.fields | {"mask": FileField(MASK, masks.names, files)})


def test_a_second_image_gets_the_same_crop_and_flip(tmp_path):
    source = make_source(tmp_path)
    image = source.fields["image"]
    twin = FileField(image.feature.model_copy(update={"name": "twin"}), image.names, image.files)
    source = FileSource(tmp_path, {"image": image, "twin": twin})
    for images, targets in batches(source, range(3)):
        assert images.std() > 20
        difference = np.abs(images.astype(int) - targets["twin"])
        assert difference.max() <= 1  # Pillow and TensorFlow round differently where they resize


def test_a_source_of_sounds_needs_no_image(tmp_path):
    samples = np.random.default_rng(0).integers(-99, 99, (5, 6)).astype(np.int16)
    names = [f"{number}.pcm" for number in range(5)]
    for name, array in zip(names, samples, strict=True):
        array.tofile(tmp_path / name)
    files = [Scanned((0, 0), False, "pillow", name.encode(), 12) for name in names]
    sounds = FileField(SOUND, names, files, dtype="int16", on_canvas=False)
    source = FileSource(tmp_path, {"sound": sounds, "label": ArrayField(LABEL, np.arange(5))})
    np.testing.assert_array_equal(source.read(np.array([3, 1]))["sound"], samples[[3, 1]])
    dataset = training_batches(
        source,
        spec_with(LABEL, inputs=(SOUND,)),
        TrainingOrder(5, 5, 0),
        steps=range(1),
        batch=lambda example, *, training: (example["sound"], example["label"], None),
        augment=Augment(),
    )
    ((sounds, labels, _),) = dataset.as_numpy_iterator()
    assert sorted(labels) == [0, 1, 2, 3, 4]
    np.testing.assert_array_equal(sounds, samples[labels])


def test_a_sound_beside_an_image_is_unchanged(tmp_path):
    source = make_source(tmp_path)
    samples = np.random.default_rng(0).integers(-99, 99, (10, 6)).astype(np.int16)
    names = [f"{number}.pcm" for number in range(10)]
    for name, array in zip(names, samples, strict=True):
        array.tofile(tmp_path / name)
    files = [Scanned((0, 0), False, "pillow", name.encode(), 12) for name in names]
    source = FileSource(
        tmp_path, source.fields | {"sound": FileField(SOUND, names, files, dtype="int16", on_canvas=False)}
    )
    for _, targets in batches(source, range(3)):
        np.testing.assert_array_equal(targets["sound"], samples[targets["label"]])


def test_a_source_without_files_is_refused(tmp_path):
    with pytest.raises(ValueError, match="Received: label"):
        FileSource(tmp_path, {"label": ArrayField(LABEL, np.arange(5))})


def test_fields_of_different_lengths_are_refused(tmp_path):
    fields = make_source(tmp_path).fields
    with pytest.raises(ValueError, match="Received: 10 of `image`.*9 of `label`"):
        FileSource(tmp_path, fields | {"label": ArrayField(LABEL, np.arange(9))})


def test_an_image_and_a_mask_of_different_sizes_are_refused(tmp_path):
    source, other = make_source(tmp_path / "a"), make_source(tmp_path / "b", sizes=((32, 41),))
    with pytest.raises(ValueError, match=r"Received: .*0\.png \(32x40\) and .*0\.mask\.png \(32x41\)"):
        FileSource(tmp_path / "a", source.fields | {"mask": other.fields["mask"]})


def test_an_image_and_a_mask_read_at_different_sizes_are_refused(tmp_path):
    fields = make_source(tmp_path).fields
    mask = fields["mask"]
    small = FileField(MASK.model_copy(update={"shape": (16, 20, 1)}), mask.names, mask.files)
    with pytest.raises(ValueError, match=r"Received: \(32, 40\) for `image`, \(16, 20\) for `mask`"):
        FileSource(tmp_path, fields | {"mask": small})


def test_a_kind_without_a_reader(tmp_path):
    with pytest.raises(TypeError, match="`label` of kind ClassId.*read_file.register"):
        read_file(LABEL, tmp_path / "a", Scanned((1, 1), False, "png", b"", 1), None)
