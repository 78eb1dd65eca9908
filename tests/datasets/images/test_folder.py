"""Class folders of the user."""

import re

import numpy as np
import pytest
from PIL import Image

from conftest import load_data
from dltemplates.datasets.images.layout import split_folders
from dltemplates.settings import DatasetSettings, Named

UNLABELED = "reconstruction"


def load(path, task="classification", **settings):
    return load_data(DatasetSettings(name=str(path), **{"validation": 0.1} | settings), task)


def anomaly(normal):
    return Named(name="anomaly", normal=normal, anomalies="drop")


def names(dataset, split):
    return dataset.split(split).keys


def test_without_splits_a_fixed_share_of_each_class_is_held_out(class_folders):
    path = class_folders(cats=20, dogs=10)
    dataset = load(path)
    assert dataset.spec.sizes == {"train": 22, "validation": 2, "test": 6}
    assert dataset.spec.targets[0].classes == ("cats", "dogs")
    assert dataset.spec.inputs[0].shape == (8, 8, 3)
    assert np.bincount(dataset.split("test").column("label")).tolist() == [4, 2]
    assert np.bincount(dataset.split("validation").column("label")).tolist() == [1, 1]
    together = [name for split in dataset.splits for name in names(dataset, split)]
    assert len(together) == len(set(together)) == 30

    again, other = load(path), load(path, split_seed=1)
    assert [names(again, split) for split in again.splits] == [names(dataset, split) for split in dataset.splits]
    assert names(other, "test") != names(dataset, "test")
    assert again.spec == dataset.spec
    assert (other.spec.fingerprint == dataset.spec.fingerprint, other.spec.order == dataset.spec.order) == (True, False)


def test_added_files_hardly_change_the_test_split(class_folders):
    path = class_folders(cats=20, dogs=20)
    before = set(names(load(path), "test"))
    class_folders(cats=22, dogs=20)
    after = set(names(load(path), "test"))
    assert len(before - after) <= 2


def test_read_returns_images_and_classes(class_folders):
    source = load(class_folders(cats=6, dogs=6)).split("train")
    batch = source.read(np.array([3, 0]))
    assert batch["image"].shape == (2, 8, 8, 3)
    assert batch["image"].dtype == np.uint8
    assert batch["label"].dtype == np.int64
    for row, index in enumerate((3, 0)):
        name = source.keys[index]
        assert batch["label"][row] == ("cats", "dogs").index(name.split("/")[0])
        assert (batch["image"][row] == np.asarray(Image.open(source.root / name))).all()


@pytest.mark.parametrize("validation", ["validation", "val", "valid"])
def test_the_users_splits_are_kept(class_folders, validation):
    class_folders("train", cats=5, dogs=5)
    class_folders(validation, cats=2, dogs=3)
    dataset = load(class_folders("test", cats=1, dogs=1))
    assert dataset.spec.sizes == {"train": 10, "validation": 5, "test": 2}
    assert all(name.startswith(f"{validation}/") for name in names(dataset, "validation"))


def test_a_missing_split_is_taken_from_train(class_folders):
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
    Image.new("RGB", (8, 8)).save(path / "train" / "dogs" / "other.ppm")
    write_image(path / "train" / "loose.png")
    (path / "extra" / "deep").mkdir(parents=True)
    (path / "extra" / "deep" / "a.txt").write_text("no image")
    dataset = load(path)
    assert sum(dataset.spec.sizes.values()) == 10
    skipped = dataset.spec.skipped
    assert skipped.pop("train/dogs/cut.png").startswith("broken: ")
    assert skipped == {
        "extra/": "is beside the splits",
        "train/dogs/notes.txt": "no JPEG, PNG, BMP, GIF or WebP",
        "train/dogs/empty.jpg": "no JPEG, PNG, BMP, GIF or WebP",
        "train/dogs/other.ppm": "no JPEG, PNG, BMP, GIF or WebP",
        "train/loose.png": "is in no class folder",
    }


def test_the_format_of_a_file_follows_its_content(class_folders, write_image):
    path = class_folders(cats=4, dogs=4)
    (path / "cats" / "photo.jpg").write_bytes(write_image(path.parent / "image.png").read_bytes())
    write_image(path / "dogs" / "below" / "more" / "deep.png")
    dataset = load(path)
    assert sum(dataset.spec.sizes.values()) == 10
    assert dataset.spec.skipped == {}


