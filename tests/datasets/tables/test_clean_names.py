"""Names and texts of tables in another Unicode form, or on several lines."""

import json
import unicodedata

import numpy as np
import pandas as pd
import pytest

from conftest import load_data
from dltemplates.datasets.tables.clean_names import clean_frames
from dltemplates.datasets.tables.csv_table import csv_table
from dltemplates.datasets.tables.row_inputs import read_rows
from dltemplates.settings import DatasetSettings, Named


def nfc(text):
    return unicodedata.normalize("NFC", text)


def nfd(text):
    return unicodedata.normalize("NFD", text)


DOG, CAT, SIZE, COLOUR = "강아지", "고양이", "größe", "색깔"
CLASSES = tuple(sorted((DOG, CAT)))


def table(form=nfc, count=40, **changes):
    random = np.random.default_rng(0)
    columns = {
        form(SIZE): random.normal(size=count).round(2),
        form(COLOUR): [form("빨강"), form("파랑")] * (count // 2),
        form("동물"): [form(DOG), form(CAT)] * (count // 2),
    }
    return pd.DataFrame(columns | changes)


def write(path, frame):
    frame.to_csv(path, index=False)
    return path


def settings_of(path, **settings):
    return DatasetSettings(name=str(path), **{"target": "동물", "validation": 0.1} | settings)


def with_names(spec, form):
    """Return a spec with its names and texts in a Unicode form."""
    text = form(json.dumps(spec.model_dump(mode="json"), ensure_ascii=False))
    return type(spec).model_validate_json(text)


def of_rules(spec, rules):
    return spec.model_copy(update={"reading_rules": rules})


def test_splits_in_two_forms_are_one_table(tmp_path):
    write(tmp_path / "train.csv", table(nfc))
    write(tmp_path / "test.csv", table(nfd, **{nfd(SIZE): 10.0 + np.arange(40)}))
    dataset = load_data(settings_of(tmp_path))
    assert dataset.spec.targets[0].classes == CLASSES
    assert dataset.spec.inputs[1].columns[0].vocabulary == ("빨강", "파랑")
    assert dataset.spec.unknown == {}
    train, test = (dataset.split(split).read(np.arange(4)) for split in ("train", "test"))
    assert (test["categories"] == [[1], [2], [1], [2]]).all()
    assert set(train["categories"].ravel()) == {1, 2}
    said = [warning.partition(":")[0] for warning in dataset.spec.warnings]
    assert said == [
        "columns that look alike in two Unicode forms are read as one",
        f"texts of column `{COLOUR}` that look alike in two Unicode forms are read as one",
        "texts of column `동물` that look alike in two Unicode forms are read as one",
    ]


@pytest.mark.parametrize("form", [nfc, nfd])
def test_a_table_in_one_form_gives_no_warning(tmp_path, form):
    dataset = load_data(settings_of(write(tmp_path / "t.csv", table(form)), target=SIZE))
    assert dataset.spec.warnings == ()
    assert [column.name for column in dataset.spec.inputs[0].columns] == [COLOUR, "동물"]


def test_settings_name_columns_in_any_form(tmp_path):
    path = write(tmp_path / "t.csv", table(nfd))
    settings = {"target": nfd("동물"), "table": {"columns": {nfd(COLOUR): "skip"}}}
    dataset = load_data(settings_of(path, **settings))
    assert [column.name for column in dataset.spec.inputs[0].columns] == [SIZE]
    assert dataset.spec.targets[0].columns[0].name == "동물"


def test_two_columns_of_one_name_are_refused(tmp_path):
    frame = table(**{nfd(SIZE): range(40)})
    with pytest.raises(ValueError, match=f"different names. Received: {SIZE} twice, in two Unicode forms. Rename one"):
        load_data(settings_of(write(tmp_path / "t.csv", frame)))


@pytest.mark.parametrize(("trained", "new"), [(nfc, nfd), (nfd, nfc)])
@pytest.mark.parametrize("rules", [2, 3])
def test_a_trained_network_reads_data_in_the_other_form(tmp_path, trained, new, rules):
    """By earlier rules, only names are compared in one form: its categories stay as they were read."""
    path = write(tmp_path / "old.csv", table(trained))
    spec = of_rules(load_data(settings_of(path, target="동물")).spec, rules)
    if rules < 3:
        spec = with_names(spec, trained)  # as an earlier version stored them
    assert spec.targets[0].classes == tuple(trained(name) if rules < 3 else name for name in CLASSES)
    dataset = csv_table(write(tmp_path / "new.csv", table(new)), settings_of(tmp_path, target="동물"), reference=spec)
    assert dataset.spec.targets[0].classes == spec.targets[0].classes
    labels = dataset.split("train").column("label")
    assert labels.tolist() == [CLASSES.index(DOG), CLASSES.index(CAT)] * 20
    rows = read_rows(tmp_path / "new.csv", spec.inputs, reference=spec)
    assert len(rows) == 40
    unknown = {tuple(row.unknown) for row in rows}
    assert unknown == ({()} if rules >= 3 else {(trained(COLOUR),)})
    text = f"{new(SIZE)}=1,{new(COLOUR)}={new('파랑')}"
    ((_, arrays, unknown, _),) = read_rows(text, spec.inputs, reference=spec)
    assert (arrays["categories"].tolist(), unknown) == (([[2]], []) if rules >= 3 else ([[0]], [trained(COLOUR)]))


def test_earlier_rules_read_texts_as_they_are_written(tmp_path):
    frame = table(nfc).astype(str)
    frame.loc[:19, "동물"] = frame.loc[:19, "동물"].map(nfd)
    spec = load_data(settings_of(write(tmp_path / "t.csv", table(nfc)))).spec
    frames = clean_frames({"train": frame}, of_rules(spec, 2))
    assert frames["train"].equals(frame)
    assert set(clean_frames({"train": frame}, of_rules(spec, 3))["train"]["동물"]) == {DOG, CAT}


@pytest.mark.parametrize("mark", ["\n", "\t", "\r\n", "\u2028", "\x0b", "\x85"])
def test_texts_on_several_lines_are_read_on_one(tmp_path, mark):
    random = np.random.default_rng(0).normal(size=60)
    frame = pd.DataFrame({f"size{mark}(cm)": random, "y": np.where(random > 0, f"yes{mark}(second line)", "zero")})
    dataset = load_data(settings_of(write(tmp_path / "t.csv", frame), target="y"))
    assert dataset.spec.targets[0].classes == ("yes (second line)", "zero")
    assert dataset.spec.inputs[0].columns[0].name == "size (cm)"
    first, second = dataset.spec.warnings
    assert first.startswith(
        "columns with a line break or another control character are read on one line, such as 'size"
    )
    assert second.startswith("texts of column `y` with a line break or another control character are read on one line")


def test_classes_that_look_alike_are_doubted(tmp_path):
    frame = table(y=["Cat", "cat", "dog", "dog"] * 10)
    (line,) = load_data(settings_of(write(tmp_path / "t.csv", frame), target="y")).spec.warnings
    assert line.startswith("classes differ in case, blanks or the form of characters alone: 'Cat' and 'cat': write")


@pytest.mark.parametrize("kind", [int, float, str])
def test_classes_of_whole_numbers_are_in_their_order(tmp_path, kind):
    grades = [kind(grade) for grade in (10, 9, 2, 1)] * 10
    path = write(tmp_path / "t.csv", table(grade=grades))
    dataset = load_data(settings_of(path, target="grade"))
    assert dataset.spec.targets[0].classes == ("1", "2", "9", "10")
    assert dataset.spec.warnings == ()
    frame = pd.read_csv(path)
    ids = {split: dataset.split(split).column("label") for split in dataset.splits}
    assert sum(map(len, ids.values())) == len(frame)
    spec = dataset.spec
    classes = ("1", "10", "2", "9")
    old = spec.model_copy(update={"targets": (spec.targets[0].with_classes(classes),), "reading_rules": 2})
    again = csv_table(path, settings_of(path, target="grade"), reference=old)
    assert again.spec.targets[0].classes == classes
    assert again.split("train").column("label").tolist() == [1, 3, 2, 0] * 10


def test_columns_of_a_series_are_found_in_any_form(tmp_path):
    frame = pd.DataFrame({nfd("온도"): np.sin(np.arange(200)), nfd(SIZE): np.cos(np.arange(200))})
    settings = settings_of(
        write(tmp_path / "s.csv", frame), series={"window": 8, "columns": {SIZE: "number"}}, target="온도"
    )
    dataset = load_data(settings, Named(name="forecasting"))
    assert [column.name for column in dataset.spec.inputs[0].columns] == ["온도", SIZE]
    assert dataset.spec.targets[0].columns[0].name == "온도"
    assert dataset.spec.warnings == ()
