"""The check of one written file: loaded in its own runtime, it gives what Keras gives on examples not trained on."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from dltemplates.datasets.source import ArraySource, Source, index_batches
from dltemplates.deploy.formats.format import Format
from dltemplates.features import Feature
from dltemplates.runtimes import Arrays, KerasPredictor, Predictor, examples_per_call
from dltemplates.tasks.serving.contract import Contract, ServingModel

PARITY_EXAMPLES = 256  # at most; the score is taken of the whole split
BATCH_SIZES = (1, 3, 33)
LARGE_BATCH = 4  # in place of the last where examples are large
ROUNDING = 1e-6
CALLS = 5  # that are made twice
REPEATED = 1e-5  # a state that is kept changes far more
# So few examples may be the same, or of one class: that their outputs do not differ proves nothing.
MIN_EXAMPLES = 16
# Integer arithmetic has no tolerance of its own: rows may differ by rounding, not by which batch they were in.
BATCH_TOLERANCE = 1e-2


class CheckError(Exception):
    """A file that did not pass; the text says why."""


@dataclass(frozen=True)
class Parity:
    """How far a written file is from Keras.

    Attributes:
        examples: On how many examples.
        max_error: Greatest difference, divided by the range (greatest less least) of Keras's output; the worst of all
            outputs. Of an output that is a decision, the share of the examples where it differs.
        rms_error: Root of the mean squared difference, divided likewise.
        changed: Examples where an output that is a decision differs.
    """

    examples: int
    max_error: float
    rms_error: float
    changed: int


@dataclass(frozen=True)
class PartReference:
    """What Keras gives for one part on some examples of a split.

    Attributes:
        contract: That of the part, its images in float32.
        source: The inputs.
        outputs: What Keras gives, by name.
        problem: Why nothing can be compared with it; None where all is well.
    """

    contract: Contract
    source: Source
    outputs: Mapping[str, np.ndarray]
    problem: str | None = None

    @property
    def example(self) -> Arrays:
        """The raw inputs of one example."""
        return self.source.read(np.arange(1))

    def feature(self, name: str) -> Feature:
        """The output of a name."""
        return next(value for value in self.contract.outputs if value.name == name)

    @property
    def decisions(self) -> tuple[str, ...]:
        """Names of the outputs that are decisions themselves."""
        return tuple(value.name for value in self.contract.outputs if value.is_decision)

    @cached_property
    def spreads(self) -> dict[str, float]:
        """What an error of each output is divided by: the greatest less the least, unless its kind says another.

        Where all are the same, as of a single number, their size.
        """
        seen = Extent()
        for rows in index_batches(len(self.source), examples_per_call(self.contract)):
            seen.add({name: array[rows] for name, array in self.outputs.items()})
        return {name: self.feature(name).spread or spread for name, spread in seen.spreads.items()}


def run_keras(serving: ServingModel, source: Source, folder: Path) -> PartReference:
    """Run Keras on at most `PARITY_EXAMPLES` examples, evenly spread; the arrays lie on the disk.

    Args:
        serving: The part, its images in float32.
        source: The inputs of the part.
        folder: Where the arrays are kept, a new folder.
    """
    contract = serving.contract
    # Keras takes any batch, also where an exported file will not.
    predictor = KerasPredictor(serving.model, contract.model_copy(update={"batch": "dynamic"}))
    chosen = np.linspace(0, len(source) - 1, min(PARITY_EXAMPLES, len(source))).round().astype(np.int64)
    folder.mkdir(parents=True, exist_ok=True)
    inputs, outputs = _Stored(folder, "input", len(chosen)), _Stored(folder, "output", len(chosen))
    seen = Extent()
    for rows in index_batches(len(chosen), examples_per_call(contract)):
        arrays = source.read(chosen[rows])
        arrays = {value.name: arrays[value.name] for value in contract.inputs}
        made = predictor(arrays)
        inputs.add(arrays)
        outputs.add(made)
        seen.add(made)
    examples = ArraySource(inputs)
    problem = None
    try:
        seen.check("Keras's own output", predictor, examples)
    except CheckError as error:
        problem = str(error)
    return PartReference(contract, examples, outputs, problem)


def check_part(format: Format, predictor: Predictor, reference: PartReference) -> Parity:
    """Run a written file on the examples of its reference.

    Args:
        format: Its format.
        predictor: The file in its own runtime.
        reference: What Keras gives.

    Raises:
        CheckError: If it does not give what Keras gives.
    """
    if reference.problem:
        raise CheckError(reference.problem)
    _check_contract(predictor, reference.contract)
    _check_operators(predictor)
    _check_calls(predictor, reference)
    _check_batches(predictor, reference, BATCH_TOLERANCE if format.tolerance is None else format.tolerance)
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
        CheckError: If they are not finite, or do not depend on the input.
    """
    total = len(reference.source)
    largest, squares = dict.fromkeys(reference.outputs, 0.0), dict.fromkeys(reference.outputs, 0.0)
    changed = dict.fromkeys(reference.decisions, 0)
    seen = Extent()
    for rows in index_batches(total, examples_per_call(reference.contract)):
        given = predictor(reference.source.read(rows))
        seen.add(given)
        for name, expected in reference.outputs.items():
            differences = reference.feature(name).differences(expected[rows], given[name])
            largest[name] = float(np.maximum(largest[name], differences.max()))
            squares[name] += float(np.square(differences).sum())
            if name in reference.decisions:
                changed[name] += int(differences.sum())
    seen.check("the output", predictor, reference.source)
    others = [name for name in reference.outputs if name not in reference.decisions]
    errors = [largest[name] / reference.spreads[name] for name in others]
    errors += [changed[name] / total for name in reference.decisions]
    means = [np.sqrt(squares[name] / reference.outputs[name].size) / reference.spreads[name] for name in others]
    return Parity(total, float(np.max(errors)), float(np.max(means or [0.0])), sum(changed.values()))


