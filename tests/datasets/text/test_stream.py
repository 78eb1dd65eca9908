"""A running text for a language model: its splits, windows and vocabulary, and refused files."""

import numpy as np
import pytest

from conftest import load_data
from dltemplates.datasets.text.stream import STEPS_PER_WINDOW, TextStream, TokenWindows
from dltemplates.settings import DatasetSettings, TextSettings

LINES = [f"line {place} of a long text 😀\n" for place in range(100)]
TEXT = "".join(LINES)
WINDOW = 20


def write(path, text=TEXT):
    path.write_text(text, encoding="utf-8", newline="")
    return path


def load(path, task="language_modeling", *, reference=None, whole=False, text=None, **settings):
    text = {"tokenizer": "characters", "window": WINDOW} | (text or {})
    return load_data(DatasetSettings(name=str(path), text=text, **settings), task, reference=reference, whole=whole)


def read_all(dataset, split):
    source = dataset.split(split)
    return source.read(np.arange(len(source)))


def text_of(dataset, split, stride):
    """Return the text that the windows of a split cover."""
    (value,), arrays = dataset.spec.inputs, read_all(dataset, split)
    ids = np.concatenate([arrays["text"][:, :stride].ravel(), arrays["text"][-1, stride:], arrays["next"][-1, -1:]])
    return value.text(ids)


def test_each_window_has_the_next_token_at_every_position(tmp_path):
    dataset = load(write(tmp_path / "x.txt"))
    (value,), (target,) = dataset.spec.inputs, dataset.spec.targets
    assert (value.name, value.kind, value.dtype, value.shape, value.truncate) == (
        "text", "tokens", "int32", (WINDOW,), "start",
    )  # fmt: skip
    assert (target.name, target.shape, target.vocabulary) == ("next", (WINDOW,), value.vocabulary)
    assert dataset.spec.warnings == ()
    for split, size in dataset.spec.sizes.items():
        arrays = read_all(dataset, split)
        assert arrays["text"].shape == arrays["next"].shape == (size, WINDOW)
        assert arrays["text"].dtype == np.int32
        np.testing.assert_array_equal(arrays["text"][:, 1:], arrays["next"][:, :-1])


def test_the_splits_follow_each_other_in_the_text(tmp_path):
    dataset = load(write(tmp_path / "x.txt"), validation=0.1, test=0.2)
    stride = WINDOW // STEPS_PER_WINDOW
    parts = [text_of(dataset, "train", stride), *(text_of(dataset, split, WINDOW) for split in ("validation", "test"))]
    for part, lines in zip(parts, (LINES[:72], LINES[72:80], LINES[80:]), strict=True):
        whole = "".join(lines)
        assert whole.startswith(part)
        assert len(whole) - len(part) < WINDOW


def test_training_windows_overlap_and_others_do_not():
    ids = np.arange(4, 104, dtype=np.int32)
    assert len(TokenWindows(ids, 20, stride=20)) == 4  # the last window has no token after it
    windows = TokenWindows(ids, 20, stride=5)
    assert len(windows) == 16
    assert windows.read(np.array([1]))["text"].tolist() == [list(range(9, 29))]
    assert windows.read(np.array([15, 0]))["next"][:, -1].tolist() == [99, 24]
    assert len(TokenWindows(ids[:21], 20, stride=20)) == 1


def test_the_vocabulary_is_that_of_the_training_lines(tmp_path):
    lines = ["abc\n"] * 80 + ["xyz\n"] * 20
    dataset = load(write(tmp_path / "x.txt", "".join(lines)), validation=0.1, test=0.2)
    assert dataset.spec.inputs[0].vocabulary == ("\n", "a", "b", "c")
    assert (read_all(dataset, "test")["text"] == 1).mean() > 0.7


@pytest.mark.parametrize("tokenizer", ["words", "subwords"])
def test_other_tokens(tmp_path, tokenizer):
    dataset = load(write(tmp_path / "x.txt"), text={"tokenizer": tokenizer})
    (value,) = dataset.spec.inputs
    assert value.tokenizer == tokenizer
    assert value.shape == (WINDOW,)
    assert "long text" in value.text(read_all(dataset, "test")["text"][0])


