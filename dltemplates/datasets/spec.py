"""The spec of a dataset: its named inputs and targets."""

from __future__ import annotations

from typing import Any, Protocol

from pydantic import BaseModel, ConfigDict

from dltemplates.datasets.names import few
from dltemplates.features import (
    AnyFeature,
    Binary,
    ClassId,
    Feature,
    Horizon,
    Image,
    Labels,
    Length,
    Number,
    Series,
    Tokens,
    columns_of,
)

READING_RULES = 4  # version of the rules for reading, splitting and ordering data


class DatasetSpec(BaseModel):
    """The description of training data that a run stores.

    Attributes:
        inputs: The network's inputs.
        targets: The network's targets.
        sizes: Number of examples per split.
        skipped: Unreadable files, and rows without a target, each with the reason.
        unknown: Per split and column, the number of rows with a category that is rare or absent in training.
        warnings: Warnings about how a table was read, each with a fix.
        repeated: Number of training examples that repeat another one; 0 for a small share.
        fingerprint: Digest of the raw examples, independent of their order in the data.
        order: Digest of the ordered training examples; a resumed training must find the same.
        reading_rules: Version of the rules for reading, splitting and ordering data; 1 is the first edition.
        encoding: Encoding of a CSV file that is not in Unicode.
        validation_share: Share of the training examples that validation took; None if the data has its own validation
            split, and in runs of earlier versions.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    inputs: tuple[AnyFeature, ...]
    targets: tuple[AnyFeature, ...]
    sizes: dict[str, int]
    skipped: dict[str, str] = {}
    unknown: dict[str, dict[str, int]] = {}
    warnings: tuple[str, ...] = ()
    repeated: int = 0
    fingerprint: str = ""
    order: str = ""
    reading_rules: int = 1
    encoding: str | None = None
    validation_share: float | None = None


class IOSpec(Protocol):
    """The inputs and targets of a network: the spec of its data, or its contract."""

    @property
    def inputs(self) -> tuple[Feature, ...]: ...
    @property
    def targets(self) -> tuple[Feature, ...]: ...
    @property
    def reading_rules(self) -> int: ...
    @property
    def encoding(self) -> str | None: ...


def rules_of(reference: IOSpec | None) -> int:
    """Return the version of the reading rules of a trained network; the current one for new data."""
    return READING_RULES if reference is None else reference.reading_rules


def reconstructs_input(reference: IOSpec) -> bool:
    """Return whether the input is also a target, as in an autoencoder; the input may have added noise."""
    return reference.inputs[0].name in {value.name for value in reference.targets}


def learned_target(reference: IOSpec) -> ClassId | Number | None:
    """Return the table column that a network predicts; None if it reconstructs its own input."""
    return (
        None
        if reconstructs_input(reference)
        else next((v for v in reference.targets if isinstance(v, ClassId | Number)), None)
    )


def target_column(reference: IOSpec) -> str | None:
    """Return the name of the one column that evaluation compares predictions with; None if unknown, or for several."""
    names = target_columns(reference)
    return names[0] if len(names) == 1 else None


def target_columns(reference: IOSpec) -> tuple[str, ...]:
    """Return the names of the columns that evaluation compares predictions with; empty if there are none."""
    others = (value for value in reference.targets if isinstance(value, Binary | Horizon))
    targets = [learned_target(reference), *others]
    return tuple(column.name for column in next((value.columns for value in targets if value and value.columns), ()))


MAX_CLASSES = 5  # in the description of a target


def describe_target(reference: IOSpec) -> str | None:
    """Describe the prediction of a network, such as `predicts price, a number`; None if its target is its input."""
    name = target_column(reference)
    target = reference.targets[0] if reference.targets else None
    if name is not None:
        target = next(value for value in reference.targets if name in [column.name for column in columns_of(value)])
    column = f"{name}, " if name else ""
    match target:
        case ClassId(classes=classes) if name or len(classes) > 1:  # one class is that of unlabeled data
            return f"predicts {column}one of {len(classes)} classes: {few(classes, MAX_CLASSES)}"
        case Labels(classes=classes):
            return f"predicts which of {len(classes)} labels apply: {few(classes, MAX_CLASSES)}"
        case Horizon(shape=(steps, *_)):
            names = few(target_columns(reference), MAX_CLASSES)
            whose = "its" if name else "their"
            return f"predicts {names}, {whose} next {steps} value{'s' if steps > 1 else ''}"
        case Binary() if name:
            return f"predicts anomalies; column {name} marks them"
        case Number(shape=(count,)) if name or not reconstructs_input(reference):
            return f"predicts {column}{'a number' if count == 1 else f'{count} numbers'}"
    return None


def image_of(spec: DatasetSpec) -> Image | None:
    """Return the image input, which is then the only input; None if there is none."""
    first = spec.inputs[0]
    return first if isinstance(first, Image) else None


def input_sizes(spec: DatasetSpec) -> dict[str, Any]:
    """Return the sizes of the input that a builder may take: `input_shape`, or for texts those of the tokens."""
    first = spec.inputs[0]
    if isinstance(first, Tokens):
        return {"vocabulary_size": first.vocabulary_size, "sequence_length": first.shape[0]}
    return {"input_shape": network_shape(spec)}


def network_shape(spec: DatasetSpec) -> tuple[int | None, ...]:
    """Return the network's input shape per example: that of its one array, or the total width of a table's columns.

    Sequences of different lengths have None steps.
    """
    first = spec.inputs[0]
    if any(isinstance(value, Length) for value in spec.inputs):
        return (None, *first.shape[1:])
    if isinstance(first, Series) or not columns_of(first):
        return first.shape
    return (sum(column.width for value in spec.inputs for column in columns_of(value)),)
