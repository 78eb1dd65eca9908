import csv
import json
import os
import signal
import sys
import threading

import numpy as np
import pytest

from conftest import small_template
from dltemplates.runs import Run, load_run
from dltemplates.training.checkpoint import list_checkpoints
from dltemplates.training.prepare import prepare
from dltemplates.training.recording.progress import Silent
from dltemplates.training.train import train


def weights(run):
    return run.model().get_weights()


def assert_equal(first, second):
    assert len(first) == len(second) > 0
    for a, b in zip(first, second, strict=True):
        np.testing.assert_array_equal(a, b)


def checkpoint_arrays(run):
    with np.load(list_checkpoints(run.checkpoint_path)[0]) as file:
        return [file[name] for name in file.files if name != "state"]


class StopAt(Silent):
    """A reporter that stops the training after an epoch, as Ctrl-C does."""

    def __init__(self, epoch):
        self.last_epoch = epoch

    def epoch(self, row, best):
        if row["epoch"] == self.last_epoch:
            os.kill(os.getpid(), signal.SIGINT)


def test_a_run_holds_its_files_and_scores(small_run):
    assert {path.name for path in small_run.path.iterdir()} == {
        "definition.json", "model.weights.h5", "template.toml", "assets", "run.json", "history.csv", "figures",
        "checkpoint", ".lock",
    }  # fmt: skip
    record = small_run.record
    assert record.state == "done"
    assert set(record.scores) == {"validation", "test"}
    assert list(record.scores["test"]) == ["accuracy", "top_5"]
    assert record.scores["test"]["accuracy"] > 0.8
    assert record.epochs == 6
    assert np.shape(record.details["test"]["confusion_matrix"]) == (10, 10)
    assert small_run.labels_path.read_text().split() == list("0123456789")
    for name in ("curves", "confusion_matrix", "examples"):
        assert (small_run.figures_path / f"{name}.png").stat().st_size > 5000


def test_the_history_has_a_row_per_epoch_and_the_best_epoch_is_restored(small_run):
    with small_run.history_path.open() as file:
        rows = list(csv.DictReader(file))
    assert [int(row["epoch"]) for row in rows] == [1, 2, 3, 4, 5, 6]
    assert float(rows[-1]["loss"]) < float(rows[0]["loss"])
    ranks = [(float(row["val_accuracy"]), -float(row["val_loss"])) for row in rows]
    assert small_run.record.best_epoch == 1 + ranks.index(max(ranks))
    assert small_run.record.scores["validation"]["accuracy"] == pytest.approx(max(ranks)[0], abs=1e-6)


def test_the_definition_holds_no_training_settings(small_run):
    text = small_run.definition_path.read_text()
    assert not json.loads(text)["compile_config"]
    assert "optimizer" not in text
    assert "L2" not in text


def test_weight_decay_is_in_the_loss():
    plain, decayed = (prepare(small_template(train__weight_decay=decay)).model for decay in (0.0, 0.1))
    kernels = [v for v in decayed.trainable_variables if "kernel" in v.name]
    expected = 0.05 * sum(float((np.asarray(kernel) ** 2).sum()) for kernel in kernels)
    assert plain.losses == []
    assert float(sum(decayed.losses)) == pytest.approx(expected, rel=1e-5)


def test_the_same_seed_gives_the_same_bits_and_another_does_not(small_run, tmp_path):
    again = train(small_template(), output=tmp_path / "again")
    assert_equal(weights(small_run), weights(again))
    assert_equal(checkpoint_arrays(small_run), checkpoint_arrays(again))
    other = train(small_template(seed=1), output=tmp_path / "other")
    assert not np.array_equal(weights(small_run)[0], weights(other)[0])


@pytest.mark.slow
def test_ctrl_c_leaves_a_run_that_resumes_exactly(small_run, tmp_path):
    with pytest.raises(KeyboardInterrupt):
        train(small_template(), output=tmp_path / "run", reporter=StopAt(2))
    run = Run(tmp_path / "run")
    assert run.record.state == "interrupted"
    assert len(run.history_rows()) == 2
    with np.load(list_checkpoints(run.checkpoint_path)[0]) as file:
        assert json.loads(file["state"].tobytes())["step"] == run.history_rows()[1]["step"]
    resumed = train(small_template(), output=tmp_path / "run", resume=True)
    assert resumed.record.state == "done"
    assert_equal(weights(small_run), weights(resumed))
    assert_equal(checkpoint_arrays(small_run), checkpoint_arrays(resumed))
    timeless = [{k: v for k, v in row.items() if k != "seconds"} for row in small_run.history_rows()]
    assert timeless == [{k: v for k, v in row.items() if k != "seconds"} for row in resumed.history_rows()]


def test_resuming_a_finished_run_changes_nothing(small_run):
    before = small_run.record_path.read_bytes()
    assert train(small_template(), output=small_run.path, resume=True).path == small_run.path
    assert small_run.record_path.read_bytes() == before


def test_resuming_with_another_template_is_refused(small_run):
    with pytest.raises(ValueError, match=r"Received: train.epochs = 7, where .* has 6"):
        train(small_template(train__epochs=7), output=small_run.path, resume=True)


