"""The check of a streaming file over a long stream: it matches the network of whole sequences, and does not drift."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from dltemplates.datasets.source import Source
from dltemplates.deploy.formats.format import Format
from dltemplates.deploy.parity import CheckError, Parity
from dltemplates.runtimes import Arrays, KerasPredictor, Predictor
from dltemplates.tasks.serving.contract import ServingModel
from dltemplates.tasks.serving.stream import series_of, stream

STEPS = 500  # rows of the stream
REPEATS = 4  # times that it is fed without a reset, to see a drift
WHOLE_LENGTHS = (1, 2, 3, *range(10, STEPS + 1, 10))  # at which the network of whole sequences runs
FLOAT32_TOLERANCE = 1e-4  # of the formats of float32
EXACT = 1e-5  # greatest error of a float32 file, relative to the range of Keras's output
# The RMS error of the last 500 steps may be twice that of the first, plus a hundredth of the range.
DRIFT_FACTOR, DRIFT_MARGIN = 2.0, 0.01
SAME_SCALE = 1e-4  # relative


@dataclass(frozen=True)
class StreamReference:
    """Keras's outputs over a long stream.

    Attributes:
        rows: The rows, (1, STEPS * REPEATS, channels).
        streamed: The outputs of each step by name, (STEPS * REPEATS, ...).
        whole: The outputs of the network of whole sequences by name, for the first `WHOLE_LENGTHS` rows.
        spreads: The range (maximum - minimum) of each output.
    """

    rows: np.ndarray
    streamed: Arrays
    whole: Arrays
    spreads: Mapping[str, float]

    def error(self, outputs: Arrays) -> float:
        """Return the greatest difference from the network of whole sequences, relative to the range."""
        indices = np.array(WHOLE_LENGTHS) - 1
        errors = [
            np.abs(outputs[name][indices] - expected).max() / self.spreads[name]
            for name, expected in self.whole.items()
        ]
        return float(np.max(errors))  # NaN if one is

    def rms_errors(self, outputs: Arrays) -> tuple[float, float]:
        """Return the RMS differences from Keras's stream over the first and the last `STEPS` steps, relative."""
        first, last = slice(0, STEPS), slice(-STEPS, None)
        errors = [
            [
                np.sqrt(np.square(outputs[name][part] - expected[part]).mean()) / self.spreads[name]
                for part in (first, last)
            ]
            for name, expected in self.streamed.items()
        ]
        first_error, last_error = np.max(errors, axis=0)  # NaN if one is
        return float(first_error), float(last_error)


def run_stream(serving: ServingModel, windows: Source) -> StreamReference:
    """Stream some rows through Keras, without a reset.

    Args:
        serving: The streaming form.
        windows: Windows that the network was not trained on. Evenly spaced ones are joined, and repeated if they are
            too few.

    Raises:
        CheckError: If Keras's streaming form differs from the network of whole sequences.
    """
    import tensorflow as tf

    assert serving.any_length is not None
    series = series_of(serving.contract)
    length = series_of(serving.contract.of_system()).shape[0]
    chosen = np.linspace(0, len(windows) - 1, min(len(windows), -(-STEPS // length))).round().astype(np.int64)
    rows = windows.read(chosen)[series.name].astype(np.float32).reshape(-1, *series.shape[1:])
    rows = np.take(rows, np.arange(STEPS) % len(rows), axis=0)
    whole = tf.function(
        lambda rows: serving.any_length(rows, training=False),
        input_signature=[tf.TensorSpec([None, None, *series.shape[1:]], tf.float32)],
    )
    with tf.device("CPU"):
        results = [whole(tf.constant(rows[None, :count])) for count in WHOLE_LENGTHS]
    names = [value.name for value in serving.contract.of_system().outputs]
    expected = {name: np.concatenate([result[name].numpy() for result in results]) for name in names}
    stream_rows = np.tile(rows, (REPEATS, *[1] * (rows.ndim - 1)))[None]
    streamed = stream_outputs(KerasPredictor(serving.model, serving.contract), stream_rows, names)
    spreads = {name: float(np.ptp(array)) or 1.0 for name, array in streamed.items()}
    reference = StreamReference(stream_rows, streamed, expected, spreads)
    if not (error := reference.error(streamed)) <= EXACT:
        raise CheckError(
            f"the streaming form must be within {EXACT:g} of the network of whole sequences over {STEPS} steps, "
            f"relative to its range. In Keras it is {error:.2g} off"
        )
    return reference


def stream_outputs(predictor: Predictor, rows: np.ndarray, names: list[str]) -> Arrays:
    """Return the outputs of each step of one sequence (1, steps, channels) by name, each (steps, ...)."""
    results = [outputs for _, outputs in stream(predictor, rows)]
    return {name: np.concatenate([outputs[name] for outputs in results]) for name in names}


def check_stream(format: Format, predictor: Predictor, reference: StreamReference) -> tuple[Parity, tuple[str, ...]]:
    """Check a streaming file.

    Args:
        format: Its format.
        predictor: The file in its own runtime.
        reference: Keras's outputs.

    Returns:
        The errors over the stream, and remarks.

    Raises:
        CheckError: If the file differs from the network of whole sequences, or drifts.
    """
    outputs = stream_outputs(predictor, reference.rows, list(reference.streamed))
    error, (first, last) = reference.error(outputs), reference.rms_errors(outputs)
    total = STEPS * REPEATS
    remarks = [
        f"over {STEPS} steps at most {error:.1e} of the range from the network of whole sequences; RMS error of the "
        f"first {STEPS} of {total:,} steps without a reset {first:.1e}, of the last {STEPS} {last:.1e}"
    ]
    if requantized := _requantized(predictor):
        remarks.append(f"another scale before a step than after it: {', '.join(requantized)}; decode and encode again")
    limit = EXACT if format.tolerance == FLOAT32_TOLERANCE else format.tolerance
    if limit is not None and not error <= limit:
        raise CheckError(
            f"a streaming file must be within {limit:g} of the network of whole sequences over {STEPS} steps, relative "
            f"to its range. It is {error:.2g} off"
        )
    if not last <= DRIFT_FACTOR * first + DRIFT_MARGIN:
        raise CheckError(
            f"a streaming file must not drift over {total:,} steps without a reset. Its RMS error grows from "
            f"{first:.2g} to {last:.2g} of the range"
        )
    return Parity(total, error, max(first, last), 0), tuple(remarks)


def _requantized(predictor: Predictor) -> list[str]:
    """Return the states whose integer scale differs before and after a step."""
    contract = predictor.contract
    before = {value.name: value.quantization for value in contract.inputs}
    after = {value.name: value.quantization for value in contract.outputs}
    names = []
    for state in contract.state:
        one, other = before[state.input], after[state.output]
        if one and other and (abs(one[0] - other[0]) > SAME_SCALE * one[0] or one[1] != other[1]):
            names.append(state.input)
    return names
