"""The user's texts with a class or a number: tables and folders, their splits, vocabulary, and refused input."""

import json

import numpy as np
import pytest
from texts import CLASSES, korean, write_korean

from conftest import load_data
from dltemplates.settings import DatasetSettings

ROWS = korean()
CHARACTERS = {"tokenizer": "characters"}


def load(path, task="classification", *, reference=None, whole=False, text=CHARACTERS, **settings):
    data = DatasetSettings(name=str(path), text=text, **settings)
    return load_data(data, task, reference=reference, whole=whole)


def everything(dataset):
    """Return the texts of all splits with their classes, in an order of their own."""
    (value,), (target,) = dataset.spec.inputs, dataset.spec.targets
    found = []
    for source in dataset.splits.values():
        arrays = source.read(np.arange(len(source)))
        classes = [target.classes[label] for label in arrays[target.name]]
        found += zip(map(value.text, arrays["text"]), classes, strict=True)
    return sorted(found)


def write_table(path, rows=ROWS, names=("text", "label")):
    separator = {".tsv": "\t", ".csv": ","}[path.suffix]
    path.write_text("\n".join(map(separator.join, [names, *rows] if names else rows)), encoding="utf-8")
    return path


def write_lines(path):
    lines = [json.dumps({"text": text, "label": label}, ensure_ascii=False) for text, label in ROWS]
    path.write_text("\n".join(lines), encoding="utf-8")
    return path


def write_folder(path, rows=ROWS):
    for place, (text, label) in enumerate(rows):
        (path / label).mkdir(parents=True, exist_ok=True)
        (path / label / f"{place:02}.txt").write_text(text + "\n", encoding="utf-8")
    return path


@pytest.mark.parametrize(
    ("name", "write"),
    [
        ("x.tsv", write_korean),
        ("x.csv", write_table),
        ("x.jsonl", write_lines),
        ("folder", write_folder),
        ("x.csv", lambda path: write_table(path, names=None)),
        ("x.tsv", lambda path: write_table(path, [row[::-1] for row in ROWS], names=None)),
        ("x.tsv", lambda path: write_table(path, names=("whatever", "y"))),
    ],
)
def test_every_format_holds_the_same_texts(tmp_path, name, write):
    # Validation and test have no unknown characters, so that the texts can be compared.
    dataset = load(write(tmp_path / name), text=CHARACTERS, split_seed=2)
    (value,), (target,) = dataset.spec.inputs, dataset.spec.targets
    assert (value.name, value.kind, value.dtype, value.shape) == ("text", "tokens", "int32", (15,))
    assert (target.kind, target.classes) == ("class", CLASSES)
    assert sum(dataset.spec.sizes.values()) == len(ROWS)
    assert everything(dataset) == sorted(ROWS)


def test_the_vocabulary_is_that_of_the_training_texts(tmp_path):
    rows = [(f"common {label} {label}{place}", label) for place in range(40) for label in ("no", "yes")]
    dataset = load(write_table(tmp_path / "x.tsv", rows), text={"min_frequency": 1})
    (value,) = dataset.spec.inputs
    arrays = {split: source.read(np.arange(len(source)))["text"] for split, source in dataset.splits.items()}
    assert len(value.vocabulary) == 3 + dataset.spec.sizes["train"]
    assert value.vocabulary[0] == "common"
    assert (arrays["train"] != 1).all()
    for split in ("validation", "test"):
        assert (arrays[split] == 1).sum(axis=1).tolist() == [1] * len(arrays[split])


def test_a_folder_of_files_is_the_splits(tmp_path):
    for split, count in (("train", 24), ("valid", 6), ("test", 10)):
        write_table(tmp_path / f"{split}.tsv", ROWS[:count])
    assert load(tmp_path, duplicates="keep").spec.sizes == {"train": 24, "validation": 6, "test": 10}


def test_folders_of_classes_below_folders_of_splits(tmp_path):
    write_folder(tmp_path / "train", ROWS[:32])
    write_folder(tmp_path / "test", ROWS[32:])
    (tmp_path / "train" / "notes.txt").write_text("About the texts")
    dataset = load(tmp_path)
    assert dataset.spec.sizes["test"] == 8
    assert dataset.spec.sizes["train"] + dataset.spec.sizes["validation"] == 32


