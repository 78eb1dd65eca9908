"""Worker processes killed with -9: restarted workers end with the same bits."""

import os
import signal
import subprocess
import sys
import threading
import time

import numpy as np
import pytest

from conftest import small_template
from dltemplates.errors import WorkerError
from dltemplates.runs import Run
from dltemplates.training.checkpoint import list_checkpoints
from dltemplates.training.recording.progress import Silent
from dltemplates.training.workers import supervise
from dltemplates.training.workers.cluster import VARIABLE, tf_config
from dltemplates.training.workers.supervise import train_on_workers

TEMPLATE = small_template(train__epochs=3, train__checkpoint_seconds=0, model__dropout_rate=0.3)


class Listener(Silent):
    """A reporter that records its notes."""

    def __init__(self):
        self.notes = []

    def note(self, text):
        self.notes.append(text)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    return train_on_workers(TEMPLATE, 2, output=tmp_path_factory.mktemp("workers") / "whole")


def wait_for(run, step):
    deadline = time.monotonic() + 120
    while not any(int(path.stem.partition("-")[2]) >= step for path in list_checkpoints(run.checkpoint_path)):
        assert time.monotonic() < deadline
        time.sleep(0.005)


def on_start(monkeypatch, action):
    """Call `action(processes, start number)` in a thread whenever workers start."""
    start, starts = supervise.Workers.start.__func__, []

    def recorded(cls, *arguments):
        group = start(cls, *arguments)
        starts.append(group)
        threading.Thread(target=action, args=(group.processes, len(starts)), daemon=True).start()
        return group

    monkeypatch.setattr(supervise.Workers, "start", classmethod(recorded))
    return starts


def assert_same(first, second):
    paths = [list_checkpoints(run.checkpoint_path)[0] for run in (first, second)]
    with np.load(paths[0]) as one, np.load(paths[1]) as other:
        assert one.files == other.files
        for name in set(one.files) - {"state"}:
            np.testing.assert_array_equal(one[name], other[name], err_msg=name)
    for one, other in zip(first.model().get_weights(), second.model().get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.slow
@pytest.mark.parametrize("rank", [0, 1])
def test_a_worker_killed_in_the_middle_changes_no_bit(whole, tmp_path, monkeypatch, rank):
    run, listener = Run(tmp_path / "killed"), Listener()

    def kill(processes, start):
        if start == 1:
            wait_for(run, 15)
            os.kill(processes[rank].pid, signal.SIGKILL)

    starts = on_start(monkeypatch, kill)
    train_on_workers(TEMPLATE, 2, output=run.path, reporter=listener)
    assert len(starts) == 2
    assert any(f"worker {rank} died (SIGKILL); all 2 start again" in text for text in listener.notes)
    assert any("resuming" in text for text in listener.notes)
    assert_same(whole, run)


def test_workers_that_die_too_often_raise_an_error(tmp_path, monkeypatch):
    on_start(monkeypatch, lambda processes, start: processes[1].kill())
    with pytest.raises(WorkerError, match=r"worker 1 died \(SIGKILL\), after 1 restarts. Continue with --resume"):
        train_on_workers(TEMPLATE, 2, output=tmp_path / "run", max_restarts=1)


@pytest.mark.slow
def test_an_interrupt_stops_all_workers_and_resuming_is_exact(whole, tmp_path, monkeypatch):
    run = Run(tmp_path / "stopped")

    def interrupt(processes, start):
        wait_for(run, 10)
        os.kill(os.getpid(), signal.SIGINT)

    with monkeypatch.context() as patched:
        starts = on_start(patched, interrupt)
        with pytest.raises(KeyboardInterrupt, match=r"interrupted. Continue with .* --workers 2 --resume -o"):
            train_on_workers(TEMPLATE, 2, output=run.path)
    assert [process.returncode for process in starts[0].processes] == [130, 130]
    assert run.record.state == "interrupted"
    train_on_workers(TEMPLATE, 2, output=run.path, resume=True)
    assert_same(whole, run)


def test_an_error_of_the_chief_is_raised_once_without_restarts(tmp_path, monkeypatch):
    starts = on_start(monkeypatch, lambda processes, start: None)
    template = small_template(train__batch_size=63)
    with pytest.raises(ValueError, match="Received: 63 for 2"):
        train_on_workers(template, 2, output=tmp_path / "run")
    assert len(starts) == 1
    assert not (tmp_path / "run").exists()


@pytest.mark.slow
def test_a_nan_loss_causes_no_restart(tmp_path, monkeypatch):
    starts = on_start(monkeypatch, lambda processes, start: None)
    template = small_template(train__learning_rate=1e30, train__optimizer="sgd")
    with pytest.raises(WorkerError, match="must stay finite"):
        train_on_workers(template, 2, output=tmp_path / "run")
    assert len(starts) == 1


def start_by_hand(tmp_path, templates, folders=(None, None), then=lambda processes: None):
    """Start one process per worker, each with its `TF_CONFIG`; return the error output and exit code of each."""
    addresses = [f"localhost:{port}" for port in supervise.free_ports(len(templates))]
    processes = []
    for rank, (template, folder) in enumerate(zip(templates, folders, strict=True)):
        file = tmp_path / f"worker{rank}.toml"
        file.write_text(template.to_toml())
        command = [sys.executable, "-m", "dltemplates", "train", str(file), "-o", str(tmp_path / "run"), "--resume"]
        environment = os.environ | {VARIABLE: tf_config(addresses, rank)}
        processes.append(subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=environment, cwd=folder))
    then(processes)
    return [(process.communicate(timeout=200)[1], process.returncode) for process in processes]


