"""Tables of texts: columns with and without names, quotes, encodings, and rows that break a rule."""

import json

import pytest

from dltemplates.datasets.text.text_tables import read_text_table
from dltemplates.settings import TextSettings

ROWS = (("a film", "yes"), ("no film", "no"), ("films, and films", "yes"))
NAMED = ("text", "label")


def delimited(separator, *, names=NAMED, rows=ROWS):
    """Return rows as text; cells with the separator are in quotes."""
    rows = [*([names] if names else []), *rows]
    return "\n".join(separator.join(f'"{cell}"' if separator in cell else cell for cell in row) for row in rows)


def read(path, data, *, names=(), **settings):
    path.write_bytes(data if isinstance(data, bytes) else data.encode())
    return read_text_table(path, TextSettings(**settings), names=names)


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("x.csv", delimited(",")),
        ("x.csv", delimited(";")),
        ("x.csv", delimited("\t")),
        ("x.tsv", delimited("\t")),
        ("x.TSV", delimited("\t").replace("\n", "\r\n")),
        ("x.tsv", delimited("\t").replace("\n", "\r")),
        ("x.tsv", "\ufeff" + delimited("\t")),
        ("x.tsv", delimited("\t").replace("\n", "\n\n")),
        ("x.tsv", delimited("\t").replace("a film", '"a film"')),
        ("x.jsonl", "\n".join(json.dumps(dict(zip(NAMED, row, strict=True))) for row in ROWS)),
        ("x.jsonl", "\n".join(json.dumps(dict(zip(NAMED, row, strict=True))) + "\n" for row in ROWS)),
        ("x.csv", delimited(",").encode("utf-16")),
    ],
)
def test_every_file_holds_the_same_table(tmp_path, name, data):
    table = read(tmp_path / name, data)
    assert table.columns == NAMED
    assert table.rows == ROWS
    assert table.column("label") == ["yes", "no", "yes"]
    assert list(table.lines) == sorted(table.lines)
    assert not any("first row" in remark for remark in table.remarks)


@pytest.mark.parametrize("name", ["x.csv", "x.tsv"])
def test_the_first_row_is_an_example_unless_it_has_a_known_name(tmp_path, name):
    separator = {"x.csv": ",", "x.tsv": "\t"}[name]
    plain = read(tmp_path / name, delimited(separator, names=None))
    assert (plain.columns, plain.rows) == (("1", "2"), ROWS)
    assert list(plain.lines) == [1, 2, 3]
    assert plain.remarks == (f"{name}: the first row is an example, and the columns are 1, 2",)
    unusual = delimited(separator, names=("utterance", "intent"))
    assert read(tmp_path / name, unusual).columns == ("1", "2")
    assert read(tmp_path / name, unusual, names=("intent",)).columns == ("utterance", "intent")
    assert read(tmp_path / name, delimited(separator, names=("Review", "stars"))).columns == ("Review", "stars")


def test_a_class_called_as_a_column_is_no_name(tmp_path):
    rows = (("good", "y"), ("bad", "n"), ("fine", "y"))
    table = read(tmp_path / "x.tsv", delimited("\t", names=None, rows=rows))
    assert (table.columns, table.rows) == (("1", "2"), rows)


def test_the_quotes_of_a_text_stay(tmp_path):
    table = read(tmp_path / "x.tsv", 'text\tlabel\nhe said "no"\tyes\n"all ""of"" it"\tno\n"\tno')
    assert table.column("text") == ['he said "no"', 'all "of" it', '"']


def test_quoted_cells_may_hold_line_breaks_and_tabs(tmp_path):
    table = read(tmp_path / "x.tsv", 'text\tlabel\n"one\nline\tmore"\tyes\nother\tno')
    assert table.column("text") == ["one\nline\tmore", "other"]


def test_only_line_breaks_end_a_line(tmp_path):
    """`str.splitlines` would split at these characters, which stand in texts from the web."""
    text = "one\u2028two\x0bthree\x85four"
    assert read(tmp_path / "x.tsv", f"text\tlabel\n{text}\tyes\n").rows == ((text, "yes"),)
    line = json.dumps({"text": text, "label": "yes"}, ensure_ascii=False)
    assert read(tmp_path / "x.jsonl", line).rows == ((text, "yes"),)


def test_korean_in_its_older_encoding_is_read_where_it_is_named(tmp_path):
    data = "text\tlabel\n영화가 좋아요\t좋음\n".encode("cp949")
    table = read(tmp_path / "x.tsv", data, encoding="cp949")
    assert table.rows == (("영화가 좋아요", "좋음"),)
    assert table.encoding == "cp949"


def test_values_of_json_become_text(tmp_path):
    table = read(tmp_path / "x.jsonl", '{"text": "a", "label": 1.5}\n{"label": null, "text": " b "}')
    assert table.rows == (("a", "1.5"), ("b", ""))
    assert list(table.lines) == [1, 2]


@pytest.mark.parametrize(
    ("name", "data", "match"),
    [
        ("x.tsv", "", r"must have rows\. Received: .*x\.tsv, which has none\. Add some"),
        ("x.csv", "", r"Received: .*x\.csv"),
        ("x.jsonl", "\n\n", r"must have rows\. Received: .*x\.jsonl, which has none"),
        ("x.tsv", "text\tlabel\n", r"must have rows\. Received: .*x\.tsv, only column names\. Add some"),
        ("x.tsv", "text\ttext\na\tb", r"different names\. Received: text, text in .*x\.tsv\. Rename one"),
        ("x.csv", "text,label,label\na,b,c", r"different names\. Received: text, label, label in .*Rename one"),
        ("x.tsv", "text\tlabel\na\tb\nc", r"must have 2 cells\. Received: 1 in line 3 of .*x\.tsv\. Complete it"),
        ("x.csv", "text,label\na,b,c", r"must have 2 cells\. Received: 3 in line 2 of .*or put cells .* in quotes"),
        ("x.jsonl", '{"text": "a"', r"must be a JSON object\. Received: line 1 of .*x\.jsonl \(.*\)\. Correct it"),
        ("x.jsonl", '{"text": "a"}\n[1]', r"with the keys of the first\. Received: list in line 2 of .*Correct it"),
        ("x.jsonl", '{"text": "a"}\n{"test": "b"}', r"Received: the keys test in line 2 of .*x\.jsonl"),
        ("x.jsonl", b'{"text": "\xff\x00"}', r"must be text in UTF-8\. Received: .*encoding=NAME"),
        ("x.tsv", b"text\tlabel\n\x81\x00\tb", r"must be a CSV file in UTF-8\. Received: .*encoding=NAME"),
    ],
)
def test_a_broken_file_is_refused_in_one_line(tmp_path, name, data, match):
    with pytest.raises(ValueError, match=match) as error:
        read(tmp_path / name, data)
    assert "\n" not in str(error.value)
