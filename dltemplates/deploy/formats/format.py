"""The export format. The export loop, the check and the converter process look it up by its key.

To add a format, write its object in a file of this folder, and add a line to the catalog and a row to the contract test
(`tests/deploy/test_format_contract.py`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from dltemplates import catalog

if TYPE_CHECKING:
    from dltemplates.deploy.converters.conversion_job import ConversionJob

MASKED_RECURRENT = "LSTM, GRU or SimpleRNN on sequences of different lengths"  # in `unsupported_layers`


@dataclass(frozen=True, kw_only=True, eq=False)
class Format:
    """An export format.

    The exporting process imports it too, so import converters inside `convert`, which runs in the child process.

    Attributes:
        key: Catalog key, such as `tflite:int8`; the text after the colon is part of the file's name.
        suffix: Suffix of the file: `.tflite`, `.onnx`; empty for a SavedModel folder.
        convert: Function that writes the model of a job to a path.
        tolerance: Greatest error against Keras, divided by the range of Keras's output; None for integer arithmetic,
            where the task's score and the changed decisions decide.
        needs_examples: Whether `convert` reads the calibration examples.
        integer: Whether the file takes images as bytes, with no arithmetic before its first layers.
        unsupported_layers: Unsupported layers, by class name, and activations, by name, with the reason.
        single_example_layers: Class names of layers that need one example per call.
        unrolled_layers: Class names of recurrent layers that are converted step by step, without a loop.
        joins_parts: Whether one file holds all parts of a system that are useful only together.
        memory: Greatest memory of a conversion, as a multiple of the bytes of the float32 weights.
        is_slow: Function of the operators by name. True if the file is many times slower than others; it is then scored
            on fewer examples.
    """

    key: str
    suffix: str
    convert: Callable[[ConversionJob, Path], None]
    tolerance: float | None
    needs_examples: bool = False
    integer: bool = False
    unsupported_layers: Mapping[str, str] = field(default_factory=dict)
    single_example_layers: tuple[str, ...] = ()
    unrolled_layers: tuple[str, ...] = ()
    joins_parts: bool = False
    memory: float = 0.0
    is_slow: Callable[[Mapping[str, int]], bool] = lambda operators: False


def load_format(key: str) -> Format:
    """Import the format with a catalog key.

    Raises:
        ValueError: If the catalog has no such key.
    """
    catalog.check_name("format", key)
    return catalog.load("format", key)
