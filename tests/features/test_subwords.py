"""Subwords: learned and split as by sentencepiece, from a vocabulary in order alone."""

import io
import sys
import unicodedata

import numpy as np
import pytest
import sentencepiece
from hypothesis import given, settings
from hypothesis import strategies as st
from texts import korean

from dltemplates.features import Tokens
from dltemplates.features.subwords import join, processor, train_subwords
from dltemplates.features.subwords import sentencepiece as library
from dltemplates.features.tokens import FIRST, UNKNOWN

ENGLISH = ["The film was good.", "the film was bad", "a good story, a bad film!", "it's 3.5 stars"]
TEXTS = [*(text for text, _ in korean()), *ENGLISH * 5]
CHARACTERS = sorted({*"".join(TEXTS)})
VOCABULARY = train_subwords(TEXTS, 120)


def tokens(vocabulary=VOCABULARY, length=40, **options):
    return Tokens(name="text", dtype="int32", shape=(length,), tokenizer="subwords", vocabulary=vocabulary, **options)


def test_a_vocabulary_has_the_size_and_every_character():
    assert len(VOCABULARY) == len(set(VOCABULARY)) == 120
    assert {"▁film", "▁영화가", "😀"} <= set(VOCABULARY)
    assert {*CHARACTERS} - {" "} <= {character for piece in VOCABULARY for character in piece}
    assert train_subwords(TEXTS, 120) == VOCABULARY


def test_texts_are_split_as_by_the_trained_library():
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(TEXTS),
        model_writer=model,
        model_type="bpe",
        vocab_size=124,
        normalization_rule_name="identity",
        character_coverage=1.0,
        minloglevel=2,
        pad_id=0,
        unk_id=1,
        bos_id=2,
        eos_id=3,
    )
    theirs = sentencepiece.SentencePieceProcessor(model_proto=model.getvalue())
    random = np.random.default_rng(0)
    mixed = ["".join(random.choice([*CHARACTERS, "é", "가"], 30)) for _ in range(50)]
    for text in [*TEXTS, *mixed]:
        assert processor(VOCABULARY).encode(text) == theirs.encode(text)


@given(st.text(st.sampled_from(CHARACTERS), max_size=40))
@settings(max_examples=200, deadline=None, derandomize=True)
def test_a_text_of_known_characters_comes_back(text):
    value = tokens()
    assert value.text(value.ids(text)) == " ".join(text.split())


@given(st.text(max_size=40))
@settings(max_examples=200, deadline=None, derandomize=True)
def test_the_tokens_of_any_text_are_the_text(text):
    value = tokens()
    normal = unicodedata.normalize("NFC", text.replace("▁", " "))
    assert join(value.split(text)) == " ".join(part for part in normal.split(" ") if part).strip()
    assert value.ids(text).tolist() == processor(VOCABULARY).encode(unicodedata.normalize("NFC", text))


def test_two_unicode_forms_of_a_text_have_the_same_tokens():
    text = "영화가 정말 좋아요"
    decomposed = unicodedata.normalize("NFD", text)
    assert decomposed != text
    np.testing.assert_array_equal(tokens().ids(decomposed), tokens().ids(text))
    assert UNKNOWN not in tokens().ids(text)


def test_ids_are_places_in_the_vocabulary():
    text = "영화가 정말 좋아요 😀"
    value = tokens()
    assert [value.vocabulary[index - FIRST] for index in value.ids(text)] == value.split(text)
    assert value.split(text)[0] == "▁영화가"
    assert tokens(lowercase=True).split("THE FILM") == value.split("the film")


def test_unknown_characters_are_unknown_tokens():
    value = tokens()
    ids = value.ids("film Ω film")
    assert ids.tolist().count(UNKNOWN) == 1
    assert value.unknown("film Ω film") == ["Ω"]
    assert value.text(ids) == "film \N{REPLACEMENT CHARACTER} film"
    assert value.unknown("the film") == []


def test_the_order_of_the_vocabulary_decides_how_a_text_is_split():
    vocabulary = ("▁", "a", "b", "c", "ab", "bc", "▁a")
    assert tokens(vocabulary).split("abc") == ["▁", "ab", "c"]
    other = ("▁", "a", "b", "c", "bc", "ab", "▁a")
    assert tokens(other).split("abc") == ["▁a", "bc"]
    assert tokens(other).ids("abc").tolist() == [FIRST + 6, FIRST + 4]
    for value in (tokens(vocabulary), tokens(other), tokens(VOCABULARY[::-1])):
        text = "abc" if len(value.vocabulary) < 10 else "영화가 정말 좋아요 😀"
        assert value.text(value.ids(text)) == text


@pytest.mark.parametrize(
    ("size", "match"),
    [
        (5000, r"training texts have, at most (\d+)\. Received: 5000\. Change it, or add texts\.$"),
        (5, r"training texts have, at least (\d+), one for each character\. Received: 5\. Change it, or add texts\.$"),
    ],
)
def test_a_vocabulary_that_the_texts_do_not_have_is_refused(size, match):
    with pytest.raises(ValueError, match=match) as error:
        train_subwords(TEXTS, size)
    assert "\n" not in str(error.value)
    possible = int("".join(filter(str.isdigit, str(error.value).partition("Received")[0])))
    assert len(train_subwords(TEXTS, possible)) == possible


def test_texts_without_a_subword_are_refused():
    with pytest.raises(ValueError, match=r"`dataset\.text\.vocabulary_size` must be .*Received: 8000\."):
        train_subwords(["", ""])


def test_small_data_has_fewer_subwords_by_default():
    assert 100 < len(train_subwords(TEXTS)) < 300


def test_long_texts_are_learned_from_too():
    long = "rare " * 2000  # more than sentencepiece's own limit
    assert "▁rare" in train_subwords([long, "other words"])


def test_sentencepiece_must_be_installed(monkeypatch):
    monkeypatch.setitem(sys.modules, "sentencepiece", None)
    processor.cache_clear()
    for use in (library, lambda: train_subwords(TEXTS, 120), lambda: tokens().ids("film")):
        with pytest.raises(ValueError, match=r"Received: an environment without it\..*pip install \"dltemplates\[text"):
            use()
