"""Texts as examples, and their vocabulary."""

from __future__ import annotations

import unicodedata
from collections import Counter
from collections.abc import Mapping, Sequence
from functools import cached_property
from itertools import pairwise

import numpy as np

from dltemplates.datasets.ragged import Ragged
from dltemplates.datasets.source import Arrays, ArraySource, BaseSource, Source
from dltemplates.datasets.spec import DatasetSpec
from dltemplates.features import Feature, Tokens, subwords
from dltemplates.features.subwords import train_subwords
from dltemplates.features.tokens import FIRST, UNKNOWN, Tokenizer, normalize, shorten, split_text
from dltemplates.settings import TextSettings

MIN_FREQUENCY: dict[Tokenizer, int] = {"words": 5, "characters": 1}


class TextSource(BaseSource):
    """Raw texts with their targets. Fitted, it reads token ids.

    Attributes:
        texts: The texts of each input by its name, in Unicode NFC.
        targets: The other arrays by name, each (n, ...).
        settings: How to split the texts into tokens.
        cut: Number of texts that are too long, by input, once the source is fitted.
    """

    def __init__(
        self,
        texts: Mapping[str, Sequence[str]],
        targets: Arrays,
        settings: TextSettings,
        *,
        keys: Sequence[str] | None = None,
    ):
        self.texts = {name: [unicodedata.normalize("NFC", text) for text in given] for name, given in texts.items()}
        self.targets = targets
        self.settings = settings
        self._keys = keys
        self.cut: dict[str, int] = {}
        self._fitted: tuple[tuple[Feature, ...], Source] | None = None

    def __len__(self) -> int:
        return len(next(iter(self.texts.values())))

    @property
    def keys(self) -> Sequence[str] | None:
        return self._keys

    def read(self, indices: np.ndarray) -> Arrays:
        """Read the texts at `indices` (n,) and their targets."""
        texts = {name: np.array(given, object)[indices] for name, given in self.texts.items()}
        return texts | {name: array[indices] for name, array in self.targets.items()}

    def column(self, name: str) -> np.ndarray:
        return self.targets[name] if name in self.targets else np.array(self.texts[name], object)

    @property
    def _unit(self) -> Tokenizer:
        """The tokens to count: words, where subwords are yet to be learned."""
        return "words" if self.settings.tokenizer == "subwords" else self.settings.tokenizer

    @cached_property
    def tokens(self) -> tuple[tuple[str, ...], dict[str, Ragged]]:
        """The different tokens of all texts; and the tokens of each text of each input, as positions among them."""
        places: dict[str, int] = {}
        rows: dict[str, Ragged] = {}
        for name, texts in self.texts.items():
            split = (split_text(text, self._unit, lowercase=self.settings.lowercase) for text in texts)
            ids = [np.array([places.setdefault(token, len(places)) for token in tokens], np.int32) for tokens in split]
            rows[name] = Ragged.of(ids)
        return tuple(places), rows

    def lengths(self, name: str) -> np.ndarray:
        """Return the number of tokens of each text of an input, (n,); of words, until subwords are learned."""
        _, rows = self.tokens
        return np.diff(rows[name].offsets)

    def vocabulary(self, indices: np.ndarray) -> tuple[str, ...]:
        """Return the tokens of the texts at `indices` (n,) that are not rare, the most frequent first.

        Raises:
            ValueError: If no token is left, or `vocabulary_size` is larger than their number.
        """
        settings = self.settings
        if settings.tokenizer == "subwords":
            chosen = (texts[index] for texts in self.texts.values() for index in indices)
            texts = (normalize(text, lowercase=settings.lowercase) for text in chosen)
            return train_subwords(texts, settings.vocabulary_size)
        known, rows = self.tokens
        counts = np.bincount(np.concatenate([row.take(indices).values for row in rows.values()]), minlength=len(known))
        frequency = settings.min_frequency or MIN_FREQUENCY[settings.tokenizer]
        frequent = Counter({token: int(n) for token, n in zip(known, counts, strict=True) if n >= frequency})
        if not frequent:
            raise ValueError(
                f"A vocabulary needs a token that occurs {frequency} times in the training texts. Received: none of "
                f"{np.count_nonzero(counts)}. Add texts, or lower it: --set dataset.text.min_frequency=1."
            )
        size = settings.vocabulary_size
        if size is not None and size > len(frequent):
            raise ValueError(
                f"`dataset.text.vocabulary_size` must be at most {len(frequent)}, the number of tokens that are not "
                f"rare in the training texts (`min_frequency` is {frequency}). Received: {size}. Lower it, or leave it "
                "out."
            )
        ordered = sorted(frequent, key=lambda token: (-frequent[token], token))
        return tuple(ordered[:size])

    def fitted(self, spec: DatasetSpec) -> Source:
        features = (*spec.inputs, *spec.targets)
        if self._fitted is None or self._fitted[0] != features:  # encode once for all splits
            arrays = {value.name: self._encode(value) for value in features if isinstance(value, Tokens)}
            self._fitted = (features, ArraySource({**arrays, **self.targets}))
        return self._fitted[1]

    def _encode(self, value: Tokens) -> Ragged:
        """Return the ids of all texts of an input, padded to its length.

        Raises:
            ValueError: If a text is too long.
        """
        row = self.ids(value)
        self.cut[value.name] = int((np.diff(row.offsets) > value.max_tokens).sum())
        if row.length > value.max_tokens and value.truncate == "no":
            longest = int(np.diff(row.offsets).argmax())
            raise ValueError(
                f"A text must have at most {value.max_tokens} tokens. Received: {row.length} in `{value.name}`, "
                f"{shorten(self.texts[value.name][longest])!r}. Raise `dataset.text.max_length`, or cut them: --set "
                "dataset.text.truncate=end."
            )
        if row.length > value.max_tokens or value.with_end:
            texts = [value.finish(row.values[begin:end]) for begin, end in pairwise(row.offsets)]
            return Ragged.of(texts, length=value.shape[0])
        return Ragged(row.values, row.offsets, length=value.shape[0])

    def ids(self, value: Tokens) -> Ragged:
        """Return the ids of all texts of an input, uncut."""
        if value.tokenizer == "subwords":
            encoder = subwords.processor(value.vocabulary)
            texts = [normalize(text, lowercase=value.lowercase) for text in self.texts[value.name]]
            return Ragged.of([np.array(ids, np.int32) for ids in encoder.encode(texts)])
        known, rows = self.tokens
        places = {token: place for place, token in enumerate(value.vocabulary, FIRST)}
        table = np.array([places.get(token, UNKNOWN) for token in known], np.int32)
        row = rows[value.name]
        return Ragged(table[row.values], row.offsets)
