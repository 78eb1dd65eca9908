"""Two outputs and two padded targets: weighted training, resume, export, comparison as sets."""

import csv
import os
import sys
from types import SimpleNamespace

import keras
import numpy as np
import pytest

from conftest import run_dlt
from dltemplates.datasets.features import with_counts
from dltemplates.datasets.load import load_dataset
from dltemplates.datasets.source import Dataset
from dltemplates.deploy.export_run import export
from dltemplates.features.pixels import write_image
from dltemplates.inference import evaluate, predict
from dltemplates.reports.report import write_report
from dltemplates.runs import Run
from dltemplates.runtimes import load_predictor
from dltemplates.template import parse_template
from dltemplates.training.prepare import _class_weights, prepare
from dltemplates.training.train import train
from toys.boxes import CLASSES, EMPTY_WEIGHT, LEVELS, MOST, SIDE, Rectangles, count_same, draw_examples, suppress
from toys.processes import resume, train_and_kill

MODULE = "toys.boxes"
FORMATS = ("tflite:float32", "tflite:int8", "onnx:float32")
TEMPLATE = {
    "task": f"{MODULE}:Rectangles",
    "dataset": {"name": f"{MODULE}:dataset"},
    "model": f"{MODULE}:network",
    "train": {
        "epochs": 24,
        "batch_size": 50,
        "learning_rate": {"name": "cosine", "peak": 0.01, "warmup_epochs": 1.0},
        "augment": {"flip": True},
        "checkpoint_seconds": 0.2,
    },
    "export": {"formats": FORMATS, "calibration": 60},
}


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return train(parse_template(TEMPLATE), output=tmp_path_factory.mktemp("toys") / "boxes")


@pytest.fixture(scope="module")
def exported(run):
    return export(run)


@pytest.fixture
def image(tmp_path):
    """Write an image with one box; return its path, class and box."""
    examples = draw_examples(20, 7)
    row = int(np.argmax((examples["labels"] >= 0).sum(axis=1) == 1))
    write_image(tmp_path / "one.png", examples["image"][row])
    return tmp_path / "one.png", CLASSES[examples["labels"][row, 0]], examples["boxes"][row, 0]


def batch(task, examples):
    tensors = {name: keras.ops.convert_to_tensor(array) for name, array in examples.items()}
    inputs, *others = task.batch(tensors, training=True)
    return inputs, *[{name: np.asarray(tensor) for name, tensor in each.items()} for each in others]


def test_it_finds_boxes_better_than_a_constant_guess(run):
    history = run.history_rows()
    assert history[-1]["loss"] < history[0]["loss"] / 2
    assert history[-1]["loss"] == pytest.approx(history[-1]["boxes_loss"] + history[-1]["logits_loss"])
    train_split = load_dataset(run.template.dataset).split("train")
    _, targets, weights = batch(run.task(), train_split.read(np.arange(len(train_split))))
    means = np.average(targets["boxes"], axis=0, weights=np.repeat(weights["boxes"][..., None], 4, axis=-1))

    def guess(inputs):
        count = len(inputs["image"])
        scores = np.tile(np.float32([0.9, 0.1]), (count, MOST, 1))
        scores[:, 2:] = 0  # two boxes an image on average
        return {"boxes": np.tile(means, (count, 1, 1)), "scores": scores}

    test = load_dataset(run.template.dataset).split("test")
    by_guess = run.task().evaluate(SimpleNamespace(whole=guess), test).scores
    scores = run.record.scores["test"]
    assert scores["f1"] > by_guess["f1"] + 0.4
    assert scores == evaluate(run.path)["scores"]


def augmented(**augment):
    """Return the first batch of a training, and the raw examples behind it."""
    template = TEMPLATE | {"train": TEMPLATE["train"] | {"augment": augment}}
    training = prepare(parse_template(template))
    images, targets, weights = next(iter(training.stages[0].batches(0)))
    rows = training.stages[0].order.indices(keras.ops.cast(0, "int64"))
    arrays = (images, targets["boxes"], targets["logits"], weights["boxes"])
    return [np.asarray(array) for array in arrays], training.dataset.split("train").read(np.asarray(rows))


