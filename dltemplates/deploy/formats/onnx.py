"""ONNX: float32, float16, and int8 (QDQ, per channel)."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from dltemplates.deploy.formats.format import MASKED_RECURRENT, Format

if TYPE_CHECKING:
    from dltemplates.deploy.converters.conversion_job import ConversionJob

MEMORY = 18.0  # multiple of the weights' bytes; measured by `tools/bench_memory.py weights`
SUFFIX = ".onnx"
NO_TEXT = {"CategoryLookup": "ONNX compares strings only from opset 19 on, and this export uses opset 17"}


def _float32(job: ConversionJob, out: Path) -> None:
    from dltemplates.deploy.converters import onnx

    onnx.write(job.onnx, out, job.contract)


def _float16(job: ConversionJob, out: Path) -> None:
    from dltemplates.deploy.converters import onnx

    model = job.onnx if job.cut is job.frozen else onnx.convert_onnx(job.cut, job.standardized_contract)
    onnx.write(onnx.to_float16(model), out, job.standardized_contract)


def _int8(job: ConversionJob, out: Path) -> None:
    from dltemplates.deploy.converters import onnx

    model = onnx.convert_onnx(job.byte_folded[0], job.byte_contract)
    model = onnx.to_int8(model, job.work, job.byte_examples, job.integer_type)
    onnx.write(model, out, onnx.take_integers(model, job.byte_contract, job.integer_type))


FLOAT32 = Format(
    key="onnx:float32", suffix=SUFFIX, convert=_float32, tolerance=1e-4, memory=MEMORY, unsupported_layers=NO_TEXT
)
FLOAT16 = Format(
    key="onnx:float16", suffix=SUFFIX, convert=_float16, tolerance=1e-2, memory=MEMORY, unsupported_layers=NO_TEXT
)
INT8 = Format(
    key="onnx:int8",
    suffix=SUFFIX,
    memory=MEMORY,
    convert=_int8,
    tolerance=None,
    needs_examples=True,
    integer=True,
    unsupported_layers={**NO_TEXT, MASKED_RECURRENT: "ONNX Runtime cannot quantize its loop"},
)
