"""Trainings of a number of steps, `train.steps`, in place of epochs."""

import os
import signal

import numpy as np
import pytest

from dltemplates.runs import Run
from dltemplates.template import load_template, parse_template
from dltemplates.train_settings import TrainSettings
from dltemplates.training.prepare import MIN_VALIDATION_STEPS, prepare
from dltemplates.training.recording.progress import Silent
from dltemplates.training.train import train

SHORT = "logistic_regression_breast_cancer"  # 26 steps per epoch with batches of 16


def short_template(**settings):
    return load_template(SHORT, {"train.steps": 250, "train.batch_size": 16} | settings)


class Recorder(Silent):
    """A reporter that records the steps, and may stop the training at one, as Ctrl-C does."""

    def __init__(self, stop_at=None):
        self.stop_at, self.steps, self.total = stop_at, [], None

    def begin(self, total_steps, first_step):
        self.total = total_steps

    def step(self, step, loss):
        self.steps.append(step)
        if self.stop_at is not None and step >= self.stop_at:
            os.kill(os.getpid(), signal.SIGINT)


def timeless(run):
    return [{name: value for name, value in row.items() if name != "seconds"} for row in run.history_rows()]


@pytest.fixture(scope="module")
def short_run(tmp_path_factory):
    """Train 250 steps; tests read the run and never write it."""
    return train(short_template(), output=tmp_path_factory.mktemp("steps") / "run")


def test_a_run_takes_exactly_its_steps_also_in_the_last_epoch(short_run):
    history = short_run.history_rows()
    per_epoch = prepare(short_template()).stages[0].steps_per_epoch
    assert 250 % per_epoch != 0
    assert history[-1]["step"] == 250
    assert history[-1]["epoch"] == short_run.record.epochs == -(-250 // per_epoch)


def test_a_short_table_is_validated_after_whole_epochs_of_100_steps_or_more(short_run):
    per_epoch = prepare(short_template()).stages[0].steps_per_epoch
    *steps, _ = [row["step"] for row in short_run.history_rows()]
    assert len(steps) > 1
    assert all(step % per_epoch == 0 for step in steps)
    gaps = np.diff([0, *steps])
    assert (gaps >= MIN_VALIDATION_STEPS).all()
    assert (gaps < MIN_VALIDATION_STEPS + per_epoch).all()


def test_a_long_table_is_validated_after_each_epoch(tmp_path):
    template = load_template("mlp_digits", {"train.steps": 50, "train.batch_size": 8})
    run = train(template, output=tmp_path / "run")
    assert [(row["epoch"], row["step"]) for row in run.history_rows()] == [(1, 50)]  # 50 steps are less than an epoch
    (stage,) = prepare(template).stages
    assert stage.steps_per_epoch > MIN_VALIDATION_STEPS
    assert stage.epochs_per_validation == 1


def test_two_steps_are_a_run(tmp_path):
    reporter = Recorder()
    run = train(short_template(**{"train.steps": 2}), output=tmp_path / "run", reporter=reporter)
    assert reporter.total == 2
    assert [(row["epoch"], row["step"]) for row in run.history_rows()] == [(1, 2)]
    assert (run.record.best_epoch, run.record.state) == (1, "done")


@pytest.mark.parametrize("stop_at", [1, 104, 250])
def test_a_run_resumes_exactly_at_any_step(short_run, tmp_path, monkeypatch, stop_at):
    """Checkpoints after every step: before the first validation, at one, and after the last step."""
    monkeypatch.setattr("dltemplates.training.train.TICK_SECONDS", 0)  # report each step
    template = short_template(**{"train.checkpoint_seconds": 0.0})
    with pytest.raises(KeyboardInterrupt):
        train(template, output=tmp_path / "run", reporter=Recorder(stop_at))
    assert Run(tmp_path / "run").record.state == "interrupted"
    resumed = train(template, output=tmp_path / "run", resume=True)
    for mine, whole in zip(resumed.model().get_weights(), short_run.model().get_weights(), strict=True):
        np.testing.assert_array_equal(mine, whole)
    assert timeless(resumed) == timeless(short_run)


def test_the_schedule_ends_with_the_steps(short_run):
    template = short_template(**{"train.learning_rate": {"name": "cosine", "peak": 0.1, "warmup_epochs": 1}})
    training = prepare(template)
    schedule = training.stages[0].algorithm.optimizer._learning_rate
    per_epoch = training.stages[0].steps_per_epoch
    assert float(schedule(per_epoch)) == pytest.approx(0.1)
    assert float(schedule(250)) == pytest.approx(0, abs=1e-6)
    assert float(schedule(240)) > 0


def test_every_stage_and_every_generator_takes_at_most_the_steps():
    pretrained = load_template(
        "dbn_mnist",
        {
            "train.steps": 2,
            "dataset.name": "digits",
            "model.units": [16, 16],
            "train.batch_size": 64,
            "train.layerwise_pretrain.epochs": 3,
        },
    )
    training = prepare(pretrained)
    assert [stage.end_step - stage.first_step for stage in training.stages] == [2, 2, 2]
    assert training.total_steps == 6
    generator = load_template("dcgan_digits", {"train.steps": 30, "task.evaluator": "none"})
    assert prepare(generator).total_steps == 30


def test_pretraining_keeps_its_own_epochs_when_they_are_shorter():
    settings = {"dataset.name": "digits", "model.units": [16], "train.batch_size": 64, "train.steps": 1000}
    training = prepare(load_template("dbn_mnist", settings | {"train.layerwise_pretrain.epochs": 1}))
    pretraining, whole = training.stages
    assert pretraining.end_step == pretraining.steps_per_epoch
    assert whole.end_step - whole.first_step == 1000
    assert whole.first_epoch == 1


def test_early_stopping_counts_validations(tmp_path):
    settings = {"train.steps": 5000, "train.early_stopping": 2, "train.learning_rate": 1e-20, "train.restore": "best"}
    run = train(short_template(**settings), output=tmp_path / "run")
    history = run.history_rows()
    best = [row["epoch"] for row in history].index(run.record.best_epoch)
    assert len(history) - best == 3  # the best one and two more
    assert history[-1]["step"] < 5000


def test_steps_and_epochs_take_the_place_of_each_other():
    assert load_template(SHORT, {"train.steps": 2}).train.epochs is None
    assert load_template(SHORT).train.steps is None
    template = parse_template({"task": "classification", "model": "mlp", "train": {"steps": 7}})
    assert (template.train.epochs, template.train.steps) == (None, 7)
    assert "\nepochs" not in template.to_toml()
    both = {"task": "classification", "model": "mlp", "train": {"steps": 7, "epochs": 3}}
    with pytest.raises(ValueError, match=r"`epochs` and `steps` exclude each other. Received: epochs 3 and steps 7"):
        parse_template(both)
    with pytest.raises(ValueError, match=r"exclude each other. Received: epochs 3 and steps 2"):
        load_template(SHORT, {"train.epochs": 3, "train.steps": 2})


def test_steps_can_be_unset_and_one_length_is_needed():
    unset = load_template("table_classification", {"train.steps": "none"})
    assert (unset.train.steps, unset.train.epochs) == (None, 20)
    with pytest.raises(ValueError, match=r"needs `epochs` or `steps`\. Received: neither\. Try --set train\.epochs=20"):
        TrainSettings(epochs=None)


@pytest.mark.parametrize("steps", [0, -1, 1.5])
def test_steps_are_counted(steps):
    with pytest.raises(ValueError, match=r"`train.steps`.*Received"):
        load_template(SHORT, {"train.steps": steps})
