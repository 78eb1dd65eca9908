"""What a dataset's examples are: the named values that go in, the named targets that come out."""

from __future__ import annotations

from typing import Protocol

from pydantic import BaseModel, ConfigDict

from dltemplates.features import AnyFeature, Binary, ClassId, Feature, Image, Number, Series, columns_of

READING_RULES = 2  # the number of the rules by which this version reads, splits and orders data


class DatasetSpec(BaseModel):
    """What a run remembers of the data it was trained on.

    Attributes:
        inputs: What the network is given, by name.
        targets: What it is to give, by name.
        sizes: The number of examples of each split.
        skipped: Files that could not be read, and rows without a target, each with the reason.
        unknown: For each split and column, how many rows have a category that the training split does not hold.
        warnings: What of a table may not be meant as it is taken, each with the way out.
        fingerprint: A digest of the raw examples, whatever their order in the data.
        order: A digest of the training examples in their order, which a training that is resumed must find again.
        reading_rules: The number of the rules by which data is read, split and ordered: 1 of the first edition.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    inputs: tuple[AnyFeature, ...]
    targets: tuple[AnyFeature, ...]
    sizes: dict[str, int]
    skipped: dict[str, str] = {}
    unknown: dict[str, dict[str, int]] = {}
    warnings: tuple[str, ...] = ()
    fingerprint: str = ""
    order: str = ""
    reading_rules: int = 1


class IOSpec(Protocol):
    """What says of a network's inputs and targets what they are: the spec of its data, or its contract."""

    @property
    def inputs(self) -> tuple[Feature, ...]: ...
    @property
    def targets(self) -> tuple[Feature, ...]: ...


def gives_back(reference: IOSpec) -> bool:
    """Whether what goes in is to come out: it is a target too then, maybe after itself without the noise."""
    return reference.inputs[0].name in {value.name for value in reference.targets}


def learned_target(reference: IOSpec) -> ClassId | Number | None:
    """The column of a table that a network was trained to predict; None where it gives back its own input."""
    return (
        None if gives_back(reference) else next((v for v in reference.targets if isinstance(v, ClassId | Number)), None)
    )


def target_column(reference: IOSpec) -> str | None:
    """Where in a table stands what a network is judged by; None where that is not known."""
    judged = [learned_target(reference), *(value for value in reference.targets if isinstance(value, Binary))]
    return next((value.columns[0].name for value in judged if value and value.columns), None)


def image_of(spec: DatasetSpec) -> Image | None:
    """The image among the inputs, which then is the only one; None where there is none."""
    first = spec.inputs[0]
    return first if isinstance(first, Image) else None


def network_shape(spec: DatasetSpec) -> tuple[int, ...]:
    """The shape of what the network sees of an example: its one array, or the columns of a table side by side."""
    first = spec.inputs[0]
    if isinstance(first, Series) or not columns_of(first):
        return first.shape
    return (sum(column.width for value in spec.inputs for column in columns_of(value)),)
