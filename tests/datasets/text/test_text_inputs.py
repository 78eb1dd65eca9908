"""Texts to predict: written on the command line, in files of one text, and in tables."""

import json

import pytest

from dltemplates.datasets.features import class_value
from dltemplates.datasets.prediction_inputs import read_inputs
from dltemplates.datasets.spec import DatasetSpec
from dltemplates.datasets.text.text_inputs import read_texts
from dltemplates.features import Column, Tokens

VOCABULARY = ("good", "bad", "film", ".")
TOKENS = Tokens(name="text", dtype="int32", shape=(5,), vocabulary=VOCABULARY)
OF_TABLE = TOKENS.model_copy(update={"columns": (Column(name="body", kind="text"),)})


def spec_of(value=TOKENS):
    return DatasetSpec(inputs=(value,), targets=(class_value(("no", "yes")),), sizes={}, fingerprint="")


def read(*inputs, value=TOKENS):
    return list(read_texts(inputs, value, spec_of(value)))


def test_written_texts_need_no_file():
    assert read("good film", "x/y", "") == [("good film", ""), ("x/y", ""), ("", "")]


def test_a_txt_file_is_one_text(tmp_path):
    path = tmp_path / "review.txt"
    path.write_bytes("\ufeffgood\r\nfilm \n".encode())
    assert read(path, str(path)) == [("good\nfilm", str(path))] * 2


@pytest.mark.parametrize(
    ("name", "data", "lines"),
    [
        ("x.tsv", "text\tlabel\ngood\tyes\nbad\tno", (2, 3)),
        ("x.tsv", "good\nbad", (1, 2)),
        ("x.csv", "label,Review\nyes,good\nno,bad", (2, 3)),
        ("x.csv", "sentence\ngood\nbad", (2, 3)),
        ("x.jsonl", "\n".join(json.dumps({"id": 1, "text": text}) for text in ("good", "bad")), (1, 2)),
    ],
)
def test_a_table_has_a_text_in_each_row_and_needs_no_class(tmp_path, name, data, lines):
    (tmp_path / name).write_text(data)
    expected = [(text, f"line {line} of {tmp_path / name}") for text, line in zip(("good", "bad"), lines, strict=True)]
    assert read(tmp_path / name) == expected


def test_the_column_of_the_training_data_is_read(tmp_path):
    path = tmp_path / "x.csv"
    path.write_text("text,body\nno,good")
    assert [text for text, _ in read(path, value=OF_TABLE)] == ["good"]
    path.write_text("id,body\n1,good")
    assert [text for text, _ in read(path, value=OF_TABLE)] == ["good"]


@pytest.mark.parametrize(
    ("name", "data", "match"),
    [
        ("none.txt", None, r"must exist\. Received: .*none\.txt\. Check the path"),
        ("none.tsv", None, r"must exist\. Received: .*none\.tsv"),
        ("x.csv", "1,good", r"must have the column of the texts, text\. Received: .*x\.csv with 1, 2\. Rename one"),
    ],
)
def test_files_that_hold_no_texts_are_refused(tmp_path, name, data, match):
    if data:
        (tmp_path / name).write_text(data)
    with pytest.raises(ValueError, match=match):
        read(tmp_path / name)


def test_the_column_of_the_training_data_is_named_where_it_is_missing(tmp_path):
    (tmp_path / "x.csv").write_text("label,other\nyes,good")
    with pytest.raises(ValueError, match=r"the column of the texts, body\. Received: .* with label, other\."):
        read(tmp_path / "x.csv", value=OF_TABLE)


def test_unknown_tokens_are_said_and_not_refused():
    known, some = read_inputs(TOKENS, spec_of(), ["good film", "a good film!"])
    assert (known.name, known.remarks) == ("good film", {})
    assert some.remarks == {"unknown": ["a", "!"]}
    assert some.arrays["text"].tolist() == [[1, 4, 6, 1, 0]]


def test_a_refused_text_of_a_file_is_named(tmp_path):
    path = tmp_path / "x.tsv"
    for text, match in (("", "an empty text"), ("good " * 6, "Received: 6 in"), ("좋아요", "which has none")):
        path.write_text(f"text\tlabel\ngood\tyes\n{text}\tno")
        with pytest.raises(ValueError, match=rf"^line 3 of .*x\.tsv: A text must .*{match}"):
            list(read_inputs(TOKENS, spec_of(), [path]))
    with pytest.raises(ValueError, match=r"^A text must have a token\. Received: an empty text"):
        list(read_inputs(TOKENS, spec_of(), [" "]))
    with pytest.raises(ValueError, match=r"must be a text to predict\. Received: none\. Write one"):
        list(read_inputs(TOKENS, spec_of(), []))