def test_grey_images_have_one_channel(tmp_path, write_image):
    for label in ("a", "b"):
        for number in range(3):
            write_image(tmp_path / label / f"{number}.png", level=number + 100 * (label == "b"), mode="L")
    assert load(tmp_path).spec.inputs[0].shape == (8, 8, 1)
    assert load(tmp_path, images={"channels": 3}).split("train").read(np.arange(2))["image"].shape == (2, 8, 8, 3)
    write_image(tmp_path / "b" / "colour.png")
    assert load(tmp_path).spec.inputs[0].shape == (8, 8, 3)
    assert load(tmp_path, images={"channels": 1}).split("train").read(np.arange(2))["image"].shape == (2, 8, 8, 1)


def test_images_of_several_sizes_need_the_size_option(class_folders, write_image):
    path = class_folders(cats=4, dogs=4)
    write_image(path / "cats" / "large.png", size=(20, 30))
    with pytest.raises(ValueError, match=r"8x8 to 20x30\. .*`dataset.images.size`.*\[224, 224\]"):
        load(path)
    dataset = load(path, images={"size": (16, 12), "resize": "pad"})
    assert dataset.spec.inputs[0].shape == (16, 12, 3)
    assert dataset.spec.inputs[0].resize == "pad"


def test_the_fingerprint_follows_the_content(class_folders, write_image):
    path = class_folders(cats=4, dogs=4)
    first = load(path).spec
    write_image(path / "cats" / "000.png", level=200)
    second = load(path).spec
    assert second.fingerprint != first.fingerprint
    (path / "cats" / "000.png").rename(path / "cats" / "renamed.png")
    renamed = load(path).spec
    assert renamed.fingerprint == second.fingerprint
    assert renamed.order != second.order
    (path / "cats" / "renamed.png").rename(path / "dogs" / "renamed.png")
    assert load(path).spec.fingerprint != second.fingerprint


def test_empty_folder(tmp_path):
    with pytest.raises(ValueError, match=f"Received: {re.escape(str(tmp_path))}, .*empty"):
        load(tmp_path)


def test_a_folder_without_class_folders_is_refused(tmp_path):
    (tmp_path / "1.txt").write_text("no image")
    with pytest.raises(ValueError, match=r"must have class folders. Received: .*, without any. Put each"):
        load(tmp_path)


def test_one_class(class_folders):
    with pytest.raises(ValueError, match="at least two classes. Received: one, 'cats'. Put the images of each class"):
        load(class_folders(cats=3))


def test_without_classes_images_may_lie_in_one_folder(tmp_path, class_folders, write_image):
    for number in range(10):
        write_image(tmp_path / "flat" / f"{number}.png", level=number)
    (tmp_path / "flat" / "notes.txt").write_text("no image")
    dataset = load(tmp_path / "flat", UNLABELED)
    assert dataset.spec.sizes == {"train": 7, "validation": 1, "test": 2}
    assert [value.name for value in dataset.spec.targets] == ["image"]
    with pytest.raises(ValueError, match="at least two classes. Received: one, 'flat'. Put the images of each"):
        load(tmp_path / "flat")
    assert dataset.spec.skipped == {"notes.txt": "no JPEG, PNG, BMP, GIF or WebP"}
    assert sorted(name for split in dataset.splits for name in names(dataset, split)) == [f"{n}.png" for n in range(10)]
    assert load(class_folders(cats=10), UNLABELED).spec.sizes == {"train": 7, "validation": 1, "test": 2}
    assert load(class_folders(dogs=10), UNLABELED).split("train").fields["label"].feature.classes == ("cats", "dogs")
    for split, count in {"train": 6, "test": 2}.items():
        for number in range(count):
            write_image(tmp_path / "split" / split / f"{number}.png", level=number + 100 * (split == "test"))
    assert load(tmp_path / "split", UNLABELED).spec.sizes == {"train": 5, "validation": 1, "test": 2}
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match=r"Received: .*empty, .*empty"):
        load(tmp_path / "empty", UNLABELED)


