"""The contract of an exported network: all that an app must know to call it, carried inside every file."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from pydantic import BaseModel, ConfigDict

from dltemplates.datasets.spec import Value
from dltemplates.settings import DatasetSettings

if TYPE_CHECKING:
    import keras

CONTRACT_FILE = "contract.json"
LABELS_FILE = "labels.txt"


class Split(BaseModel):
    """How the user's data was split, where it was not already; as in the settings of a dataset."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    validation: float
    test: float
    split_seed: int


class Contract(BaseModel):
    """What goes in, what comes out, and what they mean.

    Attributes:
        format_version: Version of this record.
        name: Name of the served network.
        task: Name of the task that can judge and show its outputs.
        task_options: That task's options.
        batch: `dynamic` or the one batch size that works: 1 in the TFLite files of recurrent networks.
        inputs: The raw inputs, in order.
        outputs: The presented outputs, in order.
        targets: What the outputs are judged against.
        data: The data it was trained on and how it was split, where that is a dataset of the catalog.
        split: How it was split, where it is the user's.
        reading_rules: The number of the rules by which it was read and split; 1 of the first edition.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    format_version: Literal[1] = 1
    name: str
    task: str
    task_options: dict[str, Any] = {}
    batch: Literal["dynamic"] | int = "dynamic"
    inputs: tuple[Value, ...]
    outputs: tuple[Value, ...]
    targets: tuple[Value, ...]
    data: DatasetSettings | None = None
    split: Split | None = None
    reading_rules: int = 1

    @property
    def labels(self) -> tuple[str, ...] | None:
        """The class names of the first output that has some."""
        return next((value.classes for value in self.outputs if value.classes), None)

    def files(self) -> dict[str, str]:
        """The texts that travel inside an exported file, by file name."""
        files = {CONTRACT_FILE: self.model_dump_json(indent=2, exclude_none=True)}
        if self.labels:
            files[LABELS_FILE] = "\n".join(self.labels) + "\n"
        return files


@dataclass(frozen=True)
class ServingModel:
    """What is exported: a Keras model from the contract's inputs to the contract's outputs, by their names.

    Attributes:
        model: The model.
        contract: What goes in and comes out.
        after: The one whose outputs it takes, of which its examples are made; None where it takes what is in the data.
    """

    model: keras.Model
    contract: Contract
    after: ServingModel | None = None
