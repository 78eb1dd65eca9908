"""Language modeling: its options and scores, and a tiny network from a text file to exported files."""

import json
import math

import numpy as np
import pytest

import dltemplates as dlt
from conftest import in_process_converter, spec_of
from dltemplates.cli import main as cli
from dltemplates.datasets.source import Dataset
from dltemplates.deploy.report import load_report
from dltemplates.features import Tokens
from dltemplates.features.tokens import PADDING
from dltemplates.tasks.language_modeling import LanguageModeling

LINES = ["Once upon a time there was a small network.\n", "It read a book, and wrote another, in 3 days.\n"]
WINDOW = 24
FORMATS = ("tflite:float32", "onnx:float32", "saved_model")


def tokens(name="text", vocabulary=("ab", "c"), tokenizer="words", length=3):
    return Tokens(name=name, dtype="int32", shape=(length,), vocabulary=vocabulary, tokenizer=tokenizer)


def task_of(name="text", options=None, **values):
    return LanguageModeling(spec_of(tokens("next", **values), inputs=(tokens(name, **values),)), **options or {})


@pytest.mark.parametrize(
    ("option", "value"),
    [("temperature", -1), ("top_k", -1), ("top_p", 0), ("max_tokens", 0), ("seed", -1), ("temperature", "hot")],
)
def test_options_out_of_range_are_refused(option, value):
    with pytest.raises(ValueError, match=rf"`{option}` must be .*Received: {value!r}\. Try "):
        task_of(options={option: value})


def test_pairs_are_refused():
    with pytest.raises(ValueError, match=r"needs one running text\. Received: pairs of texts\. .*task text_to_text"):
        task_of("source").adapt(Dataset(spec_of(), {}))
    dataset = Dataset(spec_of(), {})
    assert task_of().adapt(dataset) is dataset


IDS = np.array([[4, 5, 1], [4, PADDING, PADDING]], np.int32)
LOSSES = np.log(np.array([[2, 4, 8], [16, 1, 1]], np.float32))  # 10 ln 2 for 4 tokens


@pytest.mark.parametrize(
    ("vocabulary", "tokenizer", "characters"),
    [
        (("a", "b"), "characters", 4),
        (("ab", "c"), "words", 3 + 2 + 2 + 3),  # a space after each, an unknown word is one character
        (("\u2581ab", "c"), "subwords", 3 + 1 + 1 + 3),  # with their own spaces
    ],
)
def test_scores_of_a_small_example(vocabulary, tokenizer, characters):
    task = task_of(vocabulary=vocabulary, tokenizer=tokenizer)
    evaluation = task.compare({"next": IDS}, {"losses": LOSSES})
    assert list(evaluation.scores) == ["loss", "perplexity", "bits_per_character"]
    assert evaluation.scores["loss"] == pytest.approx(2.5 * math.log(2))
    assert evaluation.scores["perplexity"] == pytest.approx(2**2.5)
    assert evaluation.scores["bits_per_character"] == pytest.approx(10 / characters)
    np.testing.assert_allclose(evaluation.errors, np.log([4, 16]), rtol=1e-6)
    for name, score in evaluation.scores.items():
        scores = evaluation.score_of[name](np.array([[1.0, 1], [2, 0]]))
        assert scores[0] == pytest.approx(score)
        assert scores[1] == pytest.approx(
            task.compare({"next": IDS[:1]}, {"losses": LOSSES[:1]}).scores[name]
        )  # fmt: skip


def test_padding_has_no_weight():
    _, target, weights = task_of().batch({"text": IDS, "next": IDS}, training=True)
    np.testing.assert_array_equal(target, IDS)
    assert np.asarray(weights).tolist() == [[1, 1, 1], [1, 0, 0]]


def test_a_continuation_is_a_text():
    task = task_of(options={"max_tokens": 5})
    assert (task.output().name, task.output().shape) == ("continuation", (5,))
    assert task.format({"continuation": np.array([[4, 5, 0], [5, 1, 4]])}) == [
        {"continuation": "ab c"},
        {"continuation": "c \N{REPLACEMENT CHARACTER} ab"},
    ]


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """Train a network for 2 epochs, and export it."""
    folder = tmp_path_factory.mktemp("text")
    (folder / "novel.txt").write_text("".join(LINES) * 100)
    settings = {
        "dataset.name": str(folder / "novel.txt"),
        "dataset.text.window": WINDOW,
        "model": {"name": "gpt", "units": 16, "depth": 1, "num_heads": 2},
        "train": {"epochs": 2, "batch_size": 16, "learning_rate": 0.01},
        "task.max_tokens": 40,
    }
    run = dlt.train(dlt.load_template("text_generation", settings), output=folder / "run")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("dltemplates.deploy.export.Converter", in_process_converter())
        report = dlt.export(run, formats=list(FORMATS))
    assert not report.failed
    return run


@pytest.fixture(scope="module")
def files(run):
    report = load_report(run.exports_path)
    return [next(run.exports_path.rglob(report.result(key).file)) for key in FORMATS]


