"""Baselines: fitted on the training rows, scored on the test rows, and stopped when their time is over."""

import json
import os
import subprocess
import time

import numpy as np
import pandas as pd
import pytest

from dltemplates.datasets.source import ArraySource, Dataset
from dltemplates.datasets.spec import DatasetSpec
from dltemplates.features import Category, ClassId, Column, Image, Length, Noise, Number, Series
from dltemplates.tasks.classification import Classification
from dltemplates.tasks.load_for import load_for
from dltemplates.tasks.multi_label import MultiLabel
from dltemplates.tasks.regression import Regression
from dltemplates.tasks.scoring import baseline_worker, baselines
from dltemplates.tasks.scoring.baselines import fit_baselines, seconds_for, thumbnails
from dltemplates.template import load_template
from dltemplates.training.train import train

CLASSES = ("a", "b", "c")
RUN_WORKER = baselines.run_worker  # before a fixture replaces it


def dataset_of(inputs, target, arrays, sizes=(120, 30)):
    """Return data with a training and a test split."""
    spec = DatasetSpec(inputs=tuple(inputs), targets=(target,), sizes={})
    first, second = sizes
    parts = {"train": slice(0, first), "test": slice(first, first + second)}
    splits = {
        split: ArraySource({name: array[part] for name, array in arrays.items()}) for split, part in parts.items()
    }
    return Dataset(spec, splits)


def table(number=False):
    """Return rows whose target follows from a number and a category."""
    random = np.random.default_rng(0)
    numbers, ids = random.normal(size=(150, 2)).astype(np.float32), random.integers(0, 3, (150, 1)).astype(np.int32)
    value = 3 * numbers[:, :1] + 10 * (ids == 1)
    features = Number(name="features", dtype="float32", shape=(2,), mean=(0.0, 0.0), std=(1.0, 1.0))
    kind = Column(name="kind", kind="category", vocabulary=("x", "y"))
    inputs = features, Category(name="categories", dtype="int32", shape=(1,), columns=(kind,))
    arrays = {"features": numbers, "categories": ids}
    if number:
        target = Number(name="price", dtype="float32", shape=(1,), mean=(0.0,), std=(1.0,))
        return dataset_of(inputs, target, arrays | {"price": value.astype(np.float32)})
    target = ClassId(name="label", dtype="int64", shape=(), classes=CLASSES)
    return dataset_of(inputs, target, arrays | {"label": np.digitize(value[:, 0], [0, 8])})


def images(count=150, size=(32, 24)):
    """Return images of two classes: the right half is bright, or the left one."""
    random = np.random.default_rng(0)
    label = random.integers(0, 2, count)
    pixels = random.integers(0, 60, (count, *size, 1))
    half = size[1] // 2
    pixels[label == 1, :, :half] += 100
    pixels[label == 0, :, half:] += 100
    image = Image(name="image", dtype="uint8", shape=(*size, 1), range=(0, 255))
    target = ClassId(name="label", dtype="int64", shape=(), classes=CLASSES[:2])
    return dataset_of([image], target, {"image": pixels.astype(np.uint8), "label": label}, (count - 30, 30))


@pytest.mark.parametrize("is_number", [False, True])
def test_the_nearest_sequence_is_that_of_standardized_channels_without_padding(is_number):
    random = np.random.default_rng(0)
    label, lengths = random.integers(0, 2, 150), random.integers(3, 7, 150).astype(np.int32)
    arrays = random.normal(size=(150, 6, 2)) * [1, 1000] + [50, 0]
    arrays[..., 0] += 2 * label[:, None]
    arrays[np.arange(6) >= lengths[:, None]] = 0  # padding, far from the mean
    mean, std = (51.0, 0.0), (1.4, 1000.0)
    series = Series(name="series", dtype="float32", shape=(6, 2), mean=mean, std=std)
    length = Length(name="length", dtype="int32", shape=(), range=(1, 6))
    target = ClassId(name="label", dtype="int64", shape=(), classes=CLASSES[:2])
    values = label
    if is_number:
        target = Number(name="label", dtype="float32", shape=(1,), mean=(0.0,), std=(1.0,))
        values = label[:, None].astype(np.float32)
    data = dataset_of(
        [series, length], target, {"series": arrays.astype(np.float32), "length": lengths, "label": values}
    )
    task = (Regression if is_number else Classification)(data.spec)
    results = by_name(fit_baselines(task, data))
    standard = (arrays - mean) / std * (np.arange(6) < lengths[:, None])[..., None]
    distances = np.square(standard[120:, None] - standard[None, :120]).sum(axis=(2, 3))
    wrong = np.abs(label[distances.argmin(axis=1)] - label[120:]).mean()
    expected = {"mae": wrong} if is_number else {"accuracy": 1 - wrong}
    assert 0 < wrong < 0.4
    for name, score in expected.items():
        assert results["nearest neighbor"].scores[name] == pytest.approx(score)


