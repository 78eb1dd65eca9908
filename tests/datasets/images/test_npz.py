"""Arrays of the user in `.npz` files."""

import unicodedata

import numpy as np
import pytest

from conftest import load_data
from dltemplates.settings import DatasetSettings, Named

IMAGES = np.random.default_rng(0).integers(0, 256, (20, 6, 5), np.uint8)
LABELS = np.arange(20) % 2


@pytest.fixture
def load(tmp_path):
    """Return a function that saves arrays and loads them as a dataset."""

    def save_and_load(settings=None, task="classification", **arrays):
        np.savez(tmp_path / "data.npz", **arrays)
        return load_data(
            DatasetSettings(name=str(tmp_path / "data.npz"), **{"validation": 0.1} | (settings or {})), task
        )

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


def test_the_users_splits_are_kept(load):
    others = {"x_val": 255 - IMAGES[:4], "y_val": LABELS[:4], "x_test": IMAGES[:3] ^ 1, "y_test": LABELS[:3]}
    dataset = load(x_train=IMAGES, y_train=LABELS, **others)
    assert dataset.spec.sizes == {"train": 20, "validation": 4, "test": 3}
    assert (dataset.split("train").read(np.array([7]))["image"][0, ..., 0] == IMAGES[7]).all()
    assert dataset.spec.targets[0].classes == ("0", "1")


@pytest.mark.parametrize("keys", [("train", "dev", "test"), ("Train", "VAL", "Testing"), ("training", "valid", "test")])
def test_splits_are_known_by_many_names(load, keys):
    arrays = dict(zip(keys, (IMAGES[:13], IMAGES[13:17], IMAGES[17:]), strict=True))
    named = {f"X_{key}": array for key, array in arrays.items()}
    dataset = load(**named, **{f"y_{key}": LABELS[: len(array)] for key, array in arrays.items()})
    assert dataset.spec.sizes == {"train": 13, "validation": 4, "test": 3}


def test_without_classes_images_are_enough(load):
    dataset = load(task="reconstruction", x=IMAGES)
    assert dataset.spec.sizes == {"train": 14, "validation": 2, "test": 4}
    assert [value.name for value in dataset.spec.targets] == ["image"]
    assert load(task="reconstruction", x_train=IMAGES, x_test=IMAGES[:3]).spec.sizes["test"] == 3
    assert np.bincount(load(task="reconstruction", x=IMAGES, y=LABELS).split("test").column("label")).tolist() == [2, 2]
    assert load(task="generation", x=IMAGES).spec.targets[0].classes == ("data",)


def test_rare_classes_are_pooled_for_one_vs_rest_labels(load):
    labels = np.where(np.arange(20) < 15, 0, np.arange(20) - 14)
    normal = Named(name="anomaly", normal=0, anomalies="keep")
    dataset = load(task=normal, x=IMAGES, y=labels)
    found = {split: np.bincount(source.column("anomaly")).tolist() for split, source in dataset.splits.items()}
    assert found == {"train": [10, 3], "validation": [2, 1], "test": [3, 1]}
    ones = {"x_train": IMAGES, "y_train": labels * 0, "x_test": IMAGES, "y_test": labels}
    dataset = load(task=normal, settings={"duplicates": "keep"}, x_val=IMAGES, y_val=labels, **ones)
    assert np.bincount(dataset.split("test").column("label")).tolist() == [15, 1, 1, 1, 1, 1]


def test_a_column_of_class_ids(load):
    assert load(x=IMAGES, y=LABELS[:, None]).spec.targets[0].kind == "class"


def test_labels(load):
    flags = np.stack([LABELS, 1 - LABELS, LABELS * 0], axis=1)
    for y in (flags, flags.astype(bool)):
        dataset = load(task="multi_label", x=IMAGES, y=y, classes=np.array(["a", "b", "c"]))
        (target,) = dataset.spec.targets
        assert (target.kind, target.classes, target.shape) == ("labels", ("a", "b", "c"), (3,))
        assert dataset.split("train").read(np.arange(2))["labels"].dtype == np.float32


def test_numbers(load):
    for y in (np.linspace(0, 1, 20), np.stack([np.linspace(0, 1, 20), np.linspace(5, 9, 20)], axis=1)):
        dataset = load(task="image_regression", x=IMAGES, y=y)
        (target,) = dataset.spec.targets
        values = dataset.split("train").read(np.arange(14))["value"]
        assert (target.kind, target.shape) == ("number", values.shape[1:])
        assert target.mean == pytest.approx(values.mean(axis=0).tolist())


def test_size_and_channels(load, monkeypatch):
    settings = {"images": {"size": (12, 12), "channels": 3, "resize": "pad"}}
    at_once = load(settings, x=IMAGES, y=LABELS).split("train").read(np.arange(14))["image"]
    assert at_once.shape == (14, 12, 12, 3)
    monkeypatch.setattr("dltemplates.datasets.images.arrays.RESIZED_AT_ONCE", 0)
    as_read = load(settings, x=IMAGES, y=LABELS).split("train").read(np.arange(14))["image"]
    assert (at_once == as_read).all()
    assert at_once.std() > 20


