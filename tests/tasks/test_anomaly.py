"""Anomaly detection: normal examples, training, the threshold, the score and its decision."""

import copy
import json
import re
import shutil
import unicodedata

import keras
import numpy as np
import pytest

from conftest import adapt_data, load_data, spec_of
from dltemplates.datasets.features import class_value
from dltemplates.datasets.images.files import FileSource
from dltemplates.datasets.source import ArraySource, Dataset, origin
from dltemplates.datasets.spec import DatasetSpec
from dltemplates.features import ClassId, Number
from dltemplates.inference import evaluate, predict
from dltemplates.runs import Run
from dltemplates.settings import DatasetSettings, Named
from dltemplates.tasks.anomaly import Anomaly, quantile_threshold
from dltemplates.tasks.load_for import load_for
from dltemplates.tasks.scoring.anomaly_labels import TRUTH, anomalies_of
from dltemplates.template import load_template
from dltemplates.training.prepare import prepare
from dltemplates.training.train import train

SETTINGS = {
    "task": {"name": "anomaly", "normal": "benign", "anomalies": "drop", "quantile": 0.9},
    "dataset": {"name": "breast_cancer", "validation": 0.3, "test": 0.3},
    "model": {"name": "fc_autoencoder", "units": [16], "latent_dim": 4},
    "train.epochs": 15,
    "train.learning_rate": 0.01,
}
NUMBERS = Number(name="features", dtype="float32", shape=(3,), mean=(0.0,) * 3, std=(1.0,) * 3)
LABEL = ClassId(name="label", dtype="int64", shape=(), classes=("flutter", "normal"))


def template(**settings):
    overrides = SETTINGS | {key.replace("__", "."): value for key, value in settings.items()}
    return load_template("fc_autoencoder_ecg5000", copy.deepcopy(overrides))


def dataset(labels=(1, 1, 0, 1), target=LABEL):
    """Return the same rows in each split; rows with label 0 lie far away."""
    labels = np.array(labels)
    rows = np.random.default_rng(0).normal(size=(len(labels), 3)).astype("float32")
    rows[labels == 0] += 100
    source = ArraySource({"features": rows, "label": labels})
    value = NUMBERS.model_copy(update={"mean": None, "std": None})
    spec = DatasetSpec(inputs=(value,), targets=(target,), sizes={"train": len(labels)})
    return Dataset(spec, dict.fromkeys(("train", "validation", "test"), source))


def adapt(data, anomalies="keep", **options):
    return adapt_data(Named(name="anomaly", anomalies=anomalies, **options), data)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """Train on benign tumours, to find malignant ones; tests read the run and never write it."""
    return train(template(), output=tmp_path_factory.mktemp("runs") / "tumours")


def test_all_but_the_normal_class_are_anomalies():
    _, adapted = adapt(dataset((1, 1, 0, 1)))
    assert anomalies_of(adapted.split("test")).tolist() == [0, 0, 1, 0]
    _, adapted = adapt(dataset((1, 1, 0, 1)), normal="flutter")
    assert anomalies_of(adapted.split("test")).tolist() == [1, 1, 0, 1]
    assert [value.name for value in adapted.spec.targets] == ["features", "anomaly"]


def test_a_class_may_be_named_by_a_number():
    numbered = dataset((1, 1, 0, 1), target=class_value(("0", "1")))
    for normal, marks in ((1, [0, 0, 1, 0]), (0, [1, 1, 0, 1]), ("0", [1, 1, 0, 1])):
        _, adapted = adapt(numbered, normal=normal)
        assert anomalies_of(adapted.split("test")).tolist() == marks


@pytest.mark.parametrize("form", ["NFC", "NFD"])
def test_a_class_is_known_in_any_unicode_form(form):
    data = dataset((1, 1, 0, 1), target=class_value(("비정상", "정상")))
    _, adapted = adapt(data, normal=unicodedata.normalize(form, "정상"))
    assert anomalies_of(adapted.split("test")).tolist() == [0, 0, 1, 0]


def test_invalid_class_names_are_refused():
    for normal in (True, 1.5, ["a"]):
        with pytest.raises(ValueError, match=f"`normal`.*Received: {re.escape(repr(normal))}"):
            adapt(dataset(), normal=normal)


def test_an_unknown_normal_class_is_refused():
    with pytest.raises(ValueError, match="Received: 'fine' for classes flutter, normal"):
        adapt(dataset(), normal="fine")