def by_name(result):
    return {baseline.name: baseline for baseline in result.results}


def test_a_table_of_classes_has_three_baselines():
    data = table()
    results = by_name(fit_baselines(Classification(data.spec), data))
    assert list(results) == ["largest class", "logistic regression", "gradient boosting"]
    label = data.split("test").column("label")
    largest = np.bincount(data.split("train").column("label")).argmax()
    assert results["largest class"].scores["accuracy"] == pytest.approx((label == largest).mean())
    assert results["logistic regression"].scores["accuracy"] > 0.9
    assert results["gradient boosting"].scores["accuracy"] > 0.9
    for baseline in results.values():
        interval = baseline.intervals["accuracy"]
        assert (interval.units, interval.right / 30) == (30, baseline.scores["accuracy"])
        assert (baseline.skipped, baseline.note) == (None, None)


def test_a_table_of_numbers_has_three_baselines():
    data = table(number=True)
    results = by_name(fit_baselines(Regression(data.spec), data))
    assert list(results) == ["mean", "linear regression", "gradient boosting"]
    price = data.split("test").column("price")
    mean = data.split("train").column("price").mean()
    assert results["mean"].scores["mae"] == pytest.approx(np.abs(price - mean).mean(), rel=1e-4)
    assert results["linear regression"].scores["mae"] < 0.05 * results["mean"].scores["mae"]  # a sum of the columns
    assert results["gradient boosting"].scores["mae"] < 0.5 * results["mean"].scores["mae"]
    assert results["mean"].intervals["mae"].low < results["mean"].scores["mae"] < results["mean"].intervals["mae"].high


def test_a_class_without_training_rows_has_probability_0():
    data = table()
    few = np.flatnonzero(data.split("train").column("label") < 2)
    results = by_name(fit_baselines(Classification(data.spec), data, labeled=few))
    assert 0.3 < results["logistic regression"].scores["accuracy"] < 1


def test_only_the_labeled_rows_are_fitted(monkeypatch):
    rows = {}
    monkeypatch.setattr(baselines, "run_worker", lambda folder, end: rows.update(np.load(folder / "rows.npz")))
    data = table()
    labeled = np.array([3, 8, 90])
    fit_baselines(Classification(data.spec), data, labeled=labeled)
    assert rows["train"].shape == (3, 3)
    assert (rows["target"] == data.split("train").column("label")[labeled]).all()
    assert rows["test"].shape == (30, 3)


def test_images_are_fitted_as_thumbnails(monkeypatch):
    data = images()
    results = by_name(fit_baselines(Classification(data.spec), data))
    assert list(results) == ["largest class", "logistic regression"]
    assert results["logistic regression"].scores["accuracy"] == 1
    assert results["logistic regression"].note == "on thumbnails of at most 16x16 pixels"
    monkeypatch.setattr(baselines, "MAX_IMAGES", 50)
    (_, fewer) = fit_baselines(Classification(data.spec), data).results
    assert fewer.note == "on thumbnails of at most 16x16 pixels of 50 training examples"
    assert fewer.scores["accuracy"] > 0.9


