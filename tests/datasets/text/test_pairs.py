"""Pairs of texts: tables and line-aligned files, their vocabulary and lengths, and refused files."""

import gzip
import json
import re

import numpy as np
import pytest
from texts import korean

from conftest import load_data
from dltemplates.datasets.text.pairs import Pairs, pair_dataset
from dltemplates.features.tokens import END
from dltemplates.settings import DatasetSettings, TextSettings

PAIRS = [(text, f"{text[::-1]}.") for text, _ in korean()]
CHARACTERS = {"tokenizer": "characters"}
ALIGNED = {"source": "ko", "target": "rev"}


def load(path, task="text_to_text", *, reference=None, whole=False, text=None, **settings):
    text = CHARACTERS | (text or {}) if text != {} else None
    return load_data(DatasetSettings(name=str(path), text=text, **settings), task, reference=reference, whole=whole)


def everything(dataset):
    """Return the pairs of all splits, sorted."""
    (source,), (target,) = dataset.spec.inputs, dataset.spec.targets
    found = []
    for part in dataset.splits.values():
        arrays = part.read(np.arange(len(part)))
        found += zip(map(source.text, arrays["source"]), map(target.text, arrays["target"]), strict=True)
    return sorted(found)


def write_table(path, rows=PAIRS, names=("source", "target")):
    separator = {".tsv": "\t", ".csv": ","}[path.suffix]
    path.write_text("\n".join(map(separator.join, [names, *rows] if names else rows)), encoding="utf-8")
    return path


def write_json(path, names=("question", "answer")):
    lines = [json.dumps(dict(zip(names, row, strict=True)), ensure_ascii=False) for row in PAIRS]
    path.write_text("\n".join(lines), encoding="utf-8")
    return path


def write_lines(folder, *, packed=False, **splits):
    """Write line-aligned files of some splits, by default of one."""
    folder.mkdir(exist_ok=True)
    for split, rows in (splits or {"train": PAIRS}).items():
        for place, suffix in enumerate(("ko", "rev")):
            data = "".join(f"{row[place]}\n" for row in rows).encode()
            path = folder / f"{split}.{suffix}"
            if packed:
                path.with_name(f"{path.name}.gz").write_bytes(gzip.compress(data))
            else:
                path.write_bytes(data)
    return folder


@pytest.mark.parametrize(
    ("name", "write", "text"),
    [
        ("x.tsv", write_table, None),
        ("x.csv", write_table, None),
        ("x.tsv", lambda path: write_table(path, names=None), None),
        ("x.csv", lambda path: write_table(path, names=("src", "translation")), None),
        ("x.jsonl", write_json, None),
        ("x.jsonl", lambda path: write_json(path, ("anything", "else")), None),
        ("x.csv", lambda path: write_table(path, [(b, "note", a) for a, b in PAIRS], ("en", "note", "ko")),
         {"source": "ko", "target": "en"}),
        ("x.tsv", lambda path: write_table(path, [(b, "note", a) for a, b in PAIRS], None),
         {"source": "3", "target": "1"}),
        ("folder", write_lines, ALIGNED),
        ("folder", lambda path: write_lines(path, packed=True), ALIGNED),
    ],
)  # fmt: skip
def test_every_format_holds_the_same_pairs(tmp_path, name, write, text):
    dataset = load(write(tmp_path / name), text=text, split_seed=2)
    (source,), (target,) = dataset.spec.inputs, dataset.spec.targets
    assert (source.name, source.dtype, source.shape, source.with_end) == ("source", "int32", (15,), False)
    assert (target.name, target.dtype, target.shape, target.with_end) == ("target", "int32", (17,), True)
    assert source.vocabulary == target.vocabulary
    assert sum(dataset.spec.sizes.values()) == len(PAIRS)
    assert everything(dataset) == sorted(PAIRS)
    assert dataset.spec.skipped == {}


def test_a_target_ends_with_the_end(tmp_path):
    dataset = load(write_table(tmp_path / "x.tsv"))
    target = dataset.split("train").read(np.arange(20))["target"]
    assert ((target == END).sum(axis=1) == 1).all()
    lengths = (target != 0).sum(axis=1)
    assert (target[np.arange(20), lengths - 1] == END).all()
    source = dataset.split("train").read(np.arange(20))["source"]
    assert not (source == END).any()


def test_the_vocabulary_is_that_of_both_sides_of_the_training_pairs(tmp_path):
    folder = write_lines(
        tmp_path / "folder", train=[("ab", "bc")] * 2 + [("a", "d")] * 2, valid=[("x", "a")], test=[("b", "y")]
    )
    dataset = load(folder, text=ALIGNED, duplicates="keep")
    assert dataset.spec.sizes == {"train": 4, "validation": 1, "test": 1}
    assert dataset.spec.inputs[0].vocabulary == ("a", "b", "c", "d")
    assert dataset.split("validation").read(np.arange(1))["source"].tolist() == [[1, 0]]
    assert dataset.split("test").read(np.arange(1))["target"].tolist() == [[1, END, 0]]


