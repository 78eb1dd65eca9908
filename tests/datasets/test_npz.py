"""The user's own arrays."""

import numpy as np
import pytest

from dltemplates.datasets.load import load_dataset
from dltemplates.settings import DatasetSettings

IMAGES = np.random.default_rng(0).integers(0, 256, (20, 6, 5), np.uint8)
LABELS = np.arange(20) % 2


@pytest.fixture
def load(tmp_path):
    """A function that saves arrays and loads them as a dataset."""

    def save_and_load(settings=None, labelled=True, told_apart=None, **arrays):
        np.savez(tmp_path / "data.npz", **arrays)
        path = str(tmp_path / "data.npz")
        return load_dataset(DatasetSettings(name=path, **(settings or {})), labelled=labelled, told_apart=told_apart)

    return save_and_load


def test_x_and_y_are_split(load):
    dataset = load(x=IMAGES, y=LABELS, classes=np.array(["even", "odd"]))
    assert dataset.spec.sizes == {"train": 14, "validation": 2, "test": 4}
    assert dataset.spec.inputs[0].shape == (6, 5, 1)
    assert dataset.spec.targets[0].classes == ("even", "odd")
    assert np.bincount(dataset.split("test").read(np.arange(4))["label"]).tolist() == [2, 2]
    pictures = np.concatenate([source.read(np.arange(len(source)))["image"] for source in dataset.splits.values()])
    assert {picture.tobytes() for picture in pictures} == {picture.tobytes() for picture in IMAGES}
    assert dataset.spec == load(x=IMAGES, y=LABELS, classes=np.array(["even", "odd"])).spec
    changed = IMAGES.copy()
    changed[0, 0, 0] ^= 1
    assert dataset.spec.fingerprint != load(x=changed, y=LABELS).spec.fingerprint


def test_splits_that_are_given_are_kept(load):
    dataset = load(
        x_train=IMAGES, y_train=LABELS, x_val=IMAGES[:4], y_val=LABELS[:4], x_test=IMAGES[:3], y_test=LABELS[:3]
    )
    assert dataset.spec.sizes == {"train": 20, "validation": 4, "test": 3}
    assert (dataset.split("train").read(np.array([7]))["image"][0, ..., 0] == IMAGES[7]).all()
    assert dataset.spec.targets[0].classes == ("0", "1")


def test_where_no_class_is_needed_images_alone_will_do(load):
    dataset = load(x=IMAGES, labelled=False)
    assert dataset.spec.sizes == {"train": 14, "validation": 2, "test": 4}
    assert dataset.spec.targets[0].classes == ("data",)
    assert load(x_train=IMAGES, x_test=IMAGES[:3], labelled=False).spec.sizes["test"] == 3
    assert load(x=IMAGES, y=LABELS, labelled=False).spec.targets[0].classes == ("0", "1")


def test_where_one_class_is_told_from_all_others_those_may_be_rare(load):
    labels = np.where(np.arange(20) < 15, 0, np.arange(20) - 14)
    with pytest.raises(ValueError, match="3 examples.*Received: 1 of class '1'"):
        load(x=IMAGES, y=labels)
    dataset = load(x=IMAGES, y=labels, told_apart="0")
    found = {split: source.read(np.arange(len(source)))["label"] for split, source in dataset.splits.items()}
    assert {split: [(ids == 0).sum(), (ids > 0).sum()] for split, ids in found.items()} == {
        "train": [10, 3],
        "validation": [2, 1],
        "test": [3, 1],
    }
    ones = load(x_train=IMAGES, y_train=labels * 0, x_test=IMAGES, y_test=labels, told_apart="0")
    assert len(ones.spec.targets[0].classes) == 6


def test_a_column_of_class_ids(load):
    assert load(x=IMAGES, y=LABELS[:, None]).spec.targets[0].kind == "class"


def test_labels(load):
    flags = np.stack([LABELS, 1 - LABELS, LABELS * 0], axis=1)
    for y in (flags, flags.astype(bool)):
        dataset = load(x=IMAGES, y=y, classes=np.array(["a", "b", "c"]))
        (target,) = dataset.spec.targets
        assert (target.kind, target.classes, target.shape) == ("labels", ("a", "b", "c"), (3,))
        assert dataset.split("train").read(np.arange(2))["labels"].dtype == np.float32


def test_numbers(load):
    for y in (np.linspace(0, 1, 20), np.stack([np.linspace(0, 1, 20), np.linspace(5, 9, 20)], axis=1)):
        dataset = load(x=IMAGES, y=y)
        (target,) = dataset.spec.targets
        values = dataset.split("train").read(np.arange(14))["value"]
        assert (target.kind, target.shape) == ("number", values.shape[1:])
        assert target.mean == pytest.approx(values.mean(axis=0).tolist())


def test_size_and_channels(load, monkeypatch):
    settings = {"image_size": (12, 12), "channels": 3, "resize": "pad"}
    at_once = load(settings, x=IMAGES, y=LABELS).split("train").read(np.arange(14))["image"]
    assert at_once.shape == (14, 12, 12, 3)
    monkeypatch.setattr("dltemplates.datasets.arrays.FITTED_AT_ONCE", 0)
    as_read = load(settings, x=IMAGES, y=LABELS).split("train").read(np.arange(14))["image"]
    assert (at_once == as_read).all()
    assert at_once.std() > 20


