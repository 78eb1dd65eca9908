"""Training of restricted Boltzmann machines on real digits: a single one, and stacked in stages."""

import json
import os
import signal

import keras
import numpy as np
import pytest

from conftest import run_dlt
from dltemplates.inference import evaluate
from dltemplates.runs import Run, load_run
from dltemplates.template import load_template
from dltemplates.training import train as module
from dltemplates.training.checkpoint import list_checkpoints
from dltemplates.training.prepare import prepare
from dltemplates.training.recording.progress import Silent
from dltemplates.training.train import train

MACHINE = {
    "task.persistent": False,
    "dataset.name": "digits",
    "model.units": 24,
    "train.epochs": 8,
    "train.batch_size": 20,
    "train.optimizer": {"name": "sgd", "momentum": 0.9, "initial_momentum": 0.5},
    "train.learning_rate": 0.1,
}
NETWORK = {  # 2 x 2 epochs of 26 steps, then 3 of 4
    "dataset.name": "digits",
    "model.units": [16, 12],
    "train.layerwise_pretrain": {"epochs": 2, "learning_rate": 0.1},
    "train.num_labeled": 200,
    "train.epochs": 3,
    "train.batch_size": 50,
    "train.optimizer": {"name": "sgd", "momentum": 0.9},
    "train.learning_rate": 0.05,
}
PERSISTENT = {**MACHINE, "train.epochs": 2, "task.persistent": True, "task.gibbs_steps": 2}


def template(settings=MACHINE, **others):
    name = "dbn_mnist" if isinstance(settings["model.units"], list) else "rbm_mnist"
    return load_template(name, settings | {key.replace("__", "."): value for key, value in others.items()})


class Notes(Silent):
    def __init__(self):
        self.notes = []

    def note(self, text):
        self.notes.append(text)


@pytest.fixture(scope="module")
def machine(tmp_path_factory):
    return train(template(), output=tmp_path_factory.mktemp("machine") / "run")


@pytest.fixture(scope="module")
def persistent(tmp_path_factory):
    return train(template(PERSISTENT), output=tmp_path_factory.mktemp("persistent") / "run")


@pytest.fixture(scope="module")
def notes():
    return Notes()


@pytest.fixture(scope="module")
def network(tmp_path_factory, notes):
    return train(template(NETWORK), output=tmp_path_factory.mktemp("network") / "run", reporter=notes)


def test_an_rbm_learns_to_reconstruct_images(machine):
    rows = machine.history_rows()
    assert len(rows) == 8
    assert rows[-1]["val_loss"] < 0.6 * rows[0]["val_loss"]
    assert rows[-1]["loss"] < 0.6 * rows[0]["loss"]


def test_the_history_holds_free_energies_at_the_end_of_each_epoch(machine):
    """Over as many training as validation examples, evenly spread: the gap shows overfitting."""
    row = machine.history_rows()[-1]
    data = prepare(template()).dataset
    layer = machine.model().get_layer("rbm").get_layer("hidden")
    energies = {}
    for split in ("train", "validation"):
        indices = np.arange(len(data.split("validation"))) * len(data.split(split)) // len(data.split("validation"))
        pixels = data.split(split).read(indices)["image"] / 255
        energies[split] = layer.free_energy(np.float32(pixels.reshape(len(pixels), -1))).numpy().mean()
    assert row["free_energy"] == pytest.approx(energies["train"], rel=1e-4)
    assert row["val_free_energy"] == pytest.approx(energies["validation"], rel=1e-4)
    assert row["free_energy_gap"] == pytest.approx(row["val_free_energy"] - row["free_energy"])


def test_figures_of_an_rbm_are_drawn(machine):
    for name in ("curves", "hidden_units", "dreams"):
        assert (machine.figures_path / f"{name}.png").stat().st_size > 5000


def test_an_rbm_is_evaluated(machine):
    scores, row = machine.record.scores, machine.history_rows()[machine.record.best_epoch - 1]
    assert list(scores["test"]) == ["loss", "free_energy", "mean_activation"]
    assert 0.02 < scores["test"]["mean_activation"] < 0.9
    for name in ("loss", "free_energy"):
        assert scores["validation"][name] == pytest.approx(row[f"val_{name}"], rel=1e-4)
    assert evaluate(machine.path)["scores"] == pytest.approx(scores["test"], rel=1e-6)


