"""How much memory an export takes, estimated before it begins."""

from __future__ import annotations

from collections.abc import Iterable

from dltemplates.compat import available_memory
from dltemplates.deploy.formats.format import Format, load_format

BASE = 1.2 * 2**30  # bytes: TensorFlow and the converters, in the process that converts
GIGABYTE = 2**30


def estimate(format: Format, weight_bytes: int) -> float:
    """Return the bytes that the process that converts takes at most, by the float32 weights of the largest part."""
    return BASE + format.memory * weight_bytes


def too_large(format: Format, weight_bytes: int) -> str | None:
    """Return why a conversion does not fit into this machine's free memory; None where it does."""
    needed, free = estimate(format, weight_bytes), available_memory()
    if free is None or needed <= free:
        return None
    return (
        f"memory: it takes about {needed / GIGABYTE:.1f} GB, where {free / GIGABYTE:.1f} are free; export on a larger "
        "machine"
    )


def memory_note(formats: Iterable[str], weight_bytes: int) -> str | None:
    """Return a line on the formats that will not fit into this machine's memory; None where all will.

    Args:
        formats: Their keys.
        weight_bytes: Bytes of the float32 weights.
    """
    skipped = [key for key in formats if too_large(load_format(key), weight_bytes)]
    if not skipped:
        return None
    most = max(estimate(load_format(key), weight_bytes) for key in skipped)
    return (
        f"an export will skip {', '.join(skipped)}: it takes up to about {most / GIGABYTE:.1f} GB of memory, more than "
        "is free here"
    )
