"""Folders of images: splits under many names, and folders that may be splits or classes."""

import os
import unicodedata
from types import SimpleNamespace

import numpy as np
import pytest

from conftest import load_data
from dltemplates.datasets.classes import with_classes_of
from dltemplates.datasets.features import class_value
from dltemplates.datasets.images.folder import folder
from dltemplates.datasets.images.layout import split_folders
from dltemplates.datasets.prediction_inputs import read_inputs
from dltemplates.settings import DatasetSettings

UNLABELED = "reconstruction"
PARTS = {"cats": 6, "dogs": 6}


def load(path, task="classification", **images):
    return load_data(DatasetSettings(name=str(path), images=images), task)


def trained(classes, rules):
    """Return the reference of a network with some classes."""
    return SimpleNamespace(inputs=(), targets=(class_value(classes),), reading_rules=rules)


@pytest.mark.parametrize(
    "names",
    [
        {"Training": "train", "Testing": "test"},
        {"TRAIN": "train", "VAL": "validation"},
        {"Train": "train", "Test": "test", "dev": "validation"},
        {"train_set": "train", "test_set": "test"},
        {"seg_train": "train", "seg_test": "test"},
        {"1.Training": "train", "2.Validation": "validation"},
        {"훈련": "train", "시험": "test"},
        {"Trainingsdaten": "train", "Testdaten": "test"},
        {"entrainement": "train", "test": "test"},
        {"Training": "train"},
    ],
)
def test_splits_are_known_by_many_names(class_folders, names):
    for name in names:
        path = class_folders(name, **PARTS)
    dataset = load(path)
    assert dataset.spec.targets[0].classes == ("cats", "dogs")
    assert dataset.spec.warnings == ()
    for name, split in names.items():
        assert all(key.startswith(f"{name}/") for key in dataset.split(split).keys)
    taken = {split for split in dataset.splits if split not in names.values()}
    for split in taken:  # what is missing is drawn from train alone
        assert all(key.startswith(f"{next(iter(names))}/") for key in dataset.split(split).keys)
    assert sum(dataset.spec.sizes.values()) == 12 * len(names)


def test_an_older_run_reads_such_folders_as_classes(class_folders):
    class_folders("Training", **PARTS)
    path = class_folders("Testing", **PARTS)
    settings = DatasetSettings(name=str(path))
    for rules, classes in {1: ("Testing", "Training"), 2: ("Testing", "Training"), 3: ("cats", "dogs")}.items():
        dataset = folder(path, settings, reference=trained(classes, rules))
        assert dataset.spec.targets[0].classes == classes


def test_a_split_may_lie_in_a_folder_of_its_name(class_folders):
    class_folders("seg_train/seg_train", **PARTS)
    class_folders("seg_pred/seg_pred", unknown=2)
    dataset = load(class_folders("seg_test/seg_test", **PARTS))
    assert dataset.spec.targets[0].classes == ("cats", "dogs")
    assert dataset.spec.skipped == {"seg_pred/": "is beside the splits"}
    assert all(key.startswith("seg_test/seg_test/") for key in dataset.split("test").keys)


def test_two_folders_of_one_split_are_refused(class_folders):
    class_folders("train", **PARTS)
    with pytest.raises(ValueError, match=r"one folder. Received: .*data/Training and .*data/train\. Merge"):
        load(class_folders("Training", **PARTS))


@pytest.mark.parametrize("names", [("Part1", "Part2"), ("set_a", "set_b", "set_c"), ("old", "new")])
def test_folders_with_the_same_subfolders_are_asked_about(class_folders, names):
    for name in names:
        path = class_folders(name, **PARTS)
    asked = (
        rf"Received: {min(names)}/, .* with cats/, dogs/ in each\. Rename splits to train/ and test/; for classes, -"
    )
    with pytest.raises(ValueError, match=asked):
        load(path)
    with pytest.raises(ValueError, match=asked):
        load(path, UNLABELED)
    dataset = load(path, subfolders="merge")
    assert dataset.spec.targets[0].classes == tuple(sorted(names))
    assert sum(dataset.spec.sizes.values()) == 12 * len(names)
    known = folder(path, DatasetSettings(name=str(path)), reference=trained((*names, "other"), 3))
    assert known.spec.targets[0].classes == tuple(sorted(names))


