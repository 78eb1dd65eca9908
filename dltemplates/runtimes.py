"""One `Predictor` for Keras, SavedModel, TFLite and ONNX, from raw inputs by name to decoded outputs by name.

TFLite and ONNX files run without TensorFlow.
"""

from __future__ import annotations

import math
import time
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from dltemplates.datasets.source import Arrays, Source, examples_at_once, index_batches, join_batches
from dltemplates.errors import first_line
from dltemplates.tasks.serving.contract import CONTRACT_FILE, Contract
from dltemplates.tasks.serving.file_digest import DamagedFileError, matches_report, read_parts
from dltemplates.upgrade import read_record, upgrade_contract

if TYPE_CHECKING:
    import keras

BATCH = 64  # examples per call over a whole split


@dataclass(frozen=True)
class Operator:
    """One operation of an exported graph: its name, and the names of its input and output tensors."""

    name: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]


class Predictor(ABC):
    """A network in its runtime, called with raw values.

        predictor = dlt.load_predictor("exports/resnet8_digits-float32.onnx")
        predictor(images)["probabilities"]

    Attributes:
        contract: The contract, with this file's dtypes and quantization.
    """

    def __init__(self, contract: Contract):
        self.contract = contract

    def __call__(self, inputs: Arrays | np.ndarray) -> Arrays:
        """Run the network.

        Args:
            inputs: Raw values by name, each (n, ...); images in [0, 255], of any dtype. For a network with one input,
                the array alone.

        Returns:
            The outputs by name, each (n, ...), float32.

        Raises:
            ValueError: If an input is missing, unknown or empty, or has a wrong shape.
        """
        if isinstance(inputs, np.ndarray):
            inputs = {self._only_input(): inputs}
        self._check(inputs)
        encoded = {value.name: value.encode(inputs[value.name]) for value in self.contract.inputs}
        total = len(next(iter(encoded.values())))
        if isinstance(self.contract.batch, int):
            size = self.contract.batch
            batches = [self._run(_padded_batch(encoded, start, size)) for start in range(0, total, size)]
            raw = {name: np.concatenate([batch[name] for batch in batches])[:total] for name in batches[0]}
        else:
            raw = self._run(encoded)
        return {value.name: value.decode(raw[value.name]) for value in self.contract.outputs}

    def predict(self, source: Source, batch_size: int | None = None) -> tuple[Arrays, Arrays]:
        """Run the network over a whole split.

        Args:
            source: The examples, with the arrays that the contract names.
            batch_size: Examples per call; by default `examples_per_call`.

        Returns:
            The targets and the outputs by name, each (n, ...).

        Raises:
            ValueError: If there are no examples.
        """
        targets: list[Arrays] = []
        outputs: Arrays = {}
        done = 0
        for batch_targets, batch_outputs in self.batches(source, batch_size):
            targets.append(batch_targets)
            for name, array in batch_outputs.items():
                if name not in outputs:  # one array from the start: memory may not hold a second copy
                    outputs[name] = np.empty((len(source), *array.shape[1:]), array.dtype)
                outputs[name][done : done + len(array)] = array
            done += len(array)
        return join_batches(targets), outputs

    def batches(self, source: Source, batch_size: int | None = None) -> Iterator[tuple[Arrays, Arrays]]:
        """Run the network over a whole split, batch by batch, for outputs too large for memory.

        Args:
            source: The examples, with the arrays that the contract names.
            batch_size: Examples per call; by default `examples_per_call`.

        Yields:
            The targets and the outputs of a batch by name, each (n, ...).

        Raises:
            ValueError: If there are no examples.
        """
        if len(source) == 0:
            raise ValueError("A split must hold examples for a prediction. Received: 0. Choose another split.")
        for rows in index_batches(len(source), batch_size or examples_per_call(self.contract)):
            arrays = source.read(rows)
            targets = {value.name: arrays[value.name] for value in self.contract.targets}
            yield targets, self({value.name: arrays[value.name] for value in self.contract.inputs})

    def latency(self, example: Arrays, *, seconds: float = 0.4, runs: int = 200) -> float:
        """Return the median time of one call, in milliseconds; use a predictor with one thread.

        Args:
            example: Raw values by name, each (1, ...).
            seconds: Stop after this time.
            runs: Stop after this many calls.
        """
        encoded = {value.name: value.encode(example[value.name]) for value in self.contract.inputs}
        for _ in range(3):
            self._run(encoded)
        times: list[float] = []
        while len(times) < 5 or (len(times) < runs and sum(times) < seconds):
            start = time.perf_counter()
            self._run(encoded)
            times.append(time.perf_counter() - start)
        return float(np.median(times)) * 1000

    @cached_property
    def graph(self) -> list[Operator]:
        """The operations of the file in order of execution; empty if the runtime has no fixed graph."""
        return []

    @property
    def operators(self) -> dict[str, int]:
        """The number of operations by name."""
        return dict(sorted(Counter(operator.name for operator in self.graph).items()))

    @abstractmethod
    def _run(self, encoded: Arrays) -> Arrays:
        """Run the network on arrays with the file's dtypes."""

    def _only_input(self) -> str:
        """Return the name of the network's one input."""
        first, *others = (value.name for value in self.contract.inputs)
        if others:
            raise ValueError(
                f"A network of several inputs takes a dictionary of arrays. Received: one array. Name each of "
                f"{', '.join([first, *others])}."
            )
        return first

    def _check(self, inputs: Arrays) -> None:
        expected = {value.name: value for value in self.contract.inputs}
        if set(inputs) != set(expected):
            raise ValueError(
                f"The inputs must be {', '.join(expected)}. Received: {', '.join(inputs) or 'none'}. "
                "Pass a dictionary with an array for each."
            )
        counts = {len(array) for array in inputs.values()}
        if len(counts) != 1 or 0 in counts:
            raise ValueError(
                f"All inputs must hold the same number of examples, at least 1. Received: {sorted(counts)}. Pass "
                "arrays of one length."
            )
        for name, value in expected.items():
            if inputs[name].shape[1:] != value.shape:
                raise ValueError(
                    f"Input `{name}` must have the shape (n, {', '.join(map(str, value.shape))}). "
                    f"Received: {inputs[name].shape}. Resize or reshape each example to {value.shape}."
                )