def test_the_stages_of_a_network_are_reported(network, notes):
    assert [note for note in notes.notes if note.startswith("stage")] == [
        "stage 1 of 3: machine_1 alone, epochs 1 to 2",
        "stage 2 of 3: machine_2 alone, epochs 3 to 4",
        "stage 3 of 3: the whole network, epochs 5 to 7",
    ]
    rows = network.history_rows()
    assert [row["epoch"] for row in rows] == [1, 2, 3, 4, 5, 6, 7]
    assert [row["step"] for row in rows] == [26, 52, 78, 104, 108, 112, 116]
    metrics = [{name.removeprefix("val_") for name in row if name.startswith("val_")} for row in rows]
    first, second = ({f"machine_{place}_loss", f"machine_{place}_free_energy"} for place in (1, 2))
    assert metrics == [first, first, second, second, *[{"loss", "accuracy", "top_5"}] * 3]
    assert [row["learning_rate"] for row in rows] == pytest.approx([0.1] * 4 + [0.05] * 3)


def test_a_stage_trains_only_its_own_rbm():
    """The weights of all other layers stay the same, bit for bit."""
    training = prepare(template(NETWORK))
    layers = {layer.name: layer for layer in training.model.get_layer("dbn").layers if layer.weights}
    assert list(layers) == ["machine_1", "machine_2", "logits"]
    assert [stage.name for stage in training.stages] == ["machine_1", "machine_2", ""]
    for stage in training.stages:
        before = {name: layer.get_weights() for name, layer in layers.items()}
        stage.algorithm.initialize_from_data(training.stages[0].data.first())
        inputs, targets, weight = next(iter(stage.batches(stage.first_step)))
        stage.algorithm.train(inputs, targets, weight)
        for name, layer in layers.items():
            changed = [(a != b).any() for a, b in zip(before[name], layer.get_weights(), strict=True)]
            assert any(changed) == (name == stage.name or not stage.name), (stage.name, name)


def test_momentum_rises_after_some_epochs():
    training = prepare(template(NETWORK))
    optimizer = training.stages[0].algorithm.optimizer
    assert (optimizer.initial, optimizer.momentum, optimizer.steps) == (0.5, 0.9, 5 * 26)


def images_of(training, stage):
    """Return the training images of a stage, as bytes."""
    batches = stage.batches(stage.first_step)
    return {image.tobytes() for inputs, _, _ in batches for image in inputs.numpy()}


def test_the_last_stage_trains_on_labelled_examples_only():
    training = prepare(template(NETWORK))
    first, _, last = training.stages
    labelled = images_of(training, last)
    assert len(labelled) == 200
    assert len(images_of(training, first)) == len(training.dataset.split("train"))
    for changes, is_same in (({"seed": 5}, True), ({"dataset.split_seed": 1}, False)):
        settings = {"dataset.validation": 0.1, "train.num_labeled": 200, "train.epochs": 1, "train.batch_size": 50}
        plain = prepare(load_template("mlp_digits", settings | changes))
        assert (images_of(plain, plain.stages[0]) == labelled) == is_same


@pytest.mark.parametrize(
    ("settings", "match"),
    [
        ({"train.num_labeled": 5000}, r"`train.num_labeled`.*Received: 5000"),
        (
            {"train.num_labeled": 200, "train.class_weight": "balanced"},
            r"`train.class_weight`.*Received: train.num_labeled = 200",
        ),
        (
            {"model.name": "mlp"},
            r"`train.layerwise_pretrain`.*Received: mlp",
        ),
        ({"task": "representation", "train.num_labeled": None}, "size"),
        (
            {"dataset.name": "wine", "train.num_labeled": None},
            "`train.layerwise_pretrain`.*Received: .*features",
        ),
    ],
)
def test_a_network_that_cannot_be_trained_is_refused(settings, match):
    with pytest.raises(ValueError, match=match):
        prepare(template(NETWORK | settings))


class StopAtStep(Silent):
    """A reporter that stops the training after a step, as Ctrl-C does."""

    def __init__(self, step):
        self.last_step = step

    def step(self, step, loss):
        if step == self.last_step:
            os.kill(os.getpid(), signal.SIGINT)


