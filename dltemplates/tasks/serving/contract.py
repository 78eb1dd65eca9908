"""The contract of an exported network: everything an app needs to call it, stored inside every file."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from pydantic import BaseModel, ConfigDict

from dltemplates.datasets.names import as_lines
from dltemplates.datasets.source import Source
from dltemplates.features import AnyFeature, Arrays, classes_of
from dltemplates.features.tokens import END, FIRST, PADDING, START, UNKNOWN
from dltemplates.settings import DatasetSettings

if TYPE_CHECKING:
    import keras

CONTRACT_FILE = "contract.json"
LABELS_FILE = "labels.txt"


class Split(BaseModel):
    """The split settings of the user's data, for data that had no splits of its own."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    validation: float
    test: float
    split_seed: int


class State(BaseModel):
    """State that a network passes from one call to the next.

    Attributes:
        input: Name of the state's input.
        output: Name of the state's output.
        initial: The value of every element before the first call.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    input: str
    output: str
    initial: float = 0.0


class Decoding(BaseModel):
    """How an app writes a text token by token. The names and the states of the parts are in their contracts.

    Attributes:
        normalization: Unicode form of a text before it is split into tokens.
        padding: Id after the last token of an input.
        unknown: Id of a token that is not in the vocabulary.
        start: Id that `decode` reads first; None if it goes on from the tokens of a prompt.
        end: Id that ends a text.
        first: Id of the first token of the vocabulary.
        never: Ids that are never chosen, however large their logits are.
        max_tokens: Most tokens that `decode` reads from its first states on.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    normalization: Literal["NFC"] = "NFC"
    padding: int = PADDING
    unknown: int = UNKNOWN
    start: int | None = START
    end: int = END
    first: int = FIRST
    never: tuple[int, ...] = (PADDING, UNKNOWN, START)
    max_tokens: int


class SystemContract(BaseModel):
    """Joint inputs and outputs of a system that has parts but no whole network.

    Attributes:
        task: Name of the task that runs and scores the system.
        task_options: Options of the task.
        inputs: The raw inputs, in order.
        outputs: The presented outputs, in order.
        targets: The targets of the outputs.
        decoding: How to write a text with the parts; None for other tasks.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    task: str
    task_options: dict[str, Any] = {}
    inputs: tuple[AnyFeature, ...]
    outputs: tuple[AnyFeature, ...]
    targets: tuple[AnyFeature, ...]
    decoding: Decoding | None = None


class Contract(BaseModel):
    """Inputs and outputs of an exported network, and their meaning.

    Attributes:
        format_version: Version of this record; see `upgrade.py`.
        name: Name of the served network.
        task: Name of the task that scores and formats its outputs.
        task_options: Options of the task.
        batch: `dynamic`, or the only possible batch size: 1 for TFLite files of recurrent networks.
        inputs: The raw inputs, in order.
        outputs: The presented outputs, in order.
        targets: The targets of the outputs.
        state: State passed from the outputs of one call to the inputs of the next.
        system: Joint inputs and outputs with the other parts, if the part is useful only with them.
        signature_name: The name of the file's signature, if it is not the one of `signature`.
        decoding: How to write a text with the parts, in a file that holds all of a system.
        parts: The contracts of the parts, by name, in a file that holds all of a system; the other fields are then of
            the system.
        assets: The SHA-256 of each file that travels with the network, such as a vocabulary, by file name.
        data: Its training data and split settings, for a dataset of the catalog.
        split: Its split settings, for the user's own data.
        reading_rules: Version of the rules that read and split the data; 1 for the first version.
        sha256: Digest of the exported file, as in `file_digest.py`; None outside a file, and in files of earlier
            versions.
        encoding: Encoding of its training data, a CSV file that is not in Unicode.
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
    signature_name: str | None = None
    decoding: Decoding | None = None
    parts: dict[str, Contract] = {}
    assets: dict[str, str] = {}
    data: DatasetSettings | None = None
    split: Split | None = None
    reading_rules: int = 1
    sha256: str | None = None
    encoding: str | None = None

    @property
    def labels(self) -> tuple[str, ...] | None:
        """The class names of the first output that has classes."""
        return next((classes for value in self.outputs if (classes := classes_of(value))), None)

    def of_system(self) -> Contract:
        """Return the contract of the system that the part belongs to.

        Raises:
            ValueError: If it belongs to none.
        """
        if self.system is None:
            raise ValueError(
                f"A part of a system must have `system` in its contract. Received: {self.name}, without it. "
                "Export it again."
            )
        return Contract(
            name=self.name,
            data=self.data,
            split=self.split,
            reading_rules=self.reading_rules,
            encoding=self.encoding,
            **dict(self.system),
        )

    @property
    def signature(self) -> str:
        """The name of the file's signature, in TFLite and a SavedModel: `decode` for one step with states."""
        return self.signature_name or ("decode" if self.state else "serving_default")

    def files(self) -> dict[str, str]:
        """Return the texts stored inside an exported file, by file name."""
        files = {CONTRACT_FILE: self.model_dump_json(indent=2, exclude_none=True)}
        if self.labels:
            files[LABELS_FILE] = as_lines(self.labels)
        return files


def join_contracts(parts: Mapping[str, Contract]) -> Contract:
    """Return the contract of one file with all parts of a system, each with a signature of its own.

    Args:
        parts: The contracts by part.
    """
    name, first = next(iter(parts.items()))
    joined = {
        part: contract.model_copy(update={"system": None, "signature_name": contract.signature_name or part})
        for part, contract in parts.items()
    }
    return first.of_system().model_copy(update={"name": first.name.removesuffix(f"-{name}"), "parts": joined})


@dataclass(frozen=True)
class ServingModel:
    """A Keras model to export, from the contract's inputs to its outputs, by name.

    Attributes:
        model: The model.
        contract: Its contract.
        examples: Builds the source of its inputs from a split's name and examples; None to follow the contract.
        formats: The part's format by the system's format, where the two differ; for example, a float32 front end in an
            int8 system.
        is_useful_alone: Whether to keep its files if they pass and only the whole system fails.
        calibrate: Returns the calibration inputs from the training examples and their number; None for evenly spaced
            examples.
        any_length: For a streaming form: the network of whole sequences, which it must match.
    """

    model: keras.Model
    contract: Contract
    examples: Callable[[str, Source], Source] | None = None
    formats: Mapping[str, str] = field(default_factory=dict)
    is_useful_alone: bool = False
    calibrate: Callable[[Source, int], Arrays] | None = None
    any_length: keras.Model | None = None