class KerasPredictor(Predictor):
    """A Keras model on the CPU: the reference for every exported file."""

    def __init__(self, model: keras.Model, contract: Contract):
        import tensorflow as tf

        super().__init__(contract)
        self.model = model
        specs = {value.name: tf.TensorSpec([None, *value.shape], value.dtype) for value in contract.inputs}
        signature = specs if len(specs) > 1 else next(iter(specs.values()))
        # One graph for all batch sizes: a graph per size takes time, and TensorFlow warns about it.
        self._call = tf.function(lambda arrays: model(arrays, training=False), input_signature=[signature])

    def _run(self, encoded: Arrays) -> Arrays:
        import tensorflow as tf

        names = [value.name for value in self.contract.inputs]
        with tf.device("CPU"):
            arrays = [tf.convert_to_tensor(encoded[name]) for name in names]
            result = self._call(arrays[0] if len(arrays) == 1 else dict(zip(names, arrays, strict=True)))
        if not isinstance(result, dict):
            tensors = result if isinstance(result, (list, tuple)) else [result]
            result = dict(zip((value.name for value in self.contract.outputs), tensors, strict=True))
        return {name: tensor.numpy() for name, tensor in result.items()}


class SavedModelPredictor(Predictor):
    """A SavedModel, called by the signature of its contract."""

    def __init__(self, path: Path, contract: Contract):
        import tensorflow as tf

        super().__init__(contract)
        try:
            self._loaded = tf.saved_model.load(str(path))
            self._signature = self._loaded.signatures[contract.signature]
        except Exception as error:
            raise _invalid_file(path, error) from error

    def _run(self, encoded: Arrays) -> Arrays:
        import tensorflow as tf

        tensors = {name: tf.convert_to_tensor(array) for name, array in encoded.items()}
        return {name: tensor.numpy() for name, tensor in self._signature(**tensors).items()}


