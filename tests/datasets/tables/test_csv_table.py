"""CSV tables of the user."""

import re

import numpy as np
import pandas as pd
import pytest

from conftest import AnyTarget, load_data
from dltemplates.datasets.source import ArraySource, Joined
from dltemplates.datasets.tables.columns import MISSING, NO_NUMBER
from dltemplates.datasets.tables.csv_table import frame_dataset
from dltemplates.datasets.tables.row_inputs import read_rows
from dltemplates.features import classes_of
from dltemplates.settings import DatasetSettings, Named

ROWS = 40
UNLABELED = "reconstruction"


def table(**changes):
    """Return forty rows with numbers, a date, a category, missing cells and classes."""
    random = np.random.default_rng(0)
    columns = {
        "size": random.normal(100, 20, ROWS).round(2),
        "day": pd.date_range("2023-12-20", periods=ROWS).strftime("%Y-%m-%d"),
        "colour": ["red", "green", "blue", None] * 10,
        "label": ["yes", "no"] * 20,
    }
    return pd.DataFrame(columns | changes)


def other(frame, by=1000):
    """Return a table without a row of `frame`."""
    return frame.assign(size=frame["size"] + by)


@pytest.fixture
def load(tmp_path):
    """Return a function that writes tables and loads them as a dataset; the target is the last column by default."""

    def write_and_load(frame, task=AnyTarget.name, reference=None, whole=False, columns=None, **settings):
        if task != UNLABELED and reference is None:
            first = frame.get("train") if isinstance(frame, dict) else frame
            settings = {"target": None if first is None else str(first.columns[-1])} | settings
        settings |= {"table": {"columns": columns}} if columns else {}
        if isinstance(frame, dict):
            for split, part in frame.items():
                part.to_csv(tmp_path / f"{split}.csv", index=False)
            path = tmp_path
        else:
            path = tmp_path / "table.csv"
            frame.to_csv(path, index=False)
        return load_data(
            DatasetSettings(name=str(path), **{"validation": 0.1} | settings), task, reference=reference, whole=whole
        )

    return write_and_load


def everything(dataset, split="train"):
    source = dataset.split(split)
    return source.read(np.arange(len(source)))


def test_the_kind_of_a_column_follows_its_cells(load):
    dataset = load(table())
    features, categories = dataset.spec.inputs
    assert [(column.name, column.kind) for column in features.columns] == [("size", "number"), ("day", "date")]
    assert [(column.name, column.kind) for column in categories.columns] == [("colour", "category")]
    assert categories.columns[0].vocabulary == ("blue", "green", "red")
    assert dataset.spec.targets[0].classes == ("no", "yes")
    assert dataset.spec.sizes == {"train": 29, "validation": 3, "test": 8}
    arrays = everything(dataset)
    assert (arrays["features"].dtype, arrays["features"].shape) == (np.float32, (29, 6))
    assert (arrays["categories"].dtype, arrays["categories"].shape) == (np.int32, (29, 1))
    assert set(arrays["categories"].ravel()) == {0, 1, 2, 3}  # 0 is a missing category


def test_rows_are_encoded_by_their_columns(load):
    frame = table()
    dataset = load(frame, test=0.1)
    (colour,) = dataset.spec.inputs[1].columns
    by_size = {np.float32(row.size_): row for row in frame.rename(columns={"size": "size_"}).itertuples()}
    for split in dataset.splits:
        arrays = everything(dataset, split)
        for numbers, ids, label in zip(arrays["features"], arrays["categories"], arrays["label"], strict=True):
            row = by_size[numbers[0]]
            days = (pd.Timestamp(row.day) - pd.Timestamp("1970-01-01")).days
            assert numbers[1] == days
            year = 2 * np.pi * days / 365.2425
            np.testing.assert_allclose(numbers[2:4], [np.cos(year), np.sin(year)], atol=1e-4)
            week = 2 * np.pi * (days % 7) / 7
            np.testing.assert_allclose(numbers[4:6], [np.cos(week), np.sin(week)], atol=1e-4)
            assert ids[0] == (colour.vocabulary.index(row.colour) + 1 if isinstance(row.colour, str) else 0)
            assert label == (row.label == "yes")


def test_a_missing_number_becomes_the_median_and_a_flag(load):
    sizes = np.arange(ROWS, dtype=float)
    sizes[::5] = np.nan
    dataset = load(table(size=sizes))
    (size, _) = dataset.spec.inputs[0].columns
    arrays = everything(dataset)["features"]
    assert size.parts == ("size", "size is missing")
    assert size.median == np.median(arrays[arrays[:, 1] == 0, 0])
    assert (arrays[arrays[:, 1] == 1, 0] == size.median).all()
    assert 0 < arrays[:, 1].sum() < 29


LARGE = {
    "seconds since 1970": 1_700_000_000 + np.arange(ROWS),
    "milliseconds since 1970": 1_700_000_000_000 + 7 * np.arange(ROWS),
    "serial numbers": 20_240_000_000 + 3 * np.arange(ROWS),
    "UTM coordinates": 5_400_000 + 0.25 * np.arange(ROWS),
}