@pytest.mark.parametrize(("size", "expected"), [((32, 48), (16, 16)), ((8, 8), (8, 8)), ((21, 5), (16, 5))])
def test_a_thumbnail_averages_blocks(size, expected):
    pictures = np.random.default_rng(0).integers(0, 256, (3, *size, 2)).astype(np.uint8)
    small = thumbnails(pictures)
    assert small.shape == (3, *expected, 2)
    assert small.dtype == np.float32
    if size == (32, 48):
        blocks = pictures.reshape(3, 16, 2, 16, 3, 2).mean(axis=(2, 4))
        assert small == pytest.approx(blocks, rel=1e-5)
    assert np.array_equal(small, pictures) == (size == expected)
    assert thumbnails(np.full((1, *size, 1), 7, np.uint8)) == pytest.approx(np.full((1, *expected, 1), 7))


def test_a_series_has_naive_forecasts_and_an_autoregression(tmp_path):
    rows = np.arange(400)
    values = 10 * np.sin(2 * np.pi * rows / 12) + np.random.default_rng(0).normal(0, 0.5, 400)
    other = np.random.default_rng(1).normal(size=400)
    pd.DataFrame({"other": other, "wave": values}).to_csv(tmp_path / "wave.csv", index=False)
    series = {"window": 24, "horizon": 3, "season_length": 12}
    overrides = {"dataset": {"name": str(tmp_path / "wave.csv"), "target": "wave", "series": series}}
    task, data = load_for(load_template("lstm_sunspots", overrides))
    results = by_name(fit_baselines(task, data))
    assert list(results) == ["last value", "last season", "linear autoregression"]
    last, season, linear = (baseline.scores["mae"] for baseline in results.values())
    assert linear < season < 1 < last
    assert results["last value"].scores["skill"] == 0
    assert results["last value"].intervals["mae"].of_blocks


def test_other_tasks_have_no_baselines():
    target = ClassId(name="label", dtype="int64", shape=(), classes=CLASSES)
    data = dataset_of(table().spec.inputs, target, {"label": np.zeros(150, int)})
    result = fit_baselines(MultiLabel(data.spec), data)
    assert (result.results, result.none) == ((), "there is none for task multi_label")


def test_other_inputs_are_said_to_have_none():
    noise = Noise(name="noise", dtype="float32", shape=(4,))
    target = ClassId(name="label", dtype="int64", shape=(), classes=CLASSES)
    arrays = {"noise": np.zeros((150, 4), np.float32), "label": np.arange(150) % 3}
    data = dataset_of([noise], target, arrays)
    (largest, linear) = fit_baselines(Classification(data.spec), data).results
    assert largest.scores
    assert (linear.scores, linear.skipped) == ({}, "there is none for inputs of kind `noise`")


def test_rows_that_take_much_memory_are_skipped(monkeypatch):
    monkeypatch.setattr(baselines, "MAX_NUMBERS", 400)  # 150 rows of 3 columns
    data = table()
    largest, *others = fit_baselines(Classification(data.spec), data).results
    assert largest.scores
    assert {baseline.skipped for baseline in others} == {"the rows take more than 0 MiB"}


def test_a_full_disk_skips_the_fits(monkeypatch):
    def fail(*arguments, **options):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(baselines.np, "savez", fail)
    data = table()
    largest, *others = fit_baselines(Classification(data.spec), data).results
    assert largest.scores
    reason = "the rows could not be written (No space left on device)"
    assert [baseline.skipped for baseline in others] == [reason] * 2


def test_reading_stops_when_the_time_is_over():
    data = table()
    largest, *others = fit_baselines(Classification(data.spec), data, seconds=0).results
    assert largest.scores  # it needs the labels alone
    assert [baseline.skipped for baseline in others] == ["reading the examples took too long"] * 2


def test_the_time_is_10_seconds_or_a_tenth_of_the_training():
    assert [seconds_for(seconds) for seconds in (0, 50, 100, 1_000)] == [10, 10, 10, 100]


@pytest.fixture
def own_process(monkeypatch):
    monkeypatch.setattr(baselines, "run_worker", RUN_WORKER)


def test_the_worker_fits_in_a_process_of_its_own(own_process):
    data = table()
    results = by_name(fit_baselines(Classification(data.spec), data, seconds=120))
    assert results["logistic regression"].scores["accuracy"] > 0.9
    assert results["gradient boosting"].seconds > 0


