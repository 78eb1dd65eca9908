"""Text to text: its options and scores, and tiny networks from pairs to exported files."""

import json
import sys

import numpy as np
import pytest

import dltemplates as dlt
from conftest import in_process_converter, spec_of
from dltemplates.cli import main as cli
from dltemplates.datasets.source import Dataset
from dltemplates.deploy.report import load_report
from dltemplates.features import Tokens
from dltemplates.features.tokens import END, PADDING, START
from dltemplates.tasks.scoring.losses import SmoothedTokenLoss
from dltemplates.tasks.text_to_text import TextToText

FORMATS = ("tflite:float32", "onnx:float32", "saved_model")
VOCABULARY = ("the", "cat", "sat", "there", ".")


def tokens(name, *, with_end=False, **options):
    given = {"vocabulary": VOCABULARY, "tokenizer": "words"} | options
    return Tokens(name=name, dtype="int32", shape=(6 + with_end,), with_end=with_end, **given)


def task_of(first="source", **options):
    return TextToText(spec_of(tokens("target", with_end=True), inputs=(tokens(first),)), **options)


@pytest.mark.parametrize(
    ("option", "value", "way_out"),
    [
        ("label_smoothing", 1, "Try 0.1"),
        ("label_smoothing", -0.1, "Try 0.1"),
        ("label_smoothing", "a", "Try 0.1"),
        ("label_smoothing", float("nan"), "Try 0.1"),
        ("beam", 0, "Try 4"),
        ("beam", 1.5, "Try 4"),
        ("beam", True, "Try 4"),
        ("beam", "4", "Try 4"),
        ("score", "rouge", "Try bleu"),
        ("score", None, "Try bleu"),
    ],
)
def test_options_out_of_range_are_refused(option, value, way_out):
    with pytest.raises(ValueError, match=rf"`{option}` must be .*Received: {value!r}\. {way_out}\."):
        task_of(**{option: value})


def test_a_running_text_is_refused():
    dataset = Dataset(spec_of(), {})
    with pytest.raises(
        ValueError, match=r"needs pairs of texts\. Received: one running text\. .*task language_modeling"
    ):
        task_of("text").adapt(dataset)
    assert task_of().adapt(dataset) is dataset


def test_a_missing_sacrebleu_is_said_before_the_training(monkeypatch):
    monkeypatch.setitem(sys.modules, "sacrebleu", None)
    dataset = Dataset(spec_of(), {})
    for score in ("bleu", "chrf"):
        with pytest.raises(ValueError, match=r"Received: an environment without it\..*pip install"):
            task_of(score=score).adapt(dataset)
    assert task_of(score="exact").adapt(dataset) is dataset


def test_the_network_reads_the_target_from_its_start():
    target = np.array([[4, 5, END, 0], [6, END, 0, 0]], np.int32)
    inputs, expected, weights = task_of().batch({"source": target, "target": target}, training=True)
    assert np.asarray(inputs["target"]).tolist() == [[START, 4, 5, END], [START, 6, END, 0]]
    assert np.asarray(inputs["source"]).tolist() == target.tolist()
    assert np.asarray(expected).tolist() == target.tolist()
    assert np.asarray(weights).tolist() == [[1, 1, 1, 0], [1, 1, 0, 0]]


def test_the_loss_is_smoothed_where_that_is_set():
    assert isinstance(task_of(label_smoothing=0.1).loss(), SmoothedTokenLoss)
    assert task_of(label_smoothing=0.1).loss().label_smoothing == 0.1
    assert not isinstance(task_of().loss(), SmoothedTokenLoss)


def ids(*texts):
    value = tokens("target", with_end=True)
    rows = [value.finish(value.ids(text)) for text in texts]
    return np.stack([np.pad(row, (0, 7 - len(row)), constant_values=PADDING) for row in rows])


TARGETS = ids("the cat sat there .", "the cat sat .", "there .")
WRITTEN = ids("the cat sat there .", "the cat there .", "sat .")


