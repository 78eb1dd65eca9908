"""The user's own class folders."""

import re

import numpy as np
import pytest
from PIL import Image

from dltemplates.datasets.folder import split_folders
from dltemplates.datasets.load import load_dataset
from dltemplates.settings import DatasetSettings


def load(path, labelled=True, told_apart=None, **settings):
    return load_dataset(DatasetSettings(name=str(path), **settings), labelled=labelled, told_apart=told_apart)


def names(dataset, split):
    return dataset.split(split).examples.names


def test_without_splits_a_fixed_share_of_each_class_is_set_apart(class_folders):
    path = class_folders(cats=20, dogs=10)
    dataset = load(path)
    assert dataset.spec.sizes == {"train": 22, "validation": 2, "test": 6}
    assert dataset.spec.targets[0].classes == ("cats", "dogs")
    assert dataset.spec.inputs[0].shape == (8, 8, 3)
    assert np.bincount(dataset.split("test").targets).tolist() == [4, 2]
    assert np.bincount(dataset.split("validation").targets).tolist() == [1, 1]
    together = [name for split in dataset.splits for name in names(dataset, split)]
    assert len(together) == len(set(together)) == 30

    again, other = load(path), load(path, split_seed=1)
    assert [names(again, split) for split in again.splits] == [names(dataset, split) for split in dataset.splits]
    assert names(other, "test") != names(dataset, "test")
    assert again.spec == dataset.spec
    assert other.spec.fingerprint != dataset.spec.fingerprint


def test_added_files_leave_the_test_split_nearly_alone(class_folders):
    path = class_folders(cats=20, dogs=20)
    before = set(names(load(path), "test"))
    class_folders(cats=22, dogs=20)
    after = set(names(load(path), "test"))
    assert len(before - after) <= 2


def test_read_gives_the_pictures_and_their_classes(class_folders):
    source = load(class_folders(cats=6, dogs=6)).split("train")
    batch = source.read(np.array([3, 0]))
    assert batch["image"].shape == (2, 8, 8, 3)
    assert batch["image"].dtype == np.uint8
    assert batch["label"].dtype == np.int64
    for row, index in enumerate((3, 0)):
        name = source.examples.names[index]
        assert batch["label"][row] == ("cats", "dogs").index(name.split("/")[0])
        assert (batch["image"][row] == np.asarray(Image.open(source.root / name))).all()


@pytest.mark.parametrize("validation", ["validation", "val", "valid"])
def test_splits_that_are_given_are_kept(class_folders, validation):
    class_folders("train", cats=5, dogs=5)
    class_folders(validation, cats=2, dogs=3)
    dataset = load(class_folders("test", cats=1, dogs=1))
    assert dataset.spec.sizes == {"train": 10, "validation": 5, "test": 2}
    assert all(name.startswith(f"{validation}/") for name in names(dataset, "validation"))


def test_a_missing_split_comes_from_train(class_folders):
    class_folders("train", cats=20, dogs=20)
    dataset = load(class_folders("test", cats=2, dogs=3))
    assert dataset.spec.sizes == {"train": 36, "validation": 4, "test": 5}
    assert all(name.startswith("train/") for name in names(dataset, "validation"))


def test_a_class_may_be_called_train(class_folders):
    dataset = load(class_folders(bus=5, train=5))
    assert dataset.spec.targets[0].classes == ("bus", "train")


def test_hidden_files_are_ignored_and_others_reported(class_folders, write_image):
    path = class_folders("train", cats=5, dogs=5)
    (path / "train" / "cats" / ".DS_Store").write_bytes(b"x")
    (path / ".git").mkdir()
    (path / "README.md").write_text("read me")
    (path / "train" / "dogs" / "notes.txt").write_text("no image")
    (path / "train" / "dogs" / "empty.jpg").write_bytes(b"")
    cut = write_image(path / "train" / "dogs" / "cut.png")
    cut.write_bytes(cut.read_bytes()[:-30])
    Image.new("RGB", (8, 8)).save(path / "train" / "dogs" / "other.webp")
    write_image(path / "train" / "loose.png")
    write_image(path / "extra" / "deep" / "er" / "a.png")
    dataset = load(path)
    assert sum(dataset.spec.sizes.values()) == 10
    skipped = dataset.spec.skipped
    assert skipped.pop("train/dogs/cut.png").startswith("broken: ")
    assert skipped == {
        "extra/": "lies beside the splits",
        "train/dogs/notes.txt": "no JPEG, PNG, BMP or GIF",
        "train/dogs/empty.jpg": "no JPEG, PNG, BMP or GIF",
        "train/dogs/other.webp": "no JPEG, PNG, BMP or GIF",
        "train/loose.png": "lies in no class folder",
    }


