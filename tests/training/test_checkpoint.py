import math

import numpy as np
import pytest

from conftest import small_template
from dltemplates.training.checkpoint import TrainingState, list_checkpoints, load_checkpoint, save_checkpoint
from dltemplates.training.prepare import prepare
from dltemplates.training.recording.progress import Silent
from dltemplates.training.recording.run_writer import MAX_TIME_SHARE, RunWriter


class Listener(Silent):
    """A reporter that records its notes."""

    def __init__(self):
        self.notes = []

    def note(self, text):
        self.notes.append(text)


class Variable:
    """The part of a variable that a checkpoint needs."""

    def __init__(self, values):
        self.value = np.asarray(values, np.float32)
        self.shape = self.value.shape

    def __array__(self, dtype=None, copy=None):
        return self.value

    def assign(self, value):
        self.value = np.asarray(value)


def group(value, size=50):
    return {"model": [Variable([value] * size)], "optimizer": [Variable(3.0)]}


def save(folder, step, max_checkpoints=2):
    save_checkpoint(folder, group(step), TrainingState(step=step), max_checkpoints=max_checkpoints)


def test_every_variable_and_the_state_are_restored(tmp_path):
    algorithm = prepare(small_template()).stages[-1].algorithm
    state = TrainingState(5, 1.5, [{"epoch": 1, "loss": 0.1}], best=[0.5, -0.1], best_epoch=1, replaced={"a": "b"})
    extra = {"0": b"a replay memory", "1": b""}
    save_checkpoint(tmp_path, algorithm.variables, state, extra, max_checkpoints=2)
    before = [np.array(v) for members in algorithm.variables.values() for v in members]
    assert len(before) > 20
    algorithm.model.set_weights([np.zeros_like(array) for array in algorithm.model.get_weights()])
    assert load_checkpoint(tmp_path, algorithm.variables) == (state, extra)
    after = [np.array(v) for members in algorithm.variables.values() for v in members]
    for first, second in zip(before, after, strict=True):
        np.testing.assert_array_equal(first, second)


def test_only_the_newest_checkpoints_are_kept(tmp_path):
    for step in (9, 10, 100):
        save(tmp_path, step)
    assert [path.name for path in list_checkpoints(tmp_path)] == ["step-000000100.npz", "step-000000010.npz"]
    assert sorted(tmp_path.iterdir()) == sorted(list_checkpoints(tmp_path))


def test_a_truncated_checkpoint_is_skipped(tmp_path):
    save(tmp_path, 10)
    save(tmp_path, 20)
    newest = list_checkpoints(tmp_path)[0]
    whole = newest.read_bytes()
    for length in range(len(whole)):
        newest.write_bytes(whole[:length])
        variables, notes = group(0), []
        assert load_checkpoint(tmp_path, variables, notes.append)[0].step == 10
        assert (np.asarray(variables["model"][0]) == 10).all()
        assert len(notes) == 1
        assert "is broken" in notes[0]
        assert "using the one before it" in notes[0]
    newest.write_bytes(whole)
    assert load_checkpoint(tmp_path, group(0))[0].step == 20


def test_a_flipped_bit_is_detected_or_changes_nothing(tmp_path):
    save(tmp_path, 10)
    save(tmp_path, 20)
    newest = list_checkpoints(tmp_path)[0]
    whole = newest.read_bytes()
    passed_over = 0
    for place in range(len(whole)):
        damaged = bytearray(whole)
        damaged[place] ^= 1 << place % 8
        newest.write_bytes(damaged)
        variables = group(0)
        step = load_checkpoint(tmp_path, variables, lambda text: None)[0].step
        assert (np.asarray(variables["model"][0]) == step).all()
        passed_over += step == 10
    assert passed_over > len(whole) / 3


def test_a_skipped_checkpoint_does_not_count_as_kept(tmp_path):
    save(tmp_path, 10)
    save(tmp_path, 20)
    list_checkpoints(tmp_path)[0].write_bytes(b"PK")
    load_checkpoint(tmp_path, group(0), lambda text: None)
    for step in (11, 12):
        save(tmp_path, step)
    assert [path.name for path in list_checkpoints(tmp_path)] == ["step-000000012.npz", "step-000000011.npz"]


