"""Texts that a network writes during its training: the same after a resume, and no bit of the weights changes."""

import itertools
import os
import signal
from types import SimpleNamespace

import numpy as np
import pytest
from markupsafe import escape

import dltemplates as dlt
from dltemplates.reports.report import write_report
from dltemplates.runs import Run
from dltemplates.training.prepare import Training
from dltemplates.training.recording.progress import Silent
from dltemplates.training.recording.text_logger import is_logged
from dltemplates.training.train import train

TINY = {"train.epochs": 3, "train.batch_size": 16, "train.restore": "last"}


@pytest.fixture(scope="module")
def pairs(tmp_path_factory):
    """Return a template of texts to reverse."""
    path = tmp_path_factory.mktemp("pairs") / "pairs.tsv"
    texts = ["".join(characters) for characters in itertools.product("abc<", repeat=3)]
    path.write_text("source\ttarget\n" + "".join(f"{text}\t{text[::-1]}\n" for text in texts), encoding="utf-8")
    model = {"name": "transformer", "units": 8, "depth": 1, "num_heads": 2, "hidden": 8, "dropout_rate": 0.1}
    data = {"dataset.name": str(path), "dataset.text.tokenizer": "characters"}
    task = {"name": "text_to_text", "score": "exact"}
    return dlt.load_template("transformer_addition", {"task": task, "model": model, **data, **TINY})


@pytest.fixture(scope="module")
def run(pairs, tmp_path_factory):
    """Train once; tests read the run and never write its weights."""
    return train(pairs, output=tmp_path_factory.mktemp("runs") / "pairs")


def test_three_texts_are_written_after_each_epoch(run):
    texts = run.texts_by_epoch()
    assert list(texts) == [1, 2, 3]
    for written in texts.values():
        assert len(written) == 3
        for text, first in zip(written, texts[1], strict=True):
            assert text["expected"] == text["source"][::-1]
            assert text["source"] == first["source"]
    assert len({str(written) for written in texts.values()}) > 1  # it learns


def test_the_last_texts_are_those_of_the_run(run):
    texts = run.texts_by_epoch()[3]
    predictions = dlt.predict(run, [text["source"] for text in texts])
    assert [prediction["text"] for prediction in predictions] == [text["written"] for text in texts]


def test_the_report_shows_texts_by_epoch_and_the_worst(run):
    page = write_report(run).read_text(encoding="utf-8")
    by_epoch = page.partition("<h2>Texts by epoch</h2>")[2].partition("<h2>")[0]
    assert [f"<td>epoch&nbsp;{epoch}</td>" in by_epoch for epoch in (1, 2, 3, 4)] == [True] * 3 + [False]
    assert "&lt;" in page  # names are escaped
    table = page.partition("<h2>Texts</h2>")[2].partition("</table>")[0]
    rows = run.record.details["test"]["texts"]
    assert table.count("<tr>") == 1 + len(rows) > 1
    assert table.count('class="failed"') == sum(row["wrong"] for row in rows) > 0
    assert "wrong" not in table
    assert (run.figures_path / "attention_to_source.png").stat().st_size > 5000
    assert "<h2>Attention to the source</h2>" in page


@pytest.mark.slow
def test_texts_change_no_bit_of_the_weights(run, pairs, tmp_path, monkeypatch):
    monkeypatch.setattr(Training, "text_logger", None)
    silent = train(pairs, output=tmp_path / "silent")
    assert silent.texts_by_epoch() == {}
    for a, b in zip(run.model().get_weights(), silent.model().get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)
    assert "Texts by epoch" not in write_report(silent).read_text(encoding="utf-8")


class StopAt(Silent):
    """A reporter that stops the training after an epoch, as Ctrl-C does."""

    def __init__(self, epoch):
        self.last_epoch = epoch

    def epoch(self, row, best):
        if row["epoch"] == self.last_epoch:
            os.kill(os.getpid(), signal.SIGINT)


@pytest.mark.slow
def test_a_resumed_run_has_the_same_texts(run, pairs, tmp_path):
    with pytest.raises(KeyboardInterrupt):
        train(pairs, output=tmp_path / "run", reporter=StopAt(2))
    assert list(Run(tmp_path / "run").texts_by_epoch()) == [1, 2]
    resumed = train(pairs, output=tmp_path / "run", resume=True)
    assert resumed.texts_by_epoch() == run.texts_by_epoch()
    for a, b in zip(run.model().get_weights(), resumed.model().get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


def test_a_language_model_continues_the_same_beginning(tmp_path):
    path = tmp_path / "text.txt"
    path.write_text("A line of text.\nAnother line, and more.\n" * 40)
    model = {"name": "gpt", "units": 8, "depth": 1, "num_heads": 2}
    template = dlt.load_template(
        "gpt_shakespeare",
        {"dataset.name": str(path), "dataset.text.window": 16, "dataset.validation": 0.2, "dataset.test": 0.2}
        | {"model": model, "train.steps": 3},
    )
    run = train(template, output=tmp_path / "run")
    ((text,),) = run.texts_by_epoch().values()
    assert text["beginning"] == "Another line, an"
    assert 0 < len(text["continuation"]) <= 120
    assert str(escape(text["continuation"])) in write_report(run).read_text(encoding="utf-8")
    assert (run.figures_path / "attention_to_past.png").exists()


@pytest.mark.parametrize(
    ("first", "last", "period", "expected"),
    [
        (0, 3, 1, [1, 2, 3]),
        (0, 28, 1, [1, 4, 7, 10, 13, 16, 19, 22, 25, 28]),
        (0, 7, 2, [2, 4, 6, 7]),  # validated every two epochs, and at the end
        (2, 6, 2, [4, 6]),
        (0, 1, 5, [1]),
    ],
)
def test_texts_are_written_after_at_most_ten_epochs(first, last, period, expected):
    stage = SimpleNamespace(first_epoch=first, end_epoch=last, epochs_per_validation=period)
    assert [epoch for epoch in range(1, last + 1) if is_logged(stage, epoch)] == expected
