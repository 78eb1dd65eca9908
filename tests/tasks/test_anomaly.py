"""Anomalies: which examples are normal, what is learned from, the threshold, the score and its decision."""

import copy
import json
import re
import shutil

import keras
import numpy as np
import pytest

from conftest import load_data, look_at, spec_of
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
    """In each split the same rows; a place far off where the label is 0."""
    labels = np.array(labels)
    rows = np.random.default_rng(0).normal(size=(len(labels), 3)).astype("float32")
    rows[labels == 0] += 100
    source = ArraySource({"features": rows, "label": labels})
    value = NUMBERS.model_copy(update={"mean": None, "std": None})
    spec = DatasetSpec(inputs=(value,), targets=(target,), sizes={"train": len(labels)})
    return Dataset(spec, dict.fromkeys(("train", "validation", "test"), source))


def look(data, anomalies="keep", **options):
    return look_at(Named(name="anomaly", anomalies=anomalies, **options), data)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """Tumours that are not benign, by a network that saw benign ones; to be read and never written."""
    return train(template(), output=tmp_path_factory.mktemp("runs") / "tumours")


def test_all_but_the_normal_class_are_anomalies():
    _, seen = look(dataset((1, 1, 0, 1)))
    assert anomalies_of(seen.split("test")).tolist() == [0, 0, 1, 0]
    _, seen = look(dataset((1, 1, 0, 1)), normal="flutter")
    assert anomalies_of(seen.split("test")).tolist() == [1, 1, 0, 1]
    assert [value.name for value in seen.spec.targets] == ["features", "anomaly"]


def test_a_class_may_be_called_by_a_number():
    numbered = dataset((1, 1, 0, 1), target=class_value(("0", "1")))
    for normal, marks in ((1, [0, 0, 1, 0]), (0, [1, 1, 0, 1]), ("0", [1, 1, 0, 1])):
        _, seen = look(numbered, normal=normal)
        assert anomalies_of(seen.split("test")).tolist() == marks


def test_what_is_no_name_is_no_class():
    for normal in (True, 1.5, ["a"]):
        with pytest.raises(ValueError, match=f"`normal`.*Received: {re.escape(repr(normal))}"):
            look(dataset(), normal=normal)


def test_which_class_is_normal_must_be_known():
    with pytest.raises(ValueError, match="Received: 'fine' for classes flutter, normal"):
        look(dataset(), normal="fine")


def test_anomalies_to_train_on_are_refused_and_counted():
    match = "Received: 2 anomalies .*5 of train.*task.anomalies=drop.*task.anomalies=keep"
    task, seen = look(dataset((1, 0, 0, 1, 1)), anomalies="refuse")
    with pytest.raises(ValueError, match=match):
        task.check_splits(seen)
    with pytest.raises(ValueError, match="Received: [0-9]+ anomalies"):
        prepare(template(task__anomalies="refuse"))
    _, seen = look(dataset((1, 0, 0, 1, 1)), anomalies="keep")
    assert len(seen.split("train")) == 5


def test_anomalies_that_are_dropped_leave_no_trace_in_the_statistics():
    task, seen = look(dataset((1, 0, 0, 1, 1)), anomalies="drop")
    task.check_splits(seen)
    assert len(seen.split("train")) == 3
    assert not anomalies_of(seen.split("train")).any()
    assert anomalies_of(seen.split("validation")).sum() == 2  # by which it is judged
    rows = seen.split("train").read(np.arange(3))["features"]
    np.testing.assert_allclose(seen.spec.inputs[0].mean, rows.mean(axis=0), rtol=1e-5)
    np.testing.assert_allclose(seen.spec.inputs[0].std, rows.std(axis=0), rtol=1e-5)
    assert seen.spec.targets[0] == seen.spec.inputs[0]
    assert max(seen.spec.inputs[0].mean) < 10 < min(look(dataset((1, 0, 0, 1, 1)))[1].spec.inputs[0].mean)


def test_classes_are_not_weighed():
    with pytest.raises(ValueError, match="`train.class_weight`.*Received: .*`number`"):
        prepare(template(train__class_weight="balanced"))


def test_nothing_normal_or_nothing_else_is_refused():
    with pytest.raises(ValueError, match="Task anomaly.*Received: none in train"):
        look(dataset((0, 0, 0)), anomalies="drop")
    task, seen = look(dataset((1, 1, 1)))
    with pytest.raises(ValueError, match="Received: 3 and 0 in validation"):
        task.check_splits(seen)


