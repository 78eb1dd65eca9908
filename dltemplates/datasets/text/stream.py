"""Running text: windows of tokens, each with the next token at every position, to train a language model."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import NoReturn

import numpy as np

from dltemplates.datasets.series.windows import TimeSource
from dltemplates.datasets.source import Arrays, BaseSource, Dataset, Source
from dltemplates.datasets.spec import DatasetSpec, IOSpec
from dltemplates.datasets.text.source import TextSource
from dltemplates.datasets.text.text_tables import OPTION, read_text
from dltemplates.features import Tokens
from dltemplates.settings import TextSettings

TEXT, NEXT = "text", "next"  # names of the input and the target
STEPS_PER_WINDOW = 4  # training windows begin every quarter of their length


class TextStream(TimeSource):
    """The lines of a text, in order. They are split by place; fitted, each split is cut into windows of tokens.

    Attributes:
        lines: The lines, with their ends.
        settings: How to split them into tokens, and the window.
        split: The split that these lines are; empty for the whole text.
    """

    is_dated = False
    need = 1

    def __init__(self, lines: list[str], settings: TextSettings, *, split: str = ""):
        self.lines, self.settings, self.split = lines, settings, split
        self.times = np.arange(len(lines), dtype=np.float64)
        self._source = TextSource({TEXT: lines}, {}, settings)

    def __len__(self) -> int:
        return len(self.lines)

    def read(self, indices: np.ndarray) -> Arrays:
        """Read the lines at `indices` (n,)."""
        return self._source.read(indices)

    @property
    def raw_rows(self) -> tuple[np.ndarray, ...]:
        digests = b"".join(hashlib.blake2b(line.encode(), digest_size=8).digest() for line in self.lines)
        return (np.frombuffer(digests, np.uint64),)

    def cut(self, split: str, start: int, stop: int) -> Source:
        return TextStream(self.lines[start:stop], self.settings, split=split)

    def raise_too_short(self, split: str, received: str) -> NoReturn:
        raise ValueError(
            f"A text must have a line in each split. Received: {received}. Break it into lines, add text, or change "
            "dataset.validation and dataset.test."
        )

    def vocabulary(self, indices: np.ndarray) -> tuple[str, ...]:
        """Return the vocabulary of the lines at `indices` (n,), as `TextSource.vocabulary` does."""
        return self._whole([self.lines[index] for index in indices]).vocabulary(np.arange(1))

    def _whole(self, lines: list[str]) -> TextSource:
        """Return lines as one text: the first subword of a line is then that of a prompt."""
        return TextSource({TEXT: ["".join(lines)]}, {}, self.settings)

    def fitted(self, spec: DatasetSpec) -> Source:
        value = spec.inputs[0]
        assert isinstance(value, Tokens)
        ids, window = self._whole(self.lines).ids(value).values, value.shape[0]
        if len(ids) <= window:
            part, smaller = self.split or "the text", max(1, len(ids) // 2)
            raise ValueError(
                f"A text must have more tokens in each split than the window, {window}. Received: {len(ids)} in {part}."
                f" Add text, or lower the window: --set {OPTION}.window={smaller}"
            )
        return TokenWindows(ids, window, stride=max(1, window // STEPS_PER_WINDOW) if self.split == "train" else window)


class TokenWindows(BaseSource):
    """Windows of token ids, cut on reading.

    Attributes:
        ids: All ids, int32 (n,).
        window: Tokens of a window.
        stride: Tokens from the beginning of a window to that of the next.
    """

    def __init__(self, ids: np.ndarray, window: int, *, stride: int):
        self.ids, self.window, self.stride = ids, window, stride

    def __len__(self) -> int:
        return (len(self.ids) - 1 - self.window) // self.stride + 1

    def read(self, indices: np.ndarray) -> Arrays:
        """Read the windows at `indices` (n,): `text` and `next`, each (n, window)."""
        places = np.asarray(indices)[:, None] * self.stride + np.arange(self.window)
        return {TEXT: self.ids[places], NEXT: self.ids[places + 1]}


def text_stream(path: Path, settings: TextSettings, *, reference: IOSpec | None = None) -> Dataset:
    """Load a text to train a language model.

    Args:
        path: A `.txt` file.
        settings: The window, and how to split the text into tokens.
        reference: Spec or contract of a trained network, whose window and vocabulary are used.

    Raises:
        ValueError: If the file is empty, its encoding is in doubt, or there is no window.
    """
    known = reference.inputs[0] if reference is not None else None
    if isinstance(known, Tokens):
        update = {"tokenizer": known.tokenizer, "lowercase": known.lowercase, "window": known.shape[0]}
        settings = settings.model_copy(update=update)
    expected = reference.encoding if reference is not None else None
    text, encoding, remarks = read_text(path, settings.encoding, expected)
    lines = text.splitlines(keepends=True)
    if not text.strip():
        raise ValueError(f"A text must have tokens. Received: {path}, which is empty. Name another file.")
    window = settings.window
    if window is None:
        raise ValueError(
            f"A running text needs the number of tokens that the network reads. Received: {path} without "
            f"`{OPTION}.window`. Add --set {OPTION}.window=128; for another task, name a table or a folder of texts."
        )
    tokens = Tokens(
        name=TEXT,
        dtype="int32",
        shape=(window,),
        tokenizer=settings.tokenizer,
        lowercase=settings.lowercase,
        truncate="start",
    )
    spec = DatasetSpec(
        inputs=(tokens,),
        targets=(tokens.model_copy(update={"name": NEXT}),),
        sizes={"train": len(lines)},
        warnings=tuple(remarks),
        encoding=encoding,
    )
    return Dataset(spec, {"train": TextStream(lines, settings)})