def test_the_loss_falls(run):
    scores = run.record.scores["test"]
    assert scores["loss"] < 0.9 * math.log(run.record.spec.inputs[0].vocabulary_size)
    assert scores["perplexity"] == pytest.approx(math.exp(scores["loss"]))
    assert scores["bits_per_character"] == pytest.approx(scores["loss"] / math.log(2))


def test_files_have_the_scores_of_the_run(run, files):
    assert dlt.evaluate(run)["scores"] == run.record.scores["test"]
    for file in files:
        scores = dlt.evaluate(file, data=run.template.dataset.name)["scores"]
        assert scores == pytest.approx(run.record.scores["test"], abs=1e-4), file


@pytest.mark.parametrize("prompt", ["O", "Once upon a", "It read a book, and wrote another, in"])  # 1, 11 and 36 tokens
def test_files_write_the_text_of_the_run(run, files, prompt):
    for options in ({"temperature": 0}, {"temperature": 0.5, "seed": 3, "top_k": 5}):
        (expected,) = dlt.predict(run, [prompt], options=options)
        assert len(expected["continuation"]) == 40
        for file in files:
            assert dlt.predict(file, [prompt], options=options) == [expected], file


def test_a_continuation_is_that_of_the_whole_network(run):
    (value,) = run.record.spec.inputs
    (found,) = dlt.predict(run, ["Once upon"], options={"temperature": 0, "max_tokens": 12})
    network, ids = run.model(), value.ids("Once upon").tolist()
    for _ in range(12):
        logits = np.array(network(np.array([ids], np.int32)))[0, -1]
        logits[:3] = -np.inf
        ids.append(int(logits.argmax()))
    assert found["continuation"] == value.text(ids)[len("Once upon") :]


def test_options_change_the_text_and_not_the_run(run):
    first = dlt.predict(run, ["Once upon"])
    assert dlt.predict(run, ["Once upon"]) == first
    assert dlt.predict(run, ["Once upon"], options={"seed": 1}) != first
    assert len(dlt.predict(run, ["Once upon"], options={"max_tokens": 3})[0]["continuation"]) == 3


def test_unknown_characters_are_said(run):
    (found,) = dlt.predict(run, ["Once Xpon"])
    assert found["unknown"] == ["X"]


@pytest.fixture
def answer(capsys, monkeypatch):
    """Return a function that runs a wrong command and returns its one line."""
    monkeypatch.setattr(cli, "_silence_native_logs", lambda: None)

    def run_command(*arguments):
        assert cli.main([str(argument) for argument in arguments]) == 2
        out, err = capsys.readouterr()
        assert out == ""
        (line,) = [line for line in err.splitlines() if line.startswith("dlt: ")]
        assert err.strip().endswith(line)
        return line

    return run_command


MISTAKES = [
    ([""], "A text must have a token. Received: an empty text. Write one."),
    ([" \n"], "A text must have a token. Received: an empty text. Write one."),
    (["영화가 좋아요"], "must have a token of the vocabulary. Received: '영화가 좋아요', which has none. Write it in"),
    (["Once", "--set", "task.temperature=-1"], "`temperature` must be a number of at least 0. Received: -1. Try 0.8."),
    (["Once", "--set", "task.temperature=hot"], "`temperature` must be a number of at least 0. Received: 'hot'."),
    (["Once", "--set", "task.top_p=2"], "`top_p` must be greater than 0 and at most 1. Received: 2. Try 0.9."),
    (["Once", "--set", "task.max_tokens=0"], "`max_tokens` must be a whole number of at least 1. Received: 0."),
    (["Once", "--set", "task.beam=4"], "Received: task.beam. For the task language_modeling there are: task.temp"),
    (["Once", "--set", "train.epochs=4"], "Only options of the task can change after the training. Received: train.ep"),
    (["none.txt"], "A file of texts must exist. Received: none.txt. Check the path."),
]  # fmt: skip


@pytest.mark.parametrize(("arguments", "message"), MISTAKES)
def test_mistakes_are_answered_in_one_line(files, answer, arguments, message):
    assert message in answer("predict", files[0], *arguments)


def test_the_command_writes_the_text(run, capsys, monkeypatch):
    monkeypatch.setattr(cli, "_silence_native_logs", lambda: None)
    arguments = ["predict", str(run.path), "Once Xpon", "--set", "task.temperature=0", "--set", "task.max_tokens=6"]
    assert cli.main([*arguments, "--json"]) == 0
    (found,) = json.loads(capsys.readouterr().out)["predictions"]
    assert found == dlt.predict(run, ["Once Xpon"], options={"temperature": 0, "max_tokens": 6})[0]
    assert found["unknown"] == ["X"]
    assert cli.main(arguments) == 0
    out = capsys.readouterr().out
    assert "Once Xpon" in out
    assert "X" in out.partition("unknown")[2]


def test_a_network_of_one_text_scores_another(run, files, tmp_path):
    other = tmp_path / "other.txt"
    other.write_text("A small book was upon a time.\n" * 20)
    expected = dlt.evaluate(run, data=str(other), split="all")
    assert expected["examples"] > 10
    assert expected["scores"]["loss"] > run.record.scores["test"]["loss"]
    found = dlt.evaluate(files[0], data=str(other), split="all")
    assert found["scores"] == pytest.approx(expected["scores"], abs=1e-4)