def test_without_classes_folders_may_hold_one_image_or_none(class_folders):
    path = class_folders(cats=20, dogs=1)
    (path / "none").mkdir()
    with pytest.raises(ValueError, match="an example of each class to train on. Received: none of 'none' in train"):
        load(path)
    dataset = load(path, UNLABELED)
    assert sum(dataset.spec.sizes.values()) == 21
    assert dataset.split("train").fields["label"].feature.classes == ("cats", "dogs", "none")


def test_rare_classes_are_pooled_for_one_vs_rest_labels(class_folders):
    path = class_folders(good=20, crack=1, dent=9)
    dataset = load(path, Named(name="anomaly", normal="good", anomalies="keep"))
    marks = [dataset.split(split).column("anomaly") for split in dataset.splits]
    assert [np.bincount(of_split).tolist() for of_split in marks] == [[15, 7], [1, 1], [4, 2]]
    assert load(path, anomaly("good")).spec.sizes["train"] == 15


def test_for_one_vs_rest_labels_the_other_classes_may_be_absent_from_training(class_folders):
    class_folders("train", good=5)
    class_folders("validation", good=2, crack=2)
    path = class_folders("test", good=2, crack=1, dent=1)
    with pytest.raises(ValueError, match="an example of each class to train on. Received: none of 'crack' in train"):
        load(path)
    dataset = load(path, Named(name="anomaly", normal="good"))
    assert {split: np.bincount(dataset.split(split).column("label")).tolist() for split in dataset.splits} == {
        "train": [0, 0, 5],
        "validation": [2, 0, 2],
        "test": [1, 1, 2],
    }


def test_an_empty_split_is_refused(class_folders):
    path = class_folders("train", cats=3, dogs=3)
    (path / "test" / "cats").mkdir(parents=True)
    with pytest.raises(ValueError, match=r"at least one image. Received: .*test, no images. Add"):
        load(path)
    (path / "test" / "cats" / "a.txt").write_text("no image")
    with pytest.raises(ValueError, match=r"test, 1 other files \(test/cats/a.txt: no JPEG, .* or WebP\). Add"):
        load(path)


def test_classes_that_differ_between_splits_are_refused(class_folders):
    class_folders("train", cats=5, dogs=5)
    path = class_folders("test", cats=5, birds=1)
    with pytest.raises(ValueError, match="an example of each class to train on. Received: none of 'birds' in train"):
        load(path)
    for file in (path / "test" / "birds").iterdir():
        file.unlink()
    (path / "test" / "birds").rmdir()
    assert load(path).spec.targets[0].classes == ("cats", "dogs")


def test_images_of_a_rare_class_stay_in_the_training_split(class_folders):
    dataset = load(class_folders(cats=18, dogs=2))
    assert dataset.spec.targets[0].counts == (12, 2)
    assert dataset.spec.warnings[0].startswith("class dogs has fewer distinct examples than there are splits (3)")


def test_equal_images_share_a_split(class_folders):
    path = class_folders(cats=20, dogs=20)
    for file in sorted((path / "cats").iterdir())[:15]:
        (path / "cats" / f"copy-{file.name}").write_bytes(file.read_bytes())
    dataset = load(path)
    placed = {}
    for split, source in dataset.splits.items():
        for name in source.keys:
            placed.setdefault((path / name).read_bytes() + name[:4].encode(), set()).add(split)
    assert sum(dataset.spec.sizes.values()) == 55
    assert len(placed) == 40
    assert all(len(splits) == 1 for splits in placed.values())


def test_too_few_images_at_all(class_folders):
    with pytest.raises(ValueError, match="Received: 2 distinct examples. Add more"):
        load(class_folders(cats=1, dogs=1))


def test_a_duplicate_split_is_refused(class_folders):
    class_folders("train", cats=3, dogs=3)
    class_folders("val", cats=3, dogs=3)
    with pytest.raises(ValueError, match=r"Received: .*val and .*validation"):
        split_folders(class_folders("validation", cats=3, dogs=3))


def test_splits_without_train_are_refused(class_folders):
    class_folders("val", cats=3, dogs=3)
    with pytest.raises(ValueError, match=r"`train/`.*Received: .* with test/, val/ only.*/train"):
        load(class_folders("test", cats=3, dogs=3))
