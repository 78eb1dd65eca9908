"""The TensorFlow reader agrees with the reference: equal pixels, one level off after resizing."""

import os

import numpy as np
import pytest
import tensorflow as tf

from conftest import load_data
from dltemplates.datasets.augment.transform import CropFlip
from dltemplates.datasets.features import class_value, image_value
from dltemplates.datasets.images.files import FileSource, scan_files
from dltemplates.datasets.images.folder import folder
from dltemplates.datasets.images.tensorflow_reader import read_files
from dltemplates.settings import DatasetSettings

BY_TENSORFLOW = {
    "jpeg_444.jpg": "jpeg",
    "jpeg_422.jpg": "jpeg",
    "jpeg_420.jpg": "jpeg",
    "jpeg_progressive.jpg": "jpeg",
    "jpeg_grey.jpg": "jpeg",
    "jpeg_keep_rgb.jpg": "jpeg",
    "jpeg_two.jpg": "jpeg",
    "exif_1.jpg": "jpeg",
    "png_rgb.png": "png",
    "png_grey.png": "png",
    "bmp_rgb.bmp": "bmp",
}


def read_all(source, crop_flip=None, places=None):
    crop_flip = crop_flip or CropFlip.whole(source.images[0].feature)
    places = np.zeros((len(source), 3), np.int32) if places is None else places
    plan = lambda number: (tf.range(len(source), dtype=tf.int64), places)  # noqa: E731
    (batch,) = read_files(source, range(1), plan, crop_flip)
    return {name: array.numpy() for name, array in batch.items()}


def assert_equal(source, allowed):
    expected, found = source.read(np.arange(len(source))), read_all(source)
    assert (expected["label"] == found["label"]).all()
    assert found["label"].dtype == expected["label"].dtype
    assert found["image"].dtype == np.uint8
    assert found["image"].std() > 20
    difference = np.abs(expected["image"].astype(int) - found["image"]).reshape(len(source), -1).max(axis=1)
    names = np.array(source.keys)
    assert not len(names[difference > allowed]), dict(zip(names, difference, strict=True))


def make_source(every_kind, names, image):
    root = next(iter(every_kind.values())).parent
    examples, skipped = scan_files(root, names, np.arange(len(names)) % 2)
    assert not skipped
    return FileSource(root, examples.fields(image, class_value(("even", "odd"))))


def test_tensorflow_decodes_only_formats_that_pillow_decodes_alike(every_kind):
    source = make_source(every_kind, list(every_kind), image_value((97, 131), 3, resize="stretch"))
    decoders = {name: file.decoder for name, file in zip(source.keys, source.fields["image"].files, strict=True)}
    assert decoders == {name: BY_TENSORFLOW.get(name, "pillow") for name in every_kind}


@pytest.mark.parametrize("channels", [1, 3])
def test_pixels_are_equal_without_resizing(every_kind, channels):
    upright = [name for name in every_kind if name[5:6] not in ("5", "6", "7", "8")]
    assert set(BY_TENSORFLOW) <= set(upright)
    source = make_source(every_kind, upright, image_value((97, 131), channels, resize="stretch"))
    assert {file.size for file in source.fields["image"].files} == {(97, 131)}
    assert_equal(source, 0)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("rule", ["stretch", "crop", "pad"])
@pytest.mark.parametrize("size", [(64, 64), (150, 200), (33, 101)])
def test_resized_pixels_are_at_most_one_level_off(every_kind, channels, rule, size):
    assert_equal(make_source(every_kind, list(every_kind), image_value(size, channels, resize=rule)), 1)


def test_16_bits_are_stretched_alike(every_kind):
    for bits in (None, 15):
        value = image_value((64, 80), 1, resize="stretch", bits=bits)
        assert_equal(make_source(every_kind, ["png_16.png", "png_grey.png"], value), 1)


def test_a_single_decoder_needs_no_switch(every_kind):
    for name in ("jpeg_420.jpg", "gif_rgb.gif"):
        assert_equal(make_source(every_kind, [name, name], image_value((97, 131), 3, resize="stretch")), 0)


