"""From a name to a dataset: the catalog's, a path, a function of the user's."""

import numpy as np
import pytest

from dltemplates.datasets.digits import digits
from dltemplates.datasets.load import load_dataset
from dltemplates.settings import DatasetSettings

OWN = """
from dltemplates.datasets.digits import digits

def larger(settings):
    return digits(settings.model_copy(update={"image_size": (16, 16)}))

def nothing(settings):
    return None
"""


def load(name, **settings):
    return load_dataset(DatasetSettings(name=str(name), **settings))


def test_a_name_of_the_catalog_wins_over_a_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "digits").mkdir()
    assert load("digits").spec == digits(DatasetSettings(name="digits")).spec
    with pytest.raises(ValueError, match="Received: digits, .*empty"):
        load("./digits")


def test_a_folder_may_be_named_without_a_separator(class_folders, monkeypatch):
    path = class_folders(cats=4, dogs=4)
    monkeypatch.chdir(path.parent)
    assert load("data").spec == load(path).spec


@pytest.mark.parametrize("settings", [{"name": "digits"}, {"name": "gates:xor"}])
def test_what_is_split_already_is_joined(settings):
    dataset = load_dataset(DatasetSettings(**settings), whole=True)
    assert dataset.spec.sizes["all"] == len(dataset.split("all")) == sum(map(len, dataset.splits.values())) / 2


def test_a_folder_is_not_split_to_be_judged_as_a_whole(class_folders):
    path = class_folders(cats=4, dogs=1)
    dataset = load_dataset(DatasetSettings(name=str(path)), whole=True)
    assert dataset.spec.sizes == {"train": 5, "all": 5}


def test_the_home_folder(class_folders, monkeypatch):
    path = class_folders(cats=4, dogs=4)
    monkeypatch.setenv("HOME", str(path.parent))
    assert load("~/data").spec == load(path).spec


def test_a_function_of_the_users(tmp_path, monkeypatch):
    (tmp_path / "my_own_data.py").write_text(OWN)
    monkeypatch.syspath_prepend(tmp_path)
    assert load("my_own_data:larger").split("train").read(np.arange(2))["image"].shape == (2, 16, 16, 1)
    with pytest.raises(ValueError, match=r"`Dataset`.*Received: NoneType from my_own_data:nothing"):
        load("my_own_data:nothing")
    with pytest.raises(ValueError, match=r"`package.module:function`.*Received: 'my_own_data:absent'"):
        load("my_own_data:absent")


def test_unknown_names():
    with pytest.raises(ValueError, match=r"Received: 'minst'. Did you mean mnist.*\.npz.*\.csv"):
        load("minst")
    with pytest.raises(ValueError, match=r"Received: 'xyz'. There are: adult, .*\.npz.*\.csv"):
        load("xyz")


@pytest.mark.parametrize("name", ["./absent", "absent/deeper", "~/absent-folder", "absent.npz", "/absent"])
def test_paths_that_lead_nowhere(name):
    with pytest.raises(ValueError, match=r"\.npz.*\.csv.*Received: .*absent"):
        load(name)


def test_a_file_of_another_kind(tmp_path):
    (tmp_path / "images.zip").write_bytes(b"")
    with pytest.raises(ValueError, match=r"Received: .*images.zip "):
        load(tmp_path / "images.zip")
