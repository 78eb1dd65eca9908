"""What an export format is. The loop, the check and the process that converts look it up by its key.

To add one: write its object in a file of this folder, add its line to the catalog and its row to the contract test
(`tests/deploy/test_format_contract.py`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from dltemplates import catalog

if TYPE_CHECKING:
    from dltemplates.deploy.converters.conversion_job import Job


@dataclass(frozen=True, kw_only=True, eq=False)
class Format:
    """An export format.

    The process that exports imports it too: import converters inside `convert`, which runs in a process of its own.

    Attributes:
        key: Its name in the catalog, such as `tflite:int8`; what follows the colon is part of the file's name.
        suffix: How the file's name ends: `.tflite`, `.onnx`; empty for a SavedModel folder.
        convert: Writes the model of a job to a path.
        tolerance: Greatest error against Keras, divided by the spread of Keras's output; None where only the task's
            score and the changed predictions can tell (integer arithmetic).
        needs_examples: Whether `convert` reads the examples that set the ranges of integers.
        integer: Whether the file takes images as bytes, with no arithmetic in front of its first layers.
        refuses: What it is known not to take: the class name of a layer or the name of an activation, and the reason.
        one_by_one: Class names of layers with which it takes one example a call.
        memory: How many times the bytes of the float32 weights a conversion takes at most.
        is_slow: Whether a file with these operators, by name, is many times slower than others, and so is checked on
            fewer examples.
    """

    key: str
    suffix: str
    convert: Callable[[Job, Path], None]
    tolerance: float | None
    needs_examples: bool = False
    integer: bool = False
    refuses: Mapping[str, str] = field(default_factory=dict)
    one_by_one: tuple[str, ...] = ()
    memory: float = 0.0
    is_slow: Callable[[Mapping[str, int]], bool] = lambda operators: False


def load_format(key: str) -> Format:
    """Import the format of a key.

    Raises:
        ValueError: If the catalog has no such key.
    """
    catalog.check_name("format", key)
    return catalog.load("format", key)
