"""A task with an environment in place of a dataset: it trains, resumes exactly inside an episode, and is exported."""

import os
import signal
from types import SimpleNamespace

import numpy as np
import pytest

from dltemplates.deploy.export_run import export
from dltemplates.inference import evaluate, predict
from dltemplates.reports.report import write_report
from dltemplates.runs import Run
from dltemplates.template import parse_template
from dltemplates.training.train import train
from toys.drift import Drift
from toys.processes import checkpoint_steps, resume, train_and_kill

MODULE = "toys.drift"
FORMATS = ("tflite:float32", "tflite:int8")
TEMPLATE = {
    "task": f"{MODULE}:Steering",
    "model": f"{MODULE}:network",
    "train": {"epochs": 6, "learning_rate": 0.003, "checkpoint_seconds": 0.0},
    "export": {"formats": FORMATS},
}


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return train(parse_template(TEMPLATE), output=tmp_path_factory.mktemp("toys") / "drift")


def weights(run):
    return run.model().get_weights()


def test_no_dataset_stands_in_its_template_and_it_learns_to_steer(run):
    assert "dataset" not in TEMPLATE
    history = run.history()
    assert len(history) == 6
    random = np.random.default_rng(0)
    chance = SimpleNamespace(whole=lambda inputs: {"values": random.normal(size=(1, 3))})
    by_chance = run.task().evaluate(chance, None).scores["return"]
    assert run.record.scores["test"]["return"] > by_chance + 5
    assert run.record.scores["test"] == evaluate(run.path)["scores"]


def test_an_environment_that_cannot_be_saved_is_no_part_of_a_checkpoint():
    import copy
    import pickle

    for save in (pickle.dumps, copy.deepcopy):
        with pytest.raises(TypeError, match="cannot be saved"):
            save(Drift())


def test_killed_inside_an_episode_it_resumes_where_that_began_and_ends_in_the_same_bits(run, tmp_path):
    folder = tmp_path / "killed"
    assert 400 < train_and_kill(MODULE, TEMPLATE, folder, after=400) < 1500
    resume(MODULE, TEMPLATE, folder)
    for first, second in zip(weights(run), weights(Run(folder)), strict=True):
        np.testing.assert_array_equal(first, second)


def test_asked_to_stop_it_ends_the_episode_first(run, tmp_path):
    class Stop:
        def __getattr__(self, name):
            return lambda *_: None

        def step(self, step, loss):
            os.kill(os.getpid(), signal.SIGINT)

    template = run.template
    with pytest.raises(KeyboardInterrupt, match="interrupted at step"):
        train(template, output=tmp_path / "run", reporter=Stop())
    assert checkpoint_steps(tmp_path / "run")
    resumed = train(template, output=tmp_path / "run", resume=True)
    for first, second in zip(weights(run), weights(resumed), strict=True):
        np.testing.assert_array_equal(first, second)


def test_its_files_are_scored_by_episodes(run):
    report = export(run)
    assert not report.failed
    for key in FORMATS:
        figures = report.result(key).splits["validation"]
        assert (figures.examples, report.metric) == (20, "return")
        assert report.result(key).gate.units == 20
    file = run.exports_path / report.result("tflite:int8").file
    (shown,) = predict(file, ["0.5,0.1"])
    assert len(shown["values"]) == 3
    assert "return" in write_report(run).read_text()


def test_a_task_that_needs_data_says_so():
    with pytest.raises(ValueError, match=r"classification.*`dataset`.*Received: none"):
        train(parse_template({"task": "classification", "model": "mlp"}))
