"""Scores of masked tokens that leave the other scores their resolution, for integer formats.

In 8 bits, the scores of an attention share one scale. The usual -1e9 rounds all others to 0. A score of -20 does not,
and a softmax still gives it only 2e-9 of the weight of the score 0.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import TYPE_CHECKING

from dltemplates.compat import flatten_layers

if TYPE_CHECKING:
    import keras

INTEGER_SCORE = -20.0


def has_masked_scores(model: keras.Model) -> bool:
    """Return whether a layer of a model has a `masked_score`, as `MaskedAttention` and `AttentionGRUCell` have."""
    return any(hasattr(layer, "masked_score") for layer in flatten_layers(model))


@contextlib.contextmanager
def integer_scores(model: keras.Model) -> Iterator[None]:
    """Let the layers of a model give masked tokens the score `INTEGER_SCORE` while it is traced."""
    scores = {layer: layer.masked_score for layer in flatten_layers(model) if hasattr(layer, "masked_score")}
    try:
        for layer in scores:
            layer.masked_score = INTEGER_SCORE
        yield
    finally:
        for layer, score in scores.items():
            layer.masked_score = score
