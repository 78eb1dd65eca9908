"""Token ids of texts.

A text is normalized to Unicode NFC, split into tokens, and each token becomes its position in the vocabulary, plus 4:
the first ids are those of padding, of an unknown token, of the start and of the end. An app must do the same:

- `characters`: each Unicode code point is a token; a Korean syllable is one.
- `words`: a token is a run of letters, digits and combining marks, which may have apostrophes inside; or one other
  character that is no space. Their texts are joined by spaces.
- `subwords`: parts of words, see `subwords.py`.
"""

from __future__ import annotations

import functools
import re
import unicodedata
from collections.abc import Iterable, Sequence
from typing import Any, Literal

import numpy as np

from dltemplates.features import subwords
from dltemplates.features.feature import DRAWN, Arrays, WithColumns

PADDING, UNKNOWN, START, END = range(4)
FIRST = 4  # id of the first token of the vocabulary
WORD = re.compile(r"[^\W_](?:[^\W_]|[\u0300-\u036f]|['\u2019](?=[^\W_]))*|\S")
MAX_NAMED = 5  # unknown tokens in a remark

Tokenizer = Literal["characters", "words", "subwords"]
Truncate = Literal["no", "end", "start"]


class Tokens(WithColumns):
    """Token ids of a text, int32 (length,), with padding at the end.

    Attributes:
        tokenizer: What a token is: a character, a word or punctuation mark, or a part of a word.
        lowercase: Whether texts are converted to lower case.
        vocabulary: The known tokens, by id - 4.
        truncate: What happens to a text of more tokens than `length`: `no`, an error; or its `end` or `start` is cut.
        with_end: Whether the end follows the last token.
    """

    kind: Literal["tokens"] = "tokens"
    tokenizer: Tokenizer = "words"
    lowercase: bool = False
    vocabulary: tuple[str, ...] = ()
    truncate: Truncate = "no"
    with_end: bool = False

    @property
    def vocabulary_size(self) -> int:
        """Number of ids: the vocabulary, padding, unknown, start and end."""
        return FIRST + len(self.vocabulary)

    @property
    def limits(self) -> tuple[float, float]:
        return 0, self.vocabulary_size - 1

    def split(self, text: str) -> list[str]:
        """Split a text into tokens."""
        if self.tokenizer == "subwords":
            return subwords.processor(self.vocabulary).encode(normalize(text, lowercase=self.lowercase), out_type=str)
        return split_text(text, self.tokenizer, lowercase=self.lowercase)

    def ids(self, text: str) -> np.ndarray:
        """Return the ids of a text's tokens, int32 (n,), without padding and end."""
        known = _places(self.vocabulary)
        return np.array([known.get(token, UNKNOWN) for token in self.split(text)], np.int32)

    @property
    def max_tokens(self) -> int:
        """Number of tokens of the longest text, without the end."""
        return self.shape[0] - self.with_end

    def finish(self, ids: np.ndarray) -> np.ndarray:
        """Cut ids (n,) to `max_tokens` at the end or the start, and add the end."""
        ids = ids[max(0, len(ids) - self.max_tokens) :] if self.truncate == "start" else ids[: self.max_tokens]
        return np.append(ids, np.int32(END)) if self.with_end else ids

    def text(self, ids: Iterable[int]) -> str:
        """Return the text of some ids, up to the end; unknown tokens become `\N{REPLACEMENT CHARACTER}`."""
        tokens = []
        for index in map(int, ids):
            if index in (END, PADDING):
                break
            if index != START:
                tokens.append("\N{REPLACEMENT CHARACTER}" if index < FIRST else self.vocabulary[index - FIRST])
        if self.tokenizer == "subwords":
            return subwords.join(tokens)
        return ("" if self.tokenizer == "characters" else " ").join(tokens)

    def unknown(self, text: str) -> list[str]:
        """Return the first different unknown tokens of a text."""
        known = _places(self.vocabulary)
        return list(dict.fromkeys(token for token in self.split(text) if token not in known))[:MAX_NAMED]

    def read(self, user_input: Any) -> Arrays:
        """Return the padded ids of a text, (1, length).

        Raises:
            ValueError: If the text is empty, has no known token, or is too long.
        """
        text = str(user_input)
        if not text.strip():
            raise ValueError("A text must have a token. Received: an empty text. Write one.")
        known = _places(self.vocabulary)
        if all(token.isspace() or token not in known for token in self.split(text)):
            raise ValueError(
                f"A text must have a token of the vocabulary. Received: {shorten(text)!r}, which has none. Write it in "
                "the language and script of the training texts."
            )
        ids = self.ids(text)
        if len(ids) > self.max_tokens and self.truncate == "no":
            raise ValueError(
                f"A text must have at most {self.max_tokens} tokens. Received: {len(ids)} in {shorten(text)!r}. "
                "Shorten it, or train again with --set dataset.text.truncate=end."
            )
        padded = np.full((1, *self.shape), PADDING, np.int32)
        ids = self.finish(ids)
        padded[0, : len(ids)] = ids
        return {self.name: padded}

    def stress(self, example: np.ndarray, random: np.random.Generator) -> np.ndarray:
        """Return random ids (19, length) with padding after a random length."""
        count = DRAWN + 3
        ids = random.integers(UNKNOWN, self.vocabulary_size, (count, *self.shape))
        lengths = random.integers(1, self.shape[0], (count, 1), endpoint=True)
        return np.where(np.arange(self.shape[0]) < lengths, ids, PADDING).astype(example.dtype)


def normalize(text: str, *, lowercase: bool) -> str:
    """Return a text in NFC, perhaps in lower case."""
    text = unicodedata.normalize("NFC", text)
    return text.lower() if lowercase else text


def split_text(text: str, tokenizer: Tokenizer, *, lowercase: bool) -> list[str]:
    """Split a text into characters or words."""
    text = normalize(text, lowercase=lowercase)
    return list(text) if tokenizer == "characters" else WORD.findall(text)


def shorten(text: str, characters: int = 40) -> str:
    """Return the beginning of a text, for a message."""
    return text if len(text) <= characters else f"{text[:characters]}..."


def lengths_of(ids: np.ndarray) -> np.ndarray:
    """Return the number of tokens in rows of padded ids (n, length): int64 (n,)."""
    return (ids != PADDING).sum(axis=1)


@functools.lru_cache(maxsize=8)
def _places(vocabulary: Sequence[str]) -> dict[str, int]:
    return {token: place for place, token in enumerate(vocabulary, FIRST)}
