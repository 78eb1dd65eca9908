"""From a name to a dataset: from the catalog, a path, or a function of the user."""

import numpy as np
import pytest

from conftest import load_data
from dltemplates.datasets.images.arrays import ImageArrays
from dltemplates.datasets.load import load_dataset
from dltemplates.settings import DatasetSettings

OWN = """
from dltemplates.datasets.named.digits import digits
from dltemplates.settings import ImageSettings

def larger(settings):
    return digits(settings.model_copy(update={"images": ImageSettings(size=(16, 16))}))

def nothing(settings):
    return None
"""


def load(name, **settings):
    return load_data(DatasetSettings(name=str(name), **settings))


def test_a_catalog_name_wins_over_a_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "digits").mkdir()
    assert isinstance(load_dataset(DatasetSettings(name="digits")).split("train"), ImageArrays)
    with pytest.raises(ValueError, match="Received: digits, .*empty"):
        load("./digits")


def test_a_folder_may_be_named_without_a_separator(class_folders, monkeypatch):
    path = class_folders(cats=4, dogs=4)
    monkeypatch.chdir(path.parent)
    assert load("data").spec == load(path).spec


@pytest.mark.parametrize(("name", "splits"), [("digits", 1), ("gates:xor", 3)])
def test_splits_are_joined_for_whole_evaluation(name, splits):
    dataset = load_data(name, whole=True)
    assert len(dataset.splits) == splits + 1
    assert dataset.spec.sizes["all"] == len(dataset.split("all")) == sum(map(len, dataset.splits.values())) / 2


def test_a_folder_is_not_split_for_whole_evaluation(class_folders):
    path = class_folders(cats=4, dogs=1)
    assert load_data(str(path), whole=True).spec.sizes == {"train": 5, "all": 5}


def test_a_loader_returns_raw_data(class_folders):
    """It is neither split nor fitted, with or without classes."""
    for counts in ({"cats": 4}, {"dogs": 1}):
        dataset = load_dataset(DatasetSettings(name=str(class_folders(**counts))))
        classes = tuple(sorted({"cats", *counts}))
        assert list(dataset.splits) == ["train"]
        (target,) = dataset.spec.targets
        assert (target.classes, target.counts) == (classes, None)


def test_the_home_folder(class_folders, monkeypatch):
    path = class_folders(cats=4, dogs=4)
    monkeypatch.setenv("HOME", str(path.parent))
    assert load("~/data").spec == load(path).spec


def test_a_function_of_the_user(tmp_path, monkeypatch):
    (tmp_path / "my_own_data.py").write_text(OWN)
    monkeypatch.syspath_prepend(tmp_path)
    assert load("my_own_data:larger").split("train").read(np.arange(2))["image"].shape == (2, 16, 16, 1)
    with pytest.raises(ValueError, match=r"`Dataset`.*Received: NoneType from my_own_data:nothing"):
        load("my_own_data:nothing")
    with pytest.raises(ValueError, match=r"`package.module:function`.*Received: 'my_own_data:absent'"):
        load("my_own_data:absent")


def test_unknown_names():
    with pytest.raises(ValueError, match=r"Received: 'minst'. Did you mean mnist or moons\?"):
        load("minst")
    with pytest.raises(ValueError, match=r"Received: 'xyz'. It is no path in .*, and no name of `dlt list datasets`"):
        load("xyz")


@pytest.mark.parametrize("name", ["./absent", "absent/deeper", "~/absent-folder", "absent.npz", "/absent"])
def test_paths_that_do_not_exist_are_refused(name):
    with pytest.raises(ValueError, match=r"\.npz.*\.csv.*Received: .*absent"):
        load(name)


def test_a_file_of_an_unknown_kind_is_refused(tmp_path):
    (tmp_path / "images.zip").write_bytes(b"")
    with pytest.raises(ValueError, match=r"Received: .*images.zip "):
        load(tmp_path / "images.zip")
