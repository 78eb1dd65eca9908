"""Well-known pairs of texts: translations, and sums."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np

from dltemplates.datasets.source import Dataset
from dltemplates.datasets.storage.locate import Origin, locate
from dltemplates.datasets.text.pairs import Pairs, pair_dataset
from dltemplates.datasets.text.text_tables import read_text_table
from dltemplates.settings import DatasetSettings

MULTI30K = Origin(
    ("multi30k/data/task1/raw", "multi30k/raw", "multi30k"), page="https://github.com/multi30k/dataset/tree/master/data"
)
MULTI30K_FILES = {"train": "train", "validation": "val", "test": "test_2016_flickr"}
LANGUAGES = ("de", "en", "fr", "cs")
KOR_ENG = Origin(("kor_eng/kor-eng/kor.txt", "kor_eng/kor.txt", "kor.txt"), page="https://www.manythings.org/anki/")
MAX_DIGITS = 6
SUMS = {"train": 20_000, "validation": 1_000, "test": 1_000}


def multi30k(settings: DatasetSettings) -> Dataset:
    """Load Multi30k: 29,000 captions to train, 1,014 for validation, 1,000 of 2016 to test (Elliott et al. 2016).

    `multi30k:de-en` translates German to English; the languages are de, en, fr and cs.

    Raises:
        ValueError: If there is no such language.
    """
    _, _, languages = settings.name.partition(":")
    source, _, target = (languages or "de-en").partition("-")
    if source not in LANGUAGES or target not in LANGUAGES or source == target:
        raise ValueError(
            f"The languages must be two of {', '.join(LANGUAGES)}. Received: {settings.name!r}. Name them, as in "
            "`multi30k:de-en`."
        )
    folder = locate("multi30k", MULTI30K)
    splits = {
        split: (_lines(folder / f"{stem}.{source}"), _lines(folder / f"{stem}.{target}"))
        for split, stem in MULTI30K_FILES.items()
    }
    return pair_dataset(Pairs(splits), settings.of_text())


def kor_eng(settings: DatasetSettings) -> Dataset:
    """Load 3,853 Korean sentences with their English translations, from Tatoeba."""
    table = read_text_table(locate("kor_eng", KOR_ENG), settings.of_text(), suffix=".tsv")
    english, korean = (table.column(name) for name in table.columns[:2])
    return pair_dataset(Pairs({"train": (korean, english)}), settings.of_text())


def addition(settings: DatasetSettings) -> Dataset:
    """Generate sums as texts: `12+345` is read, `357` is written. `addition:3`, the default, has up to 3 digits.

    20,000 different sums to train, 1,000 each for validation and test (the task is of Sutskever, Zaremba: "Learning to
    Execute", 2014).

    Raises:
        ValueError: If there is no such number of digits.
    """
    _, _, digits = settings.name.partition(":")
    if digits not in ("", *map(str, range(2, MAX_DIGITS + 1))):
        raise ValueError(
            f"The digits must be 2 to {MAX_DIGITS}. Received: {settings.name!r}. Name them, as in `addition:3`."
        )
    most = 10 ** int(digits or 3)
    total = min(sum(SUMS.values()), most * most // 2)
    chosen = np.random.default_rng(0).choice(most * most, total, replace=False)
    texts = [(f"{pair // most}+{pair % most}", str(pair // most + pair % most)) for pair in chosen.tolist()]
    splits, start = {}, 0
    for split, share in SUMS.items():
        stop = start + total * share // sum(SUMS.values())
        splits[split] = ([source for source, _ in texts[start:stop]], [target for _, target in texts[start:stop]])
        start = stop
    return pair_dataset(Pairs(splits), settings.of_text())


def _lines(path: Path) -> list[str]:
    """Return the lines of a file, which may be compressed."""
    packed = path.with_name(f"{path.name}.gz")
    data = path.read_bytes() if path.exists() else gzip.decompress(packed.read_bytes())
    return [line.strip() for line in data.decode("utf-8").removesuffix("\n").split("\n")]
