"""The contract of an exported network: all that an app must know to call it, carried inside every file."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from pydantic import BaseModel, ConfigDict

from dltemplates.datasets.source import Source
from dltemplates.features import AnyFeature, classes_of
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


class State(BaseModel):
    """What a network that is called again and again takes from its own call before.

    Attributes:
        input: The input that takes it.
        output: The output that gives it.
        initial: What the input holds before the first call, in every place.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    input: str
    output: str
    initial: float = 0.0


class SystemContract(BaseModel):
    """What the parts of a system that has no whole network take and give together.

    Attributes:
        task: Name of the task that runs and scores them.
        task_options: That task's options.
        inputs: The raw inputs, in order.
        outputs: The presented outputs, in order.
        targets: What the outputs are judged against.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    task: str
    task_options: dict[str, Any] = {}
    inputs: tuple[AnyFeature, ...]
    outputs: tuple[AnyFeature, ...]
    targets: tuple[AnyFeature, ...]


class Contract(BaseModel):
    """What goes in, what comes out, and what they mean.

    Attributes:
        format_version: Version of this record; see `upgrade.py`.
        name: Name of the served network.
        task: Name of the task that can judge and show its outputs.
        task_options: That task's options.
        batch: `dynamic` or the one batch size that works: 1 in the TFLite files of recurrent networks.
        inputs: The raw inputs, in order.
        outputs: The presented outputs, in order.
        targets: What the outputs are judged against.
        state: What goes from the outputs of a call to the inputs of the next.
        system: What it takes and gives together with the other parts, where they count only together.
        assets: The SHA-256 of each file that travels with the network, such as a vocabulary, by its name.
        data: The data it was trained on and how it was split, where that is a dataset of the catalog.
        split: How it was split, where it is the user's.
        reading_rules: The number of the rules by which it was read and split; 1 of the first edition.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    format_version: Literal["3.0"] = "3.0"
    name: str
    task: str
    task_options: dict[str, Any] = {}
    batch: Literal["dynamic"] | int = "dynamic"
    inputs: tuple[AnyFeature, ...]
    outputs: tuple[AnyFeature, ...]
    targets: tuple[AnyFeature, ...]
    state: tuple[State, ...] = ()
    system: SystemContract | None = None
    assets: dict[str, str] = {}
    data: DatasetSettings | None = None
    split: Split | None = None
    reading_rules: int = 1

    @property
    def labels(self) -> tuple[str, ...] | None:
        """The class names of the first output that has some."""
        return next((classes for value in self.outputs if (classes := classes_of(value))), None)

    def of_system(self) -> Contract:
        """Return the contract of the system that the part belongs to.

        Raises:
            ValueError: If it belongs to none.
        """
        if self.system is None:
            raise ValueError(
                f"A part of a system must say what the system takes. Received: {self.name}, whose contract does not. "
                "Export it again."
            )
        return Contract(name=self.name, data=self.data, split=self.split, **dict(self.system))

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
        examples: Makes the source of its inputs from the name of a split and the examples of that; None where the
            contract says how.
        formats: The format that it takes under a format of the system, where that is another one: a front end in
            float32 under a body in int8.
        is_useful_alone: Whether its files are kept where they pass and only the whole system fails.
    """

    model: keras.Model
    contract: Contract
    examples: Callable[[str, Source], Source] | None = None
    formats: Mapping[str, str] = field(default_factory=dict)
    is_useful_alone: bool = False
