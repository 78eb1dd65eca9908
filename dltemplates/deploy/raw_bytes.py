"""The check of what stands in front of the first layers of an integer file."""

from __future__ import annotations

from dltemplates.deploy.parity import CheckError
from dltemplates.runtimes import Predictor, TFLitePredictor

ARITHMETIC = {"CAST", "MUL", "SUB", "ADD", "DIV", "Cast", "Mul", "Sub", "Add", "Div"}
FIRST_LAYERS = {"CONV_2D", "DEPTHWISE_CONV_2D", "CONV_3D", "FULLY_CONNECTED", "BATCH_MATMUL", "TRANSPOSE_CONV"}
FIRST_LAYERS |= {"Conv", "MatMul", "Gemm", "ConvTranspose"}
INPUT_QUANTIZATION = {"uint8": (1.0, 0), "int8": (1.0, -128)}


def check_input(predictor: Predictor, unfolded_inputs: dict[str, str]) -> tuple[str, ...]:
    """Check that an integer file takes raw bytes, with no arithmetic in front of its first layer.

    Args:
        predictor: The file, TFLite or ONNX.
        unfolded: For each input whose scaling could not be folded away, the reason.

    Returns:
        Remarks: where arithmetic stays, and why.

    Raises:
        CheckError: If an input of bytes is not quantized so that a raw byte is its own value, or arithmetic is left.
    """
    remarks = []
    for value in predictor.contract.inputs:
        if not value.takes_bytes:
            continue
        if value.dtype not in INPUT_QUANTIZATION or value.quantization != INPUT_QUANTIZATION[value.dtype]:
            raise CheckError(f"input `{value.name}` must take raw bytes. It is {value.dtype} at {value.quantization}")
        found = leading_operators(predictor, value.name)
        allowed = 1 if value.dtype == "uint8" and isinstance(predictor, TFLitePredictor) else 0
        left = [name for name in found if name in ARITHMETIC] + ["QUANTIZE"] * (found.count("QUANTIZE") > allowed)
        if not left:
            continue
        names = ", ".join(sorted(set(left)))
        if value.name not in unfolded_inputs:
            raise CheckError(f"the scaling of input `{value.name}` must be folded away. In front of it stand: {names}")
        remarks.append(f"{names} stays in front of the first layer ({unfolded_inputs[value.name]})")
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