def test_resuming_a_missing_run_is_refused(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValueError, match="Received: none of 'mine'"):
        train(small_template(), name="mine", resume=True)
    with pytest.raises(ValueError, match=rf"Received: {tmp_path}, .*run\.json"):
        train(small_template(), output=tmp_path, resume=True)


def test_resuming_on_other_data_is_refused(tmp_path):
    with pytest.raises(KeyboardInterrupt):
        train(small_template(), output=tmp_path / "run", reporter=StopAt(1))
    run = Run(tmp_path / "run")
    whole = run.record
    for other in ({"fingerprint": "other"}, {"order": "other"}):
        run.save_record(whole.model_copy(update={"spec": whole.spec.model_copy(update=other)}))
        with pytest.raises(ValueError, match="Received: .*data changed"):
            train(small_template(), output=run.path, resume=True)


def test_data_without_a_training_split_is_refused(tmp_path):
    (tmp_path / "own_data.py").write_text(
        "from dltemplates.datasets.named.digits import digits\nfrom dltemplates.datasets.source import Dataset\n"
        "def only_test(settings):\n    data = digits(settings)\n"
        "    return Dataset(data.spec, {'test': data.split('train')})\n"
    )
    sys.path.insert(0, str(tmp_path))
    with pytest.raises(ValueError, match="Unknown split. Received: 'train'"):
        prepare(small_template(dataset__name="own_data:only_test"))
    sys.path.remove(str(tmp_path))


def test_the_history_holds_the_learning_rate_of_the_last_step(small_run):
    rates = [row["learning_rate"] for row in small_run.history_rows()]
    assert rates[0] == pytest.approx(0.01 * 17 / 18, rel=0.1)  # the last step of one epoch of warm-up
    assert rates[-1] > 0


def test_early_stopping_stops_after_patience(tmp_path):
    template = small_template(train__early_stopping=1, train__learning_rate=1e-7, train__epochs=50)
    run = train(template, output=tmp_path / "run")
    assert run.record.epochs < 50
    assert run.record.epochs == run.record.best_epoch + 1


def test_a_nan_loss_stops_and_keeps_the_last_finite_weights(tmp_path):
    template = small_template(train__learning_rate=1e30, train__optimizer="sgd", train__epochs=20)
    with pytest.raises(FloatingPointError, match=r"must stay finite. Received: .* Try a lower learning rate"):
        train(template, output=tmp_path / "run")
    run = Run(tmp_path / "run")
    assert run.record.state == "interrupted"
    checkpoint = checkpoint_arrays(run)
    assert len(checkpoint) > 5
    assert all(np.isfinite(array).all() for array in checkpoint)
    assert len(list_checkpoints(run.checkpoint_path)) <= 2


def test_class_weights_reach_the_loss(tmp_path):
    weighted = prepare(small_template(train__class_weight="balanced"))
    counts = np.array(weighted.dataset.spec.targets[0].counts)
    np.testing.assert_allclose(weighted.stages[-1].data.class_weights * counts, counts.sum() / 10, rtol=1e-5)


def test_class_weights_need_classes(tmp_path):
    images = np.random.default_rng(0).integers(0, 256, (40, 8, 8)).astype("uint8")
    np.savez(tmp_path / "numbers.npz", x=images, y=images.mean(axis=(1, 2))[:, None])
    with pytest.raises(ValueError, match="`train.class_weight`.*Received: .*`number`"):
        prepare(
            small_template(
                task__name="image_regression",
                dataset__name=str(tmp_path / "numbers.npz"),
                train__class_weight="balanced",
                train__batch_size=8,
            )
        )


def test_a_batch_larger_than_the_data_is_lowered_and_said():
    training = prepare(small_template(train__batch_size=5000))
    assert training.template.train.batch_size == 128
    assert training.stages[0].steps_per_epoch == -(-len(training.dataset.split("train")) // 128)
    assert any("train.batch_size is 128 instead of 5000" in text for text in training.dataset.spec.warnings)


def test_other_tasks_train_and_predict_in_their_own_units(tmp_path):
    from sklearn.datasets import load_digits

    digits = load_digits()
    images = np.uint8(digits.images * 15.9)
    np.savez(tmp_path / "value.npz", x=images, y=np.float32(digits.target)[:, None])
    regression = train(
        small_template(
            task__name="image_regression", dataset__name=str(tmp_path / "value.npz"), train__epochs=12,
            model__dropout_rate=0.0,
        ),
        output=tmp_path / "regression",
    )  # fmt: skip
    assert regression.record.scores["test"]["mae"] < 1.5
    assert regression.record.scores["test"]["r2"] > 0.5
    labels = np.stack([digits.target % 2, digits.target > 4], axis=1).astype(bool)
    np.savez(tmp_path / "labels.npz", x=images, y=labels, classes=["odd", "large"])
    multi = train(
        small_template(task__name="multi_label", dataset__name=str(tmp_path / "labels.npz")), output=tmp_path / "multi"
    )
    assert multi.record.scores["test"]["macro_f1"] > 0.8


def test_training_works_outside_the_main_thread(tmp_path):
    done = []
    thread = threading.Thread(
        target=lambda: done.append(train(small_template(train__epochs=1), output=tmp_path / "run"))
    )
    thread.start()
    thread.join()
    assert load_run(done[0].path).record.epochs == 1
