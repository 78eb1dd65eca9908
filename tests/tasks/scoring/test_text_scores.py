"""Scores of written texts: those of sacrebleu, of all texts and of resampled ones."""

import sys

import numpy as np
import pytest
from sacrebleu import corpus_bleu, corpus_chrf

from dltemplates.tasks.scoring.text_scores import bleu_stats, chrf, sacrebleu, score_of_bleu

EXPECTED = [
    "A man in an orange hat is staring at something.",
    "Five people, in winter jackets, stand in the snow.",
    "Two dogs run on the beach!",
    "It costs 3.50 dollars.",
    "고양이가 지붕 위에 앉아 있다.",
    "yes",
]
WRITTEN = [
    "a man in a orange hat is looking at something .",
    "Five people in winter jackets stand in snow.",
    "Two dogs run on the beach!",
    "It costs 3.50",
    "고양이가 지붕에 앉아 있다.",
    "",
]


def bleu(written, expected):
    return float(score_of_bleu(bleu_stats(written, expected))(np.ones((1, len(written))))[0])


def corpus(written, expected):
    return corpus_bleu(written, [expected], lowercase=True, tokenize="13a").score


def test_bleu_is_that_of_the_corpus():
    assert 20 < bleu(WRITTEN, EXPECTED) < 80
    assert bleu(WRITTEN, EXPECTED) == pytest.approx(corpus(WRITTEN, EXPECTED), abs=1e-9)
    assert bleu(EXPECTED, EXPECTED) == pytest.approx(100)


@pytest.mark.parametrize("place", range(len(EXPECTED)))
def test_bleu_of_one_text(place):
    """Few words have no n-grams of 4, none have no n-gram at all."""
    one = WRITTEN[place : place + 1], EXPECTED[place : place + 1]
    assert bleu(*one) == pytest.approx(corpus(*one), abs=1e-9)


def test_bleu_is_in_lower_case_and_splits_marks_off():
    assert bleu(["THE CAT SAT THERE ."], ["the cat sat there."]) == pytest.approx(100)


def test_texts_without_a_word_in_common_have_no_bleu():
    assert bleu(["a b c d e"], ["f g h i j"]) == pytest.approx(corpus(["a b c d e"], ["f g h i j"]))
    assert bleu(["", ""], ["f g", "h"]) == 0


def test_weights_repeat_texts():
    weights = np.random.default_rng(0).multinomial(len(EXPECTED), [1 / len(EXPECTED)] * len(EXPECTED), size=8)
    scores = score_of_bleu(bleu_stats(WRITTEN, EXPECTED))(weights.astype(float))
    expected = [
        corpus(*(np.repeat(np.array(texts, object), row).tolist() for texts in (WRITTEN, EXPECTED))) for row in weights
    ]
    np.testing.assert_allclose(scores, expected, atol=1e-9)
    assert np.ptp(scores) > 5


def test_the_counts_of_each_text():
    stats = bleu_stats(["the cat sat"], ["the cat sat there"])
    assert stats.tolist() == [[3, 2, 1, 0, 3, 2, 1, 0, 3, 4]]
    assert stats.dtype == np.float64


def test_chrf_is_that_of_the_corpus():
    assert 20 < chrf(WRITTEN, EXPECTED) < 90
    assert chrf(WRITTEN, EXPECTED) == pytest.approx(corpus_chrf(WRITTEN, [EXPECTED]).score)
    assert chrf(EXPECTED, EXPECTED) == pytest.approx(100)


def test_texts_are_compared_in_pairs():
    with pytest.raises(ValueError, match="shorter|longer"):
        bleu_stats(WRITTEN, EXPECTED[:-1])


def test_sacrebleu_must_be_installed(monkeypatch):
    monkeypatch.setitem(sys.modules, "sacrebleu", None)
    for score in (sacrebleu, lambda: bleu_stats(WRITTEN, EXPECTED), lambda: chrf(WRITTEN, EXPECTED)):
        with pytest.raises(ValueError, match=r"Received: an environment without it\..*pip install \"dltemplates\[text"):
            score()
