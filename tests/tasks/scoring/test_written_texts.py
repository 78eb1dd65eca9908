"""The score of each text by itself, and the texts that a report shows."""

import numpy as np
import pytest

from conftest import spec_of
from dltemplates.features import Tokens
from dltemplates.tasks.scoring.evaluation import worst_and_others
from dltemplates.tasks.scoring.text_scores import score_by_text
from dltemplates.tasks.text_to_text import TextToText

WORDS = ("a", "cat", "sat", "here", "dog")


def test_a_short_text_that_is_right_has_the_full_score():
    written, expected = ["A cat", "a dog", "", "a cat sat here"], ["a cat", "a cat", "a", "a cat sat here"]
    for name in ("bleu", "chrf"):
        scores = score_by_text(name, written, expected)
        assert scores[3] == pytest.approx(100)
        assert scores[2] == 0
        assert 0 < scores[1] < 100
    assert score_by_text("bleu", written, expected)[0] == pytest.approx(100)  # in any letter case


@pytest.mark.parametrize(
    ("errors", "most", "expected"),
    [
        ([0, 2, 0, 5, 1, 0, 3], 4, [3, 6, 0, 5]),  # the worst, then right ones, evenly spaced
        ([0, 2, 0, 0], 10, [1, 0, 2, 3]),
        ([4, 2, 3, 1, 5, 6], 4, [5, 4, 0, 3]),  # all are wrong
        ([0, 0, 0], 2, [0, 2]),
        ([7], 4, [0]),
    ],
)
def test_the_worst_come_first_then_others(errors, most, expected):
    assert worst_and_others(np.array(errors, float), most).tolist() == expected


def task(score):
    feature = Tokens(name="source", dtype="int32", shape=(5,), vocabulary=WORDS)
    return TextToText(spec_of(feature.model_copy(update={"name": "target"}), inputs=(feature,)), score=score)


def ids(*texts):
    return np.array(
        [[*(4 + WORDS.index(word) for word in text.split()), 3, 0, 0, 0, 0][:5] for text in texts], np.int32
    )


@pytest.mark.parametrize("score", ["bleu", "chrf", "exact"])
def test_the_worst_translations_are_shown_first(score):
    expected = ids("a cat sat here", "a dog", "dog", "cat")
    written = ids("a cat sat here", "a cat", "cat", "cat")
    evaluation = task(score).compare({"source": expected, "target": expected}, {"text": written})
    first, second, *others = evaluation.details["texts"]
    if score == "exact":
        assert first == {"source": "a dog", "expected": "a dog", "written": "a cat", "wrong": True}
    else:
        assert first["written"], second["written"] == ("cat", "a cat")
        assert first[score] < second[score] < others[0][score]
    assert [row["source"] for row in others] == ["a cat sat here", "cat"]