def test_anomalies_in_training_are_refused_and_counted():
    match = "Received: 2 anomalies .*5 of train.*task.anomalies=drop.*task.anomalies=keep"
    task, adapted = adapt(dataset((1, 0, 0, 1, 1)), anomalies="refuse")
    with pytest.raises(ValueError, match=match):
        task.check_splits(adapted)
    with pytest.raises(ValueError, match="Received: [0-9]+ anomalies"):
        prepare(template(task__anomalies="refuse"))
    _, adapted = adapt(dataset((1, 0, 0, 1, 1)), anomalies="keep")
    assert len(adapted.split("train")) == 5


def test_statistics_are_fitted_without_dropped_anomalies():
    task, adapted = adapt(dataset((1, 0, 0, 1, 1)), anomalies="drop")
    task.check_splits(adapted)
    assert len(adapted.split("train")) == 3
    assert not anomalies_of(adapted.split("train")).any()
    assert anomalies_of(adapted.split("validation")).sum() == 2  # validation keeps its anomalies
    rows = adapted.split("train").read(np.arange(3))["features"]
    np.testing.assert_allclose(adapted.spec.inputs[0].mean, rows.mean(axis=0), rtol=1e-5)
    np.testing.assert_allclose(adapted.spec.inputs[0].std, rows.std(axis=0), rtol=1e-5)
    assert adapted.spec.targets[0] == adapted.spec.inputs[0]
    assert max(adapted.spec.inputs[0].mean) < 10 < min(adapt(dataset((1, 0, 0, 1, 1)))[1].spec.inputs[0].mean)


def test_classes_are_not_weighed():
    with pytest.raises(ValueError, match="`train.class_weight`.*Received: .*`number`"):
        prepare(template(train__class_weight="balanced"))


def test_a_split_needs_normal_examples_and_anomalies():
    with pytest.raises(ValueError, match="Task anomaly.*Received: none in train"):
        adapt(dataset((0, 0, 0)), anomalies="drop")
    task, adapted = adapt(dataset((1, 1, 1)))
    with pytest.raises(ValueError, match="Received: 3 and 0 in validation"):
        task.check_splits(adapted)


def test_images_are_not_read_to_count_anomalies(digit_folder, monkeypatch):
    images = {"size": (8, 8), "channels": 1}
    settings = DatasetSettings(name=str(digit_folder), images=images, validation=0.3, test=0.3)
    adapted = load_data(settings, Named(name="anomaly", normal="zero", anomalies="drop"))
    labels = [adapted.split(split).read(np.arange(len(adapted.split(split))))["anomaly"] for split in adapted.splits]
    monkeypatch.setattr(FileSource, "read", None)
    counted = [anomalies_of(source) for source in adapted.splits.values()]
    assert [marks.tolist() for marks in counted] == [marks.tolist() for marks in labels]
    assert counted[0].sum() == 0 < counted[1].sum() < len(counted[1])


def test_validation_loss_uses_normal_examples_only():
    task, adapted = adapt(dataset((1, 0, 0, 1, 1)))
    monitored = task.monitor_subset(adapted.split("validation"))
    assert origin(monitored)[1].tolist() == [0, 3, 4]
    training = prepare(template())
    assert len(training.stages[-1].data.monitor_subset) < len(training.dataset.split("validation"))
    assert not anomalies_of(training.stages[-1].data.monitor_subset).any()


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"quantile": 1.0}, r"`quantile`.*\(0, 1\).*Received: 1.0.*0.99"),
        ({"quantile": 0}, "`quantile`.*Received: "),
        ({"quantile": "high"}, "`quantile`.*Received: "),
        ({"anomalies": "ignore"}, r"`anomalies`.*Received: 'ignore'"),
    ],
)
def test_options_out_of_range_are_refused(options, match):
    with pytest.raises(ValueError, match=match):
        Anomaly(spec_of(NUMBERS, TRUTH, inputs=(NUMBERS,)), **options)


def test_the_threshold_lies_between_two_scores():
    scores = np.arange(1, 102)[::-1]
    assert quantile_threshold(scores, 0.5) == 51.5
    assert quantile_threshold(scores, 0.99) == 100.5
    assert quantile_threshold(scores, 0.999) == 100.5  # at least one score is above it
    assert quantile_threshold(np.array([3.0]), 0.9) == pytest.approx(3.3)  # no score is greater: a tenth above it


def test_the_threshold_avoids_repeated_scores():
    states = np.repeat([1.0, 2.0, 4.0], 20)
    assert quantile_threshold(states, 0.5) == 3.0
    assert quantile_threshold(states, 0.99) == pytest.approx(4.4)
    assert quantile_threshold(states * (1 + 1e-6 * np.random.default_rng(0).random(60)), 0.5) == pytest.approx(
        3.0, rel=1e-5
    )