class TFLitePredictor(Predictor):
    """A `.tflite` file in LiteRT."""

    def __init__(self, path: Path, contract: Contract, threads: int = 1):
        from ai_edge_litert.interpreter import Interpreter

        super().__init__(contract)
        self.path = path
        try:
            self._interpreter = Interpreter(model_path=str(path), num_threads=threads)
            self._runner = self._interpreter.get_signature_runner(contract.signature)
        except (ValueError, RuntimeError) as error:
            raise _invalid_file(path, error) from error

    def _run(self, encoded: Arrays) -> Arrays:
        return self._runner(**encoded)

    @cached_property
    def graph(self) -> list[Operator]:
        from ai_edge_litert import schema_py_generated as schema

        model = schema.Model.GetRootAs(bytearray(self.path.read_bytes()))
        names = {code: name for name, code in vars(schema.BuiltinOperator).items() if not name.startswith("_")}
        operators = []
        for index in range(model.SubgraphsLength()):
            subgraph = model.Subgraphs(index)
            for position in range(subgraph.OperatorsLength()):
                operator = subgraph.Operators(position)
                code = model.OperatorCodes(operator.OpcodeIndex())
                builtin = max(code.BuiltinCode(), code.DeprecatedBuiltinCode())
                custom = code.CustomCode()
                name = f"custom {custom.decode()}" if custom else names[builtin]
                read = tuple(
                    f"{index}:{operator.Inputs(i)}" for i in range(operator.InputsLength()) if operator.Inputs(i) >= 0
                )
                written = tuple(f"{index}:{operator.Outputs(i)}" for i in range(operator.OutputsLength()))
                operators.append(Operator(name, read, written))
        return operators

    @property
    def input_tensors(self) -> dict[str, str]:
        """Tensor names of `graph` by input."""
        from ai_edge_litert import schema_py_generated as schema

        model = schema.Model.GetRootAs(bytearray(self.path.read_bytes()))
        signatures = [model.SignatureDefs(index) for index in range(model.SignatureDefsLength())]
        graphs = {signature.SignatureKey().decode(): signature.SubgraphIndex() for signature in signatures}
        graph = graphs[self.contract.signature]
        return {name: f"{graph}:{details['index']}" for name, details in self._runner.get_input_details().items()}


class ONNXPredictor(Predictor):
    """An `.onnx` file in ONNX Runtime on the CPU."""

    def __init__(self, path: Path, contract: Contract, session: Any):
        super().__init__(contract)
        self.path = path
        self._session = session
        self._names = [value.name for value in contract.outputs]

    def _run(self, encoded: Arrays) -> Arrays:
        return dict(zip(self._names, self._session.run(self._names, encoded), strict=True))

    @cached_property
    def graph(self) -> list[Operator]:
        import onnx

        nodes = onnx.load(str(self.path), load_external_data=False).graph.node
        return [Operator(node.op_type, tuple(node.input), tuple(node.output)) for node in nodes]

    @property
    def input_tensors(self) -> dict[str, str]:
        """Tensor names of `graph` by input."""
        return {value.name: value.name for value in self.contract.inputs}


