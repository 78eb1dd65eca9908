"""The memory that an export needs, estimated before it begins; measured by `tools/bench_memory.py weights`."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from dltemplates.compat import available_memory
from dltemplates.deploy.formats.format import Format, load_format
from dltemplates.deploy.joined import is_joined

if TYPE_CHECKING:
    import keras

    from dltemplates.tasks.serving.contract import ServingModel

BASE = 1.2e9  # bytes: TensorFlow and the converters in the child process, and the checks of a small network
GIGABYTE = 1e9


def weight_bytes(model: keras.Model) -> int:
    """Return the bytes of a model's weights in float32."""
    return 4 * sum(math.prod(weight.shape) for weight in model.weights)


def estimate(format: Format, weights: int) -> float:
    """Return the most bytes that an export takes, beside the model and the data, which are in memory already.

    Args:
        format: The format.
        weights: Bytes of the float32 weights.
    """
    return BASE + format.memory * weights


def too_large(format: Format, servings: Mapping[str, ServingModel]) -> str | None:
    """Return why the export of a system does not fit into free memory; None if it fits.

    Args:
        format: The format.
        servings: The parts by name. They are converted one after the other, so the largest counts; those that become
            one file are converted together.
    """
    weights = {part: weight_bytes(serving.model) for part, serving in servings.items()}
    if is_joined(format, servings):
        weights = dict.fromkeys(weights, sum(weights.values()))
    needed = max(
        estimate(load_format(serving.formats.get(format.key, format.key)), weights[part])
        for part, serving in servings.items()
    )
    free = available_memory()
    if free is None or needed <= free:
        return None
    return (
        f"needs about {_format_bytes(needed)} of memory, {_format_bytes(free)} free; close other programs, or use a "
        "larger machine"
    )


def memory_note(formats: Iterable[str], weights: int) -> str | None:
    """Return a line that names the formats too large for free memory; None if all fit.

    Args:
        formats: Catalog keys.
        weights: Bytes of the float32 weights.
    """
    free = available_memory()
    needed = {key: estimate(load_format(key), weights) for key in formats}
    skipped = [key for key, size in needed.items() if free is not None and size > free]
    if free is None or not skipped:
        return None
    largest = _format_bytes(max(needed[key] for key in skipped))
    return f"the export needs about {largest} of memory, {_format_bytes(free)} free: it will skip {', '.join(skipped)}"


def _format_bytes(size: float) -> str:
    return f"{size / GIGABYTE:.1f} GB" if size < 10 * GIGABYTE else f"{size / GIGABYTE:.0f} GB"
