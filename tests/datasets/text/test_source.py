"""Raw texts as examples: their tokens, a vocabulary of the training texts alone, and encoded texts."""

import unicodedata

import numpy as np
import pytest
from texts import korean

from dltemplates.datasets.features import class_value
from dltemplates.datasets.ragged import Ragged
from dltemplates.datasets.spec import DatasetSpec
from dltemplates.datasets.text.source import TextSource
from dltemplates.features import Tokens
from dltemplates.features.tokens import UNKNOWN
from dltemplates.settings import TextSettings

TEXTS = ["b a a", "a, b c", "rare words here", "a"]
LABEL = class_value(("no", "yes"))


def source_of(texts=TEXTS, *, keys=None, **settings):
    settings = TextSettings(**({"min_frequency": 1} | settings))
    return TextSource({"text": texts}, {"label": np.arange(len(texts)) % 2}, settings, keys=keys)


def spec_of(source, length=4, **options):
    given = {"vocabulary": ("a", "b", ","), "tokenizer": source.settings.tokenizer} | options
    tokens = Tokens(name="text", dtype="int32", shape=(length,), **given)
    return DatasetSpec(inputs=(tokens,), targets=(LABEL,), sizes={}, fingerprint="")


def test_texts_and_targets_are_read_at_any_places():
    source = source_of(keys=["w", "x", "y", "z"])
    arrays = source.read(np.array([3, 0]))
    assert arrays["text"].tolist() == ["a", "b a a"]
    assert arrays["label"].tolist() == [1, 0]
    assert source.column("text").tolist() == TEXTS
    assert source.column("label").tolist() == [0, 1, 0, 1]
    assert len(source) == 4
    assert source.keys == ["w", "x", "y", "z"]
    assert source.lengths("text").tolist() == [3, 4, 3, 1]


def test_texts_are_kept_in_one_unicode_form():
    texts = [text for text, _ in korean()]
    decomposed = [unicodedata.normalize("NFD", text) for text in texts]
    assert decomposed != texts
    pair = [source_of(given, tokenizer="characters") for given in (texts, decomposed)]
    assert pair[0].texts == pair[1].texts
    assert pair[0].vocabulary(np.arange(40)) == pair[1].vocabulary(np.arange(40))
    assert {"요", " ", "\N{GRINNING FACE}"} <= set(pair[0].vocabulary(np.arange(40)))


def test_the_vocabulary_is_that_of_the_chosen_texts_the_most_frequent_first():
    source = source_of()
    assert source.vocabulary(np.arange(2)) == ("a", "b", ",", "c")  # equally frequent ones by their text
    assert source.vocabulary(np.array([2])) == ("here", "rare", "words")
    assert source_of(vocabulary_size=2).vocabulary(np.arange(4)) == ("a", "b")
    assert source_of(min_frequency=2).vocabulary(np.arange(4)) == ("a", "b")
    assert source_of(["A a", "a"], lowercase=True).vocabulary(np.arange(2)) == ("a",)


def test_words_are_rare_below_five_and_characters_never():
    texts = ["film film film film film", "good"]
    assert source_of(texts, min_frequency=None).vocabulary(np.arange(2)) == ("film",)
    assert "d" in source_of(texts, min_frequency=None, tokenizer="characters").vocabulary(np.arange(2))


def test_a_fitted_source_reads_padded_ids():
    source = source_of()
    fitted = source.fitted(spec_of(source))
    arrays = fitted.read(np.arange(4))
    assert arrays["text"].dtype == np.int32
    assert arrays["text"].tolist() == [[5, 4, 4, 0], [4, 6, 5, UNKNOWN], [UNKNOWN] * 3 + [0], [4, 0, 0, 0]]
    assert arrays["label"].tolist() == [0, 1, 0, 1]
    assert isinstance(fitted.arrays["text"], Ragged)
    assert len(fitted.arrays["text"].values) == 11  # without padding
    assert source.fitted(spec_of(source)) is fitted
    assert source.fitted(spec_of(source, vocabulary=("a",))) is not fitted


def test_texts_may_be_shorter_than_the_input():
    source = source_of()
    assert source.fitted(spec_of(source, 9)).read(np.arange(1))["text"].tolist() == [[5, 4, 4, *[0] * 6]]


@pytest.mark.parametrize(("truncate", "expected"), [("end", [[5, 4], [4, 6]]), ("start", [[4, 4], [5, UNKNOWN]])])
def test_longer_texts_are_cut(truncate, expected):
    source = source_of()
    fitted = source.fitted(spec_of(source, 2, truncate=truncate))
    assert fitted.read(np.arange(2))["text"].tolist() == expected


def test_a_longer_text_is_refused_where_it_may_not_be_cut():
    source = source_of()
    with pytest.raises(ValueError, match=r"at most 2 tokens\. Received: 4 in `text`, 'a, b c'\. Raise .*truncate=end"):
        source.fitted(spec_of(source, 2))


@pytest.mark.parametrize(
    ("settings", "match"),
    [
        ({"min_frequency": 9}, r"occurs 9 times in the training texts\. Received: none of 7\..*min_frequency=1"),
        ({"min_frequency": None}, r"occurs 5 times in the training texts\. Received: none of 7\."),
        ({"vocabulary_size": 8}, r"must be at most 7, .*`min_frequency` is 1\)\. Received: 8\. Lower it, or leave"),
        ({"vocabulary_size": 3, "min_frequency": 2}, r"at most 2, .*`min_frequency` is 2\)\. Received: 3\."),
    ],
)
def test_a_vocabulary_that_the_data_does_not_have_is_refused(settings, match):
    with pytest.raises(ValueError, match=match):
        source_of(**settings).vocabulary(np.arange(4))