def test_a_flip_moves_images_and_boxes_alike():
    (images, boxes, classes, weights), raw = augmented(flip=True)
    is_mirrored = [not np.array_equal(image, before) for image, before in zip(images, raw["image"], strict=True)]
    assert 10 < sum(is_mirrored) < 40
    left, top, right, bottom = (raw["boxes"][..., side] for side in range(4))
    mirrored = np.stack([1 - right, top, 1 - left, bottom], axis=-1)
    for row, is_other in enumerate(is_mirrored):
        np.testing.assert_array_equal(images[row], raw["image"][row][:, :: -1 if is_other else 1])
        there = raw["labels"][row] >= 0
        expected = (mirrored if is_other else raw["boxes"])[row][there]
        order = np.argsort(expected[:, 0] + expected[:, 2])
        counted = weights[row] > 0
        np.testing.assert_allclose(boxes[row][counted], expected[order], atol=1e-6)
        assert classes[row][counted].tolist() == raw["labels"][row][there][order].tolist()


def test_a_crop_moves_images_and_boxes_alike():
    (images, boxes, classes, weights), raw = augmented(flip=True, random_crop=0.6)
    assert 0 < weights.sum() < (raw["labels"] >= 0).sum()  # some boxes were cropped away
    assert (classes[weights == 0] == len(CLASSES)).all()
    seen = 0
    for image, own, labels in zip(images, boxes, classes, strict=True):
        for (left, top, right, bottom), label in zip(own * SIDE, labels, strict=True):
            if label < len(CLASSES) and min(right - left, bottom - top) >= 4:  # smaller boxes are blurred
                least, most = LEVELS[CLASSES[label]]
                assert least - 5 <= image[int((top + bottom) / 2), int((left + right) / 2), 0] <= most + 5
                seen += 1
    assert seen > 30


def test_a_padded_box_has_no_weight_and_slots_are_filled_from_left_to_right(run):
    examples = draw_examples(40, 3)
    has_box = examples["labels"] >= 0
    _, targets, weights = batch(run.task(), examples)
    counts = has_box.sum(axis=1)
    assert set(counts) == {1, 2, 3}
    for count, boxes, classes, weight, of_class in zip(
        counts, targets["boxes"], targets["logits"], weights["boxes"], weights["logits"], strict=True
    ):
        assert weight.tolist() == [1] * count + [0] * (MOST - count)
        assert of_class.tolist() == [1] * count + [EMPTY_WEIGHT] * (MOST - count)
        assert (np.diff(boxes[:count, 0] + boxes[:count, 2]) >= 0).all()
        assert (classes[count:] == len(CLASSES)).all()
        assert (classes[:count] < len(CLASSES)).all()


def test_losses_are_means_over_weighted_elements(run):
    validation = load_dataset(run.template.dataset).split("validation")
    images, targets, weights = batch(run.task(), validation.read(np.arange(len(validation))))
    outputs = {name: np.asarray(array) for name, array in run.model()(images).items()}
    best = run.history_rows()[run.record.best_epoch - 1]
    errors = np.abs(outputs["boxes"] - targets["boxes"]).mean(axis=-1)
    assert (weights["boxes"] == 0).any()
    assert best["val_boxes_loss"] == pytest.approx(errors[weights["boxes"] > 0].mean(), rel=1e-4)
    shares = np.asarray(keras.ops.log_softmax(outputs["logits"], axis=-1))
    losses = -np.take_along_axis(shares, targets["logits"][..., None], axis=-1)[..., 0]
    assert best["val_logits_loss"] == pytest.approx((losses * weights["logits"]).mean(), rel=1e-4)


def test_boxes_are_compared_as_sets(run):
    boxes = np.float32([[0, 0, 0.5, 0.5], [0.5, 0.5, 1, 1], [0.1, 0, 0.5, 0.5]])
    labels = np.array([0, 1, 0])
    assert count_same(boxes[[1, 0]], labels[[1, 0]], boxes, labels) == 2  # in any order
    assert count_same(boxes[[0, 0]], labels[[0, 0]], boxes[:2], labels[:2]) == 1  # one box counts once
    assert count_same(boxes[:2], labels[[1, 0]], boxes[:2], labels[:2]) == 0  # the class must be the same
    assert count_same(boxes[:0], labels[:0], boxes, labels) == 0
    scores = np.float32([[0.9, 0], [0, 0.4], [0.8, 0]])[None]
    assert suppress(boxes[None], scores)[0].max(axis=-1).tolist() == pytest.approx([0.9, 0, 0])
    task, test = run.task(), load_dataset(run.template.dataset).split("test").read(np.arange(60))
    targets = {name: test[name] for name in ("boxes", "labels")}
    backwards = {
        "boxes": test["boxes"][:, ::-1],
        "scores": np.float32(test["labels"][:, ::-1, None] == np.arange(len(CLASSES))),
    }
    assert task.compare(targets, backwards).scores == {"f1": 1.0, "images_right": 1.0}