def test_the_columns_are_chosen_by_their_names_or_the_settings(tmp_path):
    rows = [(str(place), text, "note", label) for place, (text, label) in enumerate(ROWS)]
    for names, settings in (
        (("id", "review", "remark", "label"), {}),
        (("id", "text", "title", "kind"), {"target": "kind", "text": {**CHARACTERS, "column": "text"}}),
        (None, {"target": "4", "text": {**CHARACTERS, "column": "2"}}),
    ):
        dataset = load(write_table(tmp_path / "x.tsv", rows, names), **settings)
        assert dataset.spec.inputs[0].columns[0].kind == "text"
        assert dataset.spec.targets[0].classes == CLASSES


def test_the_names_of_columns_may_be_numbers_on_the_command_line():
    settings = DatasetSettings(name="x.tsv", target=3, text={"column": 2})
    assert (settings.target, settings.text.column) == ("3", "2")


def test_a_row_without_a_text_or_a_class_is_left_out_and_said(tmp_path):
    path = write_table(tmp_path / "x.tsv", [("", "좋음"), ("영화", ""), *ROWS])
    dataset = load(path)
    assert dataset.spec.skipped == {"x.tsv line 2": "no text", "x.tsv line 3": "no label"}
    assert sum(dataset.spec.sizes.values()) == len(ROWS)
    folder = write_folder(tmp_path / "folder", [(" ", "좋음"), *ROWS])
    assert load(folder).spec.skipped == {"좋음/00.txt": "no text"}


def test_numbers_to_predict(tmp_path):
    path = write_table(tmp_path / "x.tsv", [(text, str(len(text))) for text, _ in ROWS])
    (target,) = load(path, "regression").spec.targets
    assert (target.kind, target.shape) == ("number", (1,))
    assert 8 < target.mean[0] < 16


def test_longer_texts_are_cut_only_where_that_is_set_and_it_is_said(tmp_path):
    path = write_korean(tmp_path / "x.tsv")
    for truncate in ("end", "start"):
        dataset = load(path, text={**CHARACTERS, "max_length": 12, "truncate": truncate})
        assert dataset.spec.inputs[0].shape == (12,)
        (warning,) = [text for text in dataset.spec.warnings if "cut" in text]
        assert f"the longest 15 (line 9 of x.tsv): their {truncate} is cut" in warning
    assert load(path, text={**CHARACTERS, "max_length": 20}).spec.inputs[0].shape == (20,)


def test_other_data_keeps_the_tokens_and_classes_of_the_network(tmp_path):
    spec = load(write_korean(tmp_path / "x.tsv")).spec
    few = write_table(tmp_path / "few.tsv", [("영화가 Zz", "좋음")] * 3, names=("text", "label"))
    dataset = load(few, reference=spec, whole=True, text=None)
    assert dataset.spec.inputs == spec.inputs
    assert dataset.spec.targets[0].classes == CLASSES
    arrays = dataset.split("all").read(np.arange(3))
    assert arrays["text"][0].tolist()[:6] == [*spec.inputs[0].ids("영화가 "), 1, 1]
    assert arrays["label"].tolist() == [1, 1, 1]
    named = load(write_table(tmp_path / "n.tsv", names=("body", "stars")), target="stars").spec
    assert load(tmp_path / "n.tsv", reference=named, whole=True, text=None).spec.inputs == named.inputs