def test_what_a_file_is_goes_by_its_content(class_folders, write_image):
    path = class_folders(cats=4, dogs=4)
    (path / "cats" / "photo.jpg").write_bytes(write_image(path.parent / "image.png").read_bytes())
    write_image(path / "dogs" / "below" / "more" / "deep.png")
    dataset = load(path)
    assert sum(dataset.spec.sizes.values()) == 10
    assert dataset.spec.skipped == {}


def test_grey_images_have_one_channel(tmp_path, write_image):
    for label in ("a", "b"):
        for number in range(3):
            write_image(tmp_path / label / f"{number}.png", level=number, mode="L")
    assert load(tmp_path).spec.inputs[0].shape == (8, 8, 1)
    assert load(tmp_path, channels=3).split("train").read(np.arange(2))["image"].shape == (2, 8, 8, 3)
    write_image(tmp_path / "b" / "colour.png")
    assert load(tmp_path).spec.inputs[0].shape == (8, 8, 3)
    assert load(tmp_path, channels=1).split("train").read(np.arange(2))["image"].shape == (2, 8, 8, 1)


def test_several_sizes_need_one(class_folders, write_image):
    path = class_folders(cats=4, dogs=4)
    write_image(path / "cats" / "large.png", size=(20, 30))
    with pytest.raises(ValueError, match=r"8x8 to 20x30\. .*`dataset.image_size`.*\[224, 224\]"):
        load(path)
    dataset = load(path, image_size=(16, 12), resize="pad")
    assert dataset.spec.inputs[0].shape == (16, 12, 3)
    assert dataset.spec.inputs[0].resize == "pad"


def test_the_fingerprint_follows_the_data(class_folders, write_image):
    path = class_folders(cats=4, dogs=4)
    first = load(path).spec.fingerprint
    write_image(path / "cats" / "000.png", level=200)
    second = load(path).spec.fingerprint
    (path / "cats" / "000.png").rename(path / "cats" / "renamed.png")
    third = load(path).spec.fingerprint
    assert len({first, second, third}) == 3


def test_empty_folder(tmp_path):
    with pytest.raises(ValueError, match=f"Received: {re.escape(str(tmp_path))}, .*empty"):
        load(tmp_path)


def test_no_class_folders(tmp_path, write_image):
    write_image(tmp_path / "1.png")
    with pytest.raises(ValueError, match=f"Received: {re.escape(str(tmp_path))}, "):
        load(tmp_path)


def test_one_class(class_folders):
    with pytest.raises(ValueError, match=r"Received: one, 'cats', in .*data"):
        load(class_folders(cats=3))
    path = class_folders("cats/inside", birds=3)
    with pytest.raises(ValueError, match=r"Received: one, 'cats', in .*data.*Did you mean .*data/cats\?"):
        load(path)


def test_where_no_class_is_needed_images_may_lie_in_one_folder(tmp_path, class_folders, write_image):
    for number in range(10):
        write_image(tmp_path / "flat" / f"{number}.png")
    (tmp_path / "flat" / "notes.txt").write_text("no image")
    dataset = load(tmp_path / "flat", labelled=False)
    assert dataset.spec.sizes == {"train": 7, "validation": 1, "test": 2}
    assert dataset.spec.targets[0].classes == ("flat",)
    assert dataset.spec.skipped == {"notes.txt": "no JPEG, PNG, BMP or GIF"}
    assert sorted(name for split in dataset.splits for name in names(dataset, split)) == [f"{n}.png" for n in range(10)]
    assert load(class_folders(cats=10), labelled=False).spec.targets[0].classes == ("cats",)
    assert load(class_folders(dogs=10), labelled=False).spec.targets[0].classes == ("cats", "dogs")
    for split, count in {"train": 6, "test": 2}.items():
        for number in range(count):
            write_image(tmp_path / "split" / split / f"{number}.png")
    assert load(tmp_path / "split", labelled=False).spec.sizes == {"train": 5, "validation": 1, "test": 2}
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match=r"Received: .*empty, .*empty"):
        load(tmp_path / "empty", labelled=False)