def test_scores_of_a_small_example():
    from sacrebleu import corpus_bleu, corpus_chrf

    expected = ["the cat sat there .", "the cat sat .", "there ."]
    written = ["the cat sat there .", "the cat there .", "sat ."]
    scores = {
        "bleu": corpus_bleu(written, [expected], lowercase=True).score,
        "chrf": corpus_chrf(written, [expected]).score,
        "exact": 1 / 3,
    }
    targets = {"source": TARGETS, "target": TARGETS}
    for first, names in (
        ("bleu", ["bleu", "chrf", "exact"]),
        ("chrf", ["chrf", "bleu", "exact"]),
        ("exact", ["exact"]),
    ):
        evaluation = task_of(score=first).compare(targets, {"text": WRITTEN})
        assert list(evaluation.scores) == names
        assert evaluation.scores == pytest.approx({name: scores[name] for name in names})
        assert evaluation.is_accuracy == (first == "exact")
        assert evaluation.shares["exact"].tolist() == [True, False, False]
        for name in evaluation.score_of:
            assert evaluation.score_of[name](np.ones((1, 3)))[0] == pytest.approx(scores[name])
        texts = evaluation.details["texts"]
        assert {row["written"] for row in texts} == set(written)
        assert texts[0]["written"] != "the cat sat there ."  # the worst come first


def test_nothing_after_the_end_counts():
    written = WRITTEN.copy()
    written[0, 6] = 5  # after the end
    evaluation = task_of(score="exact").compare({"source": TARGETS, "target": TARGETS}, {"text": written})
    assert evaluation.scores["exact"] == 1 / 3


ANSWERS = {"a": "xy", "b": "yx", "c": "zz", "d": "w"}
PAIRS = [(f"{c * i} {c * j}", answer) for c, answer in ANSWERS.items() for i in range(1, 5) for j in range(1, 5)]
NETWORKS = {
    "transformer": {"units": 16, "depth": 1, "num_heads": 2, "hidden": 16, "dropout_rate": 0.1},
    "seq2seq": {"units": 12, "embedding_dim": 8, "dropout_rate": 0.1},
}


@pytest.fixture(scope="module", params=["transformer", pytest.param("seq2seq", marks=pytest.mark.slow)])
def run(request, tmp_path_factory):
    """Train a network for a few epochs, and export it."""
    folder = tmp_path_factory.mktemp("pairs")
    (folder / "pairs.tsv").write_text("\n".join(map("\t".join, PAIRS)))
    settings = {
        "dataset.name": str(folder / "pairs.tsv"),
        "dataset.text": {"tokenizer": "characters"},
        "model": {"name": request.param, **NETWORKS[request.param]},
        "train": {"epochs": 8, "batch_size": 4, "learning_rate": 0.02},
    }
    run = dlt.train(dlt.load_template("text_translation", settings), output=folder / "run")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("dltemplates.deploy.export.Converter", in_process_converter())
        report = dlt.export(run, formats=list(FORMATS))
    assert not report.failed
    return run


@pytest.fixture
def files(run):
    report = load_report(run.exports_path)
    return [next(run.exports_path.rglob(report.result(key).file)) for key in FORMATS]


def test_scores_are_of_all_texts(run):
    assert list(run.record.scores["test"]) == ["bleu", "chrf", "exact"]
    assert dlt.evaluate(run)["scores"] == run.record.scores["test"]
    assert 0 <= run.record.scores["test"]["exact"] <= 1
    assert dlt.evaluate(run)["examples"] == run.record.spec.sizes["test"]


def test_files_have_the_scores_of_the_run(run, files):
    for file in files:
        found = dlt.evaluate(file, data=run.template.dataset.name)["scores"]
        assert found == pytest.approx(run.record.scores["test"], abs=1e-9), file


