"""A streaming file that differs from the network of whole sequences, or drifts, is refused."""

from dataclasses import replace

import numpy as np
import pytest

from dltemplates.deploy.formats.format import load_format
from dltemplates.deploy.parity import CheckError, Parity, worst
from dltemplates.deploy.stream_check import REPEATS, STEPS, WHOLE_LENGTHS, StreamReference, check_stream
from dltemplates.features import Number, Series
from dltemplates.runtimes import Predictor
from dltemplates.tasks.serving.contract import Contract, State

ROWS = np.sin(np.arange(STEPS * REPEATS, dtype=np.float32) % STEPS)[None, :, None]
CONTRACT = Contract(
    name="sums",
    task="parity",
    inputs=(
        Series(name="series", dtype="float32", shape=(1, 1)),
        Number(name="step", dtype="float32", shape=(1,)),
    ),
    outputs=(
        Number(name="value", dtype="float32", shape=(1,)),
        Number(name="step_next", dtype="float32", shape=(1,)),
    ),
    targets=(),
    state=(State(input="step", output="step_next"),),
)


class Counting(Predictor):
    """A streaming file that returns its row, and an error that may depend on the number of the step."""

    def __init__(self, error, contract=CONTRACT):
        super().__init__(contract)
        self.error = error

    def _run(self, encoded):
        step = encoded["step"]
        return {"value": encoded["series"][:, 0] + np.float32(self.error(int(step[0, 0]))), "step_next": step + 1}


@pytest.fixture(scope="module")
def reference():
    whole = ROWS[0, np.array(WHOLE_LENGTHS) - 1]
    return StreamReference(ROWS, {"value": ROWS[0]}, {"value": whole}, {"value": 2.0})


@pytest.mark.parametrize(
    ("key", "error", "match"),
    [
        ("tflite:float32", 1.8e-5, None),  # of a range of 2
        ("tflite:float32", 2.2e-5, r"within 1e-05 of the network of whole sequences over 500 steps.* 1.1e-05 off"),
        ("onnx:float32", 2.2e-5, "within 1e-05"),
        ("saved_model", 2.2e-5, "within 1e-05"),
        ("onnx:float16", 1.8e-2, None),
        ("onnx:float16", 2.2e-2, "within 0.01"),
        ("tflite:int8", 0.3, None),  # the score decides
        ("onnx:int8", float("nan"), "must not drift"),
        ("onnx:float32", float("nan"), "within 1e-05"),
    ],
)
def test_float_files_match_the_network_of_whole_sequences(reference, key, error, match):
    predictor = Counting(lambda step: error if step == 499 else 0.0)
    if np.isnan(error):
        predictor = Counting(lambda step: error)
    if match is None:
        figures, remarks = check_stream(load_format(key), predictor, reference)
        assert figures.max_error == pytest.approx(error / 2, rel=0.02)
        assert "over 500 steps at most" in remarks[0]
    else:
        with pytest.raises(CheckError, match=match):
            check_stream(load_format(key), predictor, reference)


def test_a_file_that_drifts_is_refused(reference):
    format = load_format("tflite:int8")
    constant, _ = check_stream(format, Counting(lambda step: 0.2), reference)
    assert constant.rms_error == pytest.approx(0.1, rel=1e-3)
    assert constant.examples == 2000
    with pytest.raises(CheckError, match=r"must not drift over 2,000 steps without a reset.*grows from 0.014 to 0.088"):
        check_stream(format, Counting(lambda step: step * 1e-4), reference)


def test_states_of_two_scales_are_named(reference):
    def contract(scale, zero_point=3):
        step, after = (
            value.model_copy(update={"dtype": "int16", "quantization": (quantized, offset)})
            for value, quantized, offset in ((CONTRACT.inputs[1], 1.0, 3), (CONTRACT.outputs[1], scale, zero_point))
        )
        inputs, outputs = (CONTRACT.inputs[0], step), (CONTRACT.outputs[0], after)
        return CONTRACT.model_copy(update={"inputs": inputs, "outputs": outputs})

    format = load_format("tflite:int8")
    for same in (contract(1.0), contract(1 + 1e-6)):
        _, remarks = check_stream(format, Counting(lambda step: 0.0, same), reference)
        assert len(remarks) == 1
    for other in (contract(1.1), contract(1.0, 4)):
        _, remarks = check_stream(format, Counting(lambda step: 0.0, other), reference)
        assert remarks[1] == "another scale before a step than after it: step; decode and encode again"


def test_the_larger_errors_count():
    first = Parity(examples=5, max_error=0.3, rms_error=0.1, changed=2)
    assert worst(first, Parity(9, 0.2, 0.2, 0)) == replace(first, rms_error=0.2)
    assert np.isnan(worst(first, Parity(9, float("nan"), 0.2, 0)).max_error)


def test_a_second_output_that_is_not_finite_is_found(reference):
    twice = {
        name: {"first": array, "second": array} for name, array in (("s", ROWS[0]), ("w", reference.whole["value"]))
    }
    both = StreamReference(ROWS, twice["s"], twice["w"], {"first": 2.0, "second": 2.0})
    outputs = {"first": ROWS[0], "second": np.full_like(ROWS[0], np.nan)}
    assert np.isnan(both.error(outputs))
    assert np.isnan(both.rms_errors(outputs)).all()
