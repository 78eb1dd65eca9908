"""Dialects and encodings of CSV files."""

import codecs
import re
from types import SimpleNamespace

import pandas as pd
import pytest

from conftest import load_data
from dltemplates.datasets.images.labels_csv import read_labels
from dltemplates.datasets.spec import READING_RULES
from dltemplates.datasets.tables.csv_file import read_csv
from dltemplates.datasets.tables.csv_text import read_records
from dltemplates.datasets.tables.row_inputs import read_rows
from dltemplates.settings import CsvSettings, DatasetSettings

ROWS = [["name", "size", "label"], ["Anna", "1", "yes"], ["a,b;c", "2", "no"], ["two\nlines", "3", 'a "quote"']]
KOREAN = "도시,수\n서울,1\n부산,2\n대구,3\n"
GERMAN = "Stadt,Zahl\nMünchen,1\nKöln,2\nDüsseldorf,3\n"


@pytest.fixture
def write(tmp_path):
    """Return a function that writes a file."""

    def write_file(content, name="table.csv"):
        path = tmp_path / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    return write_file


def text_of(rows, separator, newline="\n"):
    cells = [['"' + cell.replace('"', '""') + '"' for cell in row] for row in rows]
    return newline.join(separator.join(row) for row in cells)


@pytest.mark.parametrize("newline", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize(("separator", "name"), [(",", None), (";", '";"'), ("\t", '"tab"'), ("|", '"|"')])
def test_each_separator_is_found_and_said(write, separator, name, newline):
    file = read_csv(write(text_of(ROWS, separator, newline)))
    assert [list(file.table), *file.table.to_numpy().tolist()] == ROWS
    assert file.separator == separator
    assert file.remarks == ((f"table.csv: separator {name}",) if name else ())


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32"])
@pytest.mark.parametrize("text", [KOREAN, GERMAN, "a,b\n1,x\n"])
def test_unicode_is_read(write, text, encoding):
    file = read_csv(write(text.encode(encoding)))
    assert file.table.equals(read_csv(write(text)).table)
    assert file.encoding is None
    assert file.remarks == ((f"table.csv: encoding {encoding}",) if encoding in ("utf-16", "utf-32") else ())


def test_both_byte_orders_are_read(write):
    for mark, encoding in ((codecs.BOM_UTF16_LE, "utf-16-le"), (codecs.BOM_UTF16_BE, "utf-16-be")):
        assert list(read_csv(write(mark + KOREAN.encode(encoding))).table) == ["도시", "수"]


@pytest.mark.parametrize("encoding", ["utf-16-le", "iso2022_kr"])
def test_any_encoding_can_be_named(write, encoding):
    path = write(KOREAN.encode(encoding))
    assert list(read_csv(path, CsvSettings(encoding=encoding)).table) == ["도시", "수"]


def test_an_encoding_that_alone_fits_is_taken_and_said(write):
    file = read_csv(write(GERMAN.encode("cp1252")))
    assert file.encoding == "cp1252"
    assert file.remarks == ("table.csv: encoding cp1252, with words such as München, Köln, Düsseldorf",)
    only_korean = "a,b\n갂,1\n갃,2\n"  # bytes that cp1252 does not define
    file = read_csv(write(only_korean.encode("cp949")))
    assert (file.encoding, file.table["a"].tolist()) == ("cp949", ["갂", "갃"])
    assert file.remarks == ("table.csv: encoding cp949, with words such as 갂, 갃",)


def test_two_possible_encodings_are_refused_with_both_readings(write):
    path = write(KOREAN.encode("cp949"))
    message = (
        r"reads as cp949: 도시, 수, 서울 \(--set dataset.table.encoding=cp949\); "
        r"or cp1252: µµ½Ã, ¼ö, ¼\xad¿ï \(--set dataset.table.encoding=cp1252\). Say which"
    )
    with pytest.raises(ValueError, match=message):
        read_csv(path)
    assert list(read_csv(path, CsvSettings(encoding="cp949")).table) == ["도시", "수"]
    assert list(read_csv(path, CsvSettings(encoding="cp1252")).table) == ["µµ½Ã", "¼ö"]
    with pytest.raises(ValueError, match="dataset.series.encoding=cp949"):
        read_csv(path, option="dataset.series")


def test_a_network_reads_new_files_in_the_encoding_of_its_training_data(write):
    seoul = "도시,수,y\n" + "".join(f"서울,{n},a\n부산,{n},b\n" for n in range(20))
    path = write(seoul.encode("cp949"))
    spec = load_data(DatasetSettings(name=str(path), table={"encoding": "cp949"})).spec
    assert spec.encoding == "cp949"
    assert load_data(str(path), reference=spec).spec.unknown == {}
    new = write("도시,수\n서울,1\n".encode("cp949"), "new.csv")
    assert read_rows(new, spec.inputs, reference=spec)[0][2] == []
    with pytest.raises(ValueError, match="reads as cp949"):
        read_rows(new, spec.inputs)
    new = write("도시;수\n서울;1\n", "new.csv")
    assert read_rows(new, spec.inputs, reference=spec)[0][2] == []


@pytest.mark.parametrize(
    ("content", "settings", "message"),
    [
        (b"a,b\n\x81,1\n", {}, "neither UTF-8 nor cp949 nor cp1252.* name its encoding: --set dataset.table.encoding="),
        (KOREAN.encode("utf-16-le"), {}, "neither UTF-8 nor"),
        (b"a,b\n\x81,1\n", {"encoding": "cp1252"}, "bytes that are not text in cp1252"),
        (codecs.BOM_UTF16_LE + b"a", {}, "bytes that are not utf-16, in spite of its byte order mark"),
        (b"", {}, "an empty file"),
        (b"a,b\n", {}, "which has none"),
        (b'a,b\n1,"2\n3,4\n', {}, "where this is not so from line 2 on"),
        (b"a,b,c\n1,2\n", {}, "one cell per column name, 3. Received: 2 in line 2 of"),
        (
            b'a,b\n1,2\n"1\n2",2\n\n3\n4,5,6\n7\n8\n',
            {},
            "Received: 1 in line 6, 3 in line 7, 1 in line 8 and 1 more lines of",
        ),
        (b"Sales of 2024\na,b\n1,2\n3,4\n", {}, "line 1 is one cell, and line 2 has 2: line 1 is a title line"),
        (b"Sales of 2024\n\na;b\n1;2\n3;4\n", {}, "line 1 is one cell, and line 3 has 2: line 1 is a title line"),
        (b"Sales of 2024,,\na,b,c\n1,2,3\n", {}, "line 1 is one cell, and line 2 has 3: line 1 is a title line"),
        (b"Sales, 2024\na,b,c\n1,2,3\n", {}, "Name all columns, .* if line 1 is a title, remove it"),
        (b"sep=x\na,b\n1,2\n", {}, "Received: 'sep=x' in line 1"),
        (b"a;b,c\n1;2,3\n", {}, r"one separator. .*\",\" and \";\" fit. Say which: --set 'dataset.table.separator="),
    ],
)
def test_files_in_doubt_are_refused_with_their_lines(write, content, settings, message):
    with pytest.raises(ValueError, match=message):
        read_csv(write(content), CsvSettings(**settings))


@pytest.mark.parametrize("line", ["sep=;\n", "SEP=;\r\n", '"sep=;"\n', "sep=;;\n"])
def test_a_line_that_names_the_separator_is_taken_and_said(write, line):
    path = write(line + "a;b\n1,5;x\n2;y;z\n")
    with pytest.raises(ValueError, match="3 in line 4"):
        read_csv(path)
    file = read_csv(write(line + "a;b\n1,5;x\n"))
    assert file.table.to_dict("list") == {"a": ["1,5"], "b": ["x"]}
    assert file.remarks == ('table.csv: separator ";", as its first line says',)


def test_the_separator_can_be_set(write):
    path = write("a;b,c\n1;2,3\n")
    assert list(read_csv(path, CsvSettings(separator=";")).table) == ["a", "b,c"]
    assert list(read_csv(path, CsvSettings(separator=",")).table) == ["a;b", "c"]
    assert read_csv(write("a\tb\n1\t2\n"), CsvSettings(separator="tab")).table.shape == (1, 2)
    assert read_csv(write("size\n47,0\n"), CsvSettings(separator=";")).table["size"].tolist() == ["47,0"]
    for settings in ({"separator": "x"}, {"encoding": "no such"}):
        with pytest.raises(ValueError, match="separator|encoding"):
            CsvSettings(**settings)


@pytest.mark.parametrize(
    "text", ["size\n1\n2\n", "size\n\n1\n\n2\n\n", 'size\n"1"\n2', "size,\n1,\n2,\n", "a;b,c\n1,2\n3,4\n"]
)
def test_one_separator_that_fits_needs_no_remark(write, text):
    file = read_csv(write(text))
    assert file.remarks == ()
    assert len(file.table) == 2


def test_an_empty_cell_alone_in_its_line_is_a_missing_value(write):
    table = pd.DataFrame({"size": ["1", None, "3"]})
    path = write("")
    table.to_csv(path, index=False)
    assert read_csv(path).table["size"].isna().tolist() == [False, True, False]


def test_long_cells_are_read(write):
    cell = "x" * 200_000
    assert read_csv(write(f"a,b\n{cell},1\n")).table["a"].tolist() == [cell]


def test_an_older_network_reads_short_rows_as_before(write):
    path = write("a,b,y\n1,2,u\n3\n")
    older = SimpleNamespace(reading_rules=2, encoding=None)
    assert read_csv(path, reference=older).table.isna().to_numpy().tolist() == [[False] * 3, [False, True, True]]
    with pytest.raises(ValueError, match="Received: 1 in line 3"):
        read_csv(path, reference=SimpleNamespace(reading_rules=READING_RULES, encoding=None))
    path = write("a;b,y\n1;2,u\n")  # two separators fit
    assert list(read_csv(path, reference=older).table) == ["a;b", "y"]
    with pytest.raises(ValueError, match="Received: 3 in line 2"):
        read_csv(write("a,y\n1,2,u\n"), reference=older)
    path = write("a;b;y\n1;2;u\n")
    assert list(read_csv(path, reference=older).table) == ["a", "b", "y"]


def test_rules_of_a_plain_file_agree(write):
    """Quotes, spaces, missing cells and a comma that ends each row are read as by the older rules."""
    path = write('a, "b" ,c,\n1," x ","p\nq",\n"",NA,"a ""b""",\n\n7 ,a"b,?,\n')
    older = read_csv(path, reference=SimpleNamespace(reading_rules=2, encoding=None)).table
    pd.testing.assert_frame_equal(read_csv(path).table, older)


def test_labels_of_images_are_read_by_the_same_reader(tmp_path, write):
    (tmp_path / "ä.png").write_bytes(b"no image")
    path = write("file;x\nä.png;5\n".encode("cp1252"), "labels.csv")
    assert read_records(path, option=None).remarks[-1].startswith('labels.csv: separator ";"')
    with pytest.raises(ValueError, match="must name at least one image. Received: none in 1 rows"):
        read_labels(tmp_path, {"train": tmp_path})


def test_the_reading_is_a_warning_of_the_run(write):
    path = write(text_of([["a", "y"], *[[str(n), "xy"[n % 2]] for n in range(40)]], ";"))
    assert load_data(str(path)).spec.warnings == ('table.csv: separator ";"',)
    series = DatasetSettings(name=str(path), series={"window": 2, "columns": {"y": "skip", "a": "number"}})
    assert load_data(series, "forecasting").spec.warnings == ('table.csv: separator ";"',)
    path = write(re.sub(";", ",", path.read_text()))
    assert load_data(str(path)).spec.warnings == ()
