"""The heartbeats of ECG5000: how they are read and split, and errors on broken files."""

import numpy as np
import pytest

from conftest import load_data
from dltemplates.datasets.named.ecg5000 import CLASSES, LENGTH, read_beats
from dltemplates.settings import DatasetSettings, Named

ANOMALY = Named(name="anomaly", anomalies="keep")


def write_beats(path, counts, seed=0):
    random = np.random.default_rng(seed)
    labels = np.repeat(np.arange(1, len(counts) + 1), counts)
    random.shuffle(labels)
    rows = np.column_stack([labels, random.normal(size=(len(labels), LENGTH))])
    path.parent.mkdir(parents=True, exist_ok=True)
    np.savetxt(path, rows, fmt="%.7e")
    return rows


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("DLT_DATA", str(tmp_path))
    return tmp_path


def everything(dataset, split):
    source = dataset.split(split)
    return source.read(np.arange(len(source)))


def test_normal_and_other_beats_are_stratified(folder):
    rows = write_beats(folder / "ecg5000" / "ECG5000_TRAIN.txt", (60, 30, 5, 4, 1))  # a single beat of the last class
    dataset = load_data(DatasetSettings(name="ecg5000", validation=0.25, test=0.2), ANOMALY)
    assert dataset.spec.sizes == {"train": 60, "validation": 20, "test": 20}
    (value,) = dataset.spec.inputs
    assert (value.shape, value.kind) == ((LENGTH,), "number")
    for split, normal in (("train", 36), ("validation", 12), ("test", 12)):
        assert (everything(dataset, split)["label"] == 0).sum() == normal
    found = np.concatenate([everything(dataset, split)["features"] for split in dataset.splits])
    np.testing.assert_allclose(np.sort(found[:, 0]), np.sort(rows[:, 1]), rtol=1e-5)


def test_the_official_test_file_is_the_test_split(folder):
    write_beats(folder / "ECG5000_TRAIN.txt", (20, 10, 1, 1, 1))
    rows = write_beats(folder / "ECG5000_TEST.txt", (7, 3), seed=1)
    dataset = load_data(DatasetSettings(name="ecg5000", validation=0.2, test=0.5), ANOMALY)
    assert dataset.spec.sizes["test"] == 10
    assert dataset.spec.sizes["train"] + dataset.spec.sizes["validation"] == 33
    np.testing.assert_array_equal(everything(dataset, "test")["label"], rows[:, 0] - 1)


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("1 2 3\n", "1 to 5 .*140.*Received: 3 numbers, 0 rows"),
        ("7 " + "0 " * 140 + "\n", "Received: 141 numbers, 1 rows of another class"),
        ("1 two\n", "Received: .*two"),
    ],
)
def test_a_broken_file_is_named(tmp_path, text, match):
    path = tmp_path / "ECG5000_TRAIN.txt"
    path.write_text(text)
    with pytest.raises(ValueError, match=match):
        read_beats(path)


def test_without_a_file_the_error_says_where_to_put_it(folder, monkeypatch):
    monkeypatch.setenv("DLT_CACHE", str(folder / "none"))
    with pytest.raises(ValueError, match=r"needs the file ecg5000/.*ECG5000_TRAIN\.txt.*timeseriesclassification"):
        load_data("ecg5000", ANOMALY)


def test_a_classifier_reads_sequences_of_one_channel(folder):
    rows = write_beats(folder / "ECG5000_TRAIN.txt", (60, 30, 5, 4, 2))
    dataset = load_data(DatasetSettings(name="ecg5000", validation=0.25, test=0.2), "classification")
    (value,), (target,) = dataset.spec.inputs, dataset.spec.targets
    assert (value.name, value.kind, value.shape) == ("series", "series", (LENGTH, 1))
    assert target.classes == CLASSES
    found = np.concatenate([everything(dataset, split)["series"] for split in dataset.splits])
    np.testing.assert_allclose(np.sort(found[:, 0, 0]), np.sort(rows[:, 1]), rtol=1e-5)


def test_a_template_of_sequences_reads_the_beats(folder):
    write_beats(folder / "ECG5000_TRAIN.txt", (60, 30, 5, 4, 2))
    known = DatasetSettings(name="ecg5000", series={"sequences": True})
    assert load_data(known, "classification").spec.inputs[0].shape == (LENGTH, 1)
    for series in ({"window": 24}, {"sequences": True, "columns": {"value": "skip"}}):
        with pytest.raises(ValueError, match=r"`dataset.series` is for .*for ecg5000, sequences"):
            load_data(DatasetSettings(name="ecg5000", series=series), "classification")


@pytest.mark.data
def test_the_real_beats_are_split_by_class_with_rare_classes_pooled(data_folder):
    dataset = load_data("ecg5000", "classification")
    labels = {split: np.bincount(everything(dataset, split)["label"], minlength=5) for split in dataset.splits}
    if sum(map(sum, labels.values())) == 500:
        assert {split: counts.tolist() for split, counts in labels.items()} == {
            "train": [204, 124, 7, 13, 2],
            "validation": [29, 18, 1, 2, 0],
            "test": [59, 35, 2, 4, 0],
        }
        assert "class unclassified has fewer distinct examples" in dataset.spec.warnings[0]


@pytest.mark.data
def test_the_real_beats(data_folder):
    dataset = load_data("ecg5000", ANOMALY)
    labels = np.concatenate([everything(dataset, split)["label"] for split in dataset.splits])
    if len(labels) == 500:  # the file of training beats only
        assert np.bincount(labels).tolist() == [292, 177, 10, 19, 2]
    features = everything(dataset, "train")["features"]
    assert np.isfinite(features).all()
    np.testing.assert_allclose(features.std(axis=1), 1, atol=0.01)  # each beat is standardized in the archive