def test_without_an_intact_checkpoint_resuming_is_refused(tmp_path):
    with pytest.raises(ValueError, match=f"Received: {tmp_path} "):
        load_checkpoint(tmp_path, group(0))
    save(tmp_path, 10)
    list_checkpoints(tmp_path)[0].write_bytes(b"PK")
    with pytest.raises(ValueError, match=f"Received: {tmp_path}, "):
        load_checkpoint(tmp_path, group(0), lambda text: None)


def test_a_checkpoint_of_another_model_is_refused(tmp_path):
    save(tmp_path, 10)
    with pytest.raises(ValueError, match=r"Received: .*step-000000010\.npz"):
        load_checkpoint(tmp_path, group(0, size=7))


def test_a_nan_variable_is_never_written(tmp_path):
    save(tmp_path, 5)
    with pytest.raises(FloatingPointError, match="Received: NaN"):
        save_checkpoint(tmp_path, group(math.nan), TrainingState(step=6), max_checkpoints=2)
    assert [path.name for path in tmp_path.iterdir()] == ["step-000000005.npz"]


def writer(run, listener, interval=60.0):
    return RunWriter(run, prepare(small_template()).definition, listener, max_checkpoints=2, interval=interval)


def test_a_full_disk_gives_a_warning_and_keeps_the_old_checkpoint(tmp_path, monkeypatch):
    from dltemplates import runs
    from dltemplates.runs import Run

    run, listener = Run(tmp_path), Listener()
    kept = writer(run, listener)
    kept.checkpoint(group(1), TrainingState(step=1))
    kept.definition.set_weights([np.ones_like(array) for array in kept.definition.get_weights()])

    with monkeypatch.context() as full:
        full.setattr(runs.os, "fsync", raise_full)
        full.setattr(runs.shutil, "disk_usage", lambda path: type("Usage", (), {"free": 0}))
        kept.best(kept.definition)
        kept.history([{"epoch": 1.0}])
        for step in (2, 3):
            kept.checkpoint(group(step), TrainingState(step=step))
        with pytest.raises(OSError, match="No space left"):
            kept.finish(group(3), TrainingState(step=3))
    assert [path.name for path in list_checkpoints(run.checkpoint_path)] == ["step-000000001.npz"]
    assert [text.partition(" could")[0] for text in listener.notes] == [
        "the best weights", "the history", "a checkpoint",
    ]  # fmt: skip
    assert all("No space left on device); the training goes on" in text for text in listener.notes)
    assert not run.weights_path.exists()

    kept.finish(group(4), TrainingState(step=4))  # with free space again, nothing was lost
    assert run.weights_path.exists()
    assert load_checkpoint(run.checkpoint_path, group(0))[0].step == 4


def raise_full(_):
    raise OSError(28, "No space left on device")


@pytest.mark.parametrize("save", ["flush", "checkpoint", "finish"])
def test_the_best_weights_of_short_epochs_are_written_later(tmp_path, save):
    from dltemplates.runs import Run

    run = Run(tmp_path)
    kept = writer(run, Listener())
    model = kept.definition

    def best(value):
        model.set_weights([np.full_like(array, value) for array in model.get_weights()])
        kept.best(model)

    best(1.0)
    first = run.weights_path.read_bytes()
    best(2.0)
    model.set_weights([np.zeros_like(array) for array in model.get_weights()])  # the training goes on
    assert run.weights_path.read_bytes() == first
    {
        "flush": kept.flush,
        "checkpoint": lambda: kept.checkpoint(group(1), TrainingState(step=1)),
        "finish": lambda: kept.finish(group(1), TrainingState(step=1)),
    }[save]()
    model.load_weights(run.weights_path)
    assert {float(array.max()) for array in model.get_weights()} == {2.0}


def test_checkpoints_take_at_most_their_share_of_time(tmp_path):
    from dltemplates.runs import Run

    kept = writer(Run(tmp_path), Listener(), interval=0.001)
    kept.checkpoint(group(1), TrainingState(step=1))
    assert not kept.is_due
    kept._last -= kept._cost / MAX_TIME_SHARE + 0.001
    assert kept.is_due
    assert writer(Run(tmp_path), Listener(), interval=0).is_due
