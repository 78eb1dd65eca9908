"""Reconstruction: targets, scores, repeatable noise, and refused data."""

import numpy as np
import pytest

from conftest import adapt_data, load_data, spec_of
from dltemplates.datasets.source import ArraySource, Dataset
from dltemplates.datasets.spec import DatasetSpec
from dltemplates.features import Category, ClassId, Column, Image, Number
from dltemplates.settings import Named
from dltemplates.tasks.load_for import load_for
from dltemplates.tasks.noise import noisy
from dltemplates.tasks.parity import Parity
from dltemplates.tasks.reconstruction import Reconstruction
from dltemplates.template import load_template

IMAGE = Image(name="image", dtype="float32", shape=(2, 2, 1), range=(0, 255))
NUMBERS = Number(name="features", dtype="float32", shape=(2,), mean=(10.0, -5.0), std=(2.0, 0.5))
LABEL = ClassId(name="label", dtype="int64", shape=(), classes=("a", "b"))
CATEGORY = Category(name="categories", dtype="int32", shape=(1,), columns=(Column(name="c", kind="category"),))


def data_of(*inputs):
    return Dataset(DatasetSpec(inputs=inputs, targets=(LABEL,), sizes={}, fingerprint=""), {})


def numbers_dataset(rows=6):
    values = np.random.default_rng(0).normal((10, -5), (2, 0.5), (rows, 2)).astype("float32")
    splits = {split: ArraySource({"features": values}) for split in ("train", "validation", "test")}
    return Dataset(data_of(NUMBERS).spec, splits)


def test_images_are_trained_and_scored_between_0_and_1():
    task = Reconstruction(spec_of(IMAGE, inputs=(IMAGE,)))
    clean = np.float32([[0, 255], [51, 102]])[None, ..., None]
    encoded = np.asarray(task.encode(clean))
    np.testing.assert_allclose(encoded.ravel(), [0, 1, 0.2, 0.4])
    half = np.zeros_like(clean)  # logits of 0 are a probability of one half
    assert float(np.mean(task.loss()(encoded, half))) == pytest.approx(np.mean((encoded - 0.5) ** 2))
    reconstruction = np.asarray(task.present(half))
    np.testing.assert_allclose(reconstruction, 127.5)
    scores = task.compare({"image": clean}, {"reconstruction": reconstruction}).scores
    assert list(scores) == ["mse", "psnr"]
    assert scores["mse"] == pytest.approx(np.mean((encoded - 0.5) ** 2))
    assert scores["psnr"] == pytest.approx(-10 * np.log10(scores["mse"]))


def test_cross_entropy_is_least_for_the_exact_image():
    task = Reconstruction(spec_of(IMAGE, inputs=(IMAGE,)), loss="cross_entropy")
    pixels = np.float32([0.1, 0.9])[None]
    logits = np.log(pixels / (1 - pixels))
    best = float(np.mean(task.loss()(pixels, logits)))
    assert all(float(np.mean(task.loss()(pixels, logits + step))) > best for step in (-0.5, 0.5))


def test_numbers_are_standardized_in_training_and_served_in_their_own_unit():
    task = Reconstruction(spec_of(NUMBERS, inputs=(NUMBERS,)))
    clean = np.float32([[12, -5], [10, -4.5]])
    encoded = np.asarray(task.encode(clean))
    np.testing.assert_allclose(encoded, [[1, 0], [0, 1]], atol=1e-6)
    np.testing.assert_allclose(np.asarray(task.present(encoded)), clean, rtol=1e-6)
    off = clean + np.float32([[2, 0.5]])  # one deviation off in each column
    assert task.compare({"features": clean}, {"reconstruction": off}).scores == pytest.approx({"mse": 1.0})
    assert task.figures(task.compare({"features": clean}, {"reconstruction": off})) == {}
    np.testing.assert_allclose(task.errors({"features": clean}, {"reconstruction": off}), [1, 1])


