"""The contract of every task, then the claims of each."""

import keras
import numpy as np
import pytest

from dltemplates import catalog
from dltemplates.datasets.spec import DatasetSpec
from dltemplates.features import ClassId, Image, Labels, Noise, Number
from dltemplates.settings import Named
from dltemplates.tasks.assemble import assemble, preprocess, restore, serve
from dltemplates.tasks.classification import Classification
from dltemplates.tasks.multi_label import MultiLabel
from dltemplates.tasks.regression import Regression
from dltemplates.tasks.task import make_task
from dltemplates.template import load_template

IMAGE = Image(name="image", dtype="float32", shape=(8, 8, 1), range=(0, 255), resize="stretch")
SIX = tuple("abcdef")
NUMBERS = Number(name="value", dtype="float32", shape=(2,), mean=(10.0, -5.0), std=(2.0, 0.5))
TARGETS = {
    "classification": ClassId(name="label", dtype="int64", shape=(), classes=SIX),
    "multi_label": Labels(name="labels", dtype="float32", shape=(3,), classes=("x", "y", "z")),
    "regression": NUMBERS,
}
ELSEWHERE = {  # in their own test files, except the last, an alias of `regression`
    "reconstruction",
    "anomaly",
    "forecasting",
    "variational",
    "generation",
    "representation",
    "parity",
    "language_modeling",
    "text_to_text",
    "image_regression",
}
RAW = {
    "classification": np.arange(12) % 6,
    "multi_label": np.float32(np.random.default_rng(0).integers(0, 2, (12, 3))),
    "regression": np.float32(np.random.default_rng(0).normal((10, -5), (2, 0.5), (12, 2))),
}


def spec_of(name):
    return DatasetSpec(inputs=(IMAGE,), targets=(TARGETS[name],), sizes={"train": 12}, fingerprint="")


def test_every_task_of_the_catalog_is_tested():
    assert {*TARGETS, *ELSEWHERE} == set(catalog.TASKS)
    assert catalog.TASKS["image_regression"].target == catalog.TASKS["regression"].target


@pytest.mark.parametrize("name", TARGETS)
def test_a_task_trains_serves_scores_and_draws(name):
    keras.utils.set_random_seed(0)
    spec, raw = spec_of(name), RAW[name]
    task = make_task(Named(name=name), spec)
    sizes = task.model_sizes(spec)
    inputs = keras.Input(sizes["input_shape"])
    network = keras.Model(inputs, keras.layers.Dense(sizes["num_outputs"])(keras.layers.Flatten()(inputs)), name="net")
    model = assemble(network, spec)
    model.compile(optimizer="adam", loss=task.loss(), metrics=task.metrics())
    images = np.random.default_rng(0).integers(0, 256, (12, 8, 8, 1)).astype("uint8")
    history = model.fit(images, keras.ops.convert_to_numpy(task.encode(raw)), epochs=30, verbose=0).history
    assert history["loss"][-1] < history["loss"][0]
    assert task.monitor.removeprefix("val_") in history

    serving = serve(model, task, spec, load_template("resnet8_digits", {"task": name}), name="served")
    outputs = {key: np.asarray(value) for key, value in serving.model(images.astype("float32")).items()}
    (value,) = serving.contract.outputs
    assert set(outputs) == {value.name}
    assert outputs[value.name].shape == (12, *value.shape)
    assert outputs[value.name].dtype == value.dtype
    assert np.isfinite(outputs[value.name]).all()

    targets = {spec.targets[0].name: raw}
    scores = task.compare(targets, outputs).scores
    assert all(isinstance(score, float) for score in scores.values())
    perfect = next(iter(task.compare(targets, best_outputs(name)).scores.values()))
    first = next(iter(scores.values()))
    assert first <= perfect if task.direction == "max" else first >= perfect
    assert len(task.format(outputs)) == 12
    evaluation = task.compare(targets, outputs)
    assert len(evaluation.captions) == len(evaluation.errors) == len(evaluation) == 12
    assert set(evaluation.score_of) == set(scores)
    for key, score_of in evaluation.score_of.items():
        assert score_of(np.ones((2, 12))) == pytest.approx([scores[key]] * 2)
    assert not task.compare(targets, best_outputs(name)).errors.any()
    for figure in task.figures(task.compare(targets, outputs)).values():
        figure.canvas.draw()


def best_outputs(name):
    match name:
        case "classification":
            return {"probabilities": np.eye(6, dtype="float32")[RAW[name]]}
        case "multi_label":
            return {"probabilities": RAW[name]}
        case _:
            return {"value": RAW[name]}


def test_an_unknown_option_is_refused():
    with pytest.raises(ValueError, match="Task classification.*Received: smoothing"):
        make_task(Named(name="classification", smoothing=0.1), spec_of("classification"))


@pytest.mark.parametrize("value", [-0.1, 1.0, "x"])
def test_label_smoothing_is_a_share(value):
    with pytest.raises(ValueError, match="`label_smoothing`.*Received: "):
        Classification(spec_of("classification"), label_smoothing=value)