def test_subwords_are_learned_from_both_sides_and_set_the_lengths(tmp_path):
    rows = [
        (f"私は{place}匹の猫が大好きです。今日はとても良い天気ですね", f"I love {place} cats") for place in range(60)
    ]
    dataset = load(write_table(tmp_path / "x.tsv", rows), text={"tokenizer": "subwords", "vocabulary_size": 70})
    (source,), (target,) = dataset.spec.inputs, dataset.spec.targets
    assert source.vocabulary == target.vocabulary
    assert len(source.vocabulary) == 70
    lengths = {value.name: [len(value.ids(row[side])) for row in rows] for side, value in enumerate((source, target))}
    assert source.shape == (max(lengths["source"]),)
    assert target.shape == (max(lengths["target"]) + 1,)
    assert everything(dataset) == sorted(rows)
    other = load(tmp_path / "x.tsv", text={"tokenizer": "subwords", "vocabulary_size": 70, "max_length": 50})
    assert (other.spec.inputs[0].shape, other.spec.targets[0].shape) == ((50,), (51,))


@pytest.mark.parametrize("packed", [False, True])
def test_splits_have_files_of_their_own(tmp_path, packed):
    folder = write_lines(tmp_path / "x", packed=packed, train=PAIRS[:24], dev=PAIRS[24:30], test=PAIRS[30:])
    assert load(folder, text=ALIGNED).spec.sizes == {"train": 24, "validation": 6, "test": 10}
    tables = tmp_path / "tables"
    tables.mkdir()
    write_table(tables / "train.tsv", PAIRS[:30])
    write_table(tables / "test.tsv", PAIRS[30:])
    assert load(tables).spec.sizes["test"] == 10


def test_a_pair_with_an_empty_side_is_left_out_and_said(tmp_path):
    path = write_table(tmp_path / "x.csv", [("", "a"), ("b", " "), *PAIRS])
    dataset = load(path)
    assert dataset.spec.skipped == {"x.csv line 2": "no source", "x.csv line 3": "no target"}
    assert everything(dataset) == sorted(PAIRS)
    folder = write_lines(tmp_path / "folder", train=[("", "a"), ("b", " "), *PAIRS])
    dataset = load(folder, text=ALIGNED)
    assert dataset.spec.skipped == {"train line 1": "no text in train.ko", "train line 2": "no text in train.rev"}
    assert everything(dataset) == sorted(PAIRS)


@pytest.mark.parametrize(("truncate", "expected"), [("end", "영화"), ("start", "아요")])
def test_longer_texts_are_cut_only_where_that_is_set(tmp_path, truncate, expected):
    path = write_table(tmp_path / "x.tsv", [("영화가 좋아요", "영화가 좋아요")] * 9 + PAIRS)
    with pytest.raises(ValueError, match=r"at most 2 tokens\. Received: 15 in `source`, .*truncate=end"):
        load(path, text={"max_length": 2})
    dataset = load(path, text={"max_length": 2, "truncate": truncate})
    assert (dataset.spec.inputs[0].shape, dataset.spec.targets[0].shape) == ((2,), (3,))
    assert (expected, expected) in everything(dataset)
    arrays = dataset.split("train").read(np.arange(dataset.spec.sizes["train"]))
    assert (arrays["target"][:, -1] == END).all()


def test_other_pairs_keep_the_tokens_and_columns_of_the_network(tmp_path):
    spec = load(write_table(tmp_path / "x.csv", names=("ko", "rev")), text={"source": "ko", "target": "rev"}).spec
    other = write_table(tmp_path / "y.csv", [("x", "영화가 zz", "q")], ("rev", "ko", "note"))
    dataset = load(other, reference=spec, whole=True, text={})
    assert (dataset.spec.inputs, dataset.spec.targets) == (spec.inputs, spec.targets)
    arrays = dataset.split("all").read(np.arange(1))
    assert arrays["source"][0, :6].tolist() == [*spec.inputs[0].ids("영화가 "), 1, 1]
    write_table(other, [("x", "영화가")], ("a", "b"))
    with pytest.raises(ValueError, match=r"the columns `ko` and `rev`\. Received: no `ko`\. There are: 1, 2\. Rename"):
        load(other, reference=spec, whole=True, text={})


