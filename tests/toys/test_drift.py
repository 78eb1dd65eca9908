"""A task with an environment instead of a dataset: it trains, resumes exactly inside an episode, and is exported."""

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


def test_it_learns_to_steer_without_a_dataset(run):
    assert "dataset" not in TEMPLATE
    history = run.history_rows()
    assert len(history) == 6
    random = np.random.default_rng(0)
    chance = SimpleNamespace(whole=lambda inputs: {"values": random.normal(size=(1, 3))})
    by_chance = run.task().evaluate(chance, None).scores["return"]
    assert run.record.scores["test"]["return"] > by_chance + 5
    assert run.record.scores["test"] == evaluate(run.path)["scores"]


def test_the_environment_cannot_be_saved():
    import copy
    import pickle

    for save in (pickle.dumps, copy.deepcopy):
        with pytest.raises(TypeError, match="cannot be saved"):
            save(Drift())


def test_a_training_killed_inside_an_episode_resumes_at_its_start_to_the_same_bits(run, tmp_path):
    folder = tmp_path / "killed"
    assert 400 < train_and_kill(MODULE, TEMPLATE, folder, after=400) < 1500
    resume(MODULE, TEMPLATE, folder)
    for first, second in zip(weights(run), weights(Run(folder)), strict=True):
        np.testing.assert_array_equal(first, second)


def test_an_interrupted_training_ends_its_episode_first(run, tmp_path):
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


def test_exported_files_are_scored_by_episodes(run):
    report = export(run)
    assert not report.failed
    for key in FORMATS:
        figures = report.result(key).splits["validation"]
        assert (figures.examples, report.metric) == (20, "return")
        assert report.result(key).gate.units == 20
    file = run.exports_path / report.result("tflite:int8").file
    (prediction,) = predict(file, ["0.5,0.1"])
    assert len(prediction["values"]) == 3
    assert "return" in write_report(run).read_text()


def test_a_task_without_its_dataset_is_refused():
    with pytest.raises(ValueError, match=r"classification.*`dataset`.*Received: none"):
        train(parse_template({"task": "classification", "model": "mlp"}))
