"""Processes killed with -9: the runs they leave resume to the same bits."""

import os
import random
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

from conftest import small_template
from dltemplates.runs import Run
from dltemplates.template import load_template
from dltemplates.training.checkpoint import list_checkpoints
from dltemplates.training.train import train

STEPS = 4 * 21


def convolutional():
    """Return a template with BatchNorm, Dropout, and a checkpoint after every step."""
    return small_template(train__epochs=4, train__checkpoint_seconds=0, model__dropout_rate=0.3)


def layerwise():
    """Return a template that pretrains two RBMs one after the other, then trains the whole network."""
    settings = {
        "dataset.name": "digits",
        "model.units": [16, 12],
        "train.layerwise_pretrain": {"epochs": 2},
        "train.epochs": 2,
        "train.checkpoint_seconds": 0,
    }
    return load_template("dbn_mnist", settings)


def transfer(folder):
    """Return a template that trains the head of a pretrained network, then its last blocks."""
    settings = {"train__epochs": 1, "model__dropout_rate": 0.3}
    pretrained = train(small_template(**settings), output=folder / "pretrained")
    settings |= {
        "model__weights": str(pretrained.path),
        "train__trainable": "head",
        "train__epochs": 2,
        "train__finetune_epochs": 2,
        "train__augment": {},
        "train__checkpoint_seconds": 0,
    }
    return small_template(**settings)


def sequences(folder):
    """Return a template of sequences of different lengths, which share batches by their length."""
    random = np.random.default_rng(0)
    x = random.normal(size=(400, 9, 2))
    for row, length in zip(x, random.integers(2, 10, 400), strict=True):
        row[length:] = np.nan
    np.savez(folder / "waves.npz", x=x, y=random.integers(0, 2, 400))
    settings = {
        "dataset.name": str(folder / "waves.npz"),
        "dataset.series": {"sequences": True},
        "model": {"name": "gru", "units": [3, 3], "dropout_rate": 0.2},
        "train.epochs": 5,
        "train.batch_size": 16,
        "train.checkpoint_seconds": 0,
    }
    return load_template("sequence_classification", settings)


def pairs(folder):
    """Return a template of pairs of texts of different lengths, which are sorted by both."""
    random = np.random.default_rng(0)
    texts = sorted({"".join(random.choice(list("abc "), random.integers(3, 9))).strip() + "." for _ in range(400)})
    (folder / "pairs.tsv").write_text("\n".join(f"{text}\t{text[::-1]}" for text in texts))
    settings = {
        "dataset.name": str(folder / "pairs.tsv"),
        "dataset.text": {"tokenizer": "characters"},
        "model": {"name": "transformer", "units": 8, "depth": 1, "num_heads": 2, "hidden": 8, "dropout_rate": 0.2},
        "task.score": "exact",
        "train.epochs": 5,
        "train.batch_size": 16,
        "train.checkpoint_seconds": 0,
    }
    return load_template("text_translation", settings)


def running_text(folder):
    """Return a template that reads windows of a text."""
    (folder / "novel.txt").write_text("Once upon a time there was a small network.\n" * 100)
    settings = {
        "dataset.name": str(folder / "novel.txt"),
        "dataset.text.window": 16,
        "model": {"name": "gpt", "units": 8, "depth": 1, "num_heads": 2, "dropout_rate": 0.2},
        "task.max_tokens": 20,
        "train": {"steps": 80, "batch_size": 16, "learning_rate": 0.01, "checkpoint_seconds": 0},
    }
    return load_template("text_generation", settings)


def step_of(run):
    steps = [int(path.stem.partition("-")[2]) for path in list_checkpoints(run.checkpoint_path)]
    return max(steps, default=-1)


def kill_at(path, run, step):
    """Train in a process of its own and kill it after `step`; return the step of the last checkpoint."""
    command = [sys.executable, "-m", "dltemplates", "train", str(path), "-o", str(run.path)]
    if run.path.exists():
        command.append("--resume")
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 120
    while step_of(run) < step:
        assert process.poll() is None, "it ended before it could be killed"
        assert time.monotonic() < deadline
        time.sleep(0.002)
    os.kill(process.pid, signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    assert run.record.state == "running"
    return step_of(run)


def check(tmp_path, steps, template=None):
    template = template or convolutional()
    path = tmp_path / "killed.toml"
    path.write_text(template.to_toml())
    whole = train(template, output=tmp_path / "whole")
    run = Run(tmp_path / "killed")
    for step in steps:
        assert step <= kill_at(path, run, step) < STEPS
    resumed = train(template, output=run.path, resume=True)
    for name in ("best", "last"):
        first, second = (arrays(r, name) for r in (whole, resumed))
        assert first.keys() == second.keys()
        assert len(first) >= 8
        for key, array in first.items():
            np.testing.assert_array_equal(array, second[key], err_msg=f"{name} {key}")


def arrays(run, name):
    if name == "best":
        return dict(enumerate(run.model().get_weights()))
    with np.load(list_checkpoints(run.checkpoint_path)[0]) as file:
        return {key: file[key] for key in file.files if key != "state"}


def test_a_kill_inside_an_epoch_changes_no_bit(tmp_path):
    check(tmp_path, [27])


@pytest.mark.slow
def test_kills_between_buckets_of_lengths_change_no_bit(tmp_path):
    check(tmp_path, [5, 30], sequences(tmp_path))  # 5 x 17 steps


@pytest.mark.slow
@pytest.mark.parametrize("texts", [pairs, running_text])
def test_kills_while_texts_are_learned_change_no_bit(tmp_path, texts):
    check(tmp_path, [5, 30], texts(tmp_path))


@pytest.mark.slow
def test_kills_during_pretraining_change_no_bit(tmp_path):
    check(tmp_path, [9, 30], layerwise())  # 2 x 26 steps of 13 an epoch, then 26 of the network


@pytest.mark.slow
@pytest.mark.parametrize("steps", [[10], [10, 55]])
def test_kills_before_and_in_fine_tuning_change_no_bit(tmp_path, steps):
    check(tmp_path, steps, transfer(tmp_path))  # 2 x 21 steps of the head, then as many of the last blocks


@pytest.mark.slow
def test_three_kills_change_no_bit(tmp_path):
    check(tmp_path, [5, 21, 50])  # inside the first epoch, about its end, in the third


@pytest.mark.slow
def test_ten_random_kills_change_no_bit(tmp_path):
    check(tmp_path, sorted(random.Random(0).sample(range(1, STEPS - 8), 10)))