def test_splits_below_the_classes_are_asked_about(class_folders):
    class_folders("cats", train=5, test=5)
    with pytest.raises(
        ValueError, match=r"cats/, dogs/ .* with test/, train/ in each. Put the splits above .*train/cats"
    ):
        load(class_folders("dogs", train=5, test=5))


def test_a_single_folder_that_mentions_a_split_is_asked_about(class_folders):
    class_folders("seg_train", **PARTS)
    path = class_folders(seg_pred=3)
    with pytest.raises(ValueError, match=r"Received: seg_train/ in .*with cats/, dogs/ in it\. Rename"):
        load(path)
    assert load(path, subfolders="merge").spec.targets[0].classes == ("seg_pred", "seg_train")


def test_splits_in_the_only_folder_are_named(class_folders):
    class_folders("archive/Training", **PARTS)
    path = class_folders("archive/Testing", **PARTS)
    with pytest.raises(ValueError, match=r"Received: .*data\. Name .*data/archive\."):
        load(path)
    assert load(path / "archive").spec.targets[0].classes == ("cats", "dogs")


def test_a_folder_beside_the_splits_with_their_classes_is_asked_about(class_folders):
    class_folders("train", **PARTS)
    path = class_folders("holdout", **PARTS)
    with pytest.raises(
        ValueError, match=r"Received: holdout/ beside train/ in .*validation/ or test/, or move it; .*merge"
    ):
        load(path)
    assert load(path, subfolders="merge").spec.targets[0].classes == ("holdout", "train")


@pytest.mark.parametrize("name", ["Trainingsdaten", "entrainement"])
def test_images_in_a_split_of_another_language_must_have_classes(class_folders, name):
    class_folders(name, **PARTS)
    with pytest.raises(ValueError, match=r"class folders of train/. Received: .*[Tt]est"):
        load(class_folders(Testdaten=3))


def test_a_folder_of_folders_beside_a_split_is_asked_about(class_folders):
    class_folders("oppilaat", **PARTS)
    path = class_folders(test=3)
    with pytest.raises(ValueError, match=r"Received: oppilaat/ in .*with cats/, dogs/ in it\. Rename splits to train/"):
        load(path)
    assert load(path, subfolders="merge").spec.targets[0].classes == ("oppilaat", "test")


@pytest.mark.parametrize("names", [("images", "masks"), ("2021", "2022")])
@pytest.mark.parametrize("split", ["train", "test"])
def test_classes_deeper_in_a_split_are_asked_about(class_folders, names, split):
    for other in ("train", "test"):
        for name in names:
            path = class_folders(f"{other}/{name}", **(PARTS if other == split else {name: 3}))
    asked = rf"Received: {names[0]}/, {names[1]}/ in .*{split}, with cats/, dogs/ in each\. Put .*; or if .*merge"
    with pytest.raises(ValueError, match=asked):
        load(path)
    assert load(path, subfolders="merge").spec.targets[0].classes == names
    known = folder(path, DatasetSettings(name=str(path)), reference=trained(names, 3))
    assert known.spec.targets[0].classes == names


def test_a_class_called_train_is_asked_about(class_folders):
    class_folders("train", steam=6, ice=6)
    class_folders("bus", city=6, school=6)
    path = class_folders("car", vw=6)
    with pytest.raises(ValueError, match=r"Received: bus/ beside train/ in .*or move it; for classes, .*merge"):
        load(path)
    assert load(path, subfolders="merge").spec.targets[0].classes == ("bus", "car", "train")
    old = folder(path, DatasetSettings(name=str(path)), reference=trained(("ice", "steam"), 2))
    assert old.spec.skipped == {"bus/": "is beside the splits", "car/": "is beside the splits"}


def test_a_folder_without_images_beside_train_is_skipped(class_folders):
    path = class_folders("train", **PARTS)
    (path / "notes").mkdir()
    (path / "notes" / "a.txt").write_text("notes")
    assert load(path).spec.skipped == {"notes/": "is beside the splits"}