def test_the_score_is_the_mean_squared_error_of_standardized_numbers(run):
    spec = run.record.spec
    serving = run.serving()
    rows = load_for(run)[1].split("test").read(np.arange(20))["features"]
    outputs = {name: np.asarray(array) for name, array in serving.model(rows).items()}
    standardized = (rows - spec.inputs[0].mean) / spec.inputs[0].std
    reconstruction = np.asarray(run.model()(rows))
    np.testing.assert_allclose(outputs["score"], np.square(reconstruction - standardized).mean(axis=1), rtol=1e-4)
    threshold = spec.targets[1].threshold
    np.testing.assert_array_equal(outputs["decision"], outputs["score"] > threshold)
    assert 0 < outputs["decision"].mean() < 1
    assert outputs["score"].shape == outputs["decision"].shape == (20,)
    assert outputs["decision"].dtype == "float32"


def test_the_threshold_is_the_quantile_of_normal_validation_scores(run):
    task, adapted = load_for(run.template)
    normal = task.monitor_subset(adapted.split("validation"))
    rows = normal.read(np.arange(len(normal)))["features"]
    decided = np.asarray(run.serving().model(rows)["decision"])
    assert decided.mean() == pytest.approx(0.1, abs=1.5 / len(normal))
    assert run.record.details["test"]["threshold"] == run.record.spec.targets[1].threshold > 0


def test_anomalies_are_found(run):
    scores = run.record.scores["test"]
    assert list(scores) == ["roc_auc", "pr_auc", "precision", "recall"]
    assert scores["roc_auc"] > 0.9
    details = run.record.details["test"]
    assert details["found"] == pytest.approx(scores["recall"] * details["anomalies"])
    assert details["found"] / (details["found"] + details["false_alarms"]) == pytest.approx(scores["precision"])
    assert {"scores.png", "roc.png", "timeline.png"} <= {path.name for path in run.figures_path.iterdir()}


def test_a_run_evaluates_and_predicts(run, tmp_path):
    assert evaluate(run.path)["scores"] == run.record.scores["test"]
    from sklearn.datasets import load_breast_cancer

    data = load_breast_cancer(as_frame=True)
    truth = data.target.map(lambda place: data.target_names[place])
    table = data.data.assign(label=truth)
    table.to_csv(tmp_path / "mine.csv", index=False)
    predictions = predict(run.path, [tmp_path / "mine.csv"])
    assert set(predictions[0]) == {"input", "decision", "score", "threshold"}
    decided = np.array([row["decision"] == "anomaly" for row in predictions])
    assert (decided == (truth == "malignant")).mean() > 0.8
    assert all((row["score"] > row["threshold"]) == (row["decision"] == "anomaly") for row in predictions)
    result = evaluate(run.path, data=str(tmp_path / "mine.csv"))
    assert result["scores"]["roc_auc"] > 0.9


def test_evaluation_of_other_data_keeps_anomalies(run):
    result = evaluate(run.path, data="breast_cancer", split="all")
    assert (result["examples"], result["of"]) == (569, 569)
    assert result["details"]["anomalies"] == 212
    assert evaluate(run.path, split="train")["details"]["anomalies"] > 0


def test_a_table_of_the_user_with_a_label_column(tmp_path):
    random = np.random.default_rng(0)
    usual = random.normal(size=(90, 1)) * np.ones(4) + 0.1 * random.normal(size=(90, 4))  # four correlated columns
    broken = random.normal(size=(30, 4)) * 1.5
    rows = np.concatenate([usual, broken])
    lines = [",".join(f"{x:.4f}" for x in row) for row in rows]
    labels = ["good"] * 90 + ["noisy", "stuck", "off"] * 10
    text = "a,b,c,d,state\n" + "\n".join(f"{line},{label}" for line, label in zip(lines, labels, strict=True))
    (tmp_path / "pumps.csv").write_text(text)
    overrides = {
        "dataset": {"name": str(tmp_path / "pumps.csv"), "target": "state", "validation": 0.3, "test": 0.3},
        "task": {"name": "anomaly", "normal": "good", "anomalies": "drop"},
        "model": {"name": "autoencoder", "units": [8], "latent_dim": 1},
        "train.epochs": 25,
        "train.batch_size": 16,
        "train.learning_rate": 0.02,
    }
    run = train(template(**overrides), output=tmp_path / "run")
    assert run.record.scores["test"]["roc_auc"] > 0.9
    assert evaluate(run.path)["scores"] == run.record.scores["test"]


