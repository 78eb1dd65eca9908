"""Files that break after the scan are named, replaced and counted; nothing else changes by a bit."""

import re

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from conftest import batch_of
from dltemplates.datasets.features import class_value, image_value
from dltemplates.datasets.images.files import FileSource, scan_files
from dltemplates.datasets.pipeline import TrainingOrder, evaluation_batches, training_batches
from dltemplates.datasets.spec import DatasetSpec
from dltemplates.train_settings import Augment

COUNT = 12
LABEL = class_value(tuple("abcdefghijkl"))


def truncate(path):
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def damage(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 2 : len(content) // 2 + 50] = bytes(50)
    path.write_bytes(content)


def replace_by(size):
    return lambda path: Image.new("RGB", size, "red").save(path)


BREAKS = {
    "deleted": (lambda path: path.unlink(), r"No such file"),
    "truncated": (truncate, r"(?i)truncated|cut|broken|incomplete|not"),
    "text": (lambda path: path.write_text("no image"), r"not an image of these formats"),
    "empty": (lambda path: path.write_bytes(b""), r"not an image of these formats"),
    "larger": (replace_by((80, 80)), r"80x80 now, 32x40 when it was scanned"),
    "smaller": (replace_by((4, 4)), r"4x4 now, 32x40 when it was scanned"),
    "turned": (replace_by((32, 40)), r"40x32 now, 32x40 when it was scanned"),
    "damaged": (damage, r"\w"),
}


@pytest.fixture
def suffix():
    return "jpg"


@pytest.fixture
def names(tmp_path, photo, suffix):
    names = [f"photo ({number}).{suffix}" for number in range(COUNT)]
    for number, name in enumerate(names):
        Image.fromarray(photo[number : number + 32, number : number + 40]).save(tmp_path / name)
    return names


def make_source(root, names, size, *, fail_on_bad_image=False):
    examples, skipped = scan_files(root, names, np.arange(COUNT))
    assert not skipped
    source = FileSource(root, examples.fields(image_value(size, 3, resize="stretch"), LABEL))
    source.fail_on_bad_image = fail_on_bad_image
    return source


def read_epoch(source, augment=Augment()):  # noqa: B008
    spec = DatasetSpec(inputs=(source.images[0].feature,), targets=(LABEL,), sizes={}, fingerprint="")
    dataset = training_batches(
        source,
        spec,
        TrainingOrder(COUNT, 4, 0),
        steps=range(3),
        batch=batch_of(),
        augment=augment,
    )
    images, labels, _ = (np.concatenate(arrays) for arrays in zip(*dataset.as_numpy_iterator(), strict=True))
    return images, labels


VIEWS = {
    "plain": ((32, 40), Augment()),
    "resized": ((24, 24), Augment(flip=True)),
    "window": ((24, 30), Augment(random_crop=0.75, flip=True)),  # 24x30 of 32x40: JPEGs are decoded in part
}


CASES = [
    *((suffix, kind, "resized") for suffix in ("png", "bmp", "gif") for kind in BREAKS if kind != "damaged"),
    *(("jpg", kind, view) for view in VIEWS for kind in BREAKS if kind != "damaged"),  # only JPEGs are decoded in part
    *(("png", "damaged", view) for view in VIEWS),  # the other decoders take such a body without an error
]


@pytest.mark.parametrize(("suffix", "kind", "view"), CASES)
def test_a_broken_file_is_replaced_by_the_next_and_nothing_else_changes(tmp_path, names, kind, view):
    (size, augment), (break_it, why) = VIEWS[view], BREAKS[kind]
    source = make_source(tmp_path, names, size)
    images, labels = read_epoch(source, augment)
    assert source.broken == {}
    assert sorted(labels) == list(range(COUNT))

    for index in (4, 11, 0):  # two in a row, and past the end
        break_it(tmp_path / names[index])
    broken_images, broken_labels = read_epoch(source, augment)
    assert set(source.broken) == {names[index] for index in (4, 11, 0)}
    for reason in source.broken.values():
        assert re.search(why, reason)
    np.testing.assert_array_equal(broken_labels, np.select([labels == 4, labels == 11, labels == 0], [5, 1, 1], labels))
    whole = ~np.isin(labels, (4, 11, 0))
    np.testing.assert_array_equal(broken_images[whole], images[whole])
    assert all(image.std() > 5 for image in broken_images)

    reference = source.read(np.arange(COUNT))
    assert reference["label"].tolist() == [1, 1, 2, 3, 5, 5, 6, 7, 8, 9, 10, 1]
    if view == "plain":
        np.testing.assert_array_equal(broken_images, reference["image"][broken_labels])
    assert len(source.broken) == 3


def test_evaluation_replaces_broken_files(tmp_path, names):
    source = make_source(tmp_path, names, (32, 40))
    (tmp_path / names[11]).unlink()
    spec = DatasetSpec(inputs=(source.images[0].feature,), targets=(LABEL,), sizes={}, fingerprint="")
    dataset = evaluation_batches(source, spec, batch_size=8, batch=batch_of())
    labels = np.concatenate([labels for _, labels, _ in dataset.as_numpy_iterator()])
    assert labels.tolist() == [*range(11), 0, 0, 0, 0, 0]


@pytest.mark.parametrize("suffix", ["jpg", "png", "gif"])
def test_fail_on_bad_image_stops_and_names_the_file(tmp_path, names):
    source = make_source(tmp_path, names, (24, 24), fail_on_bad_image=True)
    (tmp_path / names[7]).write_text("no image")
    with pytest.raises(tf.errors.OpError):
        read_epoch(source)
    with pytest.raises(ValueError, match=r"JPEG.*PNG.*BMP.*GIF.*Received: .*photo \(7\)"):
        source.read(np.arange(COUNT))
    replace_by((50, 60))(tmp_path / names[7])
    with pytest.raises(tf.errors.OpError):
        read_epoch(source)
    with pytest.raises(ValueError, match=r"Received: .*photo \(7\).* \(60x50 now, 32x40 when"):
        source.check()
    assert source.broken == {}


@pytest.mark.parametrize("suffix", ["jpg", "gif"])
def test_a_source_with_only_broken_files_is_refused(tmp_path, names):
    source = make_source(tmp_path, names, (24, 24))
    for name in names:
        (tmp_path / name).unlink()
    with pytest.raises(ValueError, match="Received: none of the 12 in"):
        source.read(np.arange(2))
    with pytest.raises(tf.errors.OpError):
        read_epoch(source)


def test_another_image_of_the_same_size_is_not_broken(tmp_path, names):
    source = make_source(tmp_path, names, (24, 30))
    Image.new("RGB", (40, 32), "white").save(tmp_path / names[3])
    images, labels = read_epoch(source, Augment(random_crop=0.75))
    assert source.broken == {}
    assert (images[labels == 3] >= 254).all()