def everything(run):
    with np.load(list_checkpoints(run.checkpoint_path)[0]) as file:
        state = json.loads(file["state"].tobytes())
        return state["step"], {name: file[name] for name in file.files if name != "state"}


def check_resume(whole, settings, step, path, monkeypatch):
    """Check that a training stopped at a step and resumed ends with the same bits."""
    monkeypatch.setattr(module, "TICK_SECONDS", 0)
    stopped = template(settings, train__checkpoint_seconds=0)
    with pytest.raises(KeyboardInterrupt, match=f"interrupted at step {step} of"):
        train(stopped, output=path, reporter=StopAtStep(step))
    assert everything(Run(path))[0] == step
    resumed = train(stopped, output=path, resume=True)
    (_, first), (_, second) = everything(whole), everything(resumed)
    assert first.keys() == second.keys()
    for name, array in first.items():
        np.testing.assert_array_equal(array, second[name], err_msg=name)
    for one, other in zip(whole.model().get_weights(), resumed.model().get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)
    rows, others = (
        [{k: v for k, v in row.items() if k != "seconds"} for row in r.history_rows()] for r in (whole, resumed)
    )
    assert rows == others


@pytest.mark.parametrize(
    "step",
    [
        pytest.param(1, marks=pytest.mark.slow),
        pytest.param(52, id="52, where the second machine begins"),
        pytest.param(60, id="60, inside of its training", marks=pytest.mark.slow),
        pytest.param(104, marks=pytest.mark.slow),
        pytest.param(110, marks=pytest.mark.slow),
    ],
)
def test_a_network_resumes_exactly(network, step, tmp_path, monkeypatch):
    check_resume(network, NETWORK, step, tmp_path / "run", monkeypatch)


def test_persistent_chains_resume_exactly(persistent, tmp_path, monkeypatch):
    _, arrays = everything(persistent)
    assert 0 < arrays["chain/00000"].mean() < 1
    check_resume(persistent, PERSISTENT, 70, tmp_path / "run", monkeypatch)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["network", "persistent"])
def test_two_devices_train_the_same_weights_as_one(kind, request, tmp_path):
    """TensorFlow needs the number of devices before its first use, so it runs in a fresh process."""
    one = request.getfixturevalue(kind)
    done = run_dlt("train", one.template_path, "-o", tmp_path / "two", "--devices", "2")
    assert done.returncode == 0, done.stderr
    two = load_run(tmp_path / "two")
    for first, second in zip(one.model().weights, two.model().weights, strict=True):
        assert np.ptp(np.asarray(first)) > 0
        np.testing.assert_allclose(np.asarray(second), np.asarray(first), rtol=0, atol=2e-6, err_msg=first.path)
    for row, other in zip(one.history_rows(), two.history_rows(), strict=True):
        for name in row.keys() - {"seconds"}:
            assert other[name] == pytest.approx(row[name], abs=1e-4), name


def test_rbms_train_in_float32_under_half_precision(tmp_path):
    """RBMs train in float32, whatever the precision of the network."""
    training = prepare(template(NETWORK, train__precision="mixed_bfloat16"))
    stage = training.stages[1]
    stage.algorithm.initialize_from_data(training.stages[0].data.first())
    inputs, targets, weight = next(iter(stage.batches(stage.first_step)))
    stage.algorithm.train(inputs, targets, weight)
    assert stage.algorithm.machine.compute_dtype == "bfloat16"
    assert {weight.dtype for weight in stage.algorithm.machine.weights} == {"float32"}
    assert np.isfinite(keras.ops.convert_to_numpy(stage.algorithm.machine.kernel)).all()


def test_labels_that_are_not_learned_from_are_not_counted(tmp_path):
    with pytest.raises(ValueError, match="`train.num_labeled`.*Received: 50 for representation"):
        train(template(train__num_labeled=50), output=tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_classes_are_not_weighed(tmp_path):
    with pytest.raises(
        ValueError, match=r"`train.class_weight` is for .* Received: 'balanced' for task representation"
    ):
        train(template(train__class_weight="balanced"), output=tmp_path / "run")
    assert not (tmp_path / "run").exists()
