"""The check of one exported file: in its own runtime, its outputs match Keras's on examples outside `train`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np

from dltemplates.datasets.source import ArraySource, Source, index_batches
from dltemplates.deploy.formats.format import Format
from dltemplates.features import Feature
from dltemplates.runtimes import Arrays, KerasPredictor, Predictor, examples_per_call
from dltemplates.tasks.serving.contract import Contract, ServingModel

PARITY_EXAMPLES = 256  # at most; the score uses the whole split
BATCH_SIZES = (1, 3, 33)
LARGE_BATCH = 4  # in place of 33 for large examples
ROUNDING = 1e-6
REPEATED_CALLS = 5
REPEAT_TOLERANCE = 1e-5  # a file that keeps state is off by far more
# Fewer examples may be equal or of one class, so equal outputs prove nothing.
MIN_EXAMPLES = 16
# For integer formats, which have no tolerance: an example may differ between batches by rounding alone.
BATCH_TOLERANCE = 1e-2


class CheckError(Exception):
    """A file that fails its check; the message says why."""


@dataclass(frozen=True)
class Parity:
    """The error of an exported file against Keras.

    Attributes:
        examples: Number of examples.
        max_error: Greatest difference, divided by the range (maximum - minimum) of Keras's output; the largest over all
            outputs. For a decision output, the share of examples that differ.
        rms_error: Root mean squared difference, divided by the same range.
        changed: Number of examples whose decision differs.
    """

    examples: int
    max_error: float
    rms_error: float
    changed: int


def worst(first: Parity, second: Parity) -> Parity:
    """Return the larger errors of two comparisons of a file."""
    max_error = float(np.maximum(first.max_error, second.max_error))  # NaN if one is
    rms_error = float(np.maximum(first.rms_error, second.rms_error))
    return replace(first, max_error=max_error, rms_error=rms_error)


@dataclass(frozen=True)
class PartReference:
    """Keras's outputs of one part on some examples of a split.

    Attributes:
        contract: The part's contract, with float32 images.
        source: The inputs.
        outputs: Keras's outputs by name.
        problem: Why Keras's outputs are no reference; None if they are.
        finite_at_zero: Whether Keras's outputs are finite for inputs of zeros, such as a black image.
    """

    contract: Contract
    source: Source
    outputs: Mapping[str, np.ndarray]
    problem: str | None = None
    finite_at_zero: bool = False

    @property
    def example(self) -> Arrays:
        """The raw inputs of one example."""
        return self.source.read(np.arange(1))

    def feature(self, name: str) -> Feature:
        """Return the output feature with this name."""
        return next(value for value in self.contract.outputs if value.name == name)

    @property
    def decisions(self) -> tuple[str, ...]:
        """Names of the decision outputs."""
        return tuple(value.name for value in self.contract.outputs if value.is_decision)

    @cached_property
    def spreads(self) -> dict[str, float]:
        """The divisor of each output's error: its range (maximum - minimum), unless its feature fixes another.

        For an output with one value only, its absolute value.
        """
        extent = Extent()
        for rows in index_batches(len(self.source), examples_per_call(self.contract)):
            extent.add({name: array[rows] for name, array in self.outputs.items()})
        return {name: self.feature(name).spread or spread for name, spread in extent.spreads.items()}


def run_keras(serving: ServingModel, source: Source, folder: Path) -> PartReference:
    """Run Keras on at most `PARITY_EXAMPLES` evenly spaced examples, and keep the arrays on disk.

    Args:
        serving: The part, with float32 images.
        source: The inputs of the part.
        folder: A new folder for the arrays.
    """
    contract = serving.contract
    # Keras accepts any batch size, even where the exported file will not.
    predictor = KerasPredictor(serving.model, contract.model_copy(update={"batch": "dynamic"}))
    chosen = np.linspace(0, len(source) - 1, min(PARITY_EXAMPLES, len(source))).round().astype(np.int64)
    folder.mkdir(parents=True, exist_ok=True)
    inputs, outputs = _DiskArrays(folder, "input", len(chosen)), _DiskArrays(folder, "output", len(chosen))
    extent = Extent()
    for rows in index_batches(len(chosen), examples_per_call(contract)):
        arrays = source.read(chosen[rows])
        arrays = {value.name: arrays[value.name] for value in contract.inputs}
        predicted = predictor(arrays)
        inputs.add(arrays)
        outputs.add(predicted)
        extent.add(predicted)
    examples = ArraySource(inputs)
    problem = None
    try:
        extent.check("Keras's own output", predictor, examples)
    except CheckError as error:
        problem = str(error)
    return PartReference(contract, examples, outputs, problem, not _infinite_at_zero(predictor, examples))


def check_part(format: Format, predictor: Predictor, reference: PartReference) -> Parity:
    """Check an exported file on the examples of its reference.

    Args:
        format: Format of the file.
        predictor: The file in its own runtime.
        reference: Keras's outputs.

    Raises:
        CheckError: If a check fails.
    """
    if reference.problem:
        raise CheckError(reference.problem)
    _check_contract(predictor, reference.contract)
    _check_operators(predictor)
    _check_calls(predictor, reference)
    _check_batches(predictor, reference, BATCH_TOLERANCE if format.tolerance is None else format.tolerance)
    if reference.finite_at_zero and (name := _infinite_at_zero(predictor, reference.source)):
        raise CheckError(f"the output `{name}` must be finite for an input of zeros, as Keras's is. It is not")
    parity = compare(predictor, reference)
    if format.tolerance is not None and not parity.max_error <= format.tolerance:
        raise CheckError(
            f"the output must be within {format.tolerance:g} of Keras's, relative to its range. It is "
            f"{parity.max_error:.2g} off"
        )
    return parity


def compare(predictor: Predictor, reference: PartReference) -> Parity:
    """Compare the outputs of a file with Keras's, batch by batch.

    Raises:
        CheckError: If an output is not finite, or does not depend on the input.
    """
    total = len(reference.source)
    largest, squares = dict.fromkeys(reference.outputs, 0.0), dict.fromkeys(reference.outputs, 0.0)
    changed = dict.fromkeys(reference.decisions, 0)
    extent = Extent()
    for rows in index_batches(total, examples_per_call(reference.contract)):
        outputs = predictor(reference.source.read(rows))
        extent.add(outputs)
        for name, expected in reference.outputs.items():
            differences = reference.feature(name).differences(expected[rows], outputs[name])
            largest[name] = float(np.maximum(largest[name], differences.max()))
            squares[name] += float(np.square(differences).sum())
            if name in reference.decisions:
                changed[name] += int(differences.sum())
    extent.check("the output", predictor, reference.source)
    others = [name for name in reference.outputs if name not in reference.decisions]
    errors = [largest[name] / reference.spreads[name] for name in others]
    errors += [changed[name] / total for name in reference.decisions]
    means = [np.sqrt(squares[name] / reference.outputs[name].size) / reference.spreads[name] for name in others]
    return Parity(total, float(np.max(errors)), float(np.max(means or [0.0])), sum(changed.values()))


class Extent:
    """The elementwise minimum and maximum of some outputs, gathered batch by batch."""

    def __init__(self) -> None:
        self.count = 0
        self.infinite = Counter[str]()
        self.minima: Arrays = {}
        self.maxima: Arrays = {}

    def add(self, outputs: Arrays) -> None:
        """Add a batch of outputs by name, each (n, ...)."""
        for name, array in outputs.items():
            self.infinite[name] += int((~np.isfinite(array)).sum())
            minimum, maximum = array.min(axis=0), array.max(axis=0)
            self.minima[name] = np.minimum(self.minima.get(name, minimum), minimum)
            self.maxima[name] = np.maximum(self.maxima.get(name, maximum), maximum)
        self.count += len(array)

    @property
    def spreads(self) -> dict[str, float]:
        """The range of each output, as `spread` computes it."""
        return {name: spread(np.stack([minimum, self.maxima[name]])) for name, minimum in self.minima.items()}

    def check(self, label: str, predictor: Predictor, source: Source) -> None:
        """Check that all outputs are finite and depend on the input.

        Args:
            label: Start of the error message, such as "the output".
            predictor: The model; it runs on random inputs too if there are few examples.
            source: Examples of the inputs.

        Raises:
            CheckError: If an output is not finite, or is the same for all inputs.
        """
        if len(source) < MIN_EXAMPLES:
            self.add(predictor(_stress_inputs(predictor.contract, source)))
        for name, minimum in self.minima.items():
            if self.infinite[name]:
                share = self.infinite[name] / (self.count * max(minimum.size, 1))
                raise CheckError(f"{label} `{name}` must be finite. {share:.0%} of its values are not")
            maximum = self.maxima[name]
            # Batches of different sizes may differ by rounding alone.
            if not (maximum - minimum).max() > ROUNDING * np.maximum(np.abs(minimum), np.abs(maximum)).max():
                message = f"It is the same for all {self.count} inputs"
                raise CheckError(f"{label} `{name}` must depend on the input. {message}")


def spread(array: np.ndarray) -> float:
    """Return the range (maximum - minimum); if it is 0, the absolute value, or 1 for zeros."""
    return float(np.ptp(array) or np.abs(array).max() or 1.0)


def _check_contract(predictor: Predictor, expected: Contract) -> None:
    received = predictor.contract
    for field in ("inputs", "outputs"):
        expected_shapes = [(value.name, value.shape) for value in getattr(expected, field)]
        received_shapes = [(value.name, value.shape) for value in getattr(received, field)]
        if expected_shapes != received_shapes:
            raise CheckError(f"the file's {field} must be {expected_shapes}. They are {received_shapes}")
    if (received.state, received.assets) != (expected.state, expected.assets):
        raise CheckError("the file's state and assets must match its contract. They do not")


def _check_operators(predictor: Predictor) -> None:
    custom = sorted(name for name in predictor.operators if name.startswith(("custom ", "Flex")))
    if custom:
        raise CheckError(f"the file must hold built-in operators only. It holds: {', '.join(custom)}")


def _check_calls(predictor: Predictor, reference: PartReference) -> None:
    """Check that the file keeps no state between calls; some recurrent files did."""
    total = len(reference.source)
    indices = np.linspace(0, total - 1, min(total, REPEATED_CALLS)).round().astype(np.int64)
    calls = [reference.source.read(index[None]) for index in indices]
    first, *_ = outputs = [predictor(inputs) for inputs in calls]
    again = [predictor(inputs) for inputs in reversed(calls)][::-1]
    for name in first:
        before, after = (np.concatenate([output[name] for output in results]) for results in (outputs, again))
        error = reference.feature(name).compare(before, after) / reference.spreads[name]
        if not error <= REPEAT_TOLERANCE:
            raise CheckError(
                f"the same input must give the same output in every call. `{name}` is {error:.2g} off: the file keeps "
                "state between calls"
            )


def _check_batches(predictor: Predictor, reference: PartReference, tolerance: float) -> None:
    """Check that an example gets the same output in batches of every size."""
    *sizes, largest = BATCH_SIZES
    total, largest = len(reference.source), min(largest, max(LARGE_BATCH, examples_per_call(reference.contract)))
    # From the end: other examples than in the first batch of the split. Few examples are repeated.
    inputs = reference.source.read(np.arange(total - largest, total) % total)
    # The smallest batch first: a new file may fail on a single example, but not after a larger batch.
    batches = {size: predictor({name: array[:size] for name, array in inputs.items()}) for size in sizes}
    outputs = predictor(inputs)
    for size, batch in batches.items():
        for name, array in batch.items():
            if name in reference.decisions:  # rounding of the score may flip it near the threshold
                continue
            rows, limit = outputs[name][:size], tolerance * reference.spreads[name]
            if array.shape != rows.shape or not reference.feature(name).compare(rows, array) <= limit:
                raise CheckError(
                    f"an example must give the same output in a batch of {size} as in one of {largest}. `{name}` does "
                    "not"
                )


def _infinite_at_zero(predictor: Predictor, source: Source) -> str | None:
    """Return the first output that is not finite for zeros in place of each float input; None if all are finite."""
    inputs = source.read(np.arange(1))
    for name, array in inputs.items():
        if np.issubdtype(array.dtype, np.floating) or array.dtype == np.uint8:
            inputs[name] = np.zeros_like(array)
    inputs = {value.name: inputs[value.name] for value in predictor.contract.inputs}
    return next((name for name, array in predictor(inputs).items() if not np.isfinite(array).all()), None)


def _stress_inputs(contract: Contract, source: Source) -> Arrays:
    """Return inputs that differ from the examples and from each other."""
    random = np.random.default_rng(0)
    example = source.read(np.arange(1))
    return {value.name: value.stress(example[value.name], random) for value in contract.inputs}


class _DiskArrays(Mapping[str, np.ndarray]):
    """Arrays by name, each (n, ...), written to disk batch by batch.

    Each read opens a new memory map: pages that were read count as memory of this process until the map is closed.
    """

    def __init__(self, folder: Path, prefix: str, count: int):
        self._folder, self._prefix, self._count, self._filled = folder, prefix, count, 0
        self._paths: dict[str, Path] = {}

    def __getitem__(self, name: str) -> np.ndarray:
        return np.load(self._paths[name], mmap_mode="r", allow_pickle=False)

    def __iter__(self) -> Iterator[str]:
        return iter(self._paths)

    def __len__(self) -> int:
        return len(self._paths)

    def add(self, batch: Arrays) -> None:
        """Append a batch; all batches together hold `count` examples."""
        rows = slice(self._filled, self._filled + len(next(iter(batch.values()))))
        for index, (name, array) in enumerate(batch.items()):
            if name not in self._paths:
                self._paths[name] = self._folder / f"{self._prefix}_{index}.npy"
                shape = (self._count, *array.shape[1:])
                np.lib.format.open_memmap(self._paths[name], "w+", array.dtype, shape)
            np.load(self._paths[name], mmap_mode="r+", allow_pickle=False)[rows] = array
        self._filled = rows.stop
