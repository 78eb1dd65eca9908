"""Images that break during training."""

import shutil

import numpy as np
import pytest

from conftest import small_template
from dltemplates.runs import Run, load_run
from dltemplates.training import train as training
from dltemplates.training.prepare import naming_broken_files, prepare
from dltemplates.training.recording.progress import Silent
from dltemplates.training.train import train


class BreakAt(Silent):
    """A reporter that breaks a file after an epoch, and records its notes."""

    def __init__(self, path, epoch=2):
        self.path, self.epoch_to_break, self.notes = path, epoch, []

    def epoch(self, row, best):
        if row["epoch"] == self.epoch_to_break:
            self.path.write_bytes(b"no image any more")

    def note(self, text):
        self.notes.append(text)


@pytest.fixture
def photographs(digit_folder, tmp_path):
    """Write class folders with fixed splits, so that the training images are known."""
    for split, numbers in {"train": range(12), "validation": range(12, 16), "test": range(16, 20)}.items():
        for label in ("one", "zero"):
            (tmp_path / "data" / split / label).mkdir(parents=True)
            for number in numbers:
                shutil.copy(digit_folder / label / f"{number}.png", tmp_path / "data" / split / label)
    return tmp_path / "data"


def template(photographs, **settings):
    dataset = {"name": str(photographs), "images": {"size": (8, 8)}}
    return small_template(dataset=dataset, train__batch_size=8, **settings)


@pytest.mark.parametrize(
    "name",
    [
        "train/one/3.png",
        pytest.param("validation/one/13.png", marks=pytest.mark.slow),
        pytest.param("test/one/17.png", marks=pytest.mark.slow),
    ],
)
def test_a_broken_image_is_named_replaced_and_counted(photographs, tmp_path, name):
    path = photographs / name
    listener = BreakAt(path)
    run = train(template(photographs), output=tmp_path / "run", reporter=listener)
    assert run.record.state == "done"
    assert list(run.record.replaced) == [name]
    assert [text for text in listener.notes if "replaced" in text] == [
        f"{name} is replaced by another image: {run.record.replaced[name]}"
    ]
    assert load_run(run.path).record.epochs == 6


def test_the_command_counts_broken_images(photographs, tmp_path, monkeypatch, capsys):
    from dltemplates.cli import output as out

    run = train(
        template(photographs), output=tmp_path / "run", reporter=BreakAt(photographs / "train" / "one" / "3.png")
    )
    out.run_result(run, False)
    assert "1 replaced, unreadable during training: train/one/3.png" in capsys.readouterr().out


def test_fail_on_bad_image_stops_and_names_the_image(photographs, tmp_path):
    path = photographs / "train" / "one" / "3.png"
    with pytest.raises(ValueError, match=r"JPEG.*PNG.*BMP.*GIF.*Received: .*train/one/3.png"):
        train(template(photographs), output=tmp_path / "run", fail_on_bad_image=True, reporter=BreakAt(path))
    run = Run(tmp_path / "run")
    assert run.record.state == "interrupted"
    assert run.weights_path.exists()


WRAPPED = {
    "denoising": {"name": "reconstruction", "noise": 0.3},
    "anomaly": {"name": "anomaly", "normal": "zero", "anomalies": "keep"},
    "anomaly without anomalies": {"name": "anomaly", "normal": "zero", "anomalies": "drop"},
}


def prepare_wrapped(photographs, task, *, fail_on_bad_image):
    """Prepare a training that reads images through a task, and break `train/zero/9`."""
    settings = {"task": task, "model": {"name": "fc_autoencoder", "units": [8], "latent_dim": 4}}
    training = prepare(template(photographs, **settings), fail_on_bad_image=fail_on_bad_image)
    (photographs / "train" / "zero" / "9.png").write_bytes(b"no image any more")
    return training


@pytest.mark.parametrize("name", WRAPPED)
def test_an_image_broken_behind_a_task_is_replaced_and_counted(photographs, name):
    training = prepare_wrapped(photographs, WRAPPED[name], fail_on_bad_image=False)
    batches = list(training.stages[0].batches(0).take(3).as_numpy_iterator())
    assert sum(len(images) for images, _, _ in batches) == 24
    assert list(training.broken()) == ["train/zero/9.png"]


def test_no_anomaly_replaces_a_broken_normal_image(photographs):
    training = prepare_wrapped(photographs, WRAPPED["anomaly without anomalies"], fail_on_bad_image=False)
    train = training.dataset.split("train")
    (photographs / "validation" / "zero" / "15.png").unlink()
    for normal, count in ((train, 12), (training.stages[-1].data.monitor_subset, 4)):
        assert normal.read(np.arange(len(normal)))["anomaly"].tolist() == [0] * count
    assert list(training.broken()) == ["train/zero/9.png", "validation/zero/15.png"]


@pytest.mark.parametrize("name", WRAPPED)
def test_fail_on_bad_image_names_an_image_behind_a_task(photographs, name):
    training = prepare_wrapped(photographs, WRAPPED[name], fail_on_bad_image=True)
    with pytest.raises(ValueError, match="Received: .*train/zero/9.png"), naming_broken_files(training):
        list(training.stages[0].batches(0).take(3))
    assert training.broken() == {}


def test_other_errors_are_not_reported_as_broken_files(photographs, tmp_path, monkeypatch):
    import tensorflow as tf

    def exhausted(*_):
        raise tf.errors.ResourceExhaustedError(None, None, "out of memory")

    monkeypatch.setattr(training, "fit", exhausted)
    with pytest.raises(tf.errors.ResourceExhaustedError):
        train(template(photographs), output=tmp_path / "run", fail_on_bad_image=True)
    assert Run(tmp_path / "run").record.state == "interrupted"
