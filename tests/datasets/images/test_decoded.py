"""Cached images equal images read without a cache, to the bit; incomplete files are written again."""

import numpy as np
import pytest
from PIL import Image

from conftest import batch_of, load_data
from dltemplates.datasets.images.decoded import cache_path
from dltemplates.datasets.pipeline import TrainingOrder, evaluation_batches, training_batches
from dltemplates.settings import DatasetSettings
from dltemplates.train_settings import Augment

AUGMENT = Augment(random_crop=0.75, flip=True, crop_padding=2, randaugment={"operations": 1}, cutout=4)


@pytest.fixture
def folder(tmp_path, photo):
    for number in range(40):
        path = tmp_path / "data" / ("cats", "dogs")[number % 2] / f"{number:02}.{('jpg', 'png', 'gif')[number % 3]}"
        path.parent.mkdir(parents=True, exist_ok=True)
        size = (32, 32) if number % 5 else (45, 37)
        Image.fromarray(photo[number : number + size[0], number : number + size[1]]).save(path)
    return tmp_path / "data"


def load(folder, cache, **settings):
    dataset = load_data(DatasetSettings(name=str(folder), images={"size": (24, 24)} | settings, cache=cache))
    for source in dataset.splits.values():
        source.fail_on_bad_image = False
    return dataset


def read(dataset):
    """Read two steps of training and the whole validation split."""
    train, validation = dataset.split("train"), dataset.split("validation")
    trained = training_batches(
        train,
        dataset.spec,
        TrainingOrder(len(train), 8, 0),
        steps=range(3, 5),
        batch=batch_of(),
        augment=AUGMENT,
    )
    evaluated = evaluation_batches(validation, dataset.spec, batch_size=4, batch=batch_of())
    return [array for batch in (*trained.as_numpy_iterator(), *evaluated.as_numpy_iterator()) for array in batch]


def cached_files(tmp_path):
    """List all files of the cache."""
    return sorted(path for path in (tmp_path / "cache").rglob("*") if path.is_file())


def assert_same(found, expected):
    for array, other in zip(found, expected, strict=True):
        np.testing.assert_array_equal(array, other)


@pytest.mark.parametrize(
    "settings",
    [pytest.param({}, marks=pytest.mark.slow), {"channels": 1, "resize": "crop"}],
    ids=["as it is", "changed"],
)
def test_cached_images_equal_images_read_without_a_cache(folder, settings):
    expected = read(load(folder, "none", **settings))
    assert expected[0].std() > 10
    for cache in ("memory", "disk", "disk"):
        assert_same(read(load(folder, cache, **settings)), expected)


def test_a_disk_cache_serves_later_runs_without_the_files(folder, tmp_path):
    expected = read(load(folder, "disk"))
    dataset = load(folder, "disk")
    paths = cache_path(dataset.split("train"), (32, 32)), cache_path(dataset.split("validation"), (24, 24))
    assert cached_files(tmp_path) == sorted(path / "image.npy" for path in paths)  # the canvases of train, validation
    for path in [*folder.glob("*/*")]:
        path.unlink()
    assert_same(read(dataset), expected)
    assert dataset.split("train").broken == {}


@pytest.mark.parametrize(
    "spoil",
    [
        lambda content: content[:-1],
        pytest.param(lambda content: content + b"x", marks=pytest.mark.slow),
        pytest.param(lambda content: b"no", marks=pytest.mark.slow),
    ],
)
def test_a_damaged_cache_file_is_written_again(folder, tmp_path, spoil):
    expected = read(load(folder, "disk"))
    contents = {path: path.read_bytes() for path in cached_files(tmp_path)}
    assert len(contents) == 2
    for path, content in contents.items():
        path.write_bytes(spoil(content))
    assert_same(read(load(folder, "disk")), expected)
    assert {path: path.read_bytes() for path in cached_files(tmp_path)} == contents


def test_a_cached_array_of_another_shape_is_written_again(folder, tmp_path):
    expected = read(load(folder, "disk"))
    assert len(cached_files(tmp_path)) == 2
    for path, shape in zip(cached_files(tmp_path), [(1, 24, 24, 3), (20, 24, 23, 3)], strict=True):
        np.save(path, np.zeros(shape, np.uint8))
    assert_same(read(load(folder, "disk")), expected)


@pytest.mark.parametrize("cache", [pytest.param("memory", marks=pytest.mark.slow), "disk"])
def test_broken_files_are_replaced_and_replacements_are_not_cached_on_disk(folder, tmp_path, cache):
    whole = read(load(folder, "none"))
    plain, cached = load(folder, "none"), load(folder, cache)
    names = [plain.split("train").keys[index] for index in (0, 5, 6)]
    contents = {name: (folder / name).read_bytes() for name in names}
    for name in names:
        (folder / name).write_text("no image")
    expected = read(plain)
    assert any((array != other).any() for array, other in zip(expected, whole, strict=True))
    assert_same(read(cached), expected)
    assert set(cached.split("train").broken) == set(names)
    assert len(cached_files(tmp_path)) == (cache == "disk")  # the file of validation
    for name, content in contents.items():
        (folder / name).write_bytes(content)
    assert_same(read(load(folder, cache)), whole)


def test_with_fail_on_bad_image_a_broken_file_leaves_no_cache(folder, tmp_path):
    dataset = load(folder, "disk")
    dataset.split("train").fail_on_bad_image = True
    (folder / dataset.split("train").keys[3]).unlink()
    with pytest.raises(ValueError, match=r"JPEG.*PNG.*BMP.*GIF.*Received: .* \(.*No such file"):
        read(dataset)
    assert not cached_files(tmp_path)


def test_the_cache_has_no_effect_on_arrays(tmp_path):
    settings = {"name": "digits", "images": {"size": (8, 8)}}
    for cache in ("none", "memory", "disk"):
        source = load_data(DatasetSettings(**settings, cache=cache)).split("test")
        assert source.read(np.arange(1))["image"].shape == (1, 8, 8, 1)
    assert not (tmp_path / "cache").exists()
