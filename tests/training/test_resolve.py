"""Values of a template that its data and its network set: the target, and the usual learning rate."""

import numpy as np
import pandas as pd
import pytest

from conftest import small_template
from dltemplates.reports.report import write_report
from dltemplates.template import load_template, parse_template
from dltemplates.train_settings import rate_of
from dltemplates.training.prepare import prepare
from dltemplates.training.recording.progress import Silent
from dltemplates.training.resolve import rate_note
from dltemplates.training.resume import run_to_resume
from dltemplates.training.train import train

MLP = "mlp_digits"  # adam, with a cosine schedule from 2e-3


class Notes(Silent):
    """A reporter that records the messages."""

    def __init__(self):
        self.lines = []

    def note(self, text):
        self.lines.append(text)


def resolved(name, settings):
    template = load_template(name, settings)
    return template, prepare(template).template


@pytest.mark.parametrize(
    ("optimizer", "rate"),
    [
        ("sgd", 0.01),
        ({"name": "sgd", "momentum": 0.9}, 0.01),
        ("rmsprop", 1e-3),
        ("adagrad", 1e-2),
        ("adamw", 1e-3),
    ],
)
def test_another_optimizer_keeps_the_schedule_with_its_own_rate(optimizer, rate):
    template, new = resolved(MLP, {"train.optimizer": optimizer})
    assert rate_of(template.train.learning_rate) is None
    old = load_template(MLP).train.learning_rate
    assert new.train.learning_rate == old.model_copy(update={"peak": rate})
    assert f"learning rate {rate:g}, as usual for " in rate_note(template, new)
    assert f"{rate}" in new.to_toml()


def test_sgd_in_a_network_with_batch_normalization_has_the_rate_of_its_papers():
    adam = {"train.optimizer": "adam", "train.batch_size": 64}
    _, new = resolved("resnet8_digits", adam)  # the template has sgd with momentum
    assert rate_of(new.train.learning_rate) == 1e-3
    _, new = resolved("resnet8_digits", {"train.optimizer": "sgd", "train.batch_size": 64})
    assert rate_of(new.train.learning_rate) == 0.1


def test_momentum_makes_another_optimizer_and_other_options_do_not():
    sgd = {"train.optimizer": "sgd", "train.learning_rate": 0.3}
    assert rate_of(load_template(MLP, {"train.optimizer.epsilon": 1e-6}).train.learning_rate) == 2e-3
    assert rate_of(load_template(MLP, {"train.optimizer": "adam"}).train.learning_rate) == 2e-3
    assert rate_of(load_template(MLP, sgd).train.learning_rate) == 0.3
    momentum = {"train.optimizer.momentum": 0.9}
    assert rate_of(load_template("perceptron_gates", momentum).train.learning_rate) is None


def test_a_rate_of_the_user_stays_and_is_not_said():
    template, new = resolved(MLP, {"train.optimizer": "sgd", "train.learning_rate.peak": 0.2})
    assert rate_of(new.train.learning_rate) == 0.2
    assert rate_note(template, new) is None


def test_each_shape_keeps_its_other_values():
    _, cosine = resolved(MLP, {"train.learning_rate": {"name": "cosine", "final": 0.5, "warmup_epochs": 2}})
    assert (cosine.train.learning_rate.peak, cosine.train.learning_rate.final) == (1e-3, 5e-4)
    _, step = resolved(MLP, {"train.learning_rate": {"name": "step", "at": [3]}})
    assert (step.train.learning_rate.value, step.train.learning_rate.at) == (1e-3, (3,))
    vae = load_template("vae_mnist", {"train.optimizer": "sgd"}).train.learning_rate
    assert vae.final == pytest.approx(0.01)  # of the peak, as 1e-5 is of 1e-3


def test_a_constant_rate_changes_too(tmp_path):
    table = {"task": "classification", "model": "mlp", "dataset": {"name": "iris"}, "train": {"epochs": 1}}
    path = tmp_path / "mine.toml"
    path.write_text(parse_template(table | {"train": {"epochs": 1, "optimizer": "adam"}}).to_toml())
    _, new = resolved(path, {"train.optimizer": "adagrad"})
    assert rate_of(new.train.learning_rate) == 0.01


@pytest.fixture(scope="module")
def people(tmp_path_factory):
    """Train on a table whose target has a usual name, with another optimizer; tests read the run."""
    folder = tmp_path_factory.mktemp("people")
    random = np.random.default_rng(0)
    ages = random.normal(40, 9, 120).round(2)
    pd.DataFrame({"age": ages, "Label": ["no", "yes"] * 60, "height": ages + 100.25}).to_csv(
        folder / "people.csv", index=False
    )
    template = load_template(
        "mlp_adult", {"dataset.name": str(folder / "people.csv"), "train.optimizer": "sgd", "train.steps": 2,
        "train.batch_size": 8}
    )  # fmt: skip
    reporter = Notes()
    return train(template, output=folder / "run", reporter=reporter), template, reporter.lines


def test_a_run_says_first_what_it_predicts_and_once_its_rate(people):
    run, _, lines = people
    assert lines[0] == "predicts Label, one of 2 classes: no, yes"
    assert [line for line in lines if "learning rate" in line] == [
        "learning rate 0.01, as usual for sgd; choose another with --set train.learning_rate.peak=..."
    ]
    assert ", predicts Label, done" in run.describe()
    assert "it predicts Label, one of 2 classes: no, yes" in write_report(run).read_text()


def test_a_run_holds_its_target_and_its_rate(people):
    run, template, _ = people
    assert template.dataset.target is None
    assert run.template.dataset.target == "Label"
    assert rate_of(run.template.train.learning_rate) == 0.01
    text = run.template_path.read_text()
    assert 'target = "Label"' in text
    assert "peak = 0.01" in text


def test_the_command_that_began_a_run_resumes_it(people):
    run, template, _ = people
    assert run_to_resume(template, "run", run.path).path == run.path
    other = template.model_copy(update={"dataset": template.dataset.model_copy(update={"target": "height"})})
    with pytest.raises(ValueError, match=r"Received: dataset\.target = 'height', where .* has 'Label'"):
        run_to_resume(other, "run", run.path)


def test_the_classes_of_pictures_are_named_without_a_column(tmp_path):
    reporter = Notes()
    run = train(small_template(train__epochs=1), output=tmp_path / "run", reporter=reporter)
    assert reporter.lines[0] == "predicts one of 10 classes: 0, 1, 2, 3, 4, ..."
    assert run.template.dataset.target is None


def test_the_default_optimizer_by_its_name_keeps_the_rate(tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text('task = "classification"\nmodel = "mlp"\n[train]\nlearning_rate = 0.005\n')
    assert load_template(path, {"train.optimizer": "adam"}).train.learning_rate.value == 0.005
    assert load_template(path, {"train.optimizer": "sgd"}).train.learning_rate.value is None