def test_other_integers_from_0_to_255_are_taken(load):
    assert load(x=IMAGES.astype(np.int64), y=LABELS).split("train").read(np.arange(1))["image"].dtype == np.uint8


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"x": IMAGES}, r"`x_train`.*Received: x in .*data.npz"),
        ({"x_test": IMAGES, "y_test": LABELS}, "`x_train`.*Received: x_test, y_test in"),
        ({"x": IMAGES, "y": LABELS, "z": LABELS}, "`x_train`.*Received: 'z' in"),
        ({"x": IMAGES, "x_train": IMAGES, "y": LABELS}, r"'x_train'.*Received: it and 'x_train'"),
        ({"x": IMAGES[0], "y": LABELS}, r"`x_train`.*Received: shape \(6, 5\)"),
        ({"x": IMAGES.reshape(20, 1, 6, 5), "y": LABELS}, r"Received: shape \(20, 1, 6, 5\)"),
        (
            {"x": np.stack([IMAGES] * 4, -1), "y": LABELS},
            r"Received: shape \(20, 6, 5, 4\)\. .*\[..., :3\]",
        ),
        ({"x": IMAGES / 255, "y": LABELS}, "0 to 255.*Received: float64 from 0 to 1"),
        ({"x": IMAGES.astype(int) - 1, "y": LABELS}, "0 to 255.*Received: int64 from -1 to 254"),
        ({"x": IMAGES.astype(str), "y": LABELS}, "0 to 255.*Received: <U3"),
        (
            {"x": IMAGES, "y": LABELS[:5]},
            r"`y_train`.*\(20, k\).*Received: int64 of shape \(5,\)",
        ),
        ({"x": IMAGES, "y": LABELS.astype(str)}, r"Received: <U21 of shape \(20,\)"),
        ({"x": IMAGES, "y": LABELS * 0}, r"two classes.*Received: 0\."),
        ({"x": IMAGES, "y": LABELS - 1}, "0 to 0.*Received: -1 to 0"),
        ({"x": IMAGES, "y": LABELS, "classes": np.array(["a"])}, "0 to 0.*Received: 0 to 1"),
        ({"x": IMAGES, "y": LABELS * 10**12}, "Received: none of class 1"),
        ({"x": IMAGES, "y": LABELS, "classes": np.array(["a", "b", "c"])}, "Received: none of class 2"),
        (
            {"x": IMAGES, "y": np.maximum(LABELS, np.eye(20, dtype=int)[7] * 2)},
            "3 examples.*Received: 1 of class '2'",
        ),
        ({"x": IMAGES, "y": LABELS * 2}, "Received: none of class 1"),
        (
            {"x": IMAGES, "y": LABELS, "classes": np.array([1, 2])},
            r"`classes`.*2.*Received: int64 of shape",
        ),
        ({"x": IMAGES, "y": LABELS, "classes": np.array(["a", "a"])}, "Received twice: a"),
        ({"x": IMAGES, "y": np.stack([LABELS, LABELS + 1], 1)}, "0 or 1.*Received: 0 to 2"),
        ({"x": IMAGES, "y": np.full(20, 3.0)}, "Received: 3 for all 14"),
        ({"x": IMAGES, "y": np.full(20, np.nan)}, "Received: 14 that are not"),
        (
            {"x_train": IMAGES, "y_train": LABELS, "x_test": IMAGES[:, :4], "y_test": LABELS},
            r"Received: train \(6, 5, 1\) -> \(\), test \(4, 5, 1\) -> \(\)",
        ),
    ],
)
def test_arrays_that_break_a_rule(load, arrays, message):
    with pytest.raises(ValueError, match=message):
        load(**arrays)


def test_nothing_is_unpickled(load, tmp_path):
    class Trap:
        def __reduce__(self):
            return (open, (str(tmp_path / "sprung"), "w"))

    objects = np.array([Trap()] * 20, dtype=object)
    with pytest.raises(ValueError, match=r"Received: .*data.npz \(.*Python objects"):
        load(x=IMAGES, y=objects)
    objects.dump(tmp_path / "pickle.npz")
    with pytest.raises(ValueError, match=r"Received: .*pickle.npz \(.*Python objects"):
        load_dataset(DatasetSettings(name=str(tmp_path / "pickle.npz")))
    assert not (tmp_path / "sprung").exists()


def test_files_that_are_no_npz(tmp_path):
    np.savez_compressed(tmp_path / "cut.npz", x=IMAGES, y=LABELS)
    (tmp_path / "cut.npz").write_bytes((tmp_path / "cut.npz").read_bytes()[:300])
    (tmp_path / "empty.npz").write_bytes(b"")
    with open(tmp_path / "array.npz", "wb") as file:
        np.save(file, IMAGES)
    for name, found in (("cut", "zip"), ("empty", "No data left"), ("array", "one array without a key")):
        with pytest.raises(ValueError, match=rf"Received: .*{name}.npz \(.*{found}"):
            load_dataset(DatasetSettings(name=str(tmp_path / f"{name}.npz")))
