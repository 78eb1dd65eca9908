"""Training of the last layers on features that the frozen layers compute once."""

import re
import shutil
import signal

import keras
import numpy as np
import pytest

from conftest import run_dlt, small_template
from dltemplates.runs import Run, load_run
from dltemplates.template import load_template
from dltemplates.training import features as module
from dltemplates.training.prepare import prepare
from dltemplates.training.recording.progress import Silent
from dltemplates.training.signals import StopRequest
from dltemplates.training.train import _watch_features, train

HEAD = {"train__trainable": "head", "train__augment": {}, "train__epochs": 3, "train__learning_rate": 0.01}


class Notes(Silent):
    def __init__(self):
        self.notes = []

    def note(self, text):
        self.notes.append(text)


@pytest.fixture(scope="module")
def template(small_run):
    """Return a function for templates that start from the small run and train the head."""
    return lambda **settings: small_template(**HEAD | {"model__weights": str(small_run.path)} | settings)


@pytest.fixture(scope="module")
def head_run(template, tmp_path_factory):
    return train(template(seed=1), output=tmp_path_factory.mktemp("head") / "run")


@pytest.fixture(scope="module")
def tuned_run(template, tmp_path_factory):
    settings = {"train__finetune_epochs": 2, "train__finetune_learning_rate": 3e-4}
    return train(template(**settings), output=tmp_path_factory.mktemp("tuned") / "run")


def weights_by_layer(model):
    network = model.get_layer(model.name)
    return {layer.name: layer.get_weights() for layer in network.layers if layer.weights}


def changed_layers(before, after):
    """Return the names of the layers, of `after`, whose weights differ."""
    pairs = zip(weights_by_layer(before.model()).values(), weights_by_layer(after.model()).items(), strict=True)
    return [name for old, (name, new) in pairs if any((a != b).any() for a, b in zip(old, new, strict=True))]


def test_only_the_head_is_trained(small_run, head_run):
    assert changed_layers(small_run, head_run) == ["logits"]


def test_the_history_holds_the_scores_of_the_whole_network(head_run):
    """The features, and the batch normalization that computes them, are those of the served network."""
    rows = head_run.history_rows()
    assert len(rows) == 3
    assert rows[-1]["loss"] < rows[0]["loss"]
    best = rows[head_run.record.best_epoch - 1]
    assert best["val_accuracy"] == pytest.approx(head_run.record.scores["validation"]["accuracy"], abs=1e-6)


