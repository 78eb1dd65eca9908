"""Forty Korean sentences of two classes, and the smallest network of texts: the mean of the tokens' vectors."""

from __future__ import annotations

from pathlib import Path

import keras
from keras import layers, ops

SUBJECTS = ("영화가", "음식이", "노래가", "날씨가", "방이")
PRAISE = ("정말 좋아요", "아주 재미있어요 😀", "무척 훌륭해요", "참 마음에 들어요")
BLAME = ("정말 나빠요", "아주 지루해요 😡", "무척 실망이에요", "참 마음에 안 들어요")
CLASSES = ("나쁨", "좋음")


def korean() -> list[tuple[str, str]]:
    """Return forty different sentences, each with its class."""
    ends = [*((end, "좋음") for end in PRAISE), *((end, "나쁨") for end in BLAME)]
    return [(f"{subject} {end}", label) for subject in SUBJECTS for end, label in ends]


def write_korean(path: Path) -> Path:
    """Write the sentences as a `.tsv` file with a header."""
    lines = ["text\tlabel", *("\t".join(row) for row in korean())]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def mean_of_tokens(vocabulary_size, num_outputs, *, units=8, name="mean_of_tokens"):
    """Build a network of the mean of the tokens' vectors, without the padding."""
    ids = keras.Input((None,), dtype="int32")
    real = ops.cast(ids != 0, "float32")[..., None]
    vectors = layers.Embedding(vocabulary_size, units)(ids) * real
    mean = ops.sum(vectors, axis=1) / ops.maximum(ops.sum(real, axis=1), 1)
    return keras.Model(ids, layers.Dense(num_outputs, dtype="float32")(mean), name=name)