@pytest.mark.parametrize("value", [0, 1, "x"])
def test_the_threshold_is_a_probability(value):
    with pytest.raises(ValueError, match="`threshold`.*Received: "):
        MultiLabel(spec_of("multi_label"), threshold=value)


def test_classification_scores_accuracy_and_top_5_from_six_classes():
    task = Classification(spec_of("classification"))
    probabilities = np.float32([[0.5, 0.1, 0.1, 0.1, 0.1, 0.1], [0.3, 0.2, 0.2, 0.1, 0.15, 0.05]])
    targets, outputs = {"label": np.array([0, 5])}, {"probabilities": probabilities}
    assert task.compare(targets, outputs).scores == {"accuracy": 0.5, "top_5": 0.5}
    details = task.compare(targets, outputs).details
    assert details["confusion_matrix"][5][0] == 1
    assert details["per_class"][0] == {"class": "a", "precision": 0.5, "recall": 1.0, "examples": 1, "predicted": 2}
    five = TARGETS["classification"].model_copy(update={"classes": SIX[:5]})
    few = spec_of("classification").model_copy(update={"targets": (five,)})
    labels = {"label": np.array([0, 4])}
    assert "top_5" not in Classification(few).compare(labels, {"probabilities": probabilities[:, :5]}).scores


def test_label_smoothing_raises_the_loss_of_a_confident_answer():
    sure = 20 * np.eye(6, dtype="float32")
    losses = [
        float(task.loss()(task.encode(np.arange(6)), sure))
        for task in (
            Classification(spec_of("classification")),
            Classification(spec_of("classification"), label_smoothing=0.1),
        )
    ]
    assert losses[0] < 0.01 < 1 < losses[1]


def test_multi_label_scores_macro_f1():
    task = MultiLabel(spec_of("multi_label"), threshold=0.4)
    targets = {"labels": np.float32([[1, 0, 1], [0, 1, 1]])}
    outputs = {"probabilities": np.float32([[0.9, 0.1, 0.45], [0.1, 0.9, 0.2]])}
    scores = task.compare(targets, outputs).scores
    assert scores["macro_f1"] == pytest.approx((1 + 1 + 2 / 3) / 3)
    assert scores["label_accuracy"] == pytest.approx(5 / 6)
    assert scores["exact_match"] == 0.5
    assert task.format(outputs)[0]["labels"] == ["x", "z"]


def test_one_label_and_one_example_are_enough():
    one = Labels(name="labels", dtype="float32", shape=(1,), classes=("x",))
    task = MultiLabel(spec_of("multi_label").model_copy(update={"targets": (one,)}))
    targets, outputs = {"labels": np.float32([[1], [0], [1]])}, {"probabilities": np.float32([[0.9], [0.1], [0.2]])}
    assert task.compare(targets, outputs).scores["macro_f1"] == pytest.approx(2 / 3)
    assert task.compare(targets, outputs).details["per_class"][0]["recall"] == 0.5
    number = Regression(spec_of("regression"))
    arrays = {"value": RAW["regression"][:1]}
    assert list(number.compare(arrays, arrays).scores) == ["mae", "rmse", "mse"]


def test_the_square_of_a_large_number_is_finite():
    """float32 cannot hold 1e50."""
    task = Regression(spec_of("regression"))
    truth = np.float32([[1e25], [2e25], [3e25]])
    scores = task.compare({"value": truth}, {"value": truth + np.float32(1e24)}).scores
    assert scores["mse"] == pytest.approx(1e48, rel=1e-4)
    assert scores["r2"] == pytest.approx(0.985, rel=1e-4)


def test_a_task_of_ones_own_is_a_task():
    with pytest.raises(ValueError, match="`Task`.*Received: 'subprocess:Popen'"):
        make_task(Named(name="subprocess:Popen"), spec_of("classification"))


def test_regression_scales_in_training_and_unscales_in_serving():
    task = Regression(spec_of("regression"))
    encoded = np.asarray(task.encode(RAW["regression"]))
    assert abs(encoded.mean()) < 1
    presented = np.asarray(task.present(keras.ops.convert_to_tensor(encoded)))
    np.testing.assert_allclose(presented, RAW["regression"], rtol=1e-5)
    scores = task.compare({"value": RAW["regression"]}, {"value": presented}).scores
    assert scores["mae"] < 1e-5
    off = task.compare({"value": np.zeros((2, 2))}, {"value": np.array([[3.0, 4.0], [0.0, 0.0]])}).scores
    assert (off["mae"], off["rmse"], off["mse"]) == pytest.approx((1.75, 2.5, 6.25))
    assert scores["r2"] > 0.9999
    assert task.decide({"value": presented}) is None


@pytest.mark.parametrize("layers_of", [preprocess, lambda noise, x: restore(noise, x, name="noise")])
def test_a_kind_without_layers_is_refused(layers_of):
    with pytest.raises(TypeError, match="Received: `z` of kind `noise`"):
        layers_of(Noise(name="z", dtype="float32", shape=(2,)), keras.Input((2,)))