def test_images_are_not_read_to_count_anomalies(digit_folder, monkeypatch):
    images = {"size": (8, 8), "channels": 1}
    settings = DatasetSettings(name=str(digit_folder), images=images, validation=0.3, test=0.3)
    seen = load_data(settings, Named(name="anomaly", normal="zero", anomalies="drop"))
    labels = [seen.split(split).read(np.arange(len(seen.split(split))))["anomaly"] for split in seen.splits]
    monkeypatch.setattr(FileSource, "read", None)
    counted = [anomalies_of(source) for source in seen.splits.values()]
    assert [marks.tolist() for marks in counted] == [marks.tolist() for marks in labels]
    assert counted[0].sum() == 0 < counted[1].sum() < len(counted[1])


def test_validation_is_watched_on_normal_examples_alone():
    task, seen = look(dataset((1, 0, 0, 1, 1)))
    watched = task.monitor_subset(seen.split("validation"))
    assert origin(watched)[1].tolist() == [0, 3, 4]
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


def test_a_threshold_lies_between_two_scores():
    scores = np.arange(1, 102)[::-1]
    assert quantile_threshold(scores, 0.5) == 51.5
    assert quantile_threshold(scores, 0.99) == 100.5
    assert quantile_threshold(scores, 0.999) == 100.5  # one at least is above it
    assert quantile_threshold(np.array([3.0]), 0.9) == pytest.approx(3.3)  # none is greater: a tenth above it


def test_a_threshold_is_none_of_the_scores_of_rows_that_come_again():
    states = np.repeat([1.0, 2.0, 4.0], 20)
    assert quantile_threshold(states, 0.5) == 3.0
    assert quantile_threshold(states, 0.99) == pytest.approx(4.4)
    assert quantile_threshold(states * (1 + 1e-6 * np.random.default_rng(0).random(60)), 0.5) == pytest.approx(
        3.0, rel=1e-5
    )


def test_the_score_is_the_mean_squared_error_in_deviations(run):
    spec = run.record.spec
    serving = run.serving()
    rows = load_for(run)[1].split("test").read(np.arange(20))["features"]
    outputs = {name: np.asarray(array) for name, array in serving.model(rows).items()}
    standardized = (rows - spec.inputs[0].mean) / spec.inputs[0].std
    made = np.asarray(run.model()(rows))
    np.testing.assert_allclose(outputs["score"], np.square(made - standardized).mean(axis=1), rtol=1e-4)
    threshold = spec.targets[1].threshold
    np.testing.assert_array_equal(outputs["decision"], outputs["score"] > threshold)
    assert 0 < outputs["decision"].mean() < 1
    assert outputs["score"].shape == outputs["decision"].shape == (20,)
    assert outputs["decision"].dtype == "float32"


def test_the_threshold_leaves_its_share_of_normal_validation_examples_below(run):
    task, seen = load_for(run.template)
    normal = task.monitor_subset(seen.split("validation"))
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


def test_a_run_is_judged_and_used(run, tmp_path):
    assert evaluate(run.path)["scores"] == run.record.scores["test"]
    from sklearn.datasets import load_breast_cancer

    data = load_breast_cancer(as_frame=True)
    truth = data.target.map(lambda place: data.target_names[place])
    table = data.data.assign(label=truth)
    table.to_csv(tmp_path / "mine.csv", index=False)
    said = predict(run.path, [tmp_path / "mine.csv"])
    assert set(said[0]) == {"input", "decision", "score", "threshold"}
    decided = np.array([row["decision"] == "anomaly" for row in said])
    assert (decided == (truth == "malignant")).mean() > 0.8
    assert all((row["score"] > row["threshold"]) == (row["decision"] == "anomaly") for row in said)
    judged = evaluate(run.path, data=str(tmp_path / "mine.csv"))
    assert judged["scores"]["roc_auc"] > 0.9


def test_all_of_other_data_is_judged_with_the_anomalies_that_training_would_have_dropped(run):
    judged = evaluate(run.path, data="breast_cancer", split="all")
    assert (judged["examples"], judged["of"]) == (569, 569)
    assert judged["details"]["anomalies"] == 212
    assert evaluate(run.path, split="train")["details"]["anomalies"] > 0


def test_a_table_of_ones_own_with_a_column_of_labels(tmp_path):
    random = np.random.default_rng(0)
    usual = random.normal(size=(90, 1)) * np.ones(4) + 0.1 * random.normal(size=(90, 4))  # four that go together
    broken = random.normal(size=(30, 4)) * 1.5
    rows = np.concatenate([usual, broken])
    lines = [",".join(f"{x:.4f}" for x in row) for row in rows]
    labels = ["good"] * 90 + ["noisy", "stuck", "off"] * 10
    text = "a,b,c,d,state\n" + "\n".join(f"{line},{label}" for line, label in zip(lines, labels, strict=True))
    (tmp_path / "pumps.csv").write_text(text)
    overrides = {
        "dataset": {"name": str(tmp_path / "pumps.csv"), "validation": 0.3, "test": 0.3},
        "task": {"name": "anomaly", "normal": "good", "anomalies": "drop"},
        "model": {"name": "autoencoder", "units": [8], "latent_dim": 1},
        "train.epochs": 25,
        "train.batch_size": 16,
        "train.learning_rate": 0.02,
    }
    run = train(template(**overrides), output=tmp_path / "run")
    assert run.record.scores["test"]["roc_auc"] > 0.9
    assert evaluate(run.path)["scores"] == run.record.scores["test"]