class Extent:
    """The least and the greatest value at each place of some outputs, batch by batch."""

    def __init__(self) -> None:
        self.count = 0
        self.infinite = Counter[str]()
        self.least: Arrays = {}
        self.greatest: Arrays = {}

    def add(self, outputs: Arrays) -> None:
        """Look at a batch of outputs by name, each (n, ...)."""
        for name, array in outputs.items():
            self.infinite[name] += int((~np.isfinite(array)).sum())
            least, greatest = array.min(axis=0), array.max(axis=0)
            self.least[name] = np.minimum(self.least.get(name, least), least)
            self.greatest[name] = np.maximum(self.greatest.get(name, greatest), greatest)
        self.count += len(array)

    @property
    def spreads(self) -> dict[str, float]:
        """The greatest less the least of each output; where all are the same, as of a single number, their size."""
        return {name: spread(np.stack([least, self.greatest[name]])) for name, least in self.least.items()}

    def check(self, what: str, predictor: Predictor, source: Source) -> None:
        """Check that all outputs were finite, and depend on the input.

        Args:
            what: What gave them.
            predictor: Run on other inputs where there were few.
            source: Examples of the inputs.

        Raises:
            CheckError: If one does not.
        """
        if len(source) < MIN_EXAMPLES:
            self.add(predictor(_unlike(predictor.contract, source)))
        for name, least in self.least.items():
            if self.infinite[name]:
                share = self.infinite[name] / (self.count * max(least.size, 1))
                raise CheckError(f"{what} `{name}` must be finite. {share:.0%} of it is not")
            greatest = self.greatest[name]
            # Rounding alone differs between batches of another size.
            if not (greatest - least).max() > ROUNDING * np.maximum(np.abs(least), np.abs(greatest)).max():
                same = f"It is the same for all {self.count} inputs"
                raise CheckError(f"{what} `{name}` must depend on the input. {same}")


