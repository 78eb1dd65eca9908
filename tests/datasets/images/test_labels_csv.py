"""A folder with `labels.csv`: several labels, or numbers, for each image."""

import unicodedata

import numpy as np
import pytest

from conftest import load_data
from dltemplates.settings import DatasetSettings


@pytest.fixture
def table(tmp_path, write_image):
    """Return a function that writes different images and their table: `table("file,labels", ["a;b", ...])`."""

    def write(header, cells, below=".", encoding="utf-8"):
        folder = tmp_path / "data" / below
        folder.mkdir(parents=True, exist_ok=True)
        for number in range(len(cells)):
            write_image(folder / "images" / f"{number}.png", level=number + 10 * len(below))
        rows = [f"images/{number}.png,{cell}" for number, cell in enumerate(cells)]
        (folder / "labels.csv").write_text("\n".join([header, *rows, ""]), encoding=encoding)
        return tmp_path / "data"

    return write


def load(path, **settings):
    return load_data(DatasetSettings(name=str(path), **{"validation": 0.1} | settings))


def test_labels(table):
    path = table("file,labels", ["red;round", "red", "", "round", " round ; red"] * 4, encoding="utf-8-sig")
    dataset = load(path)
    (target,) = dataset.spec.targets
    assert (target.kind, target.classes, target.shape, target.dtype) == ("labels", ("red", "round"), (2,), "float32")
    assert dataset.spec.sizes == {"train": 14, "validation": 2, "test": 4}
    for source in dataset.splits.values():
        batch = source.read(np.arange(len(source)))
        assert batch["labels"].dtype == np.float32
        for name, flags in zip(source.keys, batch["labels"], strict=True):
            number = int(name.split("/")[1].split(".")[0])
            assert flags.tolist() == [[1, 1], [1, 0], [0, 0], [0, 1], [1, 1]][number % 5]


def test_numbers(table):
    dataset = load(table("file,x,y", [f"{number},{-2 * number}" for number in range(20)]))
    (target,) = dataset.spec.targets
    assert (target.kind, target.shape) == ("number", (2,))
    train = dataset.split("train")
    values = train.read(np.arange(len(train)))["value"]
    assert values.dtype == np.float32
    assert (values[:, 1] == -2 * values[:, 0]).all()
    assert target.mean == pytest.approx(values.mean(axis=0).tolist())
    assert target.std == pytest.approx(values.std(axis=0).tolist())


def test_a_table_for_each_split(table):
    table("file,labels", ["a;b", "a", "b"] * 4, below="train")
    path = table("file,labels", ["a", "b"], below="val")
    (path / "train" / "images" / "0.png").write_text("no image")
    dataset = load(path)
    assert dataset.spec.sizes == {"train": 9, "validation": 2, "test": 2}
    assert dataset.spec.skipped == {"train/images/0.png": "no JPEG, PNG, BMP, GIF or WebP"}
    assert dataset.split("validation").keys == ["val/images/0.png", "val/images/1.png"]


@pytest.mark.parametrize(
    ("header", "cells", "message"),
    [
        ("image,labels", ["a"] * 5, r"`file,labels`.*Received: image,labels"),
        ("file", ["a"] * 5, r"`file,labels`.*Received: file\."),
        ("file,labels,x", ["a,1"] * 5, r"`file,labels`.*Received: file,labels,x\."),
        ("file,x", ["1", "2,3", "4"], r"2 cells.*Received: 3\. .*line 3"),
        (
            "file,x",
            ["1", "cat", "4"],
            r"`labels`.*Received: 'cat' for 'images/1",
        ),
        ("file,x", ["1", "nan", "4"], r"Received: 'nan' for 'images/1.png'"),
        ("file,x", ["5"] * 10, r"Received: 5 for all 7 \(column 0\)"),
        ("file,labels", ["", "", "", ""], "label.*Received: none"),
        ("file,labels", [], "Received: none in 0 rows"),
    ],
)
def test_invalid_tables_are_refused(table, header, cells, message):
    with pytest.raises(ValueError, match=message):
        load(table(header, cells))


