"""What a dataset's examples are: the named values that go in, the named targets that come out."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict

Resize = Literal["stretch", "crop", "pad"]


class Value(BaseModel):
    """One named array of an example, a target or an output.

    Attributes:
        name: The name that survives into every exported format.
        kind: `image` (height, width, channels), `class` (one id), `labels` (a 0/1 flag per class), `number` (one or
            more of them), or `scores` (a share per class, what a classifier presents).
        dtype: The NumPy dtype it has at the boundary.
        shape: Its shape, without the batch.
        range: Least and greatest value at the boundary, where it is known.
        classes: The class names by id, for `class`, `labels` and `scores`.
        counts: Examples of each class in the training split, for `class` and `labels`.
        columns: What each of several numbers is, where they have names.
        resize: How an image of another size is brought to `shape`.
        preparation: All that is done to an image file before it is this array, for who does it elsewhere.
        mean: Mean over the training split, for a `number`.
        std: Standard deviation over the training split, for a `number`; greater than 0.
        quantization: `(scale, zero_point)` of an integer tensor that stands for real numbers.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    kind: Literal["image", "class", "labels", "number", "scores"]
    dtype: str
    shape: tuple[int, ...]
    range: tuple[float, float] | None = None
    classes: tuple[str, ...] | None = None
    counts: tuple[int, ...] | None = None
    columns: tuple[str, ...] | None = None
    resize: Resize | None = None
    preparation: str | None = None
    mean: tuple[float, ...] | None = None
    std: tuple[float, ...] | None = None
    quantization: tuple[float, int] | None = None


class DatasetSpec(BaseModel):
    """What a run remembers of the data it was trained on.

    Attributes:
        inputs: What the network is given, by name.
        targets: What it is to give, by name.
        sizes: The number of examples of each split.
        skipped: Files that could not be read, each with the reason.
        fingerprint: A digest that changes when the data changes.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    inputs: tuple[Value, ...]
    targets: tuple[Value, ...]
    sizes: dict[str, int]
    skipped: dict[str, str] = {}
    fingerprint: str


def image_of(spec: DatasetSpec) -> Value | None:
    """The image among the inputs, which then is the only one; None where there is none."""
    return spec.inputs[0] if spec.inputs[0].kind == "image" else None