def test_where_no_class_is_needed_folders_may_hold_one_image_or_none(class_folders):
    path = class_folders(cats=20, dogs=1)
    (path / "none").mkdir()
    with pytest.raises(ValueError, match="Received: .*none, an empty folder"):
        load(path)
    dataset = load(path, labelled=False)
    assert sum(dataset.spec.sizes.values()) == 21
    assert dataset.spec.targets[0].classes == ("cats", "dogs", "none")


def test_where_one_class_is_told_from_all_others_those_may_be_rare(class_folders):
    path = class_folders(good=20, crack=1, dent=9)
    with pytest.raises(ValueError, match="3 splits.*Received: 1 of 'crack'"):
        load(path)
    dataset = load(path, told_apart="good")
    good = dataset.spec.targets[0].classes.index("good")
    assert [int((dataset.split(split).targets == good).sum()) for split in dataset.splits] == [15, 1, 4]
    assert [int((dataset.split(split).targets != good).sum()) for split in dataset.splits] == [7, 1, 2]


def test_where_one_class_is_told_from_all_others_they_may_be_absent_from_training(class_folders):
    class_folders("train", good=5)
    class_folders("validation", good=2, crack=2)
    path = class_folders("test", good=2, crack=1, dent=1)
    with pytest.raises(ValueError, match="Received: one, 'good'"):
        load(path)
    dataset = load(path, told_apart="good")
    assert dataset.spec.targets[0].classes == ("crack", "dent", "good")
    assert {split: np.bincount(dataset.split(split).targets).tolist() for split in dataset.splits} == {
        "train": [0, 0, 5],
        "validation": [2, 0, 2],
        "test": [1, 1, 2],
    }


def test_a_class_folder_with_nothing_left(class_folders):
    path = class_folders(cats=3, dogs=3)
    (path / "none").mkdir()
    with pytest.raises(ValueError, match=r"Received: .*none, an empty folder"):
        load(path)
    (path / "none" / "a.txt").write_text("no image")
    with pytest.raises(ValueError, match=r"Received: .*none, 1 .*\(none/a.txt: no JPEG, PNG, BMP or GIF\)"):
        load(path)


def test_classes_that_differ_between_splits(class_folders):
    class_folders("train", cats=5, dogs=5)
    path = class_folders("test", cats=5, birds=1)
    with pytest.raises(ValueError, match="'dogs' .*train .*test.*test/dogs"):
        load(path)
    class_folders("test", dogs=5)
    with pytest.raises(ValueError, match="'birds' .*test .*train.*train/birds"):
        load(path)


def test_too_few_images_of_a_class(class_folders):
    path = class_folders(cats=9, dogs=2)
    with pytest.raises(ValueError, match="3 splits.*Received: 2 of 'dogs', .*train"):
        load(path)


def test_too_few_images_at_all(class_folders):
    with pytest.raises(ValueError, match="Received: 4 in all"):
        load(class_folders(cats=2, dogs=2))


def test_a_split_given_twice(class_folders):
    class_folders("train", cats=3, dogs=3)
    class_folders("val", cats=3, dogs=3)
    with pytest.raises(ValueError, match=r"Received: .*val and .*validation"):
        split_folders(class_folders("validation", cats=3, dogs=3))


def test_splits_without_train(class_folders):
    class_folders("val", cats=3, dogs=3)
    with pytest.raises(ValueError, match=r"`train/`.*Received: .* with test/, val/ only.*/train"):
        load(class_folders("test", cats=3, dogs=3))
