"""Pictures of the code of an autoencoder: what lies where, and what lies between two examples."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from matplotlib import colormaps
from matplotlib.figure import Figure

from dltemplates.figures.outcomes import name_all, sheet_of, show_sheet

SIDE = 20  # codes along a side of the plane
REACH = 2.5  # deviations of a standard normal distribution either way, which hold 98.8% of it
STEPS = 10  # of a walk
WALKS = 5
COLORS = [colormaps["tab20"](place) for place in (*range(0, 20, 2), *range(1, 20, 2))]  # the strong ones first

Decode = Callable[[np.ndarray], np.ndarray]


def plane_figure(decode: Decode) -> Figure:
    """Draw what a decoder makes of each place of the plane that its codes of two numbers lie in.

    Args:
        decode: From codes (n, 2) to images (n, height, width, channels), 0..255.
    """
    across = np.linspace(-REACH, REACH, SIDE, dtype=np.float32)
    up = across[::-1]
    codes = np.stack(np.meshgrid(across, up), axis=-1).reshape(-1, 2)
    figure = Figure(figsize=(8, 8), layout="constrained")
    axes = figure.subplots()
    half = REACH / (SIDE - 1)
    show_sheet(axes, sheet_of(decode(codes), SIDE), extent=[-REACH - half, REACH + half] * 2)
    axes.set_xlabel("first number of the code")
    axes.set_ylabel("second")
    return figure


def scatter_figure(codes: np.ndarray, labels: np.ndarray | None) -> Figure:
    """Draw where the codes of examples lie.

    Args:
        codes: (n, 2).
        labels: The class of each, (n,), by its id; None where they have none. More than there are colours are not told
            apart.
    """
    figure = Figure(figsize=(7, 6), layout="constrained")
    axes = figure.subplots()
    classes = [] if labels is None else np.unique(labels).tolist()
    if not 1 < len(classes) <= len(COLORS):
        axes.scatter(codes[:, 0], codes[:, 1], s=3)
    else:
        drawn = []
        for label, color in zip(classes, COLORS, strict=False):
            own = codes[labels == label]
            drawn.append(axes.scatter(own[:, 0], own[:, 1], s=3, color=color))
        name_all(
            axes, drawn, map(str, classes), title="class", markerscale=4, loc="center left", bbox_to_anchor=(1, 0.5)
        )
    axes.set_xlabel("first number of the code")
    axes.set_ylabel("second")
    return figure


def walks_figure(codes: np.ndarray, decode: Decode) -> Figure:
    """Draw what lies on the straight way from the code of one example to that of another.

    Args:
        codes: (n, units); each walk leads from one of even place to the next one.
        decode: From codes to images (n, height, width, channels), 0..255.
    """
    starts, ends = codes[0 : 2 * WALKS : 2], codes[1 : 2 * WALKS : 2]
    starts = starts[: len(ends)]
    shares = np.linspace(0, 1, STEPS, dtype=np.float32)[None, :, None]
    way = starts[:, None] + shares * (ends - starts)[:, None]  # (walks, STEPS, units)
    figure = Figure(figsize=(8, 0.8 * len(ends)), layout="constrained")
    axes = figure.subplots()
    axes.axis("off")
    show_sheet(axes, sheet_of(decode(way.reshape(-1, way.shape[-1])), STEPS))
    return figure