def test_a_split_without_class_folders_is_not_left_out(class_folders, write_image):
    path = class_folders("train", **PARTS)
    write_image(path / "Test" / "1.png")
    with pytest.raises(
        ValueError, match=r"class folders of train/. Received: .*Test, images without any. .*move Test/"
    ):
        load(path)


def write_bytes_name(folder, name, image):
    try:
        (folder / os.fsdecode(name)).write_bytes(image.read_bytes())
    except OSError:
        pytest.skip("this disk knows UTF-8 names only")


def test_file_names_may_be_other_than_utf8(class_folders):
    path = class_folders(cats=6, dogs=6)
    for file in sorted(path.glob("cats/*.png")):
        write_bytes_name(path / "cats", b"caf\xe9" + file.name.encode(), file)
        file.unlink()
    assert sum(load(path).spec.sizes.values()) == 12


def test_a_class_folder_must_have_a_name_in_utf8(class_folders):
    path = class_folders(cats=6)
    try:
        (path / os.fsdecode(b"d\xf6gs")).mkdir()
    except OSError:
        pytest.skip("this disk knows UTF-8 names only")
    with pytest.raises(ValueError, match=r"a name in UTF-8. Received: 'd.udcf6gs'\. Rename it\."):
        load(path)


def test_folders_of_the_system_are_no_classes(class_folders, write_image):
    path = class_folders(cats=6, dogs=6)
    for name in ("@eaDir", "__MACOSX", "$RECYCLE.BIN", "cats/@eaDir"):
        write_image(path / name / "thumbnail.png")
    dataset = load(path)
    assert dataset.spec.targets[0].classes == ("cats", "dogs")
    assert sum(dataset.spec.sizes.values()) == 12
    old = folder(path, DatasetSettings(name=str(path)), reference=trained(("cats", "dogs"), 2))
    assert old.spec.targets[0].classes == ("$RECYCLE.BIN", "@eaDir", "__MACOSX", "cats", "dogs")
    assert sum(old.spec.sizes.values()) == 16


@pytest.mark.parametrize("suffix", ["jfif", "jpe", "mpo"])
def test_rare_suffixes_of_jpeg_files_are_images(class_folders, write_image, suffix):
    path = class_folders(cats=6, dogs=6)
    write_image(path / "loose.jpg").rename(path / f"loose.{suffix}")
    dataset = load(path)
    assert dataset.spec.skipped == {f"loose.{suffix}": "is in no class folder"}
    (path / "@eaDir").mkdir()
    write_image(path / "@eaDir" / "thumbnail.jpg")
    (path / "cats").rename(path / ".cats")
    (path / "dogs").rename(path / ".dogs")
    (found,) = read_inputs(dataset.spec.inputs[0], dataset.spec, [path])
    assert found.name == str(path / f"loose.{suffix}")


def test_a_table_of_labels_above_folders_is_read(class_folders, write_image):
    path = class_folders(Train=12, Test=2).resolve()
    rows = [f"{file.relative_to(path)},a" for file in sorted(path.rglob("*.png"))]
    (path / "labels.csv").write_text("\n".join(["file,labels", *rows]))
    assert folder(path, DatasetSettings(name=str(path))).spec.sizes == {"train": 14}


@pytest.mark.parametrize(
    "layout",
    [
        {"train_station": {"day": 6}, "airport": {"day": 6}},
        {"cats": {"images": 6}, "dogs": {"images": 6}},
        {"cats": {"a": 6, "b": 6}, "dogs": {"c": 6, "d": 6}},
        {"training": {"": 6}, "racing": {"": 6}},
        {"train 1": {"": 6}, "train 2": {"": 6}, "bus": {"": 6}},
        {"valid": {"": 6}, "invalid": {"": 6}},
        {"pass_test": {"": 6}, "fail_test": {"": 6}},
    ],
)
def test_plain_class_folders_stay_classes(class_folders, layout):
    for name, counts in layout.items():
        for inner, count in counts.items():
            path = class_folders(f"{name}/{inner}".rstrip("/") if inner else ".", **{inner or name: count})
    if any("" in counts for counts in layout.values()):
        assert {folder.name for folder in path.iterdir()} == set(layout)
    dataset = load(path)
    assert dataset.spec.targets[0].classes == tuple(sorted(layout))