def test_other_integer_types_from_0_to_255_are_accepted(load):
    assert load(x=IMAGES.astype(np.int64), y=LABELS).split("train").read(np.arange(1))["image"].dtype == np.uint8


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"x": IMAGES}, r"at least two classes. Received: one, 'data'. .* or add `y` to the .npz file"),
        (
            {"x_train": IMAGES, "y_train": LABELS, "x_test": IMAGES},
            r"has the keys .* Received: x_train, y_train, x_test",
        ),
        ({"x_test": IMAGES, "y_test": LABELS}, r"has the keys .* Received: x_test, y_test in"),
        ({"x": IMAGES, "y": LABELS, "z": LABELS}, r"has the keys .* Received: 'z' in .* Rename or remove it"),
        ({"x": IMAGES, "x_train": IMAGES, "y": LABELS}, r"must hold 'x_train' once. Received: 'x_train' and an alias"),
        ({"x": IMAGES[0], "y": LABELS}, r"`x_train` must be \(n, height, width\) or .* Received: shape \(6, 5\)"),
        ({"x": IMAGES.reshape(20, 1, 6, 5), "y": LABELS}, r"Received: shape \(20, 1, 6, 5\). Move the channels last"),
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
        ({"x": IMAGES, "y": LABELS.astype(str)}, r"one for each image. Received: <U21 of shape \(20,\)"),
        ({"x": IMAGES, "y": LABELS * 0}, r"at least two classes. Received: one, 'data'"),
        ({"x": IMAGES, "y": LABELS - 1}, r"Class ids must be from 0 to 0, .* Received: -1 to 0"),
        ({"x": IMAGES, "y": LABELS, "classes": np.array(["a"])}, r"ids must be from 0 to 0, .* Received: 0 to 1"),
        ({"x": IMAGES, "y": LABELS * 10**12}, r"Received: 1000000000000 among 20 examples. Number .* floats"),
        ({"x": IMAGES, "y": LABELS, "classes": np.array(["a", "b", "c"])}, r"Received: none of 'c' in train. Add"),
        (
            {"x": IMAGES, "y": LABELS * 2},
            r"example of each class to train on. Received: none of '1' in train. Add .*flo",
        ),
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
def test_invalid_arrays_are_refused(load, arrays, message):
    y = arrays.get("y", LABELS)
    task = "image_regression" if y.dtype.kind == "f" else "multi_label" if y.shape == (20, 2) else "classification"
    with pytest.raises(ValueError, match=message):
        load(task=task, **arrays)


def test_more_ids_than_examples_can_teach_need_names(load, tmp_path):
    """Without names, so many ids are rather numbers to predict."""
    images = np.random.default_rng(0).integers(0, 256, (100, 6, 5), np.uint8)
    ids = np.arange(100) % 25
    trained = load(x=images, y=ids)
    few = {"x": images[:50], "y": ids[:50]}
    with pytest.raises(ValueError, match=r"ids up to 24 for 50 examples\. .* add their names, `classes`; .*floats"):
        load(**few)
    names = np.array([f"person {number}" for number in range(25)])
    assert load(**few, classes=names).spec.targets[0].classes == tuple(names)
    np.savez(tmp_path / "few.npz", **few)
    scored = load_data(str(tmp_path / "few.npz"), "classification", reference=trained.spec, whole=True)
    assert len(scored.split("all")) == 50  # a trained network knows its classes


def test_nothing_is_unpickled(load, tmp_path):
    class Trap:
        def __reduce__(self):
            return (open, (str(tmp_path / "sprung"), "w"))

    objects = np.array([Trap()] * 20, dtype=object)
    with pytest.raises(ValueError, match=r"Received: .*data.npz \(.*Python objects"):
        load(x=IMAGES, y=objects)
    objects.dump(tmp_path / "pickle.npz")
    with pytest.raises(ValueError, match=r"Received: .*pickle.npz \(.*Python objects"):
        load_data(str(tmp_path / "pickle.npz"))
    assert not (tmp_path / "sprung").exists()


def test_files_that_are_not_npz_are_refused(tmp_path):
    np.savez_compressed(tmp_path / "cut.npz", x=IMAGES, y=LABELS)
    (tmp_path / "cut.npz").write_bytes((tmp_path / "cut.npz").read_bytes()[:300])
    (tmp_path / "empty.npz").write_bytes(b"")
    with open(tmp_path / "array.npz", "wb") as file:
        np.save(file, IMAGES)
    for name, found in (("cut", "zip"), ("empty", "No data left"), ("array", "one array without a key")):
        with pytest.raises(ValueError, match=rf"Received: .*{name}.npz \(.*{found}"):
            load_data(str(tmp_path / f"{name}.npz"))


def test_class_names_are_clean(load):
    names = np.array(["a\nb", unicodedata.normalize("NFD", "é")])
    dataset = load(x=IMAGES, y=LABELS, classes=names)
    assert dataset.spec.targets[0].classes == ("a b", "é")
    (line,) = dataset.spec.warnings
    assert line.startswith("classes with a line break or another control character are read on one line, such as 'a b'")
    assert load(x=IMAGES, y=LABELS, classes=np.array(["Cat", "cat"])).spec.warnings[0].startswith("classes differ in")
