"""How much memory an export takes, estimated before it begins; measured by `tools/bench_memory.py weights`."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from dltemplates.compat import available_memory
from dltemplates.deploy.formats.format import Format, load_format

if TYPE_CHECKING:
    import keras

    from dltemplates.tasks.serving.contract import ServingModel

BASE = 1.2e9  # bytes: TensorFlow and the converters in the process that converts, and the checks of a small network
GIGABYTE = 1e9


def weight_bytes(model: keras.Model) -> int:
    """Return the bytes of a model's weights in float32."""
    return 4 * sum(math.prod(weight.shape) for weight in model.weights)


def estimate(format: Format, weights: int) -> float:
    """Return the bytes that an export takes at most, beside the model and the data, which are in memory already.

    Args:
        format: The format.
        weights: Bytes of the float32 weights.
    """
    return BASE + format.memory * weights


def too_large(format: Format, servings: Mapping[str, ServingModel]) -> str | None:
    """Return why the export of a system does not fit into the memory that is free; None where it does.

    Args:
        format: The format.
        servings: The parts by name; they are converted one after the other, so the largest counts.
    """
    needed = max(
        estimate(load_format(serving.formats.get(format.key, format.key)), weight_bytes(serving.model))
        for serving in servings.values()
    )
    free = available_memory()
    if free is None or needed <= free:
        return None
    return f"needs about {_shown(needed)} of memory, {_shown(free)} free; end what else runs, or use a larger machine"


def memory_note(formats: Iterable[str], weights: int) -> str | None:
    """Return a line on the formats that will not fit into the memory that is free now; None where all will.

    Args:
        formats: Their keys.
        weights: Bytes of the float32 weights.
    """
    free = available_memory()
    needed = {key: estimate(load_format(key), weights) for key in formats}
    too_much = [key for key, most in needed.items() if free is not None and most > free]
    if free is None or not too_much:
        return None
    most = _shown(max(needed[key] for key in too_much))
    return f"the export needs about {most} of memory, {_shown(free)} free: it will skip {', '.join(too_much)}"


def _shown(size: float) -> str:
    return f"{size / GIGABYTE:.1f} GB" if size < 10 * GIGABYTE else f"{size / GIGABYTE:.0f} GB"
