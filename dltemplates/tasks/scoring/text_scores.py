"""Scores of written texts, by sacrebleu."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np

from dltemplates.tasks.scoring.evaluation import ScoreOf

ORDER = 4  # longest n-gram of BLEU


def sacrebleu() -> Any:
    """Import sacrebleu's metrics.

    Raises:
        ValueError: If it is not installed.
    """
    try:
        from sacrebleu import metrics
    except ImportError:
        raise ValueError(
            "Scores of written texts need the package sacrebleu. Received: an environment without it. Install it: "
            'pip install "dltemplates[text]".'
        ) from None
    return metrics


def bleu_stats(written: Sequence[str], expected: Sequence[str]) -> np.ndarray:
    """Return the counts of each text for BLEU, float64 (n, 10).

    They are the right and the possible n-grams of 1 to 4 tokens, and the lengths of both texts, with the tokenizer 13a,
    in lower case.
    """
    bleu = sacrebleu().BLEU(lowercase=True, effective_order=True)
    scores = [bleu.sentence_score(text, [other]) for text, other in zip(written, expected, strict=True)]
    return np.array([[*score.counts, *score.totals, score.sys_len, score.ref_len] for score in scores], np.float64)


def score_of_bleu(stats: np.ndarray) -> ScoreOf:
    """Return the function from weights (draws, n) to BLEU (draws,), 0 to 100, of texts with these counts."""
    metrics = sacrebleu()

    def score(weights: np.ndarray) -> np.ndarray:
        sums = weights @ stats
        return np.array(
            [
                metrics.BLEU.compute_bleu(
                    correct=row[:ORDER].tolist(),
                    total=row[ORDER : 2 * ORDER].tolist(),
                    sys_len=int(row[-2]),
                    ref_len=int(row[-1]),
                    smooth_method="exp",
                ).score
                for row in sums
            ]
        )

    return score


def chrf(written: Sequence[str], expected: Sequence[str]) -> float:
    """Return chrF, 0 to 100: the F-score of n-grams of characters."""
    return float(sacrebleu().CHRF().corpus_score(list(written), [list(expected)]).score)


def score_by_text(name: Literal["bleu", "chrf"], written: Sequence[str], expected: Sequence[str]) -> np.ndarray:
    """Return the score of each text by itself, 0 to 100, (n,); BLEU with n-grams of at most the text's length."""
    metrics = sacrebleu()
    metric = metrics.BLEU(lowercase=True, effective_order=True) if name == "bleu" else metrics.CHRF()
    return np.array([metric.sentence_score(a, [b]).score for a, b in zip(written, expected, strict=True)])
