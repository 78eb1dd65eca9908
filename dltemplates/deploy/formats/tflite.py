"""TFLite: float32, float16, dynamic range, full int8, int16x8."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import TYPE_CHECKING

from dltemplates.deploy.formats.format import MASKED_RECURRENT, Format

if TYPE_CHECKING:
    from dltemplates.deploy.converters.conversion_job import ConversionJob

MEMORY = 22.0  # multiple of the weights' bytes; measured by `tools/bench_memory.py weights`
SUFFIX = ".tflite"
# Their loop takes one example per call, since TFLite needs fixed sizes for its outputs. Calibrating a loop crashes the
# converter, so integer files hold the steps one by one, which also allows any batch size.
RECURRENT = ("LSTM", "GRU", "SimpleRNN")
CALIBRATION_CRASHES = {"CategoryLookup": "the TFLite converter crashes when it calibrates two or more strings"}
NO_16X8 = {
    "hard_silu": "HARD_SWISH",
    "elu": "ELU",
    "ELU": "ELU",
    "selu": "GREATER",
    "soft_shrink": "GREATER",
    "softsign": "DIV",
    "log_sigmoid": "NEG",
    "squareplus": "SQUARE",
    "PReLU": "PRELU",
    "Conv3D": "CONV_3D",
    "LayerNormalization": "NEG",
    "GroupNormalization": "NEG",
    "UnitNormalization": "SQUARE",
    "RMSNormalization": "SQUARE",
}


def _float32(job: ConversionJob, out: Path) -> None:
    from dltemplates.deploy.converters import tflite

    tflite.write(tflite.open_converter(job.frozen_path).convert(), out, job.contract)


def _float16(job: ConversionJob, out: Path) -> None:
    import tensorflow as tf

    from dltemplates.deploy.converters import tflite

    converter = tflite.open_quantizer(job.cut_path)
    converter.target_spec.supported_types = [tf.float16]
    tflite.write(converter.convert(), out, job.standardized_contract)


def _dynamic(job: ConversionJob, out: Path) -> None:
    from dltemplates.deploy.converters import tflite

    tflite.write(tflite.open_quantizer(job.frozen_path).convert(), out, job.contract)


def _int8(job: ConversionJob, out: Path) -> None:
    import tensorflow as tf

    from dltemplates.deploy.converters import tflite

    examples = {signature: part.byte_examples for signature, part in job.by_signature.items()}
    converter = tflite.open_quantizer(job.byte_folded_path, examples)
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    converter.inference_input_type = converter.inference_output_type = tf.as_dtype(job.integer_type)
    tflite.write(tflite.shorten_names(converter.convert()), out, job.byte_contract)


def _int16x8(job: ConversionJob, out: Path) -> None:
    import tensorflow as tf

    from dltemplates.deploy.converters import tflite

    operators = tf.lite.OpsSet
    examples = {signature: part.encoded_examples for signature, part in job.by_signature.items()}
    converter = tflite.open_quantizer(job.folded_path, examples)
    converter.target_spec.supported_ops = [operators.EXPERIMENTAL_TFLITE_BUILTINS_ACTIVATIONS_INT16_WEIGHTS_INT8]
    if any(value.is_decision for part in job.by_signature.values() for value in part.contract.outputs):
        # Comparisons have no 16x8 form, so they stay float.
        converter.target_spec.supported_ops += [operators.TFLITE_BUILTINS]
    tflite.write(tflite.shorten_names(converter.convert()), out, job.standardized_contract)


_format = functools.partial(Format, suffix=SUFFIX, memory=MEMORY, joins_parts=True)
_with_loops = functools.partial(_format, single_example_layers=RECURRENT)
_calibrated = functools.partial(_format, needs_examples=True, unrolled_layers=RECURRENT)
FLOAT32 = _with_loops(
    key="tflite:float32",
    convert=_float32,
    tolerance=1e-4,
)
FLOAT16 = _with_loops(
    key="tflite:float16",
    convert=_float16,
    tolerance=1e-2,
)
DYNAMIC = _with_loops(
    key="tflite:dynamic",
    convert=_dynamic,
    tolerance=None,
    is_slow=lambda operators: (
        "TRANSPOSE_CONV" in operators
    ),  # LiteRT runs it with reference kernels, like all of int16x8
)
INT8 = _calibrated(
    key="tflite:int8",
    convert=_int8,
    tolerance=None,
    integer=True,
    unsupported_layers={**CALIBRATION_CRASHES, MASKED_RECURRENT: "LiteRT's CPU kernels refuse its mask in 8 bits"},
)
INT16X8 = _calibrated(
    key="tflite:int16x8",
    convert=_int16x8,
    tolerance=None,
    unsupported_layers={
        **CALIBRATION_CRASHES,
        "SequenceMask": "the TFLite converter has no 16x8 form of the operator CAST",
        "Embedding": "the TFLite converter cannot calibrate the integer ids that this layer takes",
        **{key: f"the TFLite converter has no 16x8 form of the operator {name}" for key, name in NO_16X8.items()},
    },
    is_slow=lambda operators: True,  # LiteRT's reference kernels are 30 to 100 times slower than its others
)