def test_invalid_rows_are_refused(table):
    path = table("file,x", ["1", "2", "3"])
    for row, message in (
        ("images/9.png,1", "Received: 'images/9.png' in line 5"),
        ("../data/images/1.png,1", "Received: '../data/images/1.png'"),
        (f"{path}/images/1.png,1", f"Received: '{path}/images/1.png'"),
        ("images/1.png,7", "Received: 'images/1.png' again in line 5"),
        ("./images/1.png,7", "Received: './images/1.png' again in line 5"),
    ):
        text = "file,x\nimages/0.png,1\nimages/1.png,2\nimages/2.png,3\n" + row
        (path / "labels.csv").write_text(text)
        with pytest.raises(ValueError, match=message):
            load(path)


def test_a_file_that_is_not_a_table_is_refused(table):
    path = table("file,x", ["1", "2", "3"])
    (path / "labels.csv").write_bytes(b"file,x\n\xff\xfe\x00")
    with pytest.raises(ValueError, match=r"CSV.*UTF-8.*Received: .*labels.csv"):
        load(path)
    (path / "labels.csv").write_bytes(b"")
    with pytest.raises(ValueError, match="Received: an empty file"):
        load(path)


def test_splits_that_differ_are_refused(table):
    table("file,labels", ["a", "b", "a", "b"], below="train")
    path = table("file,labels", ["c"], below="test")
    with pytest.raises(ValueError, match=r"Received: 'c' of 'images/0.png'"):
        load(path)
    table("file,x", ["1"], below="test")
    with pytest.raises(ValueError, match="Received: labels for train but x for test"):
        load(path)
    (path / "test" / "labels.csv").unlink()
    with pytest.raises(ValueError, match=r"labels.csv.*Received: no .*test/labels.csv"):
        load(path)


def test_labels_and_files_are_compared_in_one_unicode_form(table, tmp_path):
    dog = {form: unicodedata.normalize(form, "강아지") for form in ("NFC", "NFD")}
    path = table("file,labels", [dog["NFC"], dog["NFD"], f"{dog['NFD']};cat", "cat"] * 4)
    (path / "images" / "0.png").rename(path / "images" / f"{dog['NFD']}.png")
    text = (path / "labels.csv").read_text().replace("images/0.png", f"images/{dog['NFC']}.png")
    (path / "labels.csv").write_text(text)
    dataset = load(path)
    assert dataset.spec.targets[0].classes == ("cat", "강아지")
    assert f"images/{dog['NFD']}.png" in {name for source in dataset.splits.values() for name in source.keys}
    (line,) = dataset.spec.warnings
    assert line.startswith("labels that look alike in two Unicode forms are read as one: '강아지': ")
    (path / "labels.csv").write_text(f"{text}images/{dog['NFD']}.png,cat\n")
    with pytest.raises(ValueError, match="must name each file once. Received: 'images/.*' again in line 18"):
        load(path)


def test_labels_of_whole_numbers_are_in_their_order(table):
    dataset = load(table("file,labels", ["10;2", "2;1", "1", "10"] * 5))
    assert dataset.spec.targets[0].classes == ("1", "2", "10")
    assert dataset.spec.warnings == ()


def test_labels_that_look_alike_are_doubted(table):
    (line,) = load(table("file,labels", ["Red;round", "red", "round", "red"] * 5)).spec.warnings
    assert line.startswith("labels differ in case, blanks or the form of characters alone: 'Red' and 'red': write")


def test_labels_on_several_lines_are_read_on_one(table):
    dataset = load(table("file,labels", ['"red\tround"', "red", "round", "red"] * 5))
    assert dataset.spec.targets[0].classes == ("red", "red round", "round")
    assert len(dataset.spec.warnings) == 1