@pytest.mark.parametrize(
    ("rows", "names", "settings", "match"),
    [
        ([("", "a")] * 9, ("text", "label"), {}, r"Each split must have texts\. Received: none in train\. Add some"),
        (ROWS, ("text", "label"), {"target": "kind"}, r"`text` and `kind`\. Received: no `kind`\. There are: text"),
        (ROWS, ("text", "label"), {"text": {"column": "body"}}, r"`body` and `label`\. Received: no `body`\."),
        (ROWS, ("text", "label"), {"text": {"column": "label"}, "target": "label"}, "Received: label for both"),
        ([(text,) for text, _ in ROWS], ("text",), {}, r"one to predict\. Received: one, text\. Add the other"),
        (
            [(str(place), *row) for place, row in enumerate(ROWS)],
            None,
            {},
            r"the column to predict\. Received: no `dataset\.target`\. The columns are 1, 2, 3\. .*dataset\.target=3",
        ),
        (
            [(str(place), *row) for place, row in enumerate(ROWS)],
            None,
            {"target": "3"},
            r"with the texts\. Received: no `dataset\.text\.column`\. The columns are 1, 2, 3\. .*text\.column=2",
        ),
        ([(text, "good") for text, _ in ROWS], ("text", "label"), {}, r"two classes\. Received: one, 'good'\. Add"),
        (
            ROWS,
            ("text", "label"),
            {"text": {**CHARACTERS, "max_length": 14}},
            r"at most 14 tokens\. Received: \d+ of 40 texts are longer than 14 tokens, the longest 15 \(line 9 of "
            r"x.tsv\)\. Shorten them, or train with a larger `dataset\.text\.max_length`, or with --set .*truncate=end",
        ),
    ],
)  # fmt: skip
def test_wrong_tables_are_refused(tmp_path, rows, names, settings, match):
    path = write_table(tmp_path / "x.tsv", rows, names)
    with pytest.raises(ValueError, match=match) as error:
        load(path, **settings)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("number", ["many", "", "nan", "1e39", "inf"])
def test_a_number_to_predict_must_be_finite(tmp_path, number):
    path = write_table(tmp_path / "x.tsv", [("a", number or "x"), *((text, "1") for text, _ in ROWS)])
    with pytest.raises(ValueError, match=r"must be a finite number\. Received: '.*' in line 2 of x\.tsv\. Correct it"):
        load(path, "regression")


@pytest.mark.parametrize(
    ("name", "match"),
    [
        ("none.tsv", r"\.jsonl file, or a folder\. Received: .*none\.tsv \(no such path\)\. Check the spelling"),
        ("notes.md", r"Received: .*notes\.md \(a file of another kind\)"),
        ("empty", r"a folder of \.txt files for each class\. Received: none in .*empty\. Add them, or name a \.csv"),
    ],
)
def test_wrong_paths_are_refused(tmp_path, name, match):
    (tmp_path / "notes.md").write_text("notes")
    (tmp_path / "empty" / "class").mkdir(parents=True)
    (tmp_path / "empty" / "class" / "x.md").write_text("no text")
    with pytest.raises(ValueError, match=match):
        load(tmp_path / name)


def test_splits_must_have_the_same_columns(tmp_path):
    write_table(tmp_path / "train.tsv")
    write_table(tmp_path / "test.tsv", names=("text", "y"))
    with pytest.raises(ValueError, match=r"same columns\. Received: text, label in train but text, y in test\. Rename"):
        load(tmp_path)


def test_each_split_must_have_texts(tmp_path):
    write_table(tmp_path / "train.tsv")
    write_table(tmp_path / "test.tsv", [("", "좋음")])
    with pytest.raises(ValueError, match=r"must have texts\. Received: none in test\. Add some, or remove its files"):
        load(tmp_path)


def test_subwords_set_the_length(tmp_path):
    text = {"tokenizer": "subwords", "vocabulary_size": 70}
    (value,) = load(write_korean(tmp_path / "x.tsv"), text=text).spec.inputs
    assert value.shape == (max(len(value.ids(text)) for text, _ in ROWS),)
    assert value.shape[0] > max(len(text.split()) for text, _ in ROWS)


def test_a_class_that_the_network_does_not_know_is_refused(tmp_path):
    spec = load(write_korean(tmp_path / "x.tsv")).spec
    other = write_table(tmp_path / "y.tsv", [("영화가 좋아요", "보통"), *ROWS])
    with pytest.raises(ValueError, match=r"the classes of the network, 나쁨, 좋음\. Received: 보통, which it was not"):
        load(other, reference=spec, whole=True, text=None)
