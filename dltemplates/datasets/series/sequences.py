"""Sequences with a class or with numbers: each example is (steps, channels), and lengths may differ.

Sequences of one length are one array. Others are stored one after the other, are padded where a batch is made, and come
with a second input, their lengths.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from dltemplates.datasets.features import class_value, fits_float32, in_column, number_value, statistics
from dltemplates.datasets.names import in_order
from dltemplates.datasets.ragged import Ragged
from dltemplates.datasets.source import Arrays, ArraySource, Dataset, Source, Wrapper, column, origin
from dltemplates.datasets.spec import DatasetSpec, IOSpec, rules_of
from dltemplates.datasets.tables.columns import without_point
from dltemplates.features import AnyFeature, ClassId, Column, Length, Number, Series, columns_of

SERIES, LENGTH, FLAT = "series", "length", "features"  # names of inputs
UNLABELED = "sequence"  # the class of sequences without one
NO_SEQUENCES = "Data must have sequences. Received: none. Add some."
MIN_VARIATION = 1e-6  # of a channel, relative to its mean: float32 cannot represent smaller differences


@dataclass(frozen=True)
class Sequences:
    """The raw sequences of one split.

    Attributes:
        arrays: The numbers of each sequence, (steps, channels).
        names: The name of each sequence for the user.
        targets: The class of each sequence, as text (n,); or its numbers, float64 (n, k). None if unknown.
    """

    arrays: Sequence[np.ndarray]
    names: Sequence[str]
    targets: np.ndarray | None = None


@dataclass(frozen=True)
class SequenceFiles:
    """Sequences as they were read.

    Attributes:
        splits: The sequences of each split.
        channels: Names of the channels; empty for channels without a name.
        target: Column of the target; None if it comes from no table.
        id_column: Column with the names of the sequences, in a table with several rows for each.
        warnings: Warnings about how they were read.
        encoding: Encoding of a CSV file that is not in Unicode.
        formats: Form of the numbers of each channel in a table, unless it is as in `1234.5`.
        classes: The classes in order; empty for the order of their names.
    """

    splits: Mapping[str, Sequences]
    channels: tuple[str, ...] = ()
    target: str | None = None
    id_column: str | None = None
    warnings: tuple[str, ...] = ()
    encoding: str | None = None
    formats: Mapping[str, str] = field(default_factory=dict)
    classes: tuple[str, ...] = ()


def sequence_dataset(
    files: SequenceFiles, *, reference: IOSpec | None = None, predicts_number: bool = False, skip: Sequence[str] = ()
) -> Dataset:
    """Build a dataset from sequences.

    Args:
        files: The sequences.
        reference: Spec or contract of a trained network, whose lengths and channels must fit.
        predicts_number: Whether the task predicts numbers; targets of text must then be numbers.
        skip: Names of channels to leave out.

    Raises:
        ValueError: If there is no sequence, a number is missing or not finite, the numbers of channels differ, a target
            is missing, or the sequences do not fit the network.
    """
    channels = _channels(files, reference)
    files = _without(files, channels, skip)
    channels = tuple(channel for channel in channels if channel.name not in skip)
    lengths = {split: _lengths(part, len(channels)) for split, part in files.splits.items()}
    steps, varies = _steps(np.concatenate(list(lengths.values())), len(channels), reference)
    target, targets = _targets(files, reference, predicts_number=predicts_number)
    inputs: tuple[AnyFeature, ...] = (
        Series(
            name=SERIES,
            dtype="float32",
            shape=(steps, len(channels)),
            columns=tuple(channels),
            id_column=files.id_column,
        ),
    )
    if varies:
        inputs += (Length(name=LENGTH, dtype="int32", shape=(), range=(1, steps)),)
    sources: dict[str, Source] = {}
    for split, part in files.splits.items():
        arrays = sequence_arrays(part.arrays, steps, lengths[split] if varies else None)
        sources[split] = ArraySource(arrays | {target.name: targets[split]})
    sizes = {split: len(source) for split, source in sources.items()}
    spec = DatasetSpec(inputs=inputs, targets=(target,), sizes=sizes, warnings=files.warnings, encoding=files.encoding)
    return Dataset(spec, sources)


def sequence_arrays(
    arrays: Sequence[np.ndarray], steps: int, lengths: np.ndarray | None
) -> dict[str, np.ndarray | Ragged]:
    """Return the inputs of sequences by name.

    Args:
        arrays: Each (length, channels).
        steps: The longest length.
        lengths: The length of each sequence, (n,); None if all have `steps`.
    """
    if lengths is None:
        return {SERIES: np.stack(arrays).astype(np.float32)}
    values = [array.astype(np.float32) for array in arrays]
    return {SERIES: Ragged.of(values, length=steps), LENGTH: lengths.astype(np.int32)}


def check_sequences(part: Sequences, reference: IOSpec) -> dict[str, np.ndarray | Ragged]:
    """Return the inputs of a trained network for sequences to predict.

    Raises:
        ValueError: As in `sequence_dataset`.
    """
    if not part.arrays:
        raise ValueError(NO_SEQUENCES)
    channels = part.arrays[0].shape[1]
    lengths = _lengths(part, channels)
    steps, varies = _steps(lengths, channels, reference)
    return sequence_arrays(part.arrays, steps, lengths if varies else None)


def are_sequences(reference: IOSpec) -> bool:
    """Return whether a network takes whole sequences, unlike a forecast of a series."""
    kinds = {value.kind for value in reference.targets}
    return isinstance(reference.inputs[0], Series) and bool(kinds) and not kinds & {"horizon", "history"}


def _channels(files: SequenceFiles, reference: IOSpec | None) -> tuple[Column, ...]:
    first = next((array for part in files.splits.values() for array in part.arrays), None)
    if first is None:
        raise ValueError(NO_SEQUENCES)
    if reference is not None and isinstance(reference.inputs[0], Series) and not files.channels:
        known = columns_of(reference.inputs[0])
        if len(known) == first.shape[1]:
            return known
    names = files.channels or tuple(f"channel{place}" for place in range(first.shape[1]))
    return tuple(Column(name=name, format=files.formats.get(name)) for name in names)


def _without(files: SequenceFiles, channels: Sequence[Column], skip: Sequence[str]) -> SequenceFiles:
    """Leave channels out."""
    if not skip:
        return files
    names = [channel.name for channel in channels]
    kept = [place for place, name in enumerate(names) if name not in skip]
    if unknown := [name for name in skip if name not in names]:
        raise ValueError(
            f"`dataset.series.columns` must name channels. Received: {', '.join(unknown)}. There are: "
            f"{', '.join(names)}."
        )
    if not kept:
        raise ValueError(f"A sequence must have a channel. Received: all of {', '.join(names)} skipped. Keep one.")
    splits = {
        split: Sequences([array[:, kept] for array in part.arrays], part.names, part.targets)
        for split, part in files.splits.items()
    }
    return replace(files, splits=splits)


def _lengths(part: Sequences, channels: int) -> np.ndarray:
    """Return the length of each sequence, (n,), after checking its numbers."""
    for name, array in zip(part.names, part.arrays, strict=True):
        if array.shape[1] != channels:
            raise ValueError(
                f"All sequences must have the same channels, {channels}. Received: {array.shape[1]} in {name}. "
                "Complete or remove it."
            )
        if not len(array):
            raise ValueError(f"A sequence must have a step. Received: none in {name}. Remove it.")
        if np.isnan(array).any():
            step, channel = np.argwhere(np.isnan(array))[0]
            raise ValueError(
                f"A sequence must have a number at every step. Received: none at step {step + 1} of channel "
                f"{channel + 1} in {name}. Fill it in, or remove the sequence."
            )
        if not fits_float32(array).all():
            value = array[~fits_float32(array)][0]
            raise ValueError(f"A sequence must hold finite float32 numbers. Received: {value} in {name}. Correct it.")
    return np.array([len(array) for array in part.arrays])


def _steps(lengths: np.ndarray, channels: int, reference: IOSpec | None) -> tuple[int, bool]:
    """Return the longest length, and whether lengths differ."""
    longest = int(lengths.max())
    if reference is None:
        return longest, bool((lengths != longest).any())
    first = reference.inputs[0]
    if isinstance(first, Series):
        steps, wanted = first.shape
    else:  # a network for rows of numbers
        wanted = channels
        steps = first.shape[0] // channels
    if channels != wanted:
        raise ValueError(
            f"The data must have the network's {wanted} channel{'' if wanted == 1 else 's'}. Received: {channels}. "
            "Leave the others out, or choose other data."
        )
    if any(isinstance(value, Length) for value in reference.inputs):
        if longest > steps:
            raise ValueError(
                f"A sequence must have at most {steps} steps, as in training. Received: {longest}. Cut it, or train "
                "with one of that length."
            )
        return steps, True
    if (lengths != steps).any():
        other = int(lengths[lengths != steps][0])
        raise ValueError(
            f"A sequence must have {steps} steps, as all in training. Received: {other}. Cut or complete it; or train "
            "with sequences of different lengths."
        )
    return steps, False


def _targets(
    files: SequenceFiles, reference: IOSpec | None, *, predicts_number: bool
) -> tuple[ClassId | Number, dict[str, np.ndarray]]:
    """Return the target, and its values in each split."""
    parts = {split: part.targets for split, part in files.splits.items()}
    known = {split: targets for split, targets in parts.items() if targets is not None}
    if not known:
        return class_value((UNLABELED,)), {
            split: np.zeros(len(part.arrays), np.int64) for split, part in files.splits.items()
        }
    if missing := [split for split in parts if split not in known]:
        raise ValueError(f"All splits must have targets, or none. Received: none in {missing[0]}. Add them.")
    if reference is not None:
        predicts_number = isinstance(next(iter(reference.targets), None), Number)
    first = next(iter(known.values()))
    if first.dtype.kind != "f" and predicts_number and any(map(_is_number, np.concatenate([*known.values()]))):
        known = {split: _numbers(targets, files.splits[split].names) for split, targets in known.items()}
        first = next(iter(known.values()))
    if first.dtype.kind == "f":
        widths = {targets.shape[1] for targets in known.values()}
        if len(widths) > 1:
            raise ValueError(
                f"All splits must have the same targets. Received: {sorted(widths)} numbers. Correct them."
            )
        for split, targets in known.items():
            _check_finite(targets, files.splits[split].names)
        target: ClassId | Number = number_value(first.shape[1])
        values = {split: targets.astype(np.float32) for split, targets in known.items()}
    else:
        texts = {split: [without_point(str(text)) for text in targets] for split, targets in known.items()}
        found = (text for part in texts.values() for text in part)
        classes = files.classes or in_order(found, rules=rules_of(reference))
        target = class_value(classes)
        places = {name: place for place, name in enumerate(classes)}
        values = {split: np.array([places[text] for text in part], np.int64) for split, part in texts.items()}
    return (in_column(target, files.target) if files.target else target), values


def _check_finite(targets: np.ndarray, names: Sequence[str]) -> None:
    """Raise a `ValueError` unless all numbers to predict, (n, k), fit into float32."""
    if not (fits := fits_float32(targets)).all():
        row, column = np.argwhere(~fits)[0]
        raise ValueError(
            f"A number to predict must be a finite float32 number. Received: {targets[row, column]} in {names[row]}. "
            "Correct it, or remove the sequence."
        )


def _is_number(text: str) -> bool:
    try:
        return bool(np.isfinite(float(text)))
    except ValueError:
        return False


def _numbers(texts: np.ndarray, names: Sequence[str]) -> np.ndarray:
    """Convert targets of text to float64 (n, 1)."""
    for text, name in zip(texts, names, strict=True):
        if not _is_number(text):
            raise ValueError(
                f"A number to predict must be a finite number. Received: {text!r} in {name}. Correct it, or predict "
                "classes: --set task=classification."
            )
    return texts.astype(np.float64)[:, None]


def fit_sequences(series: Series, train: Source) -> Series:
    """Fit the mean and the deviation of each channel on the training sequences, without their padding.

    Raises:
        ValueError: If a channel is constant.
    """
    rows = _training_rows(train, series.name)
    mean, std, varies = statistics(rows, least=MIN_VARIATION)
    if not varies.all():
        name = columns_of(series)[int(np.argmin(varies))].name if series.columns else f"channel{np.argmin(varies)}"
        skip = f"--set dataset.series.columns.{name}=skip"
        way_out = f"Leave it out: {skip}" if len(varies) > 1 else "Choose other data"
        raise ValueError(
            f"A channel must vary over the training sequences. Received: `{name}`, the same in all of them. {way_out}."
        )
    return series.model_copy(update={"mean": tuple(mean.tolist()), "std": tuple(std.tolist())})


def _training_rows(train: Source, name: str) -> np.ndarray:
    """Return all steps of the training sequences, (n, channels)."""
    base, indices = origin(train)
    array = base.arrays.get(name) if isinstance(base, ArraySource) else None
    if isinstance(array, Ragged):
        return array.take(indices).values
    array = column(train, name)
    return array.reshape(-1, array.shape[-1])


class Flat(Wrapper):
    """Sequences as rows of numbers, for networks that take rows."""

    def read(self, indices: np.ndarray) -> Arrays:
        """Read the examples at `indices` (n,)."""
        arrays = self.source.read(indices)
        series = arrays.pop(SERIES)
        return {FLAT: series.reshape(len(series), -1), **arrays}

    def column(self, name: str) -> np.ndarray:
        return super().column(name) if name == FLAT else column(self.source, name)


def flatten(dataset: Dataset, network: str) -> Dataset:
    """Return a dataset of sequences as one of rows of numbers.

    Args:
        dataset: Sequences of one length.
        network: The network or task that takes rows, for an error.

    Raises:
        ValueError: If lengths differ.
    """
    first, *others = dataset.spec.inputs
    if others:
        raise ValueError(unequal_lengths(network, dataset.spec, "Choose task classification or regression"))
    steps, channels = first.shape
    names = [column.name for column in columns_of(first)]
    columns = [f"t{step}" if channels == 1 else f"{name}_t{step}" for step in range(steps) for name in names]
    flat = Number(
        name=FLAT, dtype="float32", shape=(steps * channels,), columns=tuple(Column(name=name) for name in columns)
    )
    splits: dict[str, Source] = {split: Flat(source) for split, source in dataset.splits.items()}
    return Dataset(dataset.spec.model_copy(update={"inputs": (flat,)}), splits, rows=dataset.rows, note=dataset.note)


def unequal_lengths(
    network: str, spec: DatasetSpec, way_out: str = "Choose a model for any length, such as --set model.name=lstm"
) -> str:
    """Return the error of a network that needs sequences of one length."""
    length = next(value for value in spec.inputs if isinstance(value, Length))
    longest = int((length.range or (0, 0))[1])
    return (
        f"{network} needs sequences of one length. Received: lengths that differ, up to {longest} steps. {way_out}; or "
        "cut and complete the sequences."
    )
