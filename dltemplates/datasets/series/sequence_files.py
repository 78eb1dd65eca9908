"""Sequences in the user's files: `.ts`, `.tsv`, `.txt`, `.npz` and `.csv`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from dltemplates.datasets.series.sequence_arrays import read_arrays
from dltemplates.datasets.series.sequence_tables import read_tables
from dltemplates.datasets.series.sequences import SequenceFiles, Sequences, are_sequences, sequence_dataset
from dltemplates.datasets.series.ts_file import read_ts, read_ucr_text
from dltemplates.datasets.source import Dataset
from dltemplates.datasets.spec import READING_RULES, IOSpec
from dltemplates.datasets.splitting.split_names import split_files
from dltemplates.settings import DatasetSettings

TEXT_FORMATS: dict[str, Callable[[Path], Sequences]] = {".ts": read_ts, ".tsv": read_ucr_text, ".txt": read_ucr_text}
SUFFIXES = (*TEXT_FORMATS, ".npz", ".csv")
ALWAYS = (".ts", ".tsv")  # suffixes of sequences alone


def hold_sequences(path: Path, settings: DatasetSettings, reference: IOSpec | None) -> bool:
    """Return whether a path holds sequences, by its suffix, the settings, or the network."""
    if path.is_file() and path.suffix.lower() in TEXT_FORMATS:
        return True
    is_set = settings.of_series().holds_sequences or (reference is not None and are_sequences(reference))
    return path.exists() and (is_set or bool(_find_splits(path, ALWAYS)))


def sequence_files(
    path: Path, settings: DatasetSettings, *, reference: IOSpec | None = None, predicts_number: bool = False
) -> Dataset:
    """Load the sequences of a file, or of a folder with a file for each split.

    Args:
        path: The file or folder.
        settings: How to read it.
        reference: Spec or contract of a trained network, which the sequences must fit.
        predicts_number: Whether the task predicts numbers.

    Raises:
        ValueError: If a file is missing or breaks a rule; names it.
    """
    paths = {"train": path} if path.is_file() else _find_splits(path, (*TEXT_FORMATS, ".csv"))
    if not paths:
        raise ValueError(
            f"A folder of sequences must have a file for training, such as NAME_TRAIN.ts. Received: none in {path}. "
            "Add it, or name a file."
        )
    files = _read(paths, settings, reference=reference, needs_target=True, predicts_number=predicts_number)
    is_table = next(iter(paths.values())).suffix.lower() == ".csv"
    skip = () if is_table else tuple(settings.of_series().columns)
    return sequence_dataset(files, reference=reference, predicts_number=predicts_number, skip=skip)


def read_to_predict(path: Path, reference: IOSpec) -> Sequences:
    """Read the sequences of a file for a prediction, with or without targets.

    Raises:
        ValueError: If the file is missing or breaks a rule; names it.
    """
    if not path.is_file() or path.suffix.lower() not in SUFFIXES:
        raise ValueError(
            f"An input must be a file of sequences, {', '.join(SUFFIXES)}. Received: {path}. Check the path."
        )
    settings = DatasetSettings(name=str(path))
    return _read({"train": path}, settings, reference=reference, needs_target=False).splits["train"]


def _find_splits(folder: Path, suffixes: tuple[str, ...]) -> dict[str, Path]:
    """Return the file of each split in a folder, with the first suffix that has a training split."""
    found = (split_files(folder, suffix, rules=READING_RULES) for suffix in suffixes if folder.is_dir())
    return next(filter(None, found), {})


def _read(
    paths: dict[str, Path],
    settings: DatasetSettings,
    *,
    reference: IOSpec | None,
    needs_target: bool,
    predicts_number: bool = False,
) -> SequenceFiles:
    suffix = next(iter(paths.values())).suffix.lower()
    if suffix == ".csv":
        return read_tables(
            paths, settings, reference=reference, needs_target=needs_target, predicts_number=predicts_number
        )
    if suffix == ".npz":
        return read_arrays(paths["train"])
    return SequenceFiles({split: TEXT_FORMATS[suffix](path) for split, path in paths.items()})
