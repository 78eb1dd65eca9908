"""Training without TensorFlow: with JAX if it is installed, otherwise with Keras's TensorFlow backend."""

import json
import os
import subprocess
import sys
from importlib.util import find_spec
from itertools import islice
from pathlib import Path

import numpy as np
import pytest

from conftest import small_template
from dltemplates.datasets.augment import images as augment
from dltemplates.features import Number
from dltemplates.runs import load_run
from dltemplates.tasks.load_for import load_for
from dltemplates.template import load_template
from dltemplates.train_settings import Augment

TOOLS = Path(__file__).parents[2] / "tools"
BACKEND = "jax" if find_spec("jax") else "tensorflow"
OPTIONS = [
    *("--set", "model.name=convnet", "--set", "model.filters=[8,16]", "--set", "dataset.images.size=[8,8]"),
    *("--set", "train.epochs=3", "--set", "train.augment.crop_padding=1", "--set", "train.optimizer=adam"),
    *("--set", "train.learning_rate=0.01"),
]


def run_tool(*arguments):
    environment = {**os.environ, "KERAS_BACKEND": BACKEND}
    command = [sys.executable, TOOLS / "train_jax.py", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, env=environment, check=False)


@pytest.fixture(scope="module")
def tool():
    sys.path.insert(0, str(TOOLS))
    import train_jax

    yield train_jax
    sys.path.remove(str(TOOLS))


@pytest.fixture(scope="module")
def batches(tool):
    return sys.modules["numpy_batches"]


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """Return the output and the file of `train`."""
    path = tmp_path_factory.mktemp("weights") / "weights.npz"
    done = run_tool("train", "resnet8_digits", "-o", path, *OPTIONS)
    assert done.returncode == 0, done.stderr
    return done.stdout, path


def rewritten(path, target, **changes):
    with np.load(path) as file:
        arrays = {name: file[name] for name in file.files}
    np.savez(target, **(arrays | changes))
    return target


@pytest.mark.slow
def test_weights_come_back_as_a_run_with_the_same_scores(trained, tmp_path):
    output, weights = trained
    done = run_tool("import", "resnet8_digits", weights, "-o", tmp_path / "run", *OPTIONS)
    assert done.returncode == 0, done.stderr
    run = load_run(tmp_path / "run")
    assert run.record.state == "done"
    assert run.record.scores["test"]["accuracy"] > 0.5
    for split, scores in run.record.scores.items():  # both print four digits
        (line,) = (line for line in output.splitlines() if line.startswith(split))
        assert f"accuracy {scores['accuracy']:.4f}" in line
        assert line in done.stdout
    assert f"of epoch {run.record.best_epoch} of 3, by Keras on {BACKEND}" in output
    assert [row["epoch"] for row in run.history_rows()] == [1, 2, 3]
    assert {"step", "learning_rate", "loss", "val_accuracy", "seconds"} <= set(run.history_rows()[0])


def test_another_template_is_refused(tool, trained, tmp_path):
    with pytest.raises(ValueError, match=r"template must have the same `model`\. Received: .*npz"):
        tool.import_model(load_template("mlp_digits"), trained[1], tmp_path / "run", False)
    assert not (tmp_path / "run").exists()


def test_other_data_is_refused(tool, trained, tmp_path):
    template = small_template(dataset__split_seed=1, model__name="convnet", model__filters=[8, 16])
    with pytest.raises(ValueError, match=r"must be the training data of the weights\. Received: digits"):
        tool.import_model(template, trained[1], tmp_path / "run", False)
    assert not (tmp_path / "run").exists()


def test_weights_of_other_shapes_are_refused(tool, trained, tmp_path):
    path = rewritten(trained[1], tmp_path / "w.npz", weight_0=np.zeros(3, np.float32))
    with pytest.raises(ValueError, match="must have the model's shapes"):
        tool.import_model(tool.read_weights(path)[0], path, tmp_path / "run", False)
    assert not (tmp_path / "run").exists()


def test_a_file_without_weights_is_refused(tool, trained, tmp_path):
    half = tmp_path / "half.npz"
    half.write_bytes(trained[1].read_bytes()[:3000])
    text = tmp_path / "text.npz"
    text.write_text("no archive")
    (tmp_path / "empty.npz").touch()
    np.savez(tmp_path / "other.npz", weights=np.zeros(3))
    np.savez(tmp_path / "pickled.npz", template=np.array([object()], object))
    rewritten(trained[1], tmp_path / "notes.npz", notes=json.dumps({"history": [], "best_epoch": 1}))
    rewritten(trained[1], tmp_path / "list.npz", notes=json.dumps([1]))
    for name in ("half", "text", "empty", "other", "pickled", "notes", "list", "missing"):
        with pytest.raises(ValueError, match=f"must be a complete file of `train`. Received: .*{name}.npz"):
            tool.read_weights(tmp_path / f"{name}.npz")