@pytest.mark.slow
def test_workers_with_different_templates_are_refused(tmp_path):
    results = start_by_hand(tmp_path, [small_template(), small_template(train__epochs=7)])
    for text, code in results:
        assert code == 2
        assert "Received: train.epochs = 7 on worker 1, where the chief has 6" in text
    assert not (tmp_path / "run").exists()


@pytest.mark.slow
def test_workers_started_by_hand_train_and_then_find_the_finished_run(tmp_path):
    template = small_template(train__epochs=1)
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "template.toml").write_text("of workers that were killed before there was a run")
    for _ in range(2):
        results = start_by_hand(tmp_path, [template, template])
        assert [code for _, code in results] == [0, 0], results
    assert "is done; nothing is left to resume" in results[0][0]
    assert Run(tmp_path / "run").record.state == "done"


@pytest.mark.slow
def test_workers_with_different_data_are_refused(tmp_path, digit_folder):
    import shutil

    other = tmp_path / "other"
    shutil.copytree(digit_folder, other)
    (other / "one" / "3.png").unlink()
    folders = [tmp_path / "worker0", tmp_path / "worker1"]
    for folder, data in zip(folders, (digit_folder, other), strict=True):
        folder.mkdir()
        (folder / "data").symlink_to(data)
    template = small_template(dataset__name="data", dataset__images__size=(8, 8), train__batch_size=4)
    results = start_by_hand(tmp_path, [template, template], folders)
    for text, code in results:
        assert code == 2
        assert "Received: other data on worker 1" in text


@pytest.mark.slow
def test_a_worker_that_loses_another_exits_with_the_restart_code(tmp_path):
    run = Run(tmp_path / "run")

    def kill(processes):
        wait_for(run, 5)
        processes[1].kill()

    template = small_template(train__epochs=100, train__checkpoint_seconds=0)
    results = start_by_hand(tmp_path, [template, template], then=kill)
    assert [code for _, code in results] == [138, -signal.SIGKILL]
    assert "worker 0 of 2 lost the connection to another worker" in results[0][0]
    assert run.record.state == "interrupted"


@pytest.mark.slow
def test_overwriting_never_resumes_the_old_run_after_a_kill(whole, tmp_path, monkeypatch):
    import shutil

    shutil.copytree(whole.path, tmp_path / "run")
    starts = on_start(monkeypatch, lambda processes, start: processes[0].kill() if start == 1 else None)
    template = TEMPLATE.model_copy(update={"seed": 5})
    run = train_on_workers(template, 2, output=tmp_path / "run", overwrite=True)
    assert len(starts) == 2
    assert run.template.seed == 5
    assert run.record.state == "done"


def test_workers_and_tf_config_exclude_each_other(tmp_path, monkeypatch):
    monkeypatch.setenv(VARIABLE, tf_config(["a:1", "b:1"], 0))
    with pytest.raises(ValueError, match="Received: --workers and TF_CONFIG"):
        train_on_workers(TEMPLATE, 2, output=tmp_path / "run")


@pytest.mark.slow
def test_random_kills_of_random_workers_change_no_bit(whole, tmp_path, monkeypatch):
    random = np.random.default_rng(0)
    run = Run(tmp_path / "killed")

    def kill(processes, start):
        if start <= 5:
            wait_for(run, 1 + 10 * start + random.integers(8))
            os.kill(processes[random.integers(2)].pid, signal.SIGKILL)

    starts = on_start(monkeypatch, kill)
    train_on_workers(TEMPLATE, 2, output=run.path, max_restarts=5)
    assert len(starts) == 6
    assert_same(whole, run)