def test_images_of_one_digit_are_normal(tmp_path):
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
    made = 1 / (1 + np.exp(-np.asarray(run.model()(images.astype("float32")))))
    expected = np.square(made - images / 255).mean(axis=(1, 2, 3))
    np.testing.assert_allclose(outputs["score"], expected, rtol=1e-3)


def test_without_a_threshold_nothing_is_served(run, tmp_path):
    shutil.copytree(run.path, tmp_path / "run")
    cut = Run(tmp_path / "run")
    record = json.loads(cut.record_path.read_text())
    del record["spec"]["targets"][1]["threshold"]
    cut.record_path.write_text(json.dumps(record))
    with pytest.raises(ValueError, match="Received: run,.*--resume"):
        Run(cut.path).serving()


def test_a_split_of_one_kind_has_no_score():
    task = Anomaly(spec_of(NUMBERS, TRUTH, inputs=(NUMBERS,)))
    outputs = {"score": np.ones(3), "decision": np.zeros(3)}
    with pytest.raises(ValueError, match="Received: 3 and 0 in the split"):
        task.compare({"anomaly": np.zeros(3, int)}, outputs)


def test_scores_are_those_of_the_ranking_and_of_the_decisions():
    task = Anomaly(spec_of(NUMBERS, TRUTH, inputs=(NUMBERS,)))
    targets = {"anomaly": np.array([0, 0, 1, 1])}
    outputs = {"score": np.float32([0.1, 0.6, 0.5, 0.9]), "decision": np.float32([0, 1, 1, 1])}
    assert task.compare(targets, outputs).scores == pytest.approx(
        {"roc_auc": 0.75, "pr_auc": 0.5 * 1 + 0.5 * 2 / 3, "precision": 2 / 3, "recall": 1.0}
    )
    assert task.compare(targets, outputs).errors.tolist() == pytest.approx([0, 0.6, 0, 0])
    assert task.direction == "max"


def test_pictures_mark_the_threshold_and_the_anomalies():
    task = Anomaly(spec_of(NUMBERS, TRUTH.model_copy(update={"threshold": 0.4}), inputs=(NUMBERS,)))
    targets = {"anomaly": np.array([0, 1, 1, 0, 0, 1])}
    outputs = {"score": np.float32([0.1, 0.42, 0.5, 0.3, 0.45, 0.9]), "decision": np.float32([0, 1, 1, 0, 1, 1])}
    figures = task.figures(task.compare(targets, outputs))
    assert set(figures) == {"scores", "roc", "timeline"}
    (line,) = figures["timeline"].axes
    assert [patch.get_x() for patch in line.patches] == [0.5, 4.5]  # two stretches
    assert [patch.get_width() for patch in line.patches] == [2, 1]
    (_, over, threshold) = line.lines
    assert over.get_xdata().tolist() == [1, 2, 4, 5]
    assert set(threshold.get_ydata()) == {0.4}
    (plane,) = figures["roc"].axes
    assert plane.lines[-1].get_xydata().tolist() == [pytest.approx([1 / 3, 1.0])]
    assert plane.get_title() == f"area {8 / 9:.4f}"
    for figure in figures.values():
        figure.canvas.draw()


def test_the_task_needs_no_more_than_numpy_and_keras_for_a_decision():
    """A network that gives back zeros scores what it is given."""
    inputs = keras.Input((3,), name="features")
    made = keras.layers.Rescaling(0.0)(keras.layers.Rescaling(1.0, name="preprocessing")(inputs))
    task = Anomaly(spec_of(NUMBERS, TRUTH.model_copy(update={"threshold": 1.0}), inputs=(NUMBERS,)))
    scoring = task._scoring(keras.Model(inputs, made))
    np.testing.assert_allclose(scoring(np.float32([[3, 0, 0], [1, 1, 0]])), [3, 2 / 3], rtol=1e-6)


@pytest.mark.slow
@pytest.mark.data
def test_heartbeats_that_are_not_normal_are_found(data_folder, tmp_path):
    run = train(load_template("fc_autoencoder_ecg5000"), output=tmp_path / "run")
    assert run.record.spec.sizes["test"] >= 150
    assert run.record.scores["test"]["roc_auc"] >= 0.97