def test_a_network_without_boxes_is_refused():
    with pytest.raises(
        ValueError, match=r"does not fit task rectangles.*'boxes': \(3, 4\).*Received: output shape \(3,\)"
    ):
        prepare(parse_template(TEMPLATE | {"model": "convnet"}))


@pytest.mark.slow
def test_a_killed_training_ends_in_the_same_bits(run, tmp_path):
    folder = tmp_path / "killed"
    assert 200 < train_and_kill(MODULE, TEMPLATE, folder, after=200) < 720
    resume(MODULE, TEMPLATE, folder)
    for first, second in zip(run.model().get_weights(), Run(folder).model().get_weights(), strict=True):
        np.testing.assert_array_equal(first, second)
    assert Run(folder).record.scores == run.record.scores


@pytest.mark.slow
def test_two_devices_take_the_same_step_as_one(tmp_path):
    """The halves of a batch hold different numbers of boxes, so a mean of their means would be another loss."""
    step = {"epochs": 1, "num_labeled": 60, "batch_size": 60, "optimizer": "sgd", "learning_rate": 0.01}
    (tmp_path / "step.toml").write_text(parse_template(TEMPLATE | {"train": step}).to_toml())
    paths = os.pathsep.join(path for path in sys.path if path)
    runs = []
    for name, options in (("one", ("--strategy", "single")), ("two", ("--devices", "2"))):
        done = run_dlt("train", tmp_path / "step.toml", "-o", tmp_path / name, *options, PYTHONPATH=paths)
        assert done.returncode == 0, done.stderr
        runs.append(Run(tmp_path / name))
    (before,), (after,) = (each.history_rows() for each in runs)
    assert before["boxes_loss"] > 0
    for name in before.keys() - {"seconds"}:
        assert after[name] == pytest.approx(before[name], abs=1e-6), name
    for first, second in zip(*(each.model().get_weights() for each in runs), strict=True):
        np.testing.assert_allclose(second, first, rtol=0, atol=1e-6)


def test_every_format_passes_the_gate_with_its_own_score(run, exported):
    assert not exported.failed
    assert exported.metric == "f1"
    for key in FORMATS:
        result = exported.result(key)
        predictor = load_predictor(run.exports_path / result.file)
        assert [(value.name, value.shape) for value in predictor.contract.outputs] == [
            ("boxes", (MOST, 4)), ("scores", (MOST, len(CLASSES))),
        ]  # fmt: skip
        assert [value.name for value in predictor.contract.targets] == ["boxes", "labels"]
        assert (result.gate.units, result.gate.proven) == (150, True)
        scores = evaluate(run.exports_path / result.file, data=run.template.dataset.name)["scores"]
        assert scores["f1"] == pytest.approx(result.splits["test"].score, rel=1e-6)
        assert scores["f1"] > run.record.scores["test"]["f1"] - 0.05


@pytest.mark.parametrize("key", FORMATS)
def test_a_file_predicts_the_box_of_an_image(run, exported, image, key, tmp_path):
    file, label, box = image
    (found,) = predict(run.exports_path / exported.result(key).file, [file], output=tmp_path / "found.csv")
    (one,) = found["boxes"]
    assert one["class"] == label
    assert [one[side] for side in ("left", "top", "right", "bottom")] == pytest.approx(box.tolist(), abs=0.1)
    with (tmp_path / "found.csv").open() as table:
        (row,) = csv.DictReader(table)
    assert list(row) == ["input", *(f"boxes.{name}" for name in one)]
    assert float(row["boxes.left"]) == one["left"]


def test_the_run_has_a_report_with_the_boxes_drawn(run, exported):
    page = write_report(run).read_text()
    assert "images_right" in page
    assert "Found" in page
    assert {"curves", "examples", "filters", "found"} <= {path.stem for path in run.figures_path.iterdir()}


def test_class_weights_are_refused_for_classes_of_boxes():
    template = parse_template(TEMPLATE | {"train": TEMPLATE["train"] | {"class_weight": "balanced"}})
    with pytest.raises(ValueError, match=r"`train.class_weight`.*Received: a target of kind `boxes`"):
        prepare(template)
    loaded = load_dataset(template.dataset)
    boxes, labels = loaded.spec.targets
    labels = with_counts(labels, loaded.split("train").column("labels"))
    spec = loaded.spec.model_copy(update={"targets": (labels, boxes)})
    dataset = Dataset(spec, loaded.splits)
    with pytest.raises(ValueError, match=r"`train.class_weight`.*Received: a target of kind `class` and shape \(3,\)"):
        _class_weights(template, dataset)
    assert Rectangles(loaded.spec).strata(dataset) is None
