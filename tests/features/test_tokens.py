"""Tokens: how a text is split, normalized, mapped to ids and back, and refused."""

import unicodedata

import numpy as np
import pytest

from dltemplates.features import Tokens
from dltemplates.features.tokens import END, FIRST, PADDING, UNKNOWN, lengths_of, shorten, split_text

VOCABULARY = ("good", "bad", ",", "It's")
KOREAN = ("영", "화", "가", " ", "좋", "아", "요", "😀")


def words(**options):
    return Tokens(name="text", dtype="int32", shape=(4,), **({"vocabulary": VOCABULARY} | options))


def characters(**options):
    given = {"vocabulary": KOREAN, "tokenizer": "characters"} | options
    return Tokens(name="text", dtype="int32", shape=(10,), **given)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("It's good, isn't it?", ["It's", "good", ",", "isn't", "it", "?"]),
        ("rock \u2019n\u2019 roll", ["rock", "\u2019", "n", "\u2019", "roll"]),
        ("don\u2019t", ["don\u2019t"]),
        ("a_b  c-3.5", ["a", "_", "b", "c", "-", "3", ".", "5"]),
        ("영화가 좋아요!", ["영화가", "좋아요", "!"]),
        ("naïve q\u0308", ["naïve", "q\u0308"]),  # a letter with a mark that no single character has
        ("'tis", ["'", "tis"]),
        ("😀😀", ["😀", "😀"]),
        ("", []),
        (" \n\t", []),
    ],
)
def test_words_and_punctuation_marks(text, expected):
    assert split_text(text, "words", lowercase=False) == expected


def test_characters_are_code_points_and_syllables():
    assert split_text("좋다 😀a", "characters", lowercase=False) == ["좋", "다", " ", "😀", "a"]
    assert split_text("Ab", "characters", lowercase=True) == ["a", "b"]


@pytest.mark.parametrize("make", [words, characters])
@pytest.mark.parametrize("text", ["영화가 좋아요", "café naïve", "Å"])
def test_two_unicode_forms_of_a_text_have_the_same_tokens(make, text):
    decomposed = unicodedata.normalize("NFD", text)
    assert decomposed != unicodedata.normalize("NFC", text)
    value = make(vocabulary=tuple(dict.fromkeys(make().split(text))))
    np.testing.assert_array_equal(value.ids(decomposed), value.ids(text))
    assert UNKNOWN not in value.ids(decomposed)


def test_ids_are_places_in_the_vocabulary_after_the_special_ones():
    value = words()
    assert value.vocabulary_size == 8
    assert value.limits == (0, 7)
    assert value.ids("bad, good, odd").tolist() == [5, 6, 4, 6, UNKNOWN]
    assert value.ids("bad").dtype == np.int32
    assert FIRST == 4
    assert PADDING == 0


def test_lowercase_is_applied_to_the_text():
    assert words(lowercase=True).ids("GOOD Bad").tolist() == [4, 5]
    assert words().ids("GOOD").tolist() == [UNKNOWN]


def test_ids_become_text_up_to_the_end():
    value = words()
    assert value.text([2, 4, 6, 1, 5, 3, 4]) == "good , \N{REPLACEMENT CHARACTER} bad"
    assert value.text([4, 0, 5]) == "good"
    assert characters().text(characters().ids("좋아요😀")) == "좋아요😀"


def test_a_text_is_read_as_padded_ids():
    (name, ids) = next(iter(words().read("good, odd").items()))
    assert name == "text"
    assert ids.dtype == np.int32
    assert ids.tolist() == [[4, 6, UNKNOWN, PADDING]]
    assert lengths_of(ids).tolist() == [3]


@pytest.mark.parametrize(("truncate", "expected"), [("end", [4, 4, 4, 5]), ("start", [4, 4, 5, 5])])
def test_a_long_text_is_cut_where_the_data_was(truncate, expected):
    value = words(truncate=truncate)
    assert value.read("good good good bad bad")["text"].tolist() == [expected]
    assert value.finish(np.arange(3)).tolist() == [0, 1, 2]
    with_end = words(truncate=truncate, with_end=True)
    assert with_end.max_tokens == 3
    assert with_end.finish(np.array([4, 5])).tolist() == [4, 5, END]
    assert with_end.finish(np.arange(4, 8)).tolist() == ([4, 5, 6, END] if truncate == "end" else [5, 6, 7, END])


def test_unknown_tokens_are_named_once():
    assert words().unknown("odd good odd ! a b c d e") == ["odd", "!", "a", "b", "c"]
    assert words().unknown("good") == []


@pytest.mark.parametrize(
    ("value", "text", "match"),
    [
        (words(), "", r"must have a token\. Received: an empty text\. Write one"),
        (words(), " \n", "Received: an empty text"),
        (characters(), "   ", "Received: an empty text"),  # although a space is a token
        (words(), "안녕", r"token of the vocabulary\. Received: '안녕', which has none\. Write it in the language"),
        (characters(), "hello world", "Received: 'hello world', which has none"),
        (words(), "good " * 5, r"at most 4 tokens\. Received: 5 in 'good good.*truncate=end"),
    ],
)
def test_a_text_that_says_nothing_or_too_much_is_refused(value, text, match):
    with pytest.raises(ValueError, match=match) as error:
        value.read(text)
    assert "\n" not in str(error.value)


def test_examples_of_a_check_are_ids_with_padding_at_the_end():
    value = words()
    ids = value.stress(np.zeros((1, 4), np.int32), np.random.default_rng(0))
    assert ids.dtype == np.int32
    assert ids.shape[1:] == value.shape
    assert len(ids) > 10
    assert ids.max() < value.vocabulary_size
    for row, length in zip(ids, lengths_of(ids), strict=True):
        assert (row[:length] > PADDING).all()
        assert (row[length:] == PADDING).all()
    assert len(set(lengths_of(ids))) > 2


def test_messages_show_the_beginning_of_a_text():
    assert shorten("a" * 40) == "a" * 40
    assert shorten("a" * 41) == "a" * 40 + "..."
