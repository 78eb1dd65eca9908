"""The check that an integer file takes raw bytes, with no arithmetic before its first layers."""

from __future__ import annotations

from dltemplates.deploy.parity import CheckError
from dltemplates.features.feature import BYTE_OFFSETS
from dltemplates.runtimes import Predictor, TFLitePredictor

ARITHMETIC = {"CAST", "MUL", "SUB", "ADD", "DIV", "Cast", "Mul", "Sub", "Add", "Div"}
FIRST_LAYERS = {"CONV_2D", "DEPTHWISE_CONV_2D", "CONV_3D", "FULLY_CONNECTED", "BATCH_MATMUL", "TRANSPOSE_CONV"}
FIRST_LAYERS |= {"Conv", "MatMul", "Gemm", "ConvTranspose"}


def check_input(predictor: Predictor, unfolded_inputs: dict[str, str]) -> tuple[str, ...]:
    """Check that an integer file takes raw bytes, with no arithmetic before its first layer.

    Args:
        predictor: The file, TFLite or ONNX.
        unfolded_inputs: By input, why its scaling could not be folded into the weights.

    Returns:
        Remarks on the arithmetic that stays, with the reason.

    Raises:
        CheckError: If the quantization changes the value of a raw byte, or arithmetic stays without a reason.
    """
    remarks = []
    for value in predictor.contract.inputs:
        if not value.takes_bytes:
            continue
        if value.dtype not in BYTE_OFFSETS or value.quantization != value.byte_quantization(value.dtype):
            raise CheckError(
                f"input `{value.name}` must take raw bytes. It is {value.dtype} with (scale, zero point) "
                f"{value.quantization}"
            )
        leading = leading_operators(predictor, value.name)
        allowed = 1 if value.dtype == "uint8" and isinstance(predictor, TFLitePredictor) else 0
        extra = [name for name in leading if name in ARITHMETIC] + ["QUANTIZE"] * (leading.count("QUANTIZE") > allowed)
        if not extra:
            continue
        names = ", ".join(sorted(set(extra)))
        if value.name not in unfolded_inputs:
            raise CheckError(
                f"the scaling of input `{value.name}` must be folded into the first layer. Before that layer: {names}"
            )
        remarks.append(
            f"{names} stays before the first layer: the input's scaling cannot be folded into the weights "
            f"({unfolded_inputs[value.name]})"
        )
    return tuple(remarks)


def leading_operators(predictor: Predictor, name: str) -> list[str]:
    """Return the operations between an input and the first layers that it reaches."""
    tensors = {predictor.input_tensors[name]}  # type: ignore[attr-defined]
    names = []
    for operator in predictor.graph:  # in order of execution
        if tensors.intersection(operator.inputs) and operator.name not in FIRST_LAYERS:
            names.append(operator.name)
            tensors.update(operator.outputs)
    return names
