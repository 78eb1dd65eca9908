"""Token ids of texts.

A text is normalized to Unicode NFC, split into tokens, and each token becomes its position in the vocabulary, plus 4:
the first ids are those of padding, of an unknown token, of the start and of the end. An app must do the same:

- `characters`: each Unicode code point is a token; a Korean syllable is one.
- `words`: a token is a run of letters, digits and combining marks, which may have apostrophes inside; or one other
  character that is no space. Their texts are joined by spaces.
"""

from __future__ import annotations

import functools
import re
import unicodedata
from collections.abc import Iterable, Sequence
from typing import Any, Literal

import numpy as np

from dltemplates.features.feature import DRAWN, Arrays, WithColumns

PADDING, UNKNOWN, START, END = range(4)
FIRST = 4  # id of the first token of the vocabulary
WORD = re.compile(r"[^\W_](?:[^\W_]|[\u0300-\u036f]|['\u2019](?=[^\W_]))*|\S")
MAX_NAMED = 5  # unknown tokens in a remark

Tokenizer = Literal["characters", "words"]
Truncate = Literal["no", "end", "start"]


class Tokens(WithColumns):
    """Token ids of a text, int32 (length,), with padding at the end.

    Attributes:
        tokenizer: What a token is: a character, or a word or punctuation mark.
        lowercase: Whether texts are converted to lower case.
        vocabulary: The known tokens, by id - 4.
        truncate: What happens to a text of more tokens than `length`: `no`, an error; or its `end` or `start` is cut.
    """

    kind: Literal["tokens"] = "tokens"
    tokenizer: Tokenizer = "words"
    lowercase: bool = False
    vocabulary: tuple[str, ...] = ()
    truncate: Truncate = "no"

    @property
    def vocabulary_size(self) -> int:
        """Number of ids: the vocabulary, padding, unknown, start and end."""
        return FIRST + len(self.vocabulary)

    @property
    def limits(self) -> tuple[float, float]:
        return 0, self.vocabulary_size - 1

    def split(self, text: str) -> list[str]:
        """Split a text into tokens."""
        return split_text(text, self.tokenizer, lowercase=self.lowercase)

    def ids(self, text: str) -> np.ndarray:
        """Return the ids of a text's tokens, int32 (n,), without padding."""
        known = _places(self.vocabulary)
        return np.array([known.get(token, UNKNOWN) for token in self.split(text)], np.int32)

    def cut(self, ids: np.ndarray) -> np.ndarray:
        """Cut ids (n,) to `length` at the end or the start."""
        length = self.shape[0]
        return ids[-length:] if self.truncate == "start" else ids[:length]

    def text(self, ids: Iterable[int]) -> str:
        """Return the text of some ids, up to the end; unknown tokens become `\N{REPLACEMENT CHARACTER}`."""
        tokens = []
        for index in map(int, ids):
            if index in (END, PADDING):
                break
            if index != START:
                tokens.append("\N{REPLACEMENT CHARACTER}" if index < FIRST else self.vocabulary[index - FIRST])
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
        if len(ids) > self.shape[0] and self.truncate == "no":
            raise ValueError(
                f"A text must have at most {self.shape[0]} tokens. Received: {len(ids)} in {shorten(text)!r}. Shorten "
                "it, or train again with --set dataset.text.truncate=end."
            )
        padded = np.full((1, *self.shape), PADDING, np.int32)
        ids = self.cut(ids)
        padded[0, : len(ids)] = ids
        return {self.name: padded}

    def stress(self, example: np.ndarray, random: np.random.Generator) -> np.ndarray:
        """Return random ids (19, length) with padding after a random length."""
        count = DRAWN + 3
        ids = random.integers(UNKNOWN, self.vocabulary_size, (count, *self.shape))
        lengths = random.integers(1, self.shape[0], (count, 1), endpoint=True)
        return np.where(np.arange(self.shape[0]) < lengths, ids, PADDING).astype(example.dtype)


def split_text(text: str, tokenizer: Tokenizer, *, lowercase: bool) -> list[str]:
    """Split a text into tokens."""
    text = unicodedata.normalize("NFC", text)
    if lowercase:
        text = text.lower()
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