def test_noise_is_repeatable_and_only_in_validation_and_test():
    dataset = load_data("digits", Named(name="reconstruction", noise=0.3))
    rows = np.array([5, 0, 7])
    for split in ("validation", "test"):
        first, again = (dataset.split(split).read(rows) for _ in range(2))
        np.testing.assert_array_equal(first["image"], again["image"])
        one = dataset.split(split).read(rows[1:2])  # the noise depends on the example alone
        np.testing.assert_array_equal(one["image"][0], first["image"][1])
        difference = first["image"] - first["clean"]
        assert 0.15 < difference.std() / 255 < 0.35
        assert first["image"].min() >= 0
        assert first["image"].max() <= 255
    train = dataset.split("train").read(rows)
    np.testing.assert_array_equal(train["image"], train["clean"])
    clean, noisy_image = dataset.spec.targets
    assert (clean.name, noisy_image.name) == ("clean", "image")
    assert load_data("digits", "reconstruction").spec.targets == dataset.spec.inputs


def test_whole_evaluation_has_noise_too():
    dataset = load_data("digits", Named(name="reconstruction", noise=0.3), whole=True)
    arrays = dataset.split("all").read(np.arange(50))
    assert 0.15 < (arrays["image"] - arrays["clean"]).std() / 255 < 0.35


def test_noise_of_numbers_scales_with_their_deviation():
    dataset = noisy(numbers_dataset(2000), 0.5)
    arrays = dataset.split("test").read(np.arange(2000))
    deviations = (arrays["features"] - arrays["clean"]).std(axis=0) / np.array(NUMBERS.std)
    np.testing.assert_allclose(deviations, 0.5, rtol=0.05)


def test_scores_include_the_error_of_the_noisy_input():
    task, dataset = adapt_data(Named(name="reconstruction", noise=0.5), numbers_dataset(500))
    arrays = dataset.split("test").read(np.arange(500))
    scores = task.compare(arrays, {"reconstruction": arrays["clean"]}).scores
    assert scores["mse"] == 0
    assert scores["mse_before"] == pytest.approx(0.25, rel=0.1)
    untouched = task.compare(arrays, {"reconstruction": arrays["features"]}).scores
    assert untouched["mse"] == untouched["mse_before"]


def test_the_figure_shows_noisy_input_reconstruction_and_clean_image():
    task, dataset = load_for(load_template("autoencoder_digits", {"task.noise": 0.3}))
    arrays = dataset.split("test").read(np.arange(3))
    figure = task.figures(task.compare(arrays, {"reconstruction": arrays["clean"]}))["reconstructions"]
    panels = np.array(figure.axes).reshape(3, 3)
    assert [axes.get_ylabel() for axes in panels[:, 0]] == ["input", "output", "clean"]
    drawn = [np.asarray(axes.images[0].get_array()) for axes in panels[:, 0]]
    np.testing.assert_array_equal(drawn[1], drawn[2])
    assert np.abs(drawn[0].astype(float) - drawn[2]).max() > 50


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"loss": "l1"}, "`loss`.*Received: 'l1'"),
        ({"noise": -0.1}, "`noise`.*Received: -0.1"),
        ({"noise": "much"}, "`noise`.*Received: "),
        ({"noise": float("nan")}, "`noise`.*Received: "),
    ],
)
def test_options_out_of_range_are_refused(options, match):
    with pytest.raises(ValueError, match=match):
        Reconstruction(spec_of(IMAGE, inputs=(IMAGE,)), **options)


def test_unsuitable_data_is_refused():
    with pytest.raises(ValueError, match="`loss`.*Received: 'cross_entropy' for `number`"):
        Reconstruction(spec_of(NUMBERS, inputs=(NUMBERS,)), loss="cross_entropy")
    with pytest.raises(ValueError, match=r"Received: `features` .*, `categories` of .*dataset\.table\.columns\.c=skip"):
        adapt_data(Named(name="reconstruction"), data_of(NUMBERS, CATEGORY))
    with pytest.raises(ValueError, match="Received: `categories` of kind `category`. .*`dlt list tasks`.$"):
        adapt_data(Named(name="reconstruction"), data_of(CATEGORY))


def test_the_parity_task_has_no_training():
    with pytest.raises(ValueError, match="Task parity.*Received: .*dlt list tasks"):
        Parity().model_sizes(data_of(IMAGE).spec)
    assert Parity().compare({}, {"code": np.ones((2, 3))}).scores == {}