def test_one_digit_is_normal(tmp_path):
    overrides = {
        "dataset": {"name": "digits", "validation": 0.3},
        "task": {"name": "anomaly", "normal": "0", "anomalies": "drop"},
        "model": {"name": "autoencoder", "units": [32], "latent_dim": 4},
        "train.epochs": 12,
    }
    run = train(template(**overrides), output=tmp_path / "run")
    assert run.record.scores["test"]["roc_auc"] > 0.9
    images = load_data("digits").split("test").read(np.arange(6))["image"]
    outputs = run.serving().model(images.astype("float32"))
    reconstruction = 1 / (1 + np.exp(-np.asarray(run.model()(images.astype("float32")))))
    expected = np.square(reconstruction - images / 255).mean(axis=(1, 2, 3))
    np.testing.assert_allclose(outputs["score"], expected, rtol=1e-3)


def test_a_run_without_a_threshold_is_not_served(run, tmp_path):
    shutil.copytree(run.path, tmp_path / "run")
    cut = Run(tmp_path / "run")
    record = json.loads(cut.record_path.read_text())
    del record["spec"]["targets"][1]["threshold"]
    cut.record_path.write_text(json.dumps(record))
    with pytest.raises(ValueError, match="Received: run,.*--resume"):
        Run(cut.path).serving()


def test_a_split_without_anomalies_has_no_score():
    task = Anomaly(spec_of(NUMBERS, TRUTH, inputs=(NUMBERS,)))
    outputs = {"score": np.ones(3), "decision": np.zeros(3)}
    with pytest.raises(ValueError, match="Received: 3 and 0 in the split"):
        task.compare({"anomaly": np.zeros(3, int)}, outputs)


def test_scores_rate_the_ranking_and_the_decisions():
    task = Anomaly(spec_of(NUMBERS, TRUTH, inputs=(NUMBERS,)))
    targets = {"anomaly": np.array([0, 0, 1, 1])}
    outputs = {"score": np.float32([0.1, 0.6, 0.5, 0.9]), "decision": np.float32([0, 1, 1, 1])}
    assert task.compare(targets, outputs).scores == pytest.approx(
        {"roc_auc": 0.75, "pr_auc": 0.5 * 1 + 0.5 * 2 / 3, "precision": 2 / 3, "recall": 1.0}
    )
    assert task.compare(targets, outputs).errors.tolist() == pytest.approx([0, 0.6, 0, 0])
    assert task.direction == "max"


def test_figures_mark_the_threshold_and_the_anomalies():
    task = Anomaly(spec_of(NUMBERS, TRUTH.model_copy(update={"threshold": 0.4}), inputs=(NUMBERS,)))
    targets = {"anomaly": np.array([0, 1, 1, 0, 0, 1])}
    outputs = {"score": np.float32([0.1, 0.42, 0.5, 0.3, 0.45, 0.9]), "decision": np.float32([0, 1, 1, 0, 1, 1])}
    figures = task.figures(task.compare(targets, outputs))
    assert set(figures) == {"scores", "roc", "timeline"}
    (line,) = figures["timeline"].axes
    assert [patch.get_x() for patch in line.patches] == [0.5, 4.5]  # two intervals
    assert [patch.get_width() for patch in line.patches] == [2, 1]
    (_, over, threshold) = line.lines
    assert over.get_xdata().tolist() == [1, 2, 4, 5]
    assert set(threshold.get_ydata()) == {0.4}
    (plane,) = figures["roc"].axes
    assert plane.lines[-1].get_xydata().tolist() == [pytest.approx([1 / 3, 1.0])]
    assert plane.get_title() == f"area {8 / 9:.4f}"
    for figure in figures.values():
        figure.canvas.draw()


def test_the_score_of_a_zero_reconstruction():
    """A network that outputs zeros gives the mean square of its input as the score."""
    inputs = keras.Input((3,), name="features")
    zeros = keras.layers.Rescaling(0.0)(keras.layers.Rescaling(1.0, name="preprocessing")(inputs))
    task = Anomaly(spec_of(NUMBERS, TRUTH.model_copy(update={"threshold": 1.0}), inputs=(NUMBERS,)))
    scoring = task._scoring(keras.Model(inputs, zeros))
    np.testing.assert_allclose(scoring(np.float32([[3, 0, 0], [1, 1, 0]])), [3, 2 / 3], rtol=1e-6)


@pytest.mark.slow
@pytest.mark.data
def test_abnormal_heartbeats_are_found(data_folder, tmp_path):
    run = train(load_template("fc_autoencoder_ecg5000"), output=tmp_path / "run")
    assert run.record.spec.sizes["test"] >= 150
    assert run.record.scores["test"]["roc_auc"] >= 0.97
