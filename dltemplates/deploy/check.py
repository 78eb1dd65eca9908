"""The check of a written file: loaded in its own runtime, run on examples not trained on, held against Keras."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

import numpy as np

from dltemplates.datasets.source import ArraySource, Dataset, Source
from dltemplates.deploy.budget import Budget
from dltemplates.deploy.formats.format import Format
from dltemplates.deploy.report import SplitCheck
from dltemplates.runtimes import Arrays, KerasPredictor, Predictor, TFLitePredictor
from dltemplates.tasks.contract import Contract, ServingModel
from dltemplates.tasks.examples import category_texts
from dltemplates.tasks.task import Task

GATE = "validation"
REPORTED = "test"
BATCH = 64
BATCH_SIZES = (1, 3, 33)
ROUNDING = 1e-6
CALLS = 5  # that are made twice
REPEATED = 1e-5  # a state that is kept changes far more
# So few examples may be the same, or of one class: that their outputs do not differ proves nothing.
FEW = 16
SLOW_EXAMPLES = 500  # of a split, where a file is slow
# Integer arithmetic has no tolerance of its own: rows may differ by rounding, not by which batch they were in.
BATCH_TOLERANCE = 1e-2
ARITHMETIC = {"CAST", "MUL", "SUB", "ADD", "DIV", "Cast", "Mul", "Sub", "Add", "Div"}
FIRST_LAYERS = {"CONV_2D", "DEPTHWISE_CONV_2D", "CONV_3D", "FULLY_CONNECTED", "BATCH_MATMUL", "TRANSPOSE_CONV"}
FIRST_LAYERS |= {"Conv", "MatMul", "Gemm", "ConvTranspose"}
INPUT_QUANTIZATION = {"uint8": (1.0, 0), "int8": (1.0, -128)}


class CheckError(Exception):
    """A file that did not pass; the text says why."""


@dataclass(frozen=True)
class Expected:
    """What Keras gives on one split.

    Attributes:
        discrete: Names of the outputs that are decisions, which agree or do not.
    """

    source: Source
    targets: Arrays
    outputs: Arrays
    discrete: tuple[str, ...] = ()

    def thinned(self, limit: int) -> Expected:
        """At most `limit` of the examples, evenly spread by index."""
        if len(self.source) <= limit:
            return self
        indices = np.linspace(0, len(self.source) - 1, limit).round().astype(np.int64)
        arrays = self.source.read(indices)
        targets = {name: array[indices] for name, array in self.targets.items()}
        outputs = {name: array[indices] for name, array in self.outputs.items()}
        return Expected(ArraySource(arrays), targets, outputs, self.discrete)


class Reference:
    """What Keras gives on the examples that were not trained on, and how far a file may be from it.

    Attributes:
        serving: The model, its images in float32.
        task: What judges it.
        dataset: Its `validation` decides, its `test` is reported.
        budget: Greatest drop of the score.
        splits: What Keras gives, by split.
        problem: Why nothing can be held against it; None where all is well.
        metric: The name of the score that decides.
    """

    def __init__(self, serving: ServingModel, task: Task, dataset: Dataset, budget: Budget):
        self.serving = serving
        self.task = task
        self.dataset = dataset
        self.budget = budget
        self.problem: str | None = None
        self.splits: dict[str, Expected] = {}
        # Keras takes any batch, also where an exported file will not.
        predictor = KerasPredictor(serving.model, serving.contract.model_copy(update={"batch": "dynamic"}))
        discrete = tuple(value.name for value in serving.contract.outputs if value.kind == "decision")
        for name in (GATE, REPORTED):
            if name == GATE or (name in dataset.splits and len(dataset.splits[name])):
                source = dataset.split(name)
                self.splits[name] = Expected(source, *predictor.predict(source, BATCH), discrete)
        gate = self.splits[GATE]
        self.metric, _ = judge(task, gate, gate.outputs)
        try:
            for expected in self.splits.values():
                _check_outputs("Keras's own output", predictor, expected.source, expected.outputs)
        except CheckError as error:
            self.problem = str(error)

    @property
    def example(self) -> Arrays:
        """The raw inputs of one example."""
        return _inputs(self.serving.contract, self.splits[GATE].source, np.arange(1))


def check(format: Format, predictor: Predictor, reference: Reference) -> tuple[dict[str, SplitCheck], tuple[str, ...]]:
    """Run an exported file on examples that were not trained on.

    Args:
        format: Its format.
        predictor: The file in its own runtime.
        reference: What Keras gives.

    Returns:
        The figures of each split, and remarks.

    Raises:
        CheckError: If it is not what Keras is, or costs more of the score than the budget.
    """
    _check_contract(predictor, reference)
    _check_operators(predictor)
    tolerance = format.tolerance
    _check_calls(predictor, reference.splits[GATE])
    _check_batches(predictor, reference.splits[GATE], BATCH_TOLERANCE if tolerance is None else tolerance)
    splits = {}
    remarks: tuple[str, ...] = ()
    for name, expected in reference.splits.items():
        if format.is_slow(predictor.operators) and len(expected.source) > SLOW_EXAMPLES:
            expected = expected.thinned(SLOW_EXAMPLES)
            remarks += (f"checked on {SLOW_EXAMPLES} examples of {name}, evenly spread: its kernels are slow",)
        _, outputs = predictor.predict(expected.source, BATCH)
        _check_outputs("the output", predictor, expected.source, outputs)
        splits[name] = compare(expected, outputs, reference.task, reference.budget)
    gate = splits[GATE]
    if tolerance is not None and not gate.max_error <= tolerance:
        raise CheckError(
            f"the output must be within {tolerance:g} of Keras's, relative to its range. It is {gate.max_error:.2g} off"
        )
    if reference.splits[GATE].discrete:
        _check_decisions(gate, reference.budget)
    if not reference.budget.holds(gate.float_score, gate.score):
        raise CheckError(
            f"over budget: {reference.metric} on validation is {gate.score:.4f}, {gate.float_score:.4f} in Keras; "
            f"a drop of {gate.drop:.4f} where {reference.budget.text} is allowed. Allow more with --max-drop"
        )
    return splits, remarks


def compare(expected: Expected, outputs: Arrays, task: Task, budget: Budget) -> SplitCheck:
    """The figures of an exported file on one split."""
    (_, float_score), (_, score) = (judge(task, expected, arrays) for arrays in (expected.outputs, outputs))
    decisions, keras_decisions = task.decide(outputs), task.decide(expected.outputs)
    changed = agreement = None
    if decisions is not None and keras_decisions is not None:
        different = (decisions != keras_decisions).reshape(len(decisions), -1).any(axis=1)
        changed, agreement = int(different.sum()), float(1 - different.mean())
    return SplitCheck(
        examples=len(next(iter(outputs.values()))),
        float_score=float_score,
        score=score,
        drop=budget.drop(float_score, score),
        max_error=max_error(expected.outputs, outputs, expected.discrete),
        changed=changed,
        agreement=agreement,
    )


def judge(task: Task, expected: Expected, outputs: Arrays) -> tuple[str, float]:
    """The figure that decides, and its name: the task's first score, or how far outputs are from Keras's.

    That is the root mean square of the difference, divided by the range (greatest less least) of Keras's output; the
    worst of all outputs.
    """
    if not task.by_parity:
        return next(iter(task.score(expected.targets, outputs).items()))
    errors = [
        np.sqrt(np.square(outputs[name].astype(np.float64) - array).mean()) / _spread(array)
        for name, array in expected.outputs.items()
    ]
    return "rms error", float(np.max(errors))


def max_error(expected: Arrays, outputs: Arrays, discrete: Collection[str] = ()) -> float:
    """`max|output - expected| / (max expected - min expected)`, the worst of all outputs; NaN if one is.

    Of an output that is `discrete` it is the share of the examples where it differs.
    """
    errors = [
        np.mean(outputs[name] != array) if name in discrete else np.abs(outputs[name] - array).max() / _spread(array)
        for name, array in expected.items()
    ]
    return float(np.max(errors))  # unlike max(), it keeps a NaN


def check_input(predictor: Predictor, unfolded: dict[str, str]) -> tuple[str, ...]:
    """Check that an integer file takes raw bytes, with no arithmetic in front of its first layer.

    Args:
        predictor: The file, TFLite or ONNX.
        unfolded: For each input whose scaling could not be folded away, the reason.

    Returns:
        Remarks: where arithmetic stays, and why.

    Raises:
        CheckError: If an image input is not quantized so that a raw byte is its own value, or arithmetic is left.
    """
    remarks = []
    for value in predictor.contract.inputs:
        if value.kind != "image":
            continue
        if value.dtype not in INPUT_QUANTIZATION or value.quantization != INPUT_QUANTIZATION[value.dtype]:
            raise CheckError(f"input `{value.name}` must take raw bytes. It is {value.dtype} at {value.quantization}")
        found = leading_operators(predictor, value.name)
        allowed = 1 if value.dtype == "uint8" and isinstance(predictor, TFLitePredictor) else 0
        left = [name for name in found if name in ARITHMETIC] + ["QUANTIZE"] * (found.count("QUANTIZE") > allowed)
        if not left:
            continue
        names = ", ".join(sorted(set(left)))
        if value.name not in unfolded:
            raise CheckError(f"the scaling of input `{value.name}` must be folded away. In front of it stand: {names}")
        remarks.append(f"{names} stays in front of the first layer ({unfolded[value.name]})")
    return tuple(remarks)


def leading_operators(predictor: Predictor, name: str) -> list[str]:
    """The operations between an input and the first layers that it reaches."""
    tensors = {predictor.input_tensors[name]}  # type: ignore[attr-defined]
    found = []
    for operator in predictor.graph:  # in order of execution
        if tensors.intersection(operator.inputs) and operator.name not in FIRST_LAYERS:
            found.append(operator.name)
            tensors.update(operator.outputs)
    return found


def _check_decisions(gate: SplitCheck, budget: Budget) -> None:
    """Check that decisions are Keras's, but for a share as large as the budget; of few examples, but for one.

    A score may be blind to them, as the area under a curve is to the threshold.
    """
    allowed = max(1, int(budget.allowed(gate.float_score) * gate.examples))
    if gate.changed is not None and gate.changed > allowed:
        raise CheckError(
            f"over budget: {gate.changed} of {gate.examples} decisions on validation are not Keras's, where {allowed} "
            "may be. Allow more with --max-drop"
        )


def _check_contract(predictor: Predictor, reference: Reference) -> None:
    expected, received = reference.serving.contract, predictor.contract
    for what in ("inputs", "outputs"):
        wanted = [(value.name, value.shape) for value in getattr(expected, what)]
        found = [(value.name, value.shape) for value in getattr(received, what)]
        if wanted != found:
            raise CheckError(f"the file's {what} must be {wanted}. They are {found}")


def _check_operators(predictor: Predictor) -> None:
    foreign = sorted(name for name in predictor.operators if name.startswith(("custom ", "Flex")))
    if foreign:
        raise CheckError(f"the file must hold built-in operators only. It holds: {', '.join(foreign)}")


def _check_outputs(what: str, predictor: Predictor, source: Source, outputs: Arrays) -> None:
    """Check that the outputs on a split are finite, and depend on the input."""
    if len(source) < FEW:
        more = predictor(_unlike(predictor.contract, source))
        outputs = {name: np.concatenate([array, more[name]]) for name, array in outputs.items()}
    for name, array in outputs.items():
        if not np.isfinite(array).all():
            raise CheckError(f"{what} `{name}` must be finite. {np.mean(~np.isfinite(array)):.0%} of it is not")
        # Rounding alone differs between batches of another size.
        if not np.ptp(array, axis=0).max() > ROUNDING * np.abs(array).max():
            raise CheckError(f"{what} `{name}` must depend on the input. It is the same for all {len(array)} inputs")


def _check_calls(predictor: Predictor, expected: Expected) -> None:
    """Check that a call leaves nothing behind for the next: recurrent files have been seen to keep their state."""
    total = len(expected.source)
    places = np.linspace(0, total - 1, min(total, CALLS)).round().astype(np.int64)
    calls = [_inputs(predictor.contract, expected.source, place[None]) for place in places]
    first, *_ = outputs = [predictor(inputs) for inputs in calls]
    again = [predictor(inputs) for inputs in reversed(calls)][::-1]
    for name in first:
        before, after = (np.concatenate([output[name] for output in made]) for made in (outputs, again))
        error = np.abs(after - before).max() / _spread(expected.outputs[name])
        if not error <= REPEATED:
            raise CheckError(
                f"a call must give what it gave before, whatever was called in between. `{name}` is {error:.2g} off: "
                "the file keeps a state"
            )


def _check_batches(predictor: Predictor, expected: Expected, tolerance: float) -> None:
    """Check that every promised batch size gives the rows that any other gives."""
    total = len(expected.source)
    largest = max(BATCH_SIZES)
    # From the end, so that they are other examples than the first batch of the whole split; few ones come again.
    inputs = _inputs(predictor.contract, expected.source, np.arange(total - largest, total) % total)
    # The smallest first: what fails on a single example in a file just opened may not fail after a larger batch.
    parts = {size: predictor({name: array[:size] for name, array in inputs.items()}) for size in BATCH_SIZES}
    outputs = parts.pop(largest)
    for size, part in parts.items():
        for name, array in part.items():
            if name in expected.discrete:  # it follows from the others, whose rounding may carry it over
                continue
            error = np.abs(array - outputs[name][:size]).max() / _spread(expected.outputs[name])
            if array.shape != outputs[name][:size].shape or not error <= tolerance:
                raise CheckError(f"a batch of {size} must give the rows that one of {largest} gives. `{name}` does not")


def _unlike(contract: Contract, source: Source) -> Arrays:
    """Inputs that are unlike the examples, and each other: the first one inverted, the least, the greatest, noise."""
    made = {}
    random = np.random.default_rng(0)
    for value in contract.inputs:
        if value.kind == "category":
            most = [len(column.vocabulary) for column in value.columns or ()]
            ids = random.integers(0, most, (FEW + 3, len(most)), endpoint=True)
            made[value.name] = category_texts(value, ids) if value.dtype == "string" else ids.astype(value.dtype)
            continue
        array = source.read(np.arange(1))[value.name]
        known = (0.0, 255.0) if value.kind == "image" else value.range
        low, high = known or (array.min() - 1.0, array.max() + 1.0)
        noise = random.uniform(low, high, (FEW, *value.shape))
        parts = [low + high - array.astype(np.float64), np.full(array.shape, low), np.full(array.shape, high), noise]
        made[value.name] = np.concatenate(parts).astype(array.dtype)
    return made


def _spread(array: np.ndarray) -> float:
    """Greatest less least; where all are the same, as of a single number, their size."""
    return float(np.ptp(array) or np.abs(array).max() or 1.0)


def _inputs(contract: Contract, source: Source, indices: np.ndarray) -> Arrays:
    arrays = source.read(indices)
    return {value.name: arrays[value.name] for value in contract.inputs}