def test_a_worker_that_takes_too_long_is_ended_and_keeps_what_is_ready(own_process, tmp_path, monkeypatch):
    """A worker that writes its first baseline and then hangs, as a fit of many rows would."""
    script = tmp_path / "hangs.py"
    script.write_text(
        "import sys, time, os\n"
        "from pathlib import Path\n"
        "from dltemplates.tasks.scoring import baseline_worker\n"
        "predict = baseline_worker.predict\n"
        "def slow(name, rows, job):\n"
        f"    Path({str(tmp_path / 'pid')!r}).write_text(str(os.getpid()))\n"
        "    return predict(name, rows, job) if name == 'linear' else time.sleep(600)\n"
        "baseline_worker.predict = slow\n"
        "baseline_worker.main(Path(sys.argv[1]))\n"
    )
    monkeypatch.setattr(baselines, "WORKER", (baselines.WORKER[0], str(script)))
    data = table()
    started = time.monotonic()
    _, linear, boosting = fit_baselines(Classification(data.spec), data, seconds=15).results
    assert time.monotonic() - started < 20
    assert linear.scores["accuracy"] > 0.9
    assert boosting.skipped == "it took too long"
    with pytest.raises(ProcessLookupError):
        os.kill(int((tmp_path / "pid").read_text()), 0)


def test_a_worker_that_fails_is_said(own_process, monkeypatch):
    monkeypatch.setattr(baselines, "WORKER", (baselines.WORKER[0], "-c", "raise MemoryError('no more')"))
    data = table()
    largest, *others = fit_baselines(Classification(data.spec), data).results
    assert largest.scores
    assert {baseline.skipped for baseline in others} == {"it failed: MemoryError: no more"}


def test_predictions_that_are_not_finite_are_skipped(monkeypatch):
    def write(folder, end):
        np.savez(folder / "linear.npz", predictions=np.full((30, 1), np.nan), seconds=0.0)
        np.savez(folder / "boosting.npz", predictions=np.zeros((30, 1)), seconds=0.5)

    monkeypatch.setattr(baselines, "run_worker", write)
    data = table(number=True)
    _, linear, boosting = fit_baselines(Regression(data.spec), data).results
    assert (linear.scores, linear.skipped) == ({}, "its predictions are not finite")
    assert boosting.scores["mae"] > 0
    assert boosting.seconds == 0.5


def test_the_worker_needs_no_tensorflow():
    code = "import sys; import dltemplates.tasks.scoring.baseline_worker; print('tensorflow' in sys.modules)"
    result = subprocess.run([baselines.WORKER[0], "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "False"


def test_a_category_of_many_values_is_a_number_to_boosting():
    kinds = [0, 3, baseline_worker.MAX_CODES, baseline_worker.MAX_CODES + 1]
    estimator = baseline_worker.make_estimator("boosting", kinds, is_class=True, is_scaled=False)
    assert estimator.categorical_features == [False, True, True, False]


def test_a_run_keeps_its_baselines(small_run):
    results = by_name(small_run.record.baselines)
    assert list(results) == ["largest class", "logistic regression"]
    assert results["logistic regression"].scores["accuracy"] > 0.9
    assert results["logistic regression"].scores.keys() == small_run.record.scores["test"].keys()
    assert json.loads(small_run.record_path.read_text())["baselines"]["none"] is None


@pytest.mark.slow
@pytest.mark.data
def test_mlp_adult_reaches_the_score_of_its_template(data_folder, tmp_path):
    run = train(load_template("mlp_adult"), output=tmp_path / "run")
    assert run.record.spec.sizes["test"] == 16_281
    accuracy = run.record.scores["test"]["accuracy"]
    results = by_name(run.record.baselines)
    assert 0.85 <= accuracy < results["gradient boosting"].scores["accuracy"]  # the template says 0.8520 and 0.8698
    assert results["logistic regression"].scores["accuracy"] == pytest.approx(0.852, abs=0.002)


@pytest.mark.slow
@pytest.mark.data
def test_dfn_california_housing_beats_linear_regression(data_folder, tmp_path):
    run = train(load_template("dfn_california_housing"), output=tmp_path / "run")
    linear = by_name(run.record.baselines)["linear regression"].scores["rmse"]
    assert 0 < run.record.scores["test"]["rmse"] < 0.8 * linear  # the template says 49,989 and 70,070 dollars