def load_predictor(path: str | Path, threads: int = 1, part: str = "") -> Predictor:
    """Open an exported file in its own runtime.

        predictor = dlt.load_predictor("exports/resnet8_digits-int8.tflite")
        predictor(images)["probabilities"]  # images (n, height, width, channels)

    Args:
        path: A `.tflite` or `.onnx` file, or a SavedModel folder, written by an export.
        threads: Threads per call; ignored for a SavedModel, which uses TensorFlow's setting.
        part: Part of a file that holds several, such as `decode`.

    Raises:
        ValueError: If the file is missing, broken, damaged or of another kind, holds no contract, or does not have the
            part.
    """
    path = Path(path)
    if not path.exists():
        raise ValueError(f"An exported file must exist. Received: {path}. `dlt export RUN` writes one.")
    if path.is_dir():
        if not (path / "saved_model.pb").is_file():
            raise ValueError(f"An exported folder must be a SavedModel. Received: {path}, without saved_model.pb.")
        return SavedModelPredictor(path, _contract_of(part, path))
    if path.suffix == ".tflite":
        return TFLitePredictor(path, _contract_of(part, path), threads)
    if path.suffix == ".onnx":
        return ONNXPredictor(path, _contract_of(part, path), _onnx_session(path, threads))
    raise ValueError(
        f"An exported file must end in .tflite or .onnx, or be a SavedModel folder. Received: {path}. "
        "Choose a file of an exports folder."
    )


def read_contract(path: Path) -> Contract:
    """Read the contract inside an exported file, and compare the file with its digest.

    Files of earlier versions have no digest. They are compared with the export report beside them, if there is one.

    Raises:
        ValueError: If the contract is missing, broken, or of a later major version; or if the file is damaged.
    """
    try:
        parts = read_parts(path)
        text = parts.texts[CONTRACT_FILE].decode("utf-8")
    except DamagedFileError as error:
        raise (_invalid_file(path, error) if path.suffix == ".onnx" else _missing_contract(path)) from error
    except (KeyError, UnicodeDecodeError) as error:
        raise _missing_contract(path) from error
    contract = _parse_contract(text, path)
    if not (matches_report(path) if contract.sha256 is None else parts.digest == contract.sha256):
        record = "the export report beside it" if contract.sha256 is None else "its contract"
        raise ValueError(
            f"An exported file must stay as it was written. Received: {path}, whose sha256 differs from {record}. "
            "Copy it again, or export it again."
        )
    return contract


def _contract_of(part: str, path: Path) -> Contract:
    """Return the contract of a part of a file; without a part, of the file, which then must hold one network."""
    contract = read_contract(path)
    if part in contract.parts:
        return contract.parts[part]
    if not part and not contract.parts:
        return contract
    names = ", ".join(contract.parts)
    way_out = f"Choose one of {names}." if names else "Drop `part`: the file holds one network."
    raise ValueError(f"`part` must name a part of the file. Received: {part!r} for {path}. {way_out}")


def examples_per_call(contract: Contract) -> int:
    """Return the number of examples per call over a split: `BATCH`, or fewer if they are large."""
    numbers = sum(math.prod(value.shape) for value in (*contract.inputs, *contract.outputs))
    return examples_at_once(numbers, BATCH)


def _padded_batch(encoded: Arrays, start: int, size: int) -> Arrays:
    """Return `size` examples from `start` on; past the end, repeat the last one."""
    indices = np.arange(start, start + size)
    return {name: array[np.minimum(indices, len(array) - 1)] for name, array in encoded.items()}


def _onnx_session(path: Path, threads: int) -> Any:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    # Without it, x86 processors that lack VNNI saturate sums of uint8 x int8, and silently compute wrong numbers.
    options.add_session_config_entry("session.x64quantprecision", "1")
    try:
        return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # ONNX Runtime's errors have no public base class
        raise _invalid_file(path, error) from error


def _parse_contract(text: str, path: Path) -> Contract:
    name = "The contract inside a file"
    return read_record(Contract, text, upgrade_contract, name=name, source=path, way_out="Export it again.")


def _missing_contract(path: Path) -> ValueError:
    return ValueError(
        f"An exported file must carry {CONTRACT_FILE}. Received: {path}, which is truncated or was not written by "
        "`dlt export`. Export it again."
    )


def _invalid_file(path: Path, error: Exception) -> ValueError:
    return ValueError(f"An exported file must be valid. Received: {path} ({first_line(error)}). Export it again.")
