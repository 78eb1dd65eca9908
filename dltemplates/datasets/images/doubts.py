"""Doubts about image files: photos in a format that is not read, and 16-bit values that use few bits."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from dltemplates.datasets.images.scan import Scanned
from dltemplates.features.pixels import UNREADABLE

DARK_BITS = 14  # with up to so many of 16 bits in use, an image is at most a quarter as bright as it should be
DARK_SHARE = 0.05  # warn if more of the 16-bit images are so dark: a few may be dark scenes


def format_doubts(skipped: Mapping[str, str]) -> list[str]:
    """Warn about skipped photos in a format that is not read.

    Args:
        skipped: The skipped files, each with the reason.
    """
    counts = Counter(reason for reason in skipped.values() if reason in UNREADABLE.values())
    return [f"{_images(count)} left out: {reason}" for reason, count in sorted(counts.items())]


def depth_doubts(files: Sequence[Scanned], bits: int | None) -> list[str]:
    """Warn about 16-bit images whose values use fewer bits, or more than the settings say.

    Args:
        files: The images.
        bits: The setting `dataset.images.bits`.

    Raises:
        ValueError: If images in colour are to be stretched: Pillow reads the high byte of their values alone.
    """
    deep = [file for file in files if file.bits is not None]
    in_colour = [file for file in deep if not file.is_grey]
    if bits not in (None, 16) and in_colour:
        raise ValueError(
            f"`dataset.images.bits` is for grey 16-bit images. Received: {bits}, and {_images(len(in_colour))} in "
            "colour with 16 bits. Save them with 8 bits."
        )
    dark = [file for file in deep if 0 < (file.bits or 0) <= DARK_BITS]
    if bits is None and len(dark) > DARK_SHARE * len(deep):
        most = max(file.bits or 0 for file in dark)
        way_out = f"stretch them, --set dataset.images.bits={most}; or keep them dark, --set dataset.images.bits=16"
        bright = sum((file.bits or 0) > DARK_BITS for file in deep)
        if in_colour or bright > len(dark):  # stretching would turn most images white
            way_out = "save them with 8 bits; or keep them dark, --set dataset.images.bits=16"
        return [f"{_images(len(dark))} of 16 bits use {most} of them, and are read almost black: {way_out}"]
    used = max((file.bits or 0 for file in deep), default=0)
    if bits is not None and not deep:
        return ["no image has 16 bits, so that dataset.images.bits has no effect: leave it out"]
    if bits is not None and used > bits:
        count = sum((file.bits or 0) > bits for file in deep)
        return [
            f"{_images(count)} of 16 bits use more than {bits} of them; brighter values are read as white: "
            f"--set dataset.images.bits={used}"
        ]
    return []


def _images(count: int) -> str:
    return f"{count} image{'' if count == 1 else 's'}"
