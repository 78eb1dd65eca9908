"""What a dataset's examples are: the named values that go in, the named targets that come out."""

from __future__ import annotations

from typing import Literal, Protocol

from pydantic import BaseModel, ConfigDict

Resize = Literal["stretch", "crop", "pad"]

# A date as days since 1970, and as its place in the year and in the week, each a point on a circle.
DATE_PARTS = ("days", "cos of year", "sin of year", "cos of week", "sin of week")
READING_RULES = 2  # the number of the rules by which this version reads, splits and orders data
MOST_EMBEDDED = 50  # numbers for a category; below, a rule of thumb


class Column(BaseModel):
    """How a column of a table becomes numbers, or an id; fitted on the training split.

    Attributes:
        name: In the header.
        kind: What it holds.
        median: What stands for a missing number; of a date, in days since 1970.
        format: Of a date that is not of ISO 8601, as `strftime` takes it.
        may_be_missing: Whether one was missing in the training split: a 0 or 1 more then says where.
        place: Among the columns that are learned from, in the order of the table.
        vocabulary: The categories. The place of one, counted from 1, is its id; 0 is any other, or none.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    kind: Literal["number", "date", "category"] = "number"
    median: float = 0.0
    format: str | None = None
    may_be_missing: bool = False
    place: int = 0
    vocabulary: tuple[str, ...] = ()

    @property
    def parts(self) -> tuple[str, ...]:
        """What each number that it becomes is; none for a category, which becomes an id."""
        match self.kind:
            case "category":
                return ()
            case "date":
                parts = tuple(f"{self.name} ({part})" for part in DATE_PARTS)
            case _:
                parts = (self.name,)
        return (*parts, f"{self.name} is missing") if self.may_be_missing else parts

    @property
    def width(self) -> int:
        """How many numbers stand for it in front of the network; an id is embedded."""
        ids = len(self.vocabulary) + 1
        return min(MOST_EMBEDDED, round(1.6 * ids**0.56)) if self.kind == "category" else len(self.parts)


class Value(BaseModel):
    """One named array of an example, a target or an output.

    Attributes:
        name: The name that survives into every exported format.
        kind: `image` (height, width, channels), `class` (one id), `labels` (a 0/1 flag per class), `number` (one or
            more of them), `category` (an id for each of several columns), `noise` (standard normal numbers that
            something is made of), `series` (rows, channels: numbers in the order of time), `future` (what comes next in
            one of its columns), `past` (what had come before) and `time` (when the next one is, in days since 1970, or
            where dates are not known as its place), `scores` (a share per class, what a classifier presents), or
            `decision` (0 or 1).
        dtype: The NumPy dtype it has at the boundary; `string` for text in UTF-8.
        shape: Its shape, without the batch.
        range: Least and greatest value at the boundary, where it is known.
        classes: The class names by id, for `class`, `labels` and `scores`.
        counts: Examples of each class in the training split, for `class` and `labels`.
        columns: Where numbers or ids are columns of a table: those, and how they are made. Of a series, its channels,
            and for its `time` the column of dates. Of what is to be predicted, or decided, the one where it stands.
        resize: How an image of another size is brought to `shape`.
        preparation: All that is done to an image file before it is this array, for who does it elsewhere.
        mean: Mean over the training split, for a `number` and for each channel of a `series`; of an output, that of its
            target.
        std: Standard deviation over the training split, likewise; greater than 0.
        frequency: The time from row to row of a series, as pandas names it (`MS` for months), for its `time`.
        standardized: Whether a file takes, or gives, `(x - mean) / std` in place of x, each number by its own: float16
            holds none above 65,504, and in 8 bits one scale for all columns would leave nothing of the small ones.
        threshold: Of a `decision`, the score above which it is 1; fitted when training ends.
        quantization: `(scale, zero_point)` of an integer tensor that stands for real numbers.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    kind: Literal[
        "image",
        "class",
        "labels",
        "number",
        "category",
        "noise",
        "series",
        "future",
        "past",
        "time",
        "scores",
        "decision",
    ]
    dtype: str
    shape: tuple[int, ...]
    range: tuple[float, float] | None = None
    classes: tuple[str, ...] | None = None
    counts: tuple[int, ...] | None = None
    columns: tuple[Column, ...] | None = None
    resize: Resize | None = None
    preparation: str | None = None
    mean: tuple[float, ...] | None = None
    std: tuple[float, ...] | None = None
    frequency: str | None = None
    standardized: bool = False
    threshold: float | None = None
    quantization: tuple[float, int] | None = None


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

    inputs: tuple[Value, ...]
    targets: tuple[Value, ...]
    sizes: dict[str, int]
    skipped: dict[str, str] = {}
    unknown: dict[str, dict[str, int]] = {}
    warnings: tuple[str, ...] = ()
    fingerprint: str = ""
    order: str = ""
    reading_rules: int = 1


class Like(Protocol):
    """What says of a network's inputs and targets what they are: the spec of its data, or its contract."""

    @property
    def inputs(self) -> tuple[Value, ...]: ...
    @property
    def targets(self) -> tuple[Value, ...]: ...


def gives_back(like: Like) -> bool:
    """Whether what goes in is to come out: it is a target too then, maybe after itself without the noise."""
    return like.inputs[0].name in {value.name for value in like.targets}


def learned_target(like: Like) -> Value | None:
    """The column of a table that a network was trained to predict; None where it gives back its own input."""
    return None if gives_back(like) else next((v for v in like.targets if v.kind in ("class", "number")), None)


def target_column(like: Like) -> str | None:
    """Where in a table stands what a network is judged by; None where that is not known."""
    judged = [learned_target(like), *(value for value in like.targets if value.kind == "decision")]
    return next((value.columns[0].name for value in judged if value and value.columns), None)


def image_of(spec: DatasetSpec) -> Value | None:
    """The image among the inputs, which then is the only one; None where there is none."""
    return spec.inputs[0] if spec.inputs[0].kind == "image" else None


def network_shape(spec: DatasetSpec) -> tuple[int, ...]:
    """The shape of what the network sees of an example: its one array, or the columns of a table side by side."""
    first = spec.inputs[0]
    if first.columns is None or first.kind == "series":
        return first.shape
    return (sum(column.width for value in spec.inputs for column in value.columns or ()),)
