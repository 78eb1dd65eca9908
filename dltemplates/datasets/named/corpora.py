"""Well-known texts with classes: spam, and the polarity of film reviews."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from dltemplates.datasets.source import Dataset
from dltemplates.datasets.storage.locate import Origin, locate
from dltemplates.datasets.text.stream import text_stream
from dltemplates.datasets.text.text_files import TextFiles, Texts, read_folders, text_dataset
from dltemplates.datasets.text.text_tables import read_text_table
from dltemplates.settings import DatasetSettings

SMS_SPAM = Origin(
    ("sms_spam/data/sms.tsv", "sms_spam/SMSSpamCollection", "SMSSpamCollection"),
    page="https://archive.ics.uci.edu/dataset/228/sms+spam+collection",
)
POLARITY = Origin(
    ("rt_polarity/data/rt-polaritydata", "rt-polaritydata"),
    page="https://www.cs.cornell.edu/people/pabo/movie-review-data/",
)
IMDB = Origin(("imdb", "aclImdb"), page="https://ai.stanford.edu/~amaas/data/sentiment/")
SHAKESPEARE = Origin(
    ("tinyshakespeare/data/tinyshakespeare/input.txt", "tinyshakespeare/input.txt", "tinyshakespeare.txt"),
    page="https://github.com/karpathy/char-rnn/tree/master/data/tinyshakespeare",
)
FOLDS = 10


def sms_spam(settings: DatasetSettings) -> Dataset:
    """Load the SMS Spam Collection: 5,574 messages, ham or spam (Almeida, Hidalgo, Yamakami 2011)."""
    path = locate("sms_spam", SMS_SPAM)
    table = read_text_table(path, settings.of_text(), suffix=".tsv")
    labels, texts = (table.column(name) for name in table.columns)
    names = [f"message {line}" for line in table.lines]
    return text_dataset(TextFiles({"train": Texts(texts, labels, names)}), settings.of_text())


def polarity(settings: DatasetSettings) -> Dataset:
    """Load the sentence polarity dataset: 5,331 positive and 5,331 negative sentences (Pang, Lee 2005).

    It has no split of its own; papers report the mean of ten folds. `polarity:3` tests on fold 3, `polarity` on fold 0.

    Raises:
        ValueError: If there is no such fold.
    """
    _, _, fold = settings.name.partition(":")
    if fold not in ("", *map(str, range(FOLDS))):
        raise ValueError(f"A fold must be 0 to {FOLDS - 1}. Received: {settings.name!r}. Name it, as in `polarity:3`.")
    folder = locate("polarity", POLARITY)
    splits: dict[str, list[tuple[str, str, str]]] = {"train": [], "test": []}
    for label, suffix in (("negative", "neg"), ("positive", "pos")):
        lines = _lines(folder / f"rt-polarity.{suffix}")
        place = np.random.default_rng(0).permutation(len(lines)) % FOLDS
        for number, (line, own) in enumerate(zip(lines, place.tolist(), strict=True), 1):
            split = "test" if own == int(fold or 0) else "train"
            splits[split].append((line, label, f"line {number} of rt-polarity.{suffix}"))
    files = TextFiles({split: Texts(*map(list, zip(*rows, strict=True))) for split, rows in splits.items()})
    return text_dataset(files, settings.of_text())


def imdb(settings: DatasetSettings) -> Dataset:
    """Load the Large Movie Review Dataset: 25,000 reviews to train, 25,000 to test (Maas et al. 2011)."""
    folder = locate("imdb", IMDB)
    return text_dataset(read_folders(folder, settings.of_text(), classes=("neg", "pos")), settings.of_text())


def tinyshakespeare(settings: DatasetSettings) -> Dataset:
    """Load 40,000 lines of Shakespeare's plays, as one text (Karpathy 2015)."""
    return text_stream(locate("tinyshakespeare", SHAKESPEARE), settings.of_text())


def _lines(path: Path) -> list[str]:
    """Return the lines of a file, in UTF-8 or, as the original has it, in Latin-1."""
    data = path.read_bytes()
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError:
        text = data.decode("latin-1")
    return [line.strip() for line in text.split("\n") if line.strip()]
