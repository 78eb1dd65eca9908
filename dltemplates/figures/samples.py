"""Sheets of generated images after each epoch, and their animation."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from dltemplates.figures.outcomes import sheet_of
from dltemplates.files import atomic_write
from dltemplates.runs import Run

CAPTIONS = {  # by file name: heading and caption in the report
    "samples_by_epoch": (
        "Samples, epoch by epoch",
        "Images generated from the same noise after each epoch.",
    ),
}

SIDE = 10  # images along a side of a sheet
MIN_SHEET_WIDTH = 560  # pixels; smaller sheets are enlarged
MILLISECONDS, LAST_MILLISECONDS = 300, 2000  # duration of a frame


def save_samples(run: Run, epoch: int, images: np.ndarray) -> None:
    """Save a sheet of a generator's images after an epoch.

    Args:
        run: Its run.
        epoch: The epoch, from 1.
        images: (n, height, width, channels), 0..255.
    """
    sheet = sheet_of(images[: SIDE * SIDE], SIDE, gap=1)
    times = -(-MIN_SHEET_WIDTH // sheet.shape[1])
    sheet = sheet.repeat(times, axis=0).repeat(times, axis=1)
    picture = Image.fromarray(sheet[..., 0] if sheet.shape[-1] == 1 else sheet)
    atomic_write(run.sample_path(epoch), _encoded(picture, "PNG"))


def join_samples(run: Run) -> Path | None:
    """Join the sheets of all epochs to an animation; return None without sheets."""
    paths = sorted(run.samples_path.glob("epoch_*.png"), key=lambda path: (len(path.name), path.name))
    if not paths:
        return None
    frames = [_of_few_colors(Image.open(path)) for path in paths]
    durations = [MILLISECONDS] * (len(frames) - 1) + [LAST_MILLISECONDS]
    atomic_write(run.animation_path, _encoded(frames[0], "GIF", frames[1:], durations))
    return run.animation_path


def _of_few_colors(picture: Image.Image) -> Image.Image:
    """Reduce a picture to the 256 colours of a GIF, without dithering."""
    # Median cut picks slightly better colours, but takes a second per frame, and there may be a thousand frames.
    return picture.convert("L") if picture.mode == "L" else picture.quantize(method=Image.Quantize.FASTOCTREE)


def _encoded(first: Image.Image, kind: str, more: Sequence[Image.Image] = (), durations: Sequence[int] = ()) -> bytes:
    file = io.BytesIO()
    if more:
        first.save(file, kind, save_all=True, append_images=list(more), duration=list(durations), loop=0)
    else:
        first.save(file, kind)
    return file.getvalue()