def test_each_example_passes_the_frozen_layers_once(template, tmp_path, monkeypatch):
    counts = []
    compute = module.frozen_layers

    def counting(*arguments):
        inner = compute(*arguments)

        class Counted:
            get_concrete_function = inner.get_concrete_function

            def __call__(self, inputs):
                counts.append(len(inputs))
                return inner(inputs)

        return Counted()

    monkeypatch.setattr(module, "frozen_layers", counting)
    run = train(template(), output=tmp_path / "run")
    sizes = run.record.spec.sizes
    batches = [-(-sizes[split] // module.FEATURE_BATCH) for split in ("train", "validation")]
    assert len(counts) == sum(batches)
    assert set(counts) == {module.FEATURE_BATCH}


def test_fine_tuning_trains_the_last_blocks_without_their_normalization(small_run, tuned_run):
    """The quarter of the kernels with the head: one convolution of two is frozen, and both normalizations."""
    changed = changed_layers(small_run, tuned_run)
    kinds = {layer.name: type(layer).__name__ for layer in tuned_run.model().get_layer("convnet").layers}
    assert [kinds[name] for name in changed] == ["Dense"]


@pytest.mark.slow
def test_fine_tuning_trains_more_than_the_head_of_a_deep_network(tmp_path):
    settings = {
        "dataset": {"name": "digits", "images": {"size": (20, 20), "channels": 3}},
        "model": {"name": "mobilenet_v2", "width": 0.2, "dropout_rate": 0.0},
        "train__batch_size": 64,
        "train__augment": {},
    }
    whole = train(small_template(**settings, train__epochs=1), output=tmp_path / "whole")
    settings["model"]["weights"] = str(whole.path)
    tuned = train(small_template(**settings | HEAD, train__finetune_epochs=1), output=tmp_path / "tuned")
    kinds = {layer.name: type(layer).__name__ for layer in tuned.model().get_layer("mobilenet_v2").layers}
    changed = changed_layers(whole, tuned)
    assert {kinds[name] for name in changed} == {"Dense", "Conv2D", "DepthwiseConv2D"}
    kernels = [name for name, kind in kinds.items() if kind in ("Dense", "Conv2D", "DepthwiseConv2D")]
    assert changed == kernels[-len(changed) :]
    assert len(kernels) / 4 <= len(changed) < len(kernels) / 2


def test_both_stages_share_a_history_and_the_best_epoch(tuned_run):
    rows = tuned_run.history_rows()
    assert [row["epoch"] for row in rows] == [1, 2, 3, 4, 5]
    assert {"loss", "accuracy", "val_loss", "val_accuracy"} <= set(rows[0]) == set(rows[-1])
    assert 3e-4 > rows[3]["learning_rate"] > rows[4]["learning_rate"] > 0
    accuracies = [(row["val_accuracy"], -row["val_loss"]) for row in rows]
    assert accuracies.index(max(accuracies)) + 1 == tuned_run.record.best_epoch


def test_the_stages_are_announced(template, tmp_path):
    reporter = Notes()
    train(template(train__finetune_epochs=1, train__epochs=1), output=tmp_path / "run", reporter=reporter)
    text = "\n".join(reporter.notes)
    assert "stage 1 of 2: the head on the features of frozen layers, epochs 1 to 1" in text
    assert "stage 2 of 2: the last blocks on the features of frozen layers, epochs 2 to 2" in text
    assert re.search(r"frozen layers: features of 0 of 1,\d+ examples, computed once", text)


def test_large_features_are_mapped_from_the_disk(template, head_run, tmp_path, monkeypatch):
    monkeypatch.setenv("DLT_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(module, "MAX_MEMORY_BYTES", 0)
    data = prepare(template(seed=1)).stages[0]
    data.open(0)
    arrays = data.data.dataset.split("train").arrays
    assert isinstance(arrays["image"], np.memmap)
    assert not [path for path in (tmp_path / "cache").rglob("*") if path.is_file()]
    run = train(template(seed=1), output=tmp_path / "run")
    for first, second in zip(run.model().get_weights(), head_run.model().get_weights(), strict=True):
        np.testing.assert_array_equal(first, second)


def test_numbers_have_features_too(tmp_path):
    settings = {"dataset": {"name": "iris"}, "model": {"name": "mlp", "units": [8]}, "train__batch_size": 16}
    settings |= {"train__augment": {}, "train__epochs": 2}
    whole = train(small_template(**settings), output=tmp_path / "whole")
    settings["model"]["weights"] = str(whole.path)
    head = train(small_template(**settings | HEAD), output=tmp_path / "head")
    assert changed_layers(whole, head) == ["logits"]


def test_class_weights_weigh_the_features(template, tmp_path):
    run = train(template(train__class_weight="balanced"), output=tmp_path / "run")
    assert run.record.scores["validation"]["accuracy"] > 0.5


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (
            {"train__finetune_epochs": 3, "train__trainable": "all", "model__weights": "fresh"},
            r"`train.finetune_epochs` .* pretrained network. Received: 3 with model.weights = fresh. Set model.weights",
        ),
        ({"train__finetune_epochs": 3, "model__weights": "fresh"}, "Received: 3 with model.weights = fresh"),
        ({"model__weights": "fresh"}, "pretrained network. Received: model.weights = fresh"),
        (
            {"train__finetune_epochs": 3, "train__trainable": "all"},
            "follows a training of the head. Received: 3 with train.trainable = all",
        ),
        ({"train__augment": {"flip": True}}, "frozen layers see each image once. Received: both"),
        ({"train__layerwise_pretrain": {"epochs": 1}}, "exclude each other. Received: both"),
    ],
)
def test_contradicting_settings_are_refused(template, settings, message):
    with pytest.raises(ValueError, match=message):
        prepare(template(**settings))


@pytest.mark.parametrize("name", ["autoencoder_digits", "dcgan_digits", "lstm_sunspots"])
def test_a_task_without_a_head_is_refused(name, small_run, tmp_path, monkeypatch):
    settings = {"train.trainable": "head", "model.weights": str(small_run.path)}
    if name == "lstm_sunspots":
        (tmp_path / "series.csv").write_text("\n".join(["value", *map(str, np.sin(np.arange(900)))]))
        settings["dataset.name"] = str(tmp_path / "series.csv")
    with pytest.raises(ValueError, match="is for classes or numbers, .* Received: task "):
        prepare(load_template(name, settings))


def test_a_table_with_categories_has_no_frozen_features(small_run, tmp_path):
    rows = [f"{a},{b},{a if b else 'none'}" for a in ("red", "blue", "green") for b in range(80)]
    (tmp_path / "table.csv").write_text("\n".join(["colour,size,target", *rows]))
    dataset = {"name": str(tmp_path / "table.csv")}
    template = small_template(dataset=dataset, model={"name": "mlp", "weights": str(small_run.path)}, **HEAD)
    with pytest.raises(ValueError, match="is for classes or numbers, predicted from one image or from numbers"):
        prepare(template)


def test_an_interruption_stops_the_computation_of_features(template, tmp_path):
    stop = StopRequest()
    tick = _watch_features(Silent(), stop)
    tick(0, 10)
    stop.requested = True
    with pytest.raises(KeyboardInterrupt):
        tick(1, 10)

    class Interrupting(Silent):
        def note(self, text):
            if "computed once" in text:
                signal.raise_signal(signal.SIGINT)

    with pytest.raises(KeyboardInterrupt, match="interrupted at step 0 of"):
        train(template(seed=1), output=tmp_path / "run", reporter=Interrupting())
    assert Run(tmp_path / "run").record.state == "interrupted"
    assert train(template(seed=1), output=tmp_path / "run", resume=True).record.state == "done"


@pytest.mark.slow
def test_two_devices_train_the_same_head_as_one(template, tmp_path):
    file = tmp_path / "head.toml"
    file.write_text(template(train__finetune_epochs=1, train__precision="float32").to_toml())
    runs = []
    for options in (["--strategy", "single"], ["--devices", "2"]):
        runs.append(Run(tmp_path / options[-1]))
        done = run_dlt("train", file, "-o", runs[-1].path, *options)
        assert done.returncode == 0, done.stderr
    first, second = (run.model() for run in runs)
    assert len(first.weights) > 4
    for one, two in zip(first.weights, second.weights, strict=True):
        np.testing.assert_allclose(keras.ops.convert_to_numpy(two), one, rtol=0, atol=1e-6, err_msg=one.path)


def test_a_resumed_run_computes_its_features_with_its_own_weights(template, small_run, head_run, tmp_path):
    """The run in `model.weights` may be replaced while a training is interrupted."""
    shutil.copytree(small_run.path, tmp_path / "start")
    begun = template(seed=1, model__weights=str(tmp_path / "start"))

    class Interrupting(Silent):
        def epoch(self, row, best):
            signal.raise_signal(signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        train(begun, output=tmp_path / "run", reporter=Interrupting())
    other = load_run(tmp_path / "start")
    model = other.model()
    model.set_weights([array + 0.1 for array in model.get_weights()])
    other.save_weights(model)
    other.save_record(other.record)
    resumed = train(begun, output=tmp_path / "run", resume=True)
    for ours, theirs in zip(head_run.model().get_weights(), resumed.model().get_weights(), strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_an_interruption_before_fine_tuning_keeps_the_head(template, tmp_path):
    class Interrupting(Notes):
        def note(self, text):
            super().note(text)
            if text.startswith("stage 2"):
                signal.raise_signal(signal.SIGINT)

    settings = {"train__finetune_epochs": 1, "train__checkpoint_seconds": 3600.0}
    with pytest.raises(KeyboardInterrupt):
        train(template(**settings), output=tmp_path / "run", reporter=Interrupting())
    notes = Notes()
    train(template(**settings), output=tmp_path / "run", resume=True, reporter=notes)
    (resumed,) = [note for note in notes.notes if note.startswith("resuming")]
    assert " at step 0 " not in resumed
    assert not [note for note in notes.notes if note.startswith("stage 1")]
