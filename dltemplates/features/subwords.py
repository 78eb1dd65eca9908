"""Subwords: byte-pair encoding of texts by sentencepiece.

Sennrich, Haddow, Birch: "Neural Machine Translation of Rare Words with Subword Units", ACL 2016,
https://arxiv.org/abs/1508.07909; Kudo, Richardson: "SentencePiece", EMNLP 2018, https://arxiv.org/abs/1808.06226.

A vocabulary in order says all: a text is split into characters, with `\u2581` for each space and in front; then, of all
pairs of neighbors that together are in the vocabulary, the one that comes first there is joined, again and again.
"""

from __future__ import annotations

import functools
import importlib
import io
import re
from collections.abc import Iterable
from typing import Any

SPACE = "\u2581"
SPECIAL = ("<pad>", "<unk>", "<s>", "</s>")
MAX_SUBWORDS = 8_000  # subwords by default
LONGEST = 2**30  # bytes of a text; sentencepiece leaves longer ones out


def sentencepiece() -> Any:
    """Import sentencepiece.

    Raises:
        ValueError: If it is not installed.
    """
    try:
        import sentencepiece
    except ImportError:
        raise ValueError(
            "Subwords need the package sentencepiece. Received: an environment without it. Install it: "
            'pip install "dltemplates[text]".'
        ) from None
    return sentencepiece


def train_subwords(texts: Iterable[str], size: int | None = None) -> tuple[str, ...]:
    """Learn a vocabulary of `size` subwords; by default `MAX_SUBWORDS`, or fewer if the texts have fewer.

    Raises:
        ValueError: If the texts have fewer than `size`, or more characters.
    """
    model, texts = io.BytesIO(), list(texts)
    options: dict[str, Any] = {
        "model_type": "bpe",
        "vocab_size": (size or MAX_SUBWORDS) + len(SPECIAL),
        "hard_vocab_limit": size is not None,
        "normalization_rule_name": "identity",
        "character_coverage": 1.0,
        "max_sentence_length": LONGEST,
        "user_defined_symbols": ["\n"] if any("\n" in text for text in texts) else [],  # a token of its own
        "minloglevel": 2,
        "num_threads": 1,
        **{f"{name}_id": place for place, name in enumerate(("pad", "unk", "bos", "eos"))},
    }
    library = sentencepiece()
    try:
        library.SentencePieceTrainer.train(sentence_iterator=iter(texts), model_writer=model, **options)
    except RuntimeError as error:
        most, least = re.search(r"<= (\d+)", str(error)), re.search(r"required_chars. \d+ vs (\d+)", str(error))
        found = " ".join(str(error).split())
        if most:
            found = f"at most {int(most[1]) - len(SPECIAL)}"
        elif least:
            found = f"at least {int(least[1]) - len(SPECIAL)}, one for each character"
        raise ValueError(
            f"`dataset.text.vocabulary_size` must be a number of subwords that the training texts have, {found}. "
            f"Received: {size or MAX_SUBWORDS}. Change it, or add texts."
        ) from None
    processor = library.SentencePieceProcessor(model_proto=model.getvalue())
    return tuple(processor.id_to_piece(place) for place in range(len(SPECIAL), processor.get_piece_size()))


@functools.lru_cache(maxsize=8)
def processor(vocabulary: tuple[str, ...]) -> Any:
    """Return sentencepiece's processor of a vocabulary."""
    library = sentencepiece()
    messages: Any = importlib.import_module("sentencepiece.sentencepiece_model_pb2")

    model = messages.ModelProto()
    kinds = messages.ModelProto.SentencePiece
    for place, name in enumerate(SPECIAL):
        model.pieces.add(piece=name, score=0.0, type=kinds.UNKNOWN if place == 1 else kinds.CONTROL)
    for place, name in enumerate(vocabulary):
        model.pieces.add(piece=name, score=-float(place), type=kinds.NORMAL)
    model.trainer_spec.model_type = messages.TrainerSpec.BPE
    for place, name in enumerate(("pad", "unk", "bos", "eos")):
        setattr(model.trainer_spec, f"{name}_id", place)
    model.normalizer_spec.name = "identity"
    return library.SentencePieceProcessor(model_proto=model.SerializeToString())


def join(pieces: Iterable[str]) -> str:
    """Return the text of some subwords."""
    return "".join(pieces).replace(SPACE, " ").strip()