@pytest.mark.parametrize(
    ("setting", "value", "message"),
    [
        ("train__batch_size", 5000, "must be at most the number of training examples"),
        ("train__trainable", "head", "`train.trainable` must be all.*Received: head"),
    ],
)
def test_a_broken_rule_is_refused_before_training(tool, tmp_path, setting, value, message):
    with pytest.raises(ValueError, match=message):
        tool.train(small_template(**{setting: value}), tmp_path / "w.npz")
    assert list(tmp_path.iterdir()) == []


def test_an_error_is_one_line(tmp_path):
    done = run_tool("train", "no_such_template", "-o", tmp_path / "w.npz")
    assert done.returncode == 2
    assert done.stderr.startswith("train_jax: Unknown template. Received: 'no_such_template'")
    assert len(done.stderr.splitlines()) == 1


def test_a_loss_that_is_not_finite_leaves_no_file(tool, tmp_path):
    settings = {"train__epochs": 3, "train__learning_rate": 1e30, "train__optimizer": "sgd"}
    with pytest.raises(FloatingPointError, match="must end with finite metrics"):
        tool.train(small_template(**settings), tmp_path / "w.npz")
    assert list(tmp_path.iterdir()) == []


def test_training_stops_without_improvement(tool, tmp_path):
    settings = {"train__epochs": 9, "train__early_stopping": 1, "train__learning_rate": 1e-9, "train__optimizer": "sgd"}
    tool.train(small_template(**settings), tmp_path / "w.npz")
    _, notes, _ = tool.read_weights(tmp_path / "w.npz")
    assert len(notes["history"]) < 9
    assert len(notes["history"]) == notes["best_epoch"] + 1


@pytest.mark.parametrize(
    "settings",
    [{"flip": True}, {"crop_padding": 2}, {"rotation": 30.0}, {"brightness": 0.4}, {"contrast": 0.5}],
    ids=lambda settings: next(iter(settings)),
)
def test_augmentation_equals_the_pipeline(batches, settings):
    settings = Augment(**settings)
    random = np.random.default_rng(0)
    images = random.integers(0, 256, (16, 9, 12, 3), np.uint8)
    draws = random.random((16, 6), np.float32)
    changed = batches.augment_images(images, draws, settings)
    all_draws = np.zeros((16, len(augment.NAMES)), np.float32)
    for column, name in enumerate(("flip", "row", "column", "angle", "brightness", "contrast")):
        all_draws[:, augment.NAMES.index(name)] = draws[:, column]
    seen = augment.flip(images, draws[:, 0] < 0.5) if settings.flip else images  # the pipeline mirrors when it reads
    expected = np.float32(augment.augment_images(seen, all_draws, settings))
    assert changed.dtype == np.float32
    assert np.abs(expected - images).max() > 30  # the images change
    np.testing.assert_allclose(changed, expected, atol=0.05)


def test_an_augmentation_without_numpy_is_named(batches, monkeypatch):
    batches.check_augment(Augment(flip=True, contrast=0.1))
    monkeypatch.delitem(batches.AUGMENTATIONS, "contrast")
    batches.check_augment(Augment(flip=True))
    with pytest.raises(ValueError, match="Received: contrast"):
        batches.check_augment(Augment(flip=True, contrast=0.1))


def test_every_epoch_holds_every_example_once_in_its_own_order(batches):
    steps = list(islice(batches.order_of_steps(10, 4, seed=0), 10))
    assert {len(step) for step in steps} == {4}
    first, second, third, fourth = np.concatenate(steps).reshape(4, 10).tolist()
    assert all(sorted(epoch) == list(range(10)) for epoch in (first, second, third, fourth))
    assert len({tuple(epoch) for epoch in (first, second, third, fourth)}) == 4
    again = list(islice(batches.order_of_steps(10, 4, seed=0), 10))
    other = list(islice(batches.order_of_steps(10, 4, seed=1), 10))
    assert np.array_equal(steps, again)
    assert not np.array_equal(steps, other)


def test_batches_are_a_function_of_the_seed(batches):
    template = small_template(train__class_weight="balanced", train__augment={"rotation": 10.0})
    task, dataset = load_for(template)
    (images, targets, weight), (again, *_) = (next(batches.training_batches(dataset, task, template)) for _ in range(2))
    assert np.array_equal(images, again)
    assert images.shape[0] == len(targets) == len(weight)
    counts = np.array(dataset.spec.targets[0].counts)
    expected = counts.sum() / (len(counts) * counts[targets.argmax(axis=1)])
    np.testing.assert_allclose(weight, expected, rtol=1e-6)


def test_class_weights_need_classes(batches):
    target = load_for(small_template())[1].spec.targets[0]
    assert batches.class_weights(target, "none") is None
    with pytest.raises(ValueError, match="`train.class_weight` needs one class per example"):
        batches.class_weights(Number(name=target.name, dtype=target.dtype, shape=target.shape), "balanced")