def test_lines_end_with_a_subword_of_their_own(tmp_path):
    dataset = load(write(tmp_path / "x.txt"), text={"tokenizer": "subwords", "vocabulary_size": 60})
    (value,) = dataset.spec.inputs
    lines = [piece for piece in value.vocabulary if "\n" in piece]
    assert lines == ["\n"]
    assert not any((read_all(dataset, split)["text"] == 1).any() for split in dataset.splits)
    prompt = "".join(LINES[:4])
    first = read_all(dataset, "train")["text"][0]
    assert first.tolist() == value.ids(prompt)[:WINDOW].tolist()
    assert value.text(value.ids(prompt)) == prompt.strip()


@pytest.mark.parametrize("end", ["\r\n", "\r"])
def test_the_ends_of_lines_are_those_of_any_system(tmp_path, end):
    dataset = load(write(tmp_path / "x.txt", TEXT.replace("\n", end)))
    expected = load(write(tmp_path / "y.txt"))
    assert dataset.spec.inputs == expected.spec.inputs
    np.testing.assert_array_equal(read_all(dataset, "test")["text"], read_all(expected, "test")["text"])


def test_the_encoding_of_a_korean_file(tmp_path):
    path = tmp_path / "x.txt"
    path.write_bytes(("영화가 정말 좋아요\n" * 100).encode("cp949"))
    dataset = load(path, text={"encoding": "cp949"})
    assert dataset.spec.encoding == "cp949"
    assert {"영", "화", "가"} <= set(dataset.spec.inputs[0].vocabulary)


def test_other_texts_keep_the_tokens_and_the_window_of_the_network(tmp_path):
    spec = load(write(tmp_path / "x.txt")).spec
    other = write(tmp_path / "y.txt", "line of Zebras\n" * 5)
    data = load_data(DatasetSettings(name=str(other)), "language_modeling", reference=spec, whole=True)
    assert data.spec.inputs == spec.inputs
    arrays = read_all(data, "all")
    assert arrays["text"].shape == (3, WINDOW)  # 75 characters
    assert arrays["text"][0, 8:10].tolist() == [1, *spec.inputs[0].ids("e")]


def test_lines_are_read_and_identified():
    stream = TextStream(["a\n", "b\n", "a\n"], TextSettings(window=4))
    assert stream.read(np.array([2, 1]))["text"].tolist() == ["a\n", "b\n"]
    (digests,) = stream.raw_rows
    assert digests[0] == digests[2] != digests[1]
    part = stream.cut("validation", 1, 3)
    assert (part.lines, part.split, len(part)) == (["b\n", "a\n"], "validation", 2)


@pytest.mark.parametrize(
    ("text", "settings", "match"),
    [
        ("", {}, r"must have tokens\. Received: .*x\.txt, which is empty\. Name"),
        (" \n\t\n", {}, r"must have tokens\. Received: .*x\.txt, which is empty\. Name"),
        (TEXT, {"window": None}, r"Received: .*x\.txt without `dataset\.text\.window`\. Add --set .*window="),
        (TEXT, {"window": 500}, r"than the window, 500\. Received: \d+ in validation\..* --set .*window=\d+$"),
        ("one long line " * 100, {}, r"in each split\. Received: 0 of 1 rows in validation\. Break it into lines"),
        ("a b c\n" * 100, {"min_frequency": 1000}, r"occurs 1000 times in the training texts\. Received: none of"),
        ("a b c\n" * 100, {"vocabulary_size": 100}, r"must be at most 5, .*Received: 100\. Lower it"),
    ],
)  # fmt: skip
def test_wrong_texts_are_refused(tmp_path, text, settings, match):
    with pytest.raises(ValueError, match=match) as error:
        load(write(tmp_path / "x.txt", text), text=settings)
    assert "\n" not in str(error.value)


def test_a_window_that_the_message_names_fits(tmp_path):
    path = write(tmp_path / "x.txt")
    with pytest.raises(ValueError, match="window=") as error:
        load(path, text={"window": 500})
    window = int(str(error.value).rpartition("=")[2])
    assert load(path, text={"window": window}).spec.inputs[0].shape == (window,)


@pytest.mark.parametrize("task", ["classification", "text_to_text"])
def test_other_tasks_refuse_a_running_text(tmp_path, task):
    with pytest.raises(ValueError, match=rf"^Task {task} needs .*Received: .*\. Choose "):
        load(write(tmp_path / "x.txt"), task)