@pytest.mark.parametrize("beam", [1, 3])
def test_files_write_the_texts_of_the_run(run, files, beam):
    texts = ["aa a", "bbb", "cc d"]
    expected = dlt.predict(run, texts, options={"beam": beam})
    assert len({found["text"] for found in expected}) > 1
    for file in files:
        assert dlt.predict(file, texts, options={"beam": beam}) == expected, file


def test_a_text_is_that_of_the_whole_network(run):
    source, target = run.record.spec.inputs[0], run.record.spec.targets[0]
    network = run.model()
    for text in ("aa a", "db"):
        (found,) = dlt.predict(run, [text])
        ids = [START]
        while len(ids) <= target.shape[0] and ids[-1] != END:
            given = {"source": source.read(text)["source"], "target": np.array([ids], np.int32)}
            logits = np.array(network(given))[0, -1]
            logits[:END] = -np.inf
            ids.append(int(logits.argmax()))
        assert found["text"] == target.text(ids[1:])


def test_a_text_does_not_depend_on_the_texts_beside_it(run, files):
    texts = ["aa a", "b", "cc ccc", "d"]
    assert [dlt.predict(files[0], [text])[0] for text in texts] == dlt.predict(run, texts)


def test_texts_of_a_file_are_written(run, files, tmp_path):
    (tmp_path / "x.tsv").write_text("\n".join(f"{source}\t{target}" for source, target in PAIRS[:5]))
    found = dlt.predict(files[0], [tmp_path / "x.tsv"])
    assert [row["text"] for row in found] == [row["text"] for row in dlt.predict(run, [a for a, _ in PAIRS[:5]])]


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
    (["영화"], "must have a token of the vocabulary. Received: '영화', which has none. Write it in"),
    (["aaaa aaaa a"], "at most 9 tokens. Received: 11 in 'aaaa aaaa a'. Shorten it, or train again with --set data"),
    (["a", "--set", "task.beam=0"], "`beam` must be a whole number of at least 1. Received: 0. Try 4."),
    (["a", "--set", "task.beam=many"], "`beam` must be a whole number of at least 1. Received: 'many'. Try 4."),
    (["a", "--set", "task.label_smoothing=0"], "Received: task.label_smoothing. For the task text_to_text there are"),
]  # fmt: skip


@pytest.mark.parametrize(("arguments", "message"), MISTAKES)
def test_mistakes_are_answered_in_one_line(files, answer, arguments, message):
    assert message in answer("predict", files[0], *arguments)


def test_the_command_writes_the_text(run, files, capsys, monkeypatch):
    monkeypatch.setattr(cli, "_silence_native_logs", lambda: None)
    for path in (run.path, files[1]):
        assert cli.main(["predict", str(path), "aa Xa", "--set", "task.beam=2", "--json"]) == 0
        (found,) = json.loads(capsys.readouterr().out)["predictions"]
        assert found == dlt.predict(run, ["aa Xa"], options={"beam": 2})[0]
        assert found["unknown"] == ["X"]


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("dataset.text.vocabulary_size=500", "must be at most 9, the number of tokens that are not rare"),
        ("dataset.text.max_length=3", "A text must have at most 3 tokens. Received: 9 in `source`, "),
        ("task.beam=0", "`beam` must be a whole number of at least 1. Received: 0. Try 4."),
        ("task.label_smoothing=2", "`label_smoothing` must be in [0, 1). Received: 2. Try 0.1."),
        ("task.score=rouge", "`score` must be one of bleu, chrf, exact. Received: 'rouge'. Try bleu."),
        ("task=language_modeling", "Task language_modeling needs"),
    ],
)
def test_mistakes_before_the_training_are_answered_in_one_line(answer, tmp_path, setting, message):
    path = tmp_path / "pairs.tsv"
    path.write_text("\n".join(map("\t".join, PAIRS)))
    command = ["train", "text_translation", "--data", path, "--set", "dataset.text={tokenizer='characters'}"]
    assert message in answer(*command, "--set", setting, "-o", tmp_path / "run")
    assert not (tmp_path / "run").exists()