@pytest.mark.parametrize("name", LARGE)
def test_numbers_that_float32_cannot_tell_apart_are_centred(load, tmp_path, name):
    """The contract holds the offset; a file and a typed row are centred like the training."""
    numbers = np.where(np.arange(ROWS) % 8, LARGE[name], np.nan)
    dataset = load(table(size=[f"{number:.2f}" if number > 0 else "" for number in numbers]))
    features = dataset.spec.inputs[0]
    size, day = features.columns
    assert (size.offset > 0, day.offset) == (True, 0)
    arrays = everything(dataset)["features"]
    assert set(arrays[:, 0]) <= {*np.float32(LARGE[name] - size.offset), np.float32(size.median - size.offset)}
    assert features.mean[0] == pytest.approx(arrays[:, 0].mean(), rel=1e-6)
    new = table(size=LARGE[name]).drop(columns="label")
    new.to_csv(tmp_path / "new.csv", index=False)
    of_file = np.concatenate([row.arrays["features"] for row in read_rows(tmp_path / "new.csv", dataset.spec.inputs)])
    np.testing.assert_array_equal(of_file[:, 0], np.float32(LARGE[name] - size.offset))
    ((_, typed, _, _),) = read_rows(f"size={LARGE[name][3]},day=2024-01-01,colour=red", dataset.spec.inputs)
    assert typed["features"][0, 0] == of_file[3, 0]
    old = [value.model_copy(update={"columns": (size.model_copy(update={"offset": 0.0}), day)}) for value in [features]]
    ((_, typed, _, _),) = read_rows(
        f"size={LARGE[name][3]},day=2024-01-01", old
    )  # a column without an offset keeps it so
    assert typed["features"][0, 0] == np.float32(LARGE[name][3])
    assert dataset.spec.warnings == ()


def test_numbers_that_stay_equal_give_a_warning(load):
    times = np.where(np.arange(ROWS) % 20, 1_700_000_000 + np.arange(ROWS), 0)
    (warning,) = load(table(size=times)).spec.warnings
    assert re.search("column `size`: .* of its different numbers are equal .*columns.size=skip", warning)
    ids = [str(10**18 + row) for row in range(ROWS)]  # more digits than float64 has
    assert "column `size`: 9" in load(table(size=ids)).spec.warnings[0]
    assert load(table(size=ids), columns={"size": "number"}).spec.warnings == ()


def test_dates_with_a_time_have_the_hour(load):
    times = pd.date_range("2024-01-31 13:45", periods=ROWS, freq="7h")
    dataset = load(table(day=times.strftime("%Y-%m-%d %H:%M")))
    features = dataset.spec.inputs[0]
    assert features.columns[1].has_time
    assert features.columns[1].parts[-2:] == ("day (cos of day)", "day (sin of day)")
    ((_, arrays, _, _),) = read_rows("size=1,day=2024-02-01 06:00,colour=red", dataset.spec.inputs)
    np.testing.assert_allclose(arrays["features"][0, -2:], [0, 1], atol=1e-6)
    assert arrays["features"].shape == (1, *features.shape)
    same_time = load(table(day=pd.date_range("2024-01-01 13:45", periods=ROWS).strftime("%Y-%m-%d %H:%M")))
    assert not same_time.spec.inputs[0].columns[1].has_time
    seconds = load(
        table(day=pd.date_range("2024-01-01 13:45", periods=ROWS, freq="s").strftime("%d/%m/%Y %H:%M:%S")),
        columns={"day": "date"},
    )
    assert len(set(everything(seconds)["features"][:, 1])) == seconds.spec.sizes["train"]  # days have an offset too


@pytest.mark.parametrize(("unit", "name"), [(1, "unix_s"), (1000, "unix_ms")])
def test_a_time_since_1970_may_be_a_date(load, unit, name):
    times = pd.date_range("2024-01-31 13:45", periods=ROWS, freq="7h")
    seconds = (times - pd.Timestamp("1970-01-01")) // pd.Timedelta(seconds=1)
    dataset = load(table(day=seconds * unit), columns={"day": "date"})
    expected = load(table(day=times.strftime("%Y-%m-%d %H:%M")))
    np.testing.assert_array_equal(everything(dataset)["features"], everything(expected)["features"])
    assert dataset.spec.inputs[0].columns[1].format == name
    with pytest.raises(ValueError, match=r"dates like 1735603200(000)?\. Received: 'soon'"):
        read_rows("size=1,day=soon,colour=red", dataset.spec.inputs)


def test_columns_can_be_given_another_kind_or_skipped(load):
    frame = table(size=[1, 2, 3, 4] * 10, number=range(ROWS))
    dataset = load(frame, columns={"size": "category", "day": "skip"}, target="label")
    features, categories = dataset.spec.inputs
    assert [column.name for column in features.columns] == ["number"]
    assert [column.name for column in categories.columns] == ["size", "colour"]
    assert categories.columns[0].vocabulary == ("1", "2", "3", "4")


@pytest.mark.parametrize("noise", [0, 0.3])
def test_reconstruction_leaves_the_target_unchanged(load, noise):
    settings = {"columns": {"colour": "skip"}, "target": "label"}
    seen = load(table(), Named(name="reconstruction", noise=noise), **settings)
    assert load(table(), reference=seen.spec).spec.targets == load(table(), **settings).spec.targets


def test_1_and_1_0_are_the_same_category(load):
    """pandas writes a whole column as floats when one cell is missing."""
    codes = {"columns": {"size": "category"}}
    spec = load(table(size=[1, 2, 3, 4] * 10), **codes).spec
    arrays = everything(load(table(size=[1, None, 3, 2.5] * 10), reference=spec, **codes))
    assert spec.inputs[1].columns[0].vocabulary == ("1", "2", "3", "4")
    assert set(arrays["categories"][:, 0]) == {0, 1, 3}
    spec = load(table(size=[1, None, 3, 2.5] * 10), **codes).spec
    assert spec.inputs[1].columns[0].vocabulary == ("1.0", "2.5", "3.0")
    arrays = everything(load(table(size=[1, 2, 3, 4] * 10), reference=spec, **codes))
    assert set(arrays["categories"][:, 0]) == {0, 1, 3}


