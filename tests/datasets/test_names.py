"""Names of classes, columns and files."""

import re
import unicodedata

import pytest

from dltemplates.datasets.names import as_lines, changes, clean, find_file, in_order, look_alikes, one_line, same_as

NFC, NFD = (unicodedata.normalize(form, "강아지 é") for form in ("NFC", "NFD"))


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("cats", "cats"),
        (" cats ", " cats "),
        (NFD, NFC),
        ("yes\n(second line)", "yes (second line)"),
        ("a\r\n\tb", "a b"),
        ("a \n b", "a b"),
        ("a\x0bb\x0cc\x1cd\x85e\u2028f\u2029g", "a b c d e f g"),
        ("a\x00b\x7fc", "a b c"),
        ("\ttab", "tab"),
        ("\u00a0 \u200d", "\u00a0 \u200d"),
    ],
)
def test_clean(written, expected):
    assert clean(written) == expected
    assert clean(expected) == expected
    assert len(clean(written).splitlines()) == 1


def test_a_file_has_one_line_per_name():
    names = ("yes\n(second line)", "\n", "b\u2028c", "강\x85아", "plain")
    assert as_lines(names).splitlines() == ["yes (second line)", "", "b c", "강 아", "plain"]
    assert as_lines(["a", "b"]) == "a\nb\n"


def test_whole_numbers_are_in_their_order():
    numbers = ["10", "2", "1", "-3", "2", "+4"]
    assert in_order(numbers, rules=3) == ("-3", "1", "2", "+4", "10")
    assert in_order(numbers, rules=2) == ("+4", "-3", "1", "10", "2")
    assert in_order(["10", "2", "x"], rules=3) == ("10", "2", "x")
    assert in_order(["10", "2.5", "2"], rules=3) == ("10", "2", "2.5")
    assert in_order(["01", "1", "0"], rules=3) == ("0", "01", "1")
    assert in_order([], rules=3) == ()
    assert in_order(["10", "9" * 40], rules=3) == ("10", "9" * 40)


def test_names_are_compared_in_one_form():
    assert same_as([NFC, "b"], [NFD, "b", "c"]) == {NFD: NFC}
    assert same_as([NFD], [NFC, NFD]) == {NFC: NFD}
    assert same_as(["a\nb"], ["a b"]) == {"a b": "a\nb"}
    assert same_as(["Cat"], ["cat"]) == {}


def test_changes_are_said():
    assert changes("classes", {"a": ["a"], NFC: [NFD], "é": ["é"]}) == []
    (line,) = changes("classes", {"a b": ["a\nb"], "c": ["c"]})
    assert line.startswith("classes with a line break or another control character are read on one line, such as 'a b'")
    (line,) = changes("columns", {NFC: [NFC, NFD]})
    assert line.startswith(f"columns that look alike in two Unicode forms are read as one: {NFC!r}: ")
    (line,) = changes("columns", {str(n): [f"{n}\t"] for n in range(9)})
    assert "'0', '1', '2', ...: " in line


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Cat", "cat"),
        ("cat", "cat "),
        ("a b", "a  b"),
        ("a b", "a\u00a0b"),
        ("ab", "a\u200bb"),
        ("m2", "m²"),
        ("ß", "SS"),
    ],
)
def test_look_alikes_are_doubted(one, other):
    (line,) = look_alikes("classes", [one, "dog", other])
    one, other = sorted((one, other))
    assert re.match(
        rf"classes differ in case, .* alone: {re.escape(repr(one))} and {re.escape(repr(other))}: write", line
    )


def test_other_names_are_not_doubted():
    assert look_alikes("classes", ["cat", "cats", "a-b", "ab", "1", "01", "é", "e", "o", "0"]) == []
    assert one_line("plain  text") == "plain  text"


def test_a_file_is_found_by_its_name_in_another_form(tmp_path):
    inner = tmp_path / NFD
    inner.mkdir()
    (inner / f"{NFC}.png").write_bytes(b"")
    assert find_file(tmp_path, f"{NFD}/{NFC}.png") == f"{NFD}/{NFC}.png"
    assert find_file(tmp_path, f"{NFC}/{NFD}.png") == f"{NFD}/{NFC}.png"
    assert find_file(tmp_path, f"{NFC}/other.png") is None
    assert find_file(tmp_path, f"{NFC}/{NFC}.png/more") is None
    assert find_file(tmp_path, NFC) is None