@pytest.mark.parametrize(
    ("rows", "names", "text", "match"),
    [
        ([(a,) for a, _ in PAIRS], ("source",), {}, r"to write\. Received: one, source, in .*x\.tsv\. Add the other"),
        ([(*row, "x") for row in PAIRS], None, {}, r"no `dataset\.text\.source` .*columns are 1, 2, 3\..*source=1"),
        ([(*row, "x") for row in PAIRS], ("source", "b", "c"), {}, r"no `dataset\.text\.target` .*are source, b, c\."),
        (PAIRS, ("source", "target"), {"source": "ko"}, r"Received: no column `ko` .*columns are source, target\."),
        (PAIRS, ("source", "target"), {"source": "target"}, r"must differ\. Received: target for both, in .*x\.tsv"),
        ([("", ""), (" ", " ")], ("source", "target"), {}, r"have rows\. Received: .*only column names\. Add some"),
        ([("a", "")] * 3, ("source", "target"), {}, r"must have pairs\. Received: none in train\. Add some"),
        (PAIRS, None, {"vocabulary_size": 1000}, r"must be at most \d+, .*Received: 1000\. Lower it"),
        (PAIRS, None, {"min_frequency": 1000}, r"occurs 1000 times in the training texts\. Received: none of"),
        (PAIRS, None, {"tokenizer": "subwords", "vocabulary_size": 9999}, r"at most \d+\. Received: 9999\. Change it"),
    ],
)  # fmt: skip
def test_wrong_tables_are_refused(tmp_path, rows, names, text, match):
    with pytest.raises(ValueError, match=match) as error:
        load(write_table(tmp_path / "x.tsv", rows, names), text=CHARACTERS | text)
    assert "\n" not in str(error.value)


def test_splits_must_have_the_same_columns(tmp_path):
    write_table(tmp_path / "train.tsv")
    write_table(tmp_path / "test.tsv", names=("target", "source"))
    with pytest.raises(ValueError, match=r"Received: source, target in train but target, source in test\. Rename"):
        load(tmp_path)


def test_each_split_must_have_pairs(tmp_path):
    write_table(tmp_path / "train.tsv")
    write_table(tmp_path / "test.tsv", [("", "a"), ("b", "")])
    with pytest.raises(ValueError, match=r"must have pairs\. Received: none in test\. Add some, or remove its files"):
        load(tmp_path)


def test_wrong_folders_are_refused(tmp_path):
    folder = write_lines(tmp_path / "x", train=PAIRS)
    for path, text, match in (
        (tmp_path / "none.tsv", {}, r"must be a table, or a folder .*Received: .*none\.tsv\. Check the path"),
        (folder, {}, r"Received: .*x\. Check the path; for files such as train\.de .*--set dataset\.text\.source=de"),
        (folder, {"source": "ko"}, r"a folder of line-aligned files\. Received: .*x\. Check the path"),
        (folder, {"source": "de", "target": "en"}, r"train\.de and train\.en\. Received: train\.ko, train\.rev"),
        (folder, {"source": "ko", "target": "en"}, r"Received: train\.ko without train\.en in .*x\. Add it"),
    ):  # fmt: skip
        with pytest.raises(ValueError, match=match) as error:
            load(path, text=text or CHARACTERS)
        assert "\n" not in str(error.value)


def test_line_aligned_files_have_as_many_lines(tmp_path):
    folder = write_lines(tmp_path / "x")
    (folder / "train.rev").write_text("one\ntwo\n")
    with pytest.raises(
        ValueError, match=r"as many lines\. Received: 40 in train\.ko but 2 in train\.rev\. Line n of one"
    ):
        load(folder, text=ALIGNED)


@pytest.mark.parametrize(
    "damage", [lambda data: data[:-12], lambda data: b"no" + data[2:], lambda data: data[:20] + b"xx" + data[22:]]
)
def test_a_damaged_packed_file_is_refused(tmp_path, damage):
    path = write_lines(tmp_path / "x", packed=True) / "train.ko.gz"
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(
        ValueError, match=r"must be whole\. Received: .*train\.ko\.gz \(.*\)\. Download or pack it again"
    ):
        load(tmp_path / "x", text=ALIGNED)


def test_the_last_line_may_end_or_not(tmp_path):
    folder = write_lines(tmp_path / "x")
    path = folder / "train.rev"
    path.write_bytes(path.read_bytes().removesuffix(b"\n").replace(b"\n", b"\r\n"))
    assert everything(load(folder, text=ALIGNED, split_seed=2)) == sorted(PAIRS)


def test_pairs_given_by_a_program_need_a_pair():
    with pytest.raises(ValueError, match=r"must have pairs\. Received: none in train\. Add some"):
        pair_dataset(Pairs({"train": ([], [])}), TextSettings())


@pytest.mark.parametrize("task", ["classification", "language_modeling"])
def test_other_tasks_refuse_pairs(tmp_path, task):
    path = write_table(tmp_path / "x.tsv")
    with pytest.raises(ValueError, match=rf"^Task {task} needs .*Received: .*\. Choose ") as error:
        load(path, task, text={"source": "source", "target": "target"})
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("tokenizer", ["characters", "subwords"])
def test_cut_pairs_are_said(tmp_path, tokenizer):
    path = write_table(tmp_path / "x.tsv", [("ab" * (number + 20), "ab" * number) for number in range(1, 31)])
    vocabulary = {"vocabulary_size": 4} if tokenizer == "subwords" else {}
    text = {"tokenizer": tokenizer, "max_length": 10, "truncate": "end"} | vocabulary
    warnings = " ".join(load(path, text=text).spec.warnings)
    assert re.search(r"30 texts of `source` are longer than 10 tokens: their end is cut", warnings)
    assert re.search(r"\d+ texts of `target` are longer than 10 tokens: their end is cut", warnings)