CATEGORIES = {
    "zeros in front": (["02139", "10001"], "category"),
    "letters in some": (["02139", "K1A0B1"], None),
    "points": (["1.0", "2.0", "x", "1"], None),
    "texts that pandas reads as missing": (["None", "null", "N/A", "low"], None),
    "yes and no": (["TRUE", "FALSE"], None),
}


@pytest.mark.parametrize("name", CATEGORIES)
def test_categories_keep_the_text_of_the_file(load, name):
    """Other texts in the column change nothing, in training, in other tables and in typed rows."""
    texts, kind = CATEGORIES[name]
    columns = {"columns": {"colour": kind}} if kind else {}
    spec = load(table(colour=texts * (ROWS // len(texts))), **columns).spec
    (colour,) = spec.inputs[1].columns
    assert colour.vocabulary == tuple(sorted(texts))
    for place, text in enumerate(colour.vocabulary, start=1):
        other = load(table(colour=text), reference=spec)
        assert other.spec.unknown == {}
        assert (everything(other)["categories"] == place).all()
        ((_, arrays, unknown, _),) = read_rows(f"size=1,day=2024-01-01,colour={text}", spec.inputs)
        assert (arrays["categories"].item(), unknown) == (place, [])
    text_inputs = [spec.inputs[0], spec.inputs[1].model_copy(update={"dtype": "string"})]
    ((_, arrays, _, _),) = read_rows(f"size=1,day=2024-01-01,colour={texts[0]}", text_inputs)
    assert arrays["categories"].item() == texts[0]


def test_classes_keep_the_text_of_the_file(load):
    assert load(table(label=["02139", "10001"] * 20)).spec.targets[0].classes == ("02139", "10001")
    dataset = load(table(label=["None", "low", "high", "null"] * 10))
    assert dataset.spec.targets[0].classes == ("None", "high", "low", "null")
    assert not dataset.spec.skipped


def test_1_and_1_0_are_the_same_class(load):
    """pandas writes all labels as floats when one is missing."""
    dataset = load({"train": table(label=[0, 1] * 20), "test": other(table(label=[0, 1, None, 1] * 10))})
    assert dataset.spec.targets[0].classes == ("0", "1")
    assert sorted(everything(dataset, "test")["label"]) == [0] * 10 + [1] * 20


DOUBTS = {
    "names": (
        [f"n{row}" for row in range(ROWS)],
        r"`colour` is left out: .* 40 different ones in 40 rows.*table\.columns\.colour=category",
    ),
    "dates of two forms": (
        ["31/12/2024", "12/31/2024"] * 20,
        r"looks like dates, such as '31/12/2024': write them all like 2024-12-31, or say .*=category",
    ),
    "dates of two meanings": (
        ["01/02/2024", "03/04/2024"] * 20,
        r"like dates, such as '01/02/2024', of 2 meanings: say .*\.colour=day_first or =month_first, or =category",
    ),
    "numbers": (["3"] * 39 + ["few"], r"`colour`.* because 'few' is not a number.*table\.columns\.colour=category"),
}


@pytest.mark.parametrize("name", DOUBTS)
def test_doubtful_categories_give_a_warning(load, name):
    values, match = DOUBTS[name]
    (told,) = load(table(colour=values)).spec.warnings
    assert re.search(match, told)
    dataset = load(table(colour=values), columns={"colour": "category"})
    are_rare = len(set(values)) == ROWS
    assert [told.startswith("all categories of column `colour` are rare") for told in dataset.spec.warnings] == [
        True
    ] * are_rare
    assert load(table(colour=values), reference=dataset.spec).spec.warnings == ()
    assert load(table()).spec.warnings == ()


@pytest.mark.parametrize(
    ("names", "is_told"),
    [
        (["5.1", "3.5", "setosa"], True),
        (["39", "77516", "13"], True),
        (["€5", "30%", "x"], True),
        (["1.250,00", "1", "x"], True),
        (["0", "1", "label"], False),  # the header that pandas and NumPy write without names
        (["size", "2020", "label"], False),
    ],
)
def test_a_header_that_looks_like_data_gives_a_warning(load, names, is_told):
    told = load(table()[["size", "day", "label"]].set_axis(names, axis=1)).spec.warnings
    doubt = f"the first row is read as column names, but {', '.join(names)} look like data"
    assert any(doubt in warning for warning in told) == is_told


def test_a_header_of_words_from_the_rows_gives_a_warning(load):
    words = pd.DataFrame({"red": ["red", "blue"] * 20, "size": range(40), "yes": ["no", "yes"] * 20})
    (told,) = load(words).spec.warnings
    assert "the first row is read as column names, but red, size, yes look like data" in told


def test_a_target_of_numbers_and_words_is_classes(load):
    grades = [*["1", "2", "3"] * 13, "none"]
    assert load(table(label=["1", "2", "3", "x"] * 10)).spec.targets[0].classes == ("1", "2", "3", "x")
    (told,) = load(table(label=grades)).spec.warnings
    assert told.startswith("class none has fewer distinct examples than there are splits (3)")


@pytest.mark.parametrize("format", ["%d/%m/%Y", "%m/%d/%Y", "%d.%m.%Y %H:%M", "%d %b %Y", "%B %d, %Y"])
def test_a_date_column_may_have_another_format(load, format):
    """The format is found in training and kept for other data."""
    days = pd.date_range("2023-12-20", periods=ROWS)
    dates = {"columns": {"day": "date"}}
    dataset, expected = load(table(day=days.strftime(format)), **dates), load(table())
    assert dataset.spec.fingerprint == expected.spec.fingerprint
    np.testing.assert_array_equal(everything(dataset)["features"], everything(expected)["features"])
    assert dataset.spec.inputs[0].columns[1].format == format
    row = pd.Timestamp("2024-02-03").strftime(format)
    found = read_rows(f'size=1,"day={row}",colour=red', dataset.spec.inputs)[0][1]["features"]
    np.testing.assert_array_equal(
        found, read_rows("size=1,day=2024-02-03,colour=red", expected.spec.inputs)[0][1]["features"]
    )
    example = pd.Timestamp("2024-12-31").strftime(format)
    with pytest.raises(ValueError, match=rf"`day` must hold dates like {example}\. Received: '2024-02-03'"):
        read_rows("size=1,day=2024-02-03,colour=red", dataset.spec.inputs)


@pytest.mark.parametrize("word", NO_NUMBER)
def test_words_for_missing_numbers_are_plain_text_in_categories(load, word):
    spec = load(table(size=["1.5", "2", word, "4"] * 10, colour=["red", word] * 20)).spec
    size, colour = spec.inputs[0].columns[0], spec.inputs[1].columns[0]
    assert (size.name, size.kind, size.may_be_missing) == ("size", "number", True)
    assert word in colour.vocabulary
    (warning,) = spec.warnings
    assert re.match(
        rf"read as missing numbers: 10 {word} in `size`\..* --set dataset\.table\.columns\.size=category", warning
    )
    ((_, arrays, _, _),) = read_rows(f"size={word},day=2024-01-01,colour=red", spec.inputs)
    assert arrays["features"][0, 0] == size.median


@pytest.mark.parametrize("mark", MISSING)
def test_missing_cells_are_read_alike_in_files_and_typed_rows(load, tmp_path, mark):
    spec = load(table()).spec
    (tmp_path / "new.csv").write_text(f"size,day,colour\n{mark},{mark},{mark}\n", encoding="utf-8")
    for rows in (tmp_path / "new.csv", f"size={mark},day={mark},colour={mark}"):
        ((_, arrays, unknown, _),) = read_rows(rows, spec.inputs)
        assert unknown == []
        assert arrays["categories"].item() == 0
        np.testing.assert_array_equal(arrays["features"][0, :2], np.float32([c.median for c in spec.inputs[0].columns]))
    dataset = load(table(label=["yes", "no", mark, "no"] * 10))
    assert (dataset.spec.targets[0].classes, len(dataset.spec.skipped)) == (("no", "yes"), 10)


@pytest.mark.parametrize("word", NO_NUMBER)
def test_a_word_such_as_na_is_a_class_and_no_number(load, word):
    """A class stays, and one that may mean nothing is named; a row without a number is left out, and counted."""
    spec = load(table(label=["yes", "no", word, "no"] * 10)).spec
    assert (spec.targets[0].classes, spec.skipped) == (tuple(sorted(("no", "yes", word))), {})
    is_doubtful = word.strip("#").upper() in ("NA", "N/A", "NAN")
    assert len(spec.warnings) == is_doubtful
    assert all(
        re.match(rf"`label` has classes that may .*: 10 {word}\. .*label=category", told) for told in spec.warnings
    )
    assert load(table(label=["yes", "no", word, "no"] * 10), columns={"label": "category"}).spec.warnings == ()
    assert load(table(label=["0", "1", word, "1"] * 10)).spec.targets[0].classes == tuple(sorted(("0", "1", word)))
    numbers = [*np.linspace(0, 1, 30).round(3).astype(str), *[word] * 10]
    spec = load(table(label=numbers)).spec
    assert (spec.targets[0].kind, len(spec.skipped), sum(spec.sizes.values())) == ("number", 10, 30)
    assert re.match(rf"rows without a number in `label` are left out: 10 {word}\.", spec.warnings[0])
    assert sum(load(table(label=numbers), reference=spec).spec.sizes.values()) == 30


def test_words_in_dates_are_missing(load):
    days = [*pd.date_range("2023-12-20", periods=ROWS - 2).strftime("%Y-%m-%d"), "NA", "null"]
    day = load(table(day=days)).spec.inputs[0].columns[1]
    assert (day.kind, day.format) == ("date", None)
    other = [*pd.date_range("2023-12-20", periods=ROWS - 2).strftime("%d/%m/%Y"), "NA", "null"]
    assert load(table(day=other), columns={"day": "date"}).spec.inputs[0].columns[1].format == "%d/%m/%Y"


def test_a_run_of_older_rules_reads_na_as_missing(load, tmp_path):
    frame = table(colour=["red", "NA", "blue", "nan"] * 10)
    empty = table(colour=["red", None, "blue", None] * 10)
    spec = load(empty).spec
    old = spec.model_copy(update={"reading_rules": 2})
    fingerprint = load(empty, reference=old).spec.fingerprint
    dataset, new = load(frame, reference=old), load(frame, reference=spec)
    np.testing.assert_array_equal(everything(dataset)["categories"], everything(new)["categories"])
    assert (dataset.spec.unknown, dataset.spec.fingerprint) == ({}, fingerprint)
    assert new.spec.unknown["test"]["colour"] > 0
    assert new.spec.fingerprint != spec.fingerprint
    assert len(load(table(label=["yes", "no", "NA", "no"] * 10), reference=old).spec.skipped) == 10
    with pytest.raises(ValueError, match="Received: 'NA'"):
        load(table(label=["yes", "no", "NA", "no"] * 10), reference=spec)
    ((_, _, unknown, _),) = read_rows("size=1,day=2024-01-01,colour=NA", spec.inputs, reference=old)
    ((_, _, unknown_now, _),) = read_rows("size=1,day=2024-01-01,colour=NA", spec.inputs, reference=spec)
    assert (unknown, unknown_now) == ([], ["colour"])


def test_a_long_column_has_one_kind(tmp_path, recwarn):
    """pandas reads long files in pieces and would guess the kind of each piece."""
    rows = 300_000
    path = tmp_path / "long.csv"
    zips = ["02139"] * (rows // 2) + ["K1A0B1"] * (rows // 2)
    path.write_text("zip,x,label\n" + "".join(f"{zip_},{i % 7},{i % 2}\n" for i, zip_ in enumerate(zips)))
    spec = load_data(str(path)).spec
    assert spec.inputs[1].columns[0].vocabulary == ("02139", "K1A0B1")
    assert not [str(warning.message) for warning in recwarn]


@pytest.mark.parametrize(
    ("values", "kind", "classes"),
    [
        ([1, 2] * 20, "class", ("1", "2")),
        ([1.0, 2.0] * 20, "class", ("1", "2")),
        ([True, False] * 20, "class", ("False", "True")),
        (np.arange(ROWS), "number", None),
        (np.linspace(0, 1, ROWS), "number", None),
    ],
)
def test_a_target_is_classes_or_a_number(load, values, kind, classes):
    (target,) = load(table(label=values)).spec.targets
    assert (target.kind, classes_of(target) or None) == (kind, classes)


def test_any_column_can_be_the_target(load):
    dataset = load(table(), target="size")
    assert dataset.spec.targets[0].kind == "number"
    assert [column.name for value in dataset.spec.inputs for column in value.columns] == ["day", "colour", "label"]


def test_the_users_splits_are_kept(load):
    test = other(table().iloc[:6])
    assert load({"train": table(), "test": test}).spec.sizes == {"train": 36, "validation": 4, "test": 6}
    assert load({"train": table(), "test": test, "validation": other(table().iloc[6:16])}).spec.sizes == {
        "train": 40,
        "validation": 10,
        "test": 6,
    }


def people(rows=200):
    """Return rows with a city of few persons, an e-mail address, and a yes or no."""
    city = ["Rom", "Oslo", "Wien", "Bern"] * (rows // 4)
    city[:4] = ["Graz"] * 4
    return pd.DataFrame(
        {
            "age": np.arange(rows) / 7,
            "city": city,
            "email": [f"person{row}@example.org" for row in range(rows)],
            "smokes": ["no", "yes"] * (rows // 2),
            "label": ["a", "b"] * (rows // 2),
        }
    )


def test_a_rare_category_stands_in_no_file(load):
    """Four persons of a city share a number with unknown cities; columns of different texts are left out."""
    shifted = {"validation": 1000, "test": 2000}
    splits = {"train": people()} | {name: people().assign(age=np.arange(200) + by) for name, by in shifted.items()}
    dataset = load(splits)
    (_, categories) = dataset.spec.inputs
    assert {column.name: column.vocabulary for column in categories.columns} == {
        "city": ("Bern", "Oslo", "Rom", "Wien"),
        "smokes": ("no", "yes"),
    }
    (told,) = dataset.spec.warnings
    assert re.match("column `email` is left out: .* 200 different ones in 200 rows.*columns.email=category", told)
    for text in ("Graz", "person3", "@example"):
        assert text not in dataset.spec.model_dump_json()
    assert dataset.spec.unknown == {"validation": {"city": 4}, "test": {"city": 4}}
    ((_, arrays, unknown, _),) = read_rows("age=1,city=Graz,smokes=no", dataset.spec.inputs)
    assert (arrays["categories"].tolist(), unknown) == ([[0, 1]], ["city"])
    again = load(splits, reference=dataset.spec).spec
    assert (again.fingerprint, again.warnings) == (dataset.spec.fingerprint, ())


def test_rare_categories_are_kept_if_asked_for(load):
    kept = load(people(), columns={"email": "category"}).spec
    (told,) = kept.warnings
    assert re.match("all categories of column `email` are rare, in fewer than 5 rows.*min_frequency=1", told)
    assert "@example" not in kept.model_dump_json()
    again = load(people(), reference=kept)  # an empty vocabulary is not fitted again
    assert [column.vocabulary for column in again.spec.inputs[1].columns] == [
        column.vocabulary for column in kept.inputs[1].columns
    ]
    settings = {"columns": {"email": "category"}, "min_frequency": 1}
    city, email, _ = load(people(), table=settings).spec.inputs[1].columns
    assert "Graz" in city.vocabulary
    assert len(email.vocabulary) > 100
    with pytest.raises(
        ValueError, match=r"an input column\. Received: only columns of .*email=date, or =category .*=1"
    ):
        load(people()[["email", "label"]])


def test_a_small_table_loses_rare_categories_unless_they_are_wanted(load):
    frame = pd.DataFrame(
        {
            "temperature": np.arange(14) / 7,
            "sky": ["sunny", "rainy", "grey"] * 4 + ["sunny", "rainy"],
            "wind": ["weak", "weak", "strong", "none"] * 3 + ["weak"] * 2,
            "play": ["yes", "no"] * 7,
        }
    )
    splits = {"train": frame} | {
        name: frame.assign(temperature=place + frame["temperature"])
        for place, name in enumerate(("validation", "test"), 10)
    }
    frames = splits | {"train": frame.assign(sky=["sunny", "rainy", "grey", "fog"] * 3 + ["sunny", "rainy"])}
    spec = load(frames).spec
    assert [value.name for value in spec.inputs] == ["features", "categories"]
    assert spec.inputs[1].columns[0].vocabulary == ("weak",)
    told = next(told for told in spec.warnings if "`sky`" in told)
    assert re.match("column `sky` is left out: each .* fewer than 5 rows.* --set dataset.table.min_frequency=1", told)
    sky, wind = load(splits, table={"min_frequency": 1}).spec.inputs[1].columns
    assert (sky.vocabulary, wind.vocabulary) == (("grey", "rainy", "sunny"), ("none", "strong", "weak"))


def test_a_new_category_is_unknown_and_counted(load):
    test = other(table(colour=["red", "violet", "violet", None] * 10))
    dataset = load({"train": table(), "test": test})
    assert dataset.spec.unknown == {"test": {"colour": 20}}
    assert (everything(dataset, "test")["categories"].ravel().reshape(-1, 4) == [3, 0, 0, 0]).all()


def test_a_row_without_a_target_is_skipped_and_reported(load):
    dataset = load(table(label=["yes", "no", None, "no"] * 10))
    assert sum(dataset.spec.sizes.values()) == 30
    assert dataset.spec.skipped["table row 3"] == "no label"
    assert len(dataset.spec.skipped) == 10


def test_other_data_is_prepared_by_the_spec_of_the_network(load):
    spec = load(table()).spec
    other = table(colour=["red", "violet"] * 20, size=np.where(np.arange(ROWS) % 2, 5.0, np.nan))
    dataset = load(other, reference=spec)
    assert [value.columns for value in dataset.spec.inputs] == [value.columns for value in spec.inputs]
    assert set(everything(dataset)["categories"].ravel()) == {0, 3}
    assert spec.inputs[0].columns[0].median in everything(dataset)["features"][:, 0]
    with pytest.raises(ValueError, match=r"`label`.*Received: 'maybe'"):
        load(table(label=["yes", "maybe"] * 20), reference=spec)


BROKEN = {
    "a constant target": (table(label=7.5), {}, r"must vary\. Received: `label`, the same in all 40 rows"),
    "a constant class": (table(label="yes"), {}, r"must vary\. Received: `label`, the same in all 40 rows"),
    "a target that float32 makes constant": (
        table(label=np.linspace(1e9, 1e9 + 9, ROWS)), {},
        r"vary in float32.*`label`, from 1000000000 to 1000000009\. Subtract their common part: 1000000000",
    ),
    "a target that float32 makes a few steps": (
        table(label=1e9 + 119 * np.arange(ROWS) / ROWS), {}, r"vary in float32.*`label`, from 1000000000 to 10000001",
    ),
    "a target of numbers and a word": (
        table(label=[*np.linspace(0, 1, ROWS - 1), "soon"]), {},
        r"must be numbers, or classes\. Received: 'soon' in `label`, which is mostly .*table\.columns\.label=category",
    ),
    "an unknown target": (table(), {"target": "price"}, r"must be a column\. Received: price\. There are: size, day"),
    "an unknown column": (table(), {"columns": {"price": "skip"}}, r"must name columns\. Received: price"),
    "a skipped target": (table(), {"columns": {"label": "skip"}}, r"a category\. Received: label=skip in `data"),
    "a target of dates": (table(), {"target": "day", "columns": {"day": "date"}}, r"a category\. Received: day=date"),
    "nothing to learn from": (table()[["label"]], {}, r"must have an input column"),
    "an empty column": (table(size=None), {}, r"Received: none in `size`"),
    "text, not numbers": (table(size=["a", "1"] * 20), {"columns": {"size": "number"}}, "finite numbers .* 'a'"),
    "no date": (table(day="soon"), {"columns": {"day": "date"}}, r"dates like 2024-12-31\. Received: 'soon'"),
    "two ways to read": (
        table(day="03/04/2024"), {"columns": {"day": "date"}},
        r"one meaning\. Received: '03/04/2024' and others, which fit %d/%m/%Y and %m/%d/%Y\. Write them",
    ),
    "two formats": (
        table(day=["31/12/2024", "12/31/2024"] * 20), {"columns": {"day": "date"}}, r"dates like 2024-12-31\. Received",
    ),
    "an infinite number": (table(size=[np.inf, 1.0] * 20), {}, r"up to 3.4e\+38\. Received: 'inf' in row 1\. Correct"),
    "an infinite target": (table(label=[np.inf, 1.5] * 20), {}, r"e\+38\. Received: 'inf' in row 1 of `label`"),
    "a target that float32 does not hold": (table(label=[1e40, 1.5] * 20), {}, r"finite, up to .* Received: '1e\+40'"),
    "a number that float32 does not hold": (table(size=[-1e39, 1.0] * 20), {}, r"up to 3.4e\+38\. Received: '-1e\+39'"),
    "an empty target": (table(label=None), {}, r"must have values\. Received: none in `label`\. Fill it in"),
    "no rows": (table().iloc[:0], {}, r"must have rows"),
}  # fmt: skip


@pytest.mark.parametrize("name", BROKEN)
def test_invalid_tables_are_refused(load, name):
    frame, settings, message = BROKEN[name]
    with pytest.raises(ValueError, match=message):
        load(frame, **settings)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (b"a,a\n1,2\n", "Received: a twice"),
        (b"a,b\n1,2,3\n1\n1,2,3,4,5\n", "Received: 3 in line 2, 1 in line 3, 5 in line 4 of"),
        (b"", "CSV file .*UTF-8.*Received: "),
        (b"a,b\n\x81,1\n", "CSV file .*UTF-8.*Received: "),
    ],
)
def test_files_that_are_not_tables_are_refused(tmp_path, text, message):
    path = tmp_path / "table.csv"
    path.write_bytes(text)
    with pytest.raises(ValueError, match=message):
        load_data(str(path))


def test_splits_must_agree_and_one_must_be_for_training(load, tmp_path):
    with pytest.raises(ValueError, match="Received: no colour in test"):
        load({"train": table(), "test": table().drop(columns="colour")})
    with pytest.raises(ValueError, match=r"train\.csv.*Received: none"):
        frame_dataset({"test": table()}, DatasetSettings(name="tables"))


def test_a_rare_class_gives_a_warning_and_may_be_absent_from_a_split(load):
    """Other data needs no example of each class."""
    dataset = load(table(label=["yes"] * 37 + ["no"] * 3))
    for split in dataset.splits:
        assert list(everything(dataset, split)["label"]).count(0) == 1
    rare = table(label=["yes"] * 38 + ["no"] * 2)
    told = load(rare).spec
    assert re.match(r"class no has fewer distinct examples than there are splits \(3\).*add examples", told.warnings[0])
    assert (sum(told.sizes.values()), told.sizes["test"]) == (40, 8)
    rarest = table(label=["yes"] * 39 + ["no"])
    assert load(rarest).spec.targets[0].counts[0] == 1  # a single example is trained on
    assert load(rarest, reference=dataset.spec).spec.sizes["test"] == 8
    given = {"train": rarest, "validation": other(rare), "test": other(rare, 2000)}
    assert load(given).spec.sizes == {"train": 40, "validation": 40, "test": 40}
    with pytest.raises(ValueError, match="an example of each class to train on. Received: none of 'no' in train"):
        load({"train": table(label="yes"), "test": other(rare, 3000)}, "classification")
    targets = load(table(label="yes"), reference=dataset.spec).spec.targets
    assert targets[0].classes == dataset.spec.targets[0].classes


def test_all_rows_of_other_data_can_be_evaluated(load):
    """They form the split `all`, in order, however few."""
    spec = load(table()).spec
    frame = table(colour=["red", "violet"] * 20)
    dataset = load(frame, reference=spec, whole=True)
    assert dataset.spec.sizes == {"train": 40, "all": 40}
    assert dataset.spec.unknown["all"] == {"colour": 20}
    assert everything(dataset, "all")["features"][:, 0].tolist() == frame["size"].astype(np.float32).tolist()
    assert load(frame.iloc[:1], reference=spec, whole=True).spec.sizes["all"] == 1
    split = {"train": frame, "test": frame.iloc[:6]}
    dataset = load(split, reference=spec, whole=True)
    assert (dataset.spec.sizes, dataset.spec.unknown["all"]) == ({"train": 40, "test": 6, "all": 46}, {"colour": 23})
    np.testing.assert_array_equal(everything(dataset, "all")["features"][40:], everything(dataset, "test")["features"])


def test_joined_sources_are_read_at_any_indices():
    sources = [ArraySource({"x": np.arange(start, stop)}) for start, stop in ((0, 3), (3, 3), (3, 10))]
    joined = Joined(sources)
    indices = np.array([9, 0, 3, 2, 2, 5])
    assert len(joined) == 10
    np.testing.assert_array_equal(joined.read(indices)["x"], indices)
    np.testing.assert_array_equal(joined.read(indices[:1])["x"], [9])


def test_the_target_of_other_data_is_found_by_its_name(load):
    spec = load(table()[["label", "size", "day", "colour"]], target="label").spec
    assert load(table()[["size", "label", "day", "colour"]], reference=spec).spec.targets[0].classes == ("no", "yes")


def test_other_data_is_evaluated_on_the_trained_target(load):
    """It may stand anywhere among other columns; another column never replaces it."""
    for target in ("label", "size"):
        spec = load(table(), target=target, columns={"day": "skip"}).spec
        other = table().drop(columns="day").assign(note="x", number=range(ROWS))
        judged = load(other, reference=spec, target=target, columns={"day": "skip"}).spec
        assert judged.targets[0].columns[0].name == target
        assert judged.targets == spec.targets
        message = rf"must have the target. Received: no column `{target}`. There are: .*, number. Add it."
        with pytest.raises(ValueError, match=message):
            load(other.drop(columns=target), reference=spec)


def test_an_input_column_is_refused_as_an_unnamed_target(load):
    spec = load(table()).spec
    unnamed = spec.model_copy(update={"targets": (spec.targets[0].model_copy(update={"columns": None}),)})
    with pytest.raises(ValueError, match="Received: .* There are: size, day, colour"):
        load(table().drop(columns="label"), reference=unnamed)


def test_without_a_target_all_columns_are_inputs(load):
    frame = table(label=1.5).drop(columns=["day", "colour"])
    dataset = load(frame, UNLABELED)
    assert [column.name for column in dataset.spec.inputs[0].columns] == ["size", "label"]
    assert sum(dataset.spec.sizes.values()) == ROWS
    again = load(frame, UNLABELED, reference=dataset.spec, whole=True)
    assert everything(again, "all")["features"][:, 1].tolist() == [1.5] * ROWS
    named = load(table().drop(columns=["day", "colour"]), UNLABELED, target="label")
    assert [column.name for column in named.spec.inputs[0].columns] == ["size"]
    assert named.split("train").column("label").tolist().count(0) == 14  # splits are stratified: as many of each class
    without = table().drop(columns=["day", "colour", "label"])
    again = load(without, UNLABELED, target="label", reference=named.spec, whole=True)
    assert everything(again, "all")["features"].shape == (ROWS, 1)


def test_rare_classes_are_pooled_for_one_vs_rest_labels(load):
    kinds = ["healthy"] * (ROWS - 5) + ["flutter", "block", "pause", "pause", "flutter"]
    dataset = load(table(label=kinds)[["size", "label"]], Named(name="anomaly", normal="healthy", anomalies="keep"))
    others = {split: int(everything(dataset, split)["anomaly"].sum()) for split in dataset.splits}
    assert others == {"train": 3, "validation": 1, "test": 1}
    rare = table(label=["healthy"] * (ROWS - 2) + ["flutter", "pause"])[["size", "label"]]
    with pytest.raises(ValueError, match="Received: [0-9]+ and 0 in validation. Enlarge it"):
        load(rare, Named(name="anomaly", normal="healthy", anomalies="keep"))


def test_a_target_of_the_wrong_kind_is_refused_with_the_option_to_change_it(load):
    frame = table(label=range(ROWS)).rename(columns={"label": "quality"})
    way_out = "or, if each number is a class, add --set dataset.table.columns.quality=category"
    with pytest.raises(
        ValueError, match=f"Task classification predicts classes.*quality, which has numbers.*{way_out}"
    ):
        load(frame, "classification")


@pytest.mark.parametrize("classes", [["good", "bad"], ["1", "2", "many"], ["1", "1_0"], ["1", "1e999"]])
def test_classes_of_text_cannot_become_numbers(load, classes):
    labels = (classes * ROWS)[:ROWS]
    frame = table(label=labels).rename(columns={"label": "quality"})
    as_classes = {"columns": {"quality": "category"}}
    with pytest.raises(ValueError, match="Task regression predicts numbers. Received: quality, which has text"):
        load(frame, "regression", **as_classes)
    with pytest.raises(ValueError, match=r"A number to predict must be finite"):
        load(frame, "regression", columns={"quality": "number"})


def test_spaces_around_cells_and_names_are_removed(tmp_path):
    path = tmp_path / "table.csv"
    rows = [f"{number} , red ,yes " if number % 2 else f"{number}, ? ,no " for number in range(20)]
    path.write_text("\n".join(["size, colour ,label ", *rows]))
    spec = load_data(DatasetSettings(name=str(path), target="label")).spec
    assert spec.inputs[1].columns[0].vocabulary == ("red",)
    assert spec.targets[0].classes == ("no", "yes")
    assert read_rows("3,red", spec.inputs)[0][2] == []


def test_a_comma_at_the_end_of_each_row_adds_no_column(tmp_path):
    path = tmp_path / "table.csv"
    rows = [f"{number},{'yes' if number % 2 else 'no'}," for number in range(20)]
    path.write_text("\n".join(["size,label,", *rows]))
    spec = load_data(str(path)).spec
    assert [column.name for column in spec.inputs[0].columns] == ["size"]
    assert spec.targets[0].columns[0].name == "label"
    path.write_text("\n".join(["size,label", *rows]))
    message = r"one cell per column name, 2. Received: 3 cells in the rows of .* remove the comma that ends"
    with pytest.raises(ValueError, match=message):
        load_data(str(path))


def test_a_typed_row_has_the_column_order_of_the_table(load):
    frame = table(size=["02139", "10001"] * 20)[["size", "day", "colour", "label"]]
    spec = load(frame, columns={"size": "category"}).spec
    assert [column.name for value in spec.inputs for column in value.columns] == ["day", "size", "colour"]
    ((_, typed, unknown, _),) = read_rows("02139,2024-01-01,red", spec.inputs)
    ((_, named, _, _),) = read_rows("colour=red,day=2024-01-01,size=02139", spec.inputs)
    assert unknown == []
    for name, array in named.items():
        np.testing.assert_array_equal(typed[name], array)


def test_rows_to_predict_come_from_a_file_or_are_typed(load, tmp_path):
    spec = load(table()).spec
    table().drop(columns="label").iloc[:3].to_csv(tmp_path / "new.csv", index=False)
    rows = read_rows(tmp_path / "new.csv", spec.inputs)
    assert [row.name for row in rows] == [f"{tmp_path / 'new.csv'} row {number}" for number in (1, 2, 3)]
    first = table().iloc[0]
    typed = (f"colour=red,size={first['size']},day={first.day}", f"{first['size']},{first.day},red")
    for text in typed:
        ((_, arrays, unknown, _),) = read_rows(text, spec.inputs)
        assert unknown == []
        for key, array in arrays.items():
            np.testing.assert_array_equal(array, rows[0][1][key])
    ((_, arrays, unknown, _),) = read_rows("colour=pink,size=,day=2024-01-01", spec.inputs)
    assert unknown == ["colour"]
    assert arrays["features"][0, 0] == np.float32(spec.inputs[0].columns[0].median)
    for text, message in (
        ("1,2", r"a value for each of size, day, colour\. Received: '1,2'"),
        ("size=1", r"a value for each of"),
        (
            "big,2024-01-01,red",
            r"`size` must hold finite numbers up to .* 'big' in row 1\. Correct it, or leave it empty",
        ),
        (
            "1e39,2024-01-01,red",
            r"`size` must hold finite numbers up to .* '1e39' in row 1\. Correct it, or leave it empty",
        ),
        ("1,soon,red", r"`day` must hold dates like 2024-12-31\. Received: 'soon' in row 1\. .*, or leave it empty"),
        ("none.csv", r"which does not exist"),
    ):
        with pytest.raises(ValueError, match=message):
            read_rows(text, spec.inputs)


def test_tables_of_splits_are_known_by_many_names(tmp_path):
    for place, name in enumerate(("Train.csv", "dev.csv", "TEST.CSV")):
        rows = "\n".join(f"{100 * place + number},{'ab'[number % 2]}" for number in range(30))
        (tmp_path / name).write_text(f"x,y\n{rows}\n")
    assert load_data(DatasetSettings(name=str(tmp_path))).spec.sizes == {"train": 30, "validation": 30, "test": 30}
    (tmp_path / "Train").mkdir()
    with pytest.raises(ValueError, match=r"tables or folders of images. Received: Train.csv and Train/ in .* Move one"):
        load_data(DatasetSettings(name=str(tmp_path)))