def test_files_that_only_pillow_accepts_are_read_by_pillow(every_kind, tmp_path):
    for name in ("png_rgb.png", "jpeg_444.jpg"):
        (tmp_path / f"longer_{name}").write_bytes(every_kind[name].read_bytes() + b"more")
    (tmp_path / "shorter.png").write_bytes(every_kind["png_rgb.png"].read_bytes()[:-12])
    names = sorted(path.name for path in tmp_path.iterdir())
    paths = {name: tmp_path / name for name in names}
    source = make_source(paths, names, image_value((97, 131), 3, resize="stretch"))
    assert {file.decoder for file in source.fields["image"].files} == {"pillow"}
    assert_equal(source, 0)


@pytest.mark.parametrize("channels", [1, 3])
def test_a_window_equals_the_crop_of_the_whole_image(every_kind, channels):
    upright = [name for name in every_kind if name[5:6] not in ("5", "6", "7", "8")]
    source = make_source(every_kind, upright, image_value((64, 80), channels, resize="stretch"))
    whole = np.stack([source.read_file("image", index, (97, 131)) for index in range(len(source))])
    draws = np.random.default_rng(0).random((4, len(source), 2))
    draws[0] = 0
    draws[1] = 1 - 2**-23  # the opposite corner
    for number, draw in enumerate(draws.astype(np.float32)):
        crop_flip = CropFlip((64, 80), (97, 131), flips=True)
        flip = np.float32(np.arange(len(source)) % 2)
        places = crop_flip.draw({"window_row": draw[:, 0], "window_column": draw[:, 1], "flip": flip}).numpy()
        found = read_all(source, crop_flip, places)["image"]
        for image, expected, (top, left, mirrored) in zip(found, whole, places, strict=True):
            expected = expected[top : top + 64, left : left + 80]
            np.testing.assert_array_equal(image, expected[:, ::-1] if mirrored else expected)
        if number < 2:
            assert set(places[:, 0]) == {(0, 33)[number]}
            assert set(places[:, 1]) == {(0, 51)[number]}


@pytest.mark.data
@pytest.mark.parametrize("rule", ["stretch", "crop", "pad"])
def test_readers_agree_on_photographs(data, rule):
    images = {"size": (96, 128), "resize": rule}
    settings = DatasetSettings(name=str(data / "hymenoptera/hymenoptera_data"), images=images)
    dataset = load_data(settings)
    assert dataset.spec.sizes == {"train": 196, "validation": 153, "test": 49}
    assert dataset.spec.skipped == {}
    assert_equal(dataset.split("test"), 1)


def test_a_broken_file_is_named_by_check(every_kind, tmp_path):
    path = tmp_path / "broken.png"
    path.write_bytes(every_kind["png_rgb.png"].read_bytes())
    examples, skipped = scan_files(tmp_path, ["broken.png"], np.zeros(1))
    assert not skipped
    image, target = image_value((97, 131), 3, resize="stretch"), class_value(("even", "odd"))
    source = FileSource(tmp_path, examples.fields(image, target))
    source.check()
    content = bytearray(path.read_bytes())
    content[5000:5100] = bytes(100)  # broken after the scan
    path.write_bytes(content)
    with pytest.raises(tf.errors.InvalidArgumentError):
        read_all(source)
    with pytest.raises(ValueError, match=r"JPEG.*PNG.*BMP.*GIF.*Received: .*broken.png"):
        source.check()


def test_file_names_may_be_other_than_utf8(class_folders):
    path = class_folders(cats=6, dogs=6)
    file = path / "cats" / os.fsdecode(b"caf\xe9.png")
    try:
        file.write_bytes((path / "cats" / "000.png").read_bytes())
    except OSError:
        pytest.skip("this disk knows UTF-8 names only")
    source = folder(path, DatasetSettings(name=str(path))).split("train")
    assert f"cats/{file.name}" in source.keys
    assert_equal(source, 0)
