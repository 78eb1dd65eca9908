"""Figures of an autoencoder's latent space: decoded plane, encoded examples, and interpolations."""

from __future__ import annotations

import itertools
from collections.abc import Callable

import numpy as np
from matplotlib import colormaps
from matplotlib.figure import Figure

from dltemplates.figures import MARKERS
from dltemplates.figures.outcomes import name_all, sheet_of, show_sheet

CAPTIONS = {  # by file name: heading and caption in the report
    "plane": (
        "Latent plane",
        "The decoded image at each point of the latent space. Neighbours look alike, and every point gives an image.",
    ),
    "latent_codes": (
        "Latent vectors of examples",
        "The latent vectors of the test split, coloured by class. The encoder was trained without the classes.",
    ),
    "walks": (
        "Interpolations",
        "Each row moves in a straight line through the latent space, from one example (left) to another (right).",
    ),
}

SIDE = 20  # latent vectors along a side of the plane
REACH = 2.5  # standard deviations either way, which cover 98.8% of a normal distribution
STEPS = 10  # of an interpolation
WALKS = 5
COLORS = [colormaps["tab20"](index) for index in (*range(0, 20, 2), *range(1, 20, 2))]  # strong colours first

Decode = Callable[[np.ndarray], np.ndarray]


def plane_figure(decode: Decode) -> Figure:
    """Draw the decoder's images over a grid of two-dimensional latent vectors.

    Args:
        decode: From latent vectors (n, 2) to images (n, height, width, channels), 0..255.
    """
    x = np.linspace(-REACH, REACH, SIDE, dtype=np.float32)
    y = x[::-1]
    vectors = np.stack(np.meshgrid(x, y), axis=-1).reshape(-1, 2)
    figure = Figure(figsize=(8, 8), layout="constrained")
    axes = figure.subplots()
    half = REACH / (SIDE - 1)
    show_sheet(axes, sheet_of(decode(vectors), SIDE), extent=[-REACH - half, REACH + half] * 2)
    axes.set_xlabel("latent dimension 1")
    axes.set_ylabel("latent dimension 2")
    return figure


def scatter_figure(vectors: np.ndarray, labels: np.ndarray | None) -> Figure:
    """Draw the latent vectors of examples in the plane.

    Args:
        vectors: Latent vectors (n, 2).
        labels: Class ids (n,); None without classes. With more classes than colours, all points have one colour.
    """
    figure = Figure(figsize=(7, 6), layout="constrained")
    axes = figure.subplots()
    classes = [] if labels is None else np.unique(labels).tolist()
    if not 1 < len(classes) <= len(COLORS):
        axes.scatter(vectors[:, 0], vectors[:, 1], s=3)
    else:
        points = []
        for label, color, marker in zip(classes, COLORS, itertools.cycle(MARKERS), strict=False):
            members = vectors[labels == label]
            points.append(axes.scatter(members[:, 0], members[:, 1], s=6, color=color, marker=marker))
        name_all(
            axes, points, map(str, classes), title="class", markerscale=2.5, loc="center left", bbox_to_anchor=(1, 0.5)
        )
    axes.set_xlabel("latent dimension 1")
    axes.set_ylabel("latent dimension 2")
    return figure


def walks_figure(vectors: np.ndarray, decode: Decode) -> Figure:
    """Draw interpolations between pairs of examples, along straight lines in the latent space.

    Args:
        vectors: Latent vectors (n, latent_dim); rows 0 and 1 are the first pair, rows 2 and 3 the second, and so on.
        decode: From latent vectors to images (n, height, width, channels), 0..255.
    """
    starts, ends = vectors[0 : 2 * WALKS : 2], vectors[1 : 2 * WALKS : 2]
    starts = starts[: len(ends)]
    fractions = np.linspace(0, 1, STEPS, dtype=np.float32)[None, :, None]
    path = starts[:, None] + fractions * (ends - starts)[:, None]  # (walks, STEPS, latent_dim)
    figure = Figure(figsize=(8, 0.8 * len(ends)), layout="constrained")
    axes = figure.subplots()
    axes.axis("off")
    show_sheet(axes, sheet_of(decode(path.reshape(-1, path.shape[-1])), STEPS))
    return figure