def spread(array: np.ndarray) -> float:
    """Return the greatest less the least; where all are the same, as of a single number, their size."""
    return float(np.ptp(array) or np.abs(array).max() or 1.0)


def _check_contract(predictor: Predictor, expected: Contract) -> None:
    received = predictor.contract
    for what in ("inputs", "outputs"):
        wanted = [(value.name, value.shape) for value in getattr(expected, what)]
        found = [(value.name, value.shape) for value in getattr(received, what)]
        if wanted != found:
            raise CheckError(f"the file's {what} must be {wanted}. They are {found}")
    if (received.state, received.assets) != (expected.state, expected.assets):
        raise CheckError("the file's state and assets must be those of its contract. They are not")


def _check_operators(predictor: Predictor) -> None:
    foreign = sorted(name for name in predictor.operators if name.startswith(("custom ", "Flex")))
    if foreign:
        raise CheckError(f"the file must hold built-in operators only. It holds: {', '.join(foreign)}")


def _check_calls(predictor: Predictor, reference: PartReference) -> None:
    """Check that a call leaves nothing behind for the next: recurrent files have been seen to keep their state."""
    total = len(reference.source)
    places = np.linspace(0, total - 1, min(total, CALLS)).round().astype(np.int64)
    calls = [reference.source.read(place[None]) for place in places]
    first, *_ = outputs = [predictor(inputs) for inputs in calls]
    again = [predictor(inputs) for inputs in reversed(calls)][::-1]
    for name in first:
        before, after = (np.concatenate([output[name] for output in made]) for made in (outputs, again))
        error = reference.feature(name).compare(before, after) / reference.spreads[name]
        if not error <= REPEATED:
            raise CheckError(
                f"a call must give what it gave before, whatever was called in between. `{name}` is {error:.2g} off: "
                "the file keeps a state"
            )


def _check_batches(predictor: Predictor, reference: PartReference, tolerance: float) -> None:
    """Check that every promised batch size gives the rows that any other gives."""
    *sizes, most = BATCH_SIZES
    total, largest = len(reference.source), min(most, max(LARGE_BATCH, examples_per_call(reference.contract)))
    # From the end, so that they are other examples than the first batch of the whole split; few ones come again.
    inputs = reference.source.read(np.arange(total - largest, total) % total)
    # The smallest first: what fails on a single example in a file just opened may not fail after a larger batch.
    parts = {size: predictor({name: array[:size] for name, array in inputs.items()}) for size in sizes}
    outputs = predictor(inputs)
    for size, part in parts.items():
        for name, array in part.items():
            if name in reference.decisions:  # it follows from the others, whose rounding may carry it over
                continue
            rows, greatest = outputs[name][:size], tolerance * reference.spreads[name]
            if array.shape != rows.shape or not reference.feature(name).compare(rows, array) <= greatest:
                raise CheckError(f"a batch of {size} must give the rows that one of {largest} gives. `{name}` does not")


def _unlike(contract: Contract, source: Source) -> Arrays:
    """Return inputs unlike the examples, and each other."""
    random = np.random.default_rng(0)
    example = source.read(np.arange(1))
    return {value.name: value.stress(example[value.name], random) for value in contract.inputs}


class _Stored(Mapping[str, np.ndarray]):
    """Arrays by name, each (n, ...), that are written to the disk batch by batch.

    They are memory maps, opened anew whenever they are asked for: what was read of one counts as memory of this process
    until it is closed.
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
        for place, (name, array) in enumerate(batch.items()):
            if name not in self._paths:
                self._paths[name] = self._folder / f"{self._prefix}_{place}.npy"
                shape = (self._count, *array.shape[1:])
                np.lib.format.open_memmap(self._paths[name], "w+", array.dtype, shape)
            np.load(self._paths[name], mmap_mode="r+", allow_pickle=False)[rows] = array
        self._filled = rows.stop