def test_splits_without_train_stay_refused_unless_they_are_classes(class_folders):
    class_folders("Dev", **PARTS)
    path = class_folders("ops", docker=3, linux=3)
    with pytest.raises(ValueError, match=r"needs `train/`. Received: .* with Dev/ only\. .*; for classes, .*merge"):
        split_folders(path)
    assert load(path, subfolders="merge").spec.targets[0].classes == ("Dev", "ops")


def nfc(text):
    return unicodedata.normalize("NFC", text)


def nfd(text):
    return unicodedata.normalize("NFD", text)


def test_class_folders_are_compared_in_one_unicode_form(class_folders):
    class_folders("train", **{nfc("강아지"): 5, nfd("고양이"): 5})
    path = class_folders("validation", **{nfd("강아지"): 3, nfd("고양이"): 3})
    dataset = load(path)
    assert dataset.spec.targets[0].classes == ("강아지", "고양이")
    assert np.bincount(dataset.split("validation").column("label")).tolist() == [3, 3]
    (line,) = dataset.spec.warnings
    assert line.startswith("classes that look alike in two Unicode forms are read as one: '강아지': write")


def test_two_folders_of_one_class_are_merged(class_folders):
    path = class_folders(**{nfc("강아지"): 6, nfd("강아지"): 6, "b": 6})
    if len(list(path.iterdir())) < 3:
        pytest.skip("this disk knows one Unicode form only")
    dataset = load(path)
    assert dataset.spec.targets[0].classes == ("b", "강아지")
    assert sum(dataset.spec.sizes.values()) == 18
    assert len(dataset.spec.warnings) == 1
    old = folder(path, DatasetSettings(name=str(path)), reference=trained(("a", "b"), 2))
    assert old.spec.targets[0].classes == tuple(sorted((nfc("강아지"), nfd("강아지"), "b")))
    assert old.spec.warnings == ()


@pytest.mark.parametrize("form", [nfc, nfd])
def test_class_folders_in_one_form_give_no_warning(class_folders, form):
    dataset = load(class_folders(**{form("강아지"): 6, form("고양이"): 6}))
    assert dataset.spec.targets[0].classes == ("강아지", "고양이")
    assert dataset.spec.warnings == ()


@pytest.mark.parametrize(("network", "data"), [(nfc, nfd), (nfd, nfc)])
@pytest.mark.parametrize("rules", [1, 3])
def test_a_network_knows_its_classes_in_the_other_form(class_folders, network, data, rules):
    path = class_folders(**{data("고양이"): 6, data("강아지"): 4})
    reference = trained((network("고양이"), network("강아지"), "other"), rules)
    dataset = with_classes_of(reference, folder(path, DatasetSettings(name=str(path)), reference=reference))
    assert dataset.spec.targets[0].classes == reference.targets[0].classes
    assert np.bincount(dataset.split("train").column("label")).tolist() == [6, 4]


def test_class_folders_with_control_characters_are_read_on_one_line(class_folders):
    dataset = load(class_folders(**{"a\nb": 6, "c\td": 6}))
    assert dataset.spec.targets[0].classes == ("a b", "c d")
    (line,) = dataset.spec.warnings
    assert line.startswith("classes with a line break or another control character are read on one line, such as 'a b'")


@pytest.mark.parametrize("other", ["CATS", "cats ", " cats"])
def test_class_folders_that_look_alike_are_doubted(class_folders, other):
    (line,) = load(class_folders(cats=6, **{other: 6})).spec.warnings
    assert line.startswith("classes differ in case, blanks or the form of characters alone: ")
    assert line.endswith(": write them alike if they are the same, or rename one")


def test_class_folders_of_whole_numbers_are_in_their_order(class_folders):
    path = class_folders(**{"10": 4, "2": 4, "1": 5})
    dataset = load(path)
    assert dataset.spec.targets[0].classes == ("1", "2", "10")
    assert dataset.spec.warnings == ()
    for name, label in zip(dataset.split("train").keys, dataset.split("train").column("label"), strict=True):
        assert name.split("/")[0] == ("1", "2", "10")[label]
    old = folder(path, DatasetSettings(name=str(path)), reference=trained(("1", "10", "2"), 2))
    assert old.spec.targets[0].classes == ("1", "10", "2")
