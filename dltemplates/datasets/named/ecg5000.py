"""Heartbeats of one patient with congestive heart failure, from 20 hours of an electrocardiogram."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from dltemplates.datasets.series.sequences import SequenceFiles, Sequences, sequence_dataset
from dltemplates.datasets.source import Dataset
from dltemplates.datasets.storage.locate import Origin, locate
from dltemplates.settings import DatasetSettings

TRAIN = "ECG5000_TRAIN.txt"
ORIGIN = Origin(
    (f"ecg5000/projects/ecg5000/data/{TRAIN}", f"ecg5000/{TRAIN}", f"ECG5000/{TRAIN}", TRAIN),
    page="https://www.timeseriesclassification.com/description.php?Dataset=ECG5000",
)
CLASSES = ("normal", "r_on_t", "premature_ventricular", "supraventricular", "unclassified")
LENGTH = 140


def ecg5000(settings: DatasetSettings) -> Dataset:
    """Load single heartbeats, 140 numbers each: normal, or one of four abnormal kinds (Goldberger 2000; Chen 2015).

    `ECG5000_TRAIN.txt` holds 500 beats. If `ECG5000_TEST.txt` lies beside it, its 4,500 beats are the test split.

    Raises:
        ValueError: If a file has other rows.
    """
    path = locate("ecg5000", ORIGIN)
    splits = {"train": read_beats(path)}
    others = path.with_name("ECG5000_TEST.txt")
    if others.is_file():
        splits["test"] = read_beats(others)
    names = np.array(CLASSES, object)
    parts = {}
    for split, (beats, classes) in splits.items():
        rows = [f"beat {place} of {split}" for place in range(len(beats))]
        parts[split] = Sequences([*beats[..., None]], rows, names[classes])
    return sequence_dataset(SequenceFiles(parts, classes=CLASSES))


def read_beats(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Read the beats (n, 140) and their classes (n,) of a file of the archive.

    Raises:
        ValueError: If it has other rows.
    """
    try:
        rows = np.loadtxt(path, ndmin=2)
    except ValueError as error:
        raise ValueError(f"{path} must hold rows of numbers. Received: {error}. Restore it.") from None
    is_class = np.isin(rows[:, 0], np.arange(1, len(CLASSES) + 1))
    if rows.shape[1] != LENGTH + 1 or not is_class.all():
        raise ValueError(
            f"{path} must hold a class of 1 to {len(CLASSES)} and {LENGTH} numbers a row. Received: {rows.shape[1]} "
            f"numbers, {(~is_class).sum()} rows of another class. Restore it."
        )
    return rows[:, 1:].astype(np.float32), rows[:, 0].astype(np.int64) - 1
