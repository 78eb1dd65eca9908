"""The pictures of a split's outcome that tasks draw; a figure is returned, never shown."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

GREY = 96  # between images


def name_all(axes: Axes, drawn: Sequence[Any], names: Iterable[str], **options: Any) -> None:
    """Add a legend, whatever characters the names hold.

    Args:
        axes: What things were drawn on.
        drawn: Those, bars or points.
        names: The user's, of each: `$` is no mathematics, and one that begins with `_` is shown too.
        options: Of the legend.
    """
    # Without a character in front, matplotlib hides what begins with `_`.
    shown = [f"\u200b{name}" if name.startswith("_") else name for name in names]
    legend = axes.legend(drawn, shown, **options)
    for text in legend.get_texts():
        text.set_parse_math(False)


def confusion_matrix_figure(matrix: np.ndarray, classes: Sequence[str]) -> Figure:
    """Draw a confusion matrix.

    Args:
        matrix: Counts (classes, classes); a row is a true class, a column a predicted one.
        classes: The class names.
    """
    count = len(classes)
    size = min(4 + 0.35 * count, 16)
    figure = Figure(figsize=(size, size), layout="constrained")
    axes = figure.subplots()
    shares = matrix / np.maximum(matrix.sum(axis=1, keepdims=True), 1)
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    axes.set_xticks(range(count), classes, rotation=90 if max(map(len, classes)) > 2 else 0, parse_math=False)
    axes.set_yticks(range(count), classes, parse_math=False)
    axes.set_xlabel("predicted")
    axes.set_ylabel("true")
    correct = int(matrix.trace())
    axes.set_title(f"{correct} of {int(matrix.sum())} right")
    if count <= 25:
        for row, column in zip(*np.nonzero(matrix), strict=True):
            color = "white" if shares[row, column] > 0.5 else "black"
            axes.text(column, row, str(matrix[row, column]), ha="center", va="center", color=color, fontsize=9)
    return figure


def confused_pairs_figure(matrix: np.ndarray, classes: Sequence[str], *, most: int = 10) -> Figure | None:
    """Draw which classes are most often taken for which, the most frequent on top.

    Args:
        matrix: Counts (classes, classes); a row is a true class, a column a predicted one.
        classes: The class names.
        most: How many pairs at most.

    Returns:
        The figure; None if nothing was confused.
    """
    wrong = matrix - np.diag(matrix.diagonal())
    order = np.argsort(-wrong, axis=None, kind="stable")[:most]
    pairs = [divmod(int(index), len(classes)) for index in order if wrong.flat[index] > 0]
    if not pairs:
        return None
    figure = Figure(figsize=(7, 0.9 + 0.32 * len(pairs)), layout="constrained")
    axes = figure.subplots()
    counts = [int(wrong[pair]) for pair in pairs]
    labels = [f"{classes[true]} → {classes[predicted]}" for true, predicted in pairs]
    bars = axes.barh(range(len(pairs)), counts, color="firebrick")
    axes.bar_label(
        bars, [f" {n} of {int(matrix[t].sum())}" for n, (t, _) in zip(counts, pairs, strict=True)], fontsize=9
    )
    axes.set_yticks(range(len(pairs)), labels, parse_math=False)
    axes.invert_yaxis()
    axes.margins(x=0.15)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set_xlabel("examples: true class → predicted class")
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    return figure


def scatter_figure(truth: np.ndarray, value: np.ndarray) -> Figure:
    """Draw predicted against true numbers, both (n, numbers), one panel a number."""
    columns = truth.shape[1]
    figure = Figure(figsize=(4 * columns, 4), layout="constrained")
    for index, axes in enumerate(figure.subplots(1, columns, squeeze=False)[0]):
        axes.scatter(truth[:, index], value[:, index], s=8, alpha=0.5)
        low, high = truth[:, index].min(), truth[:, index].max()
        axes.plot([low, high], [low, high], color="grey", linewidth=1)
        axes.set_xlabel("true")
        axes.set_ylabel("predicted")
    return figure


def strips_figure(strips: Mapping[str, np.ndarray], *, most: int = 16) -> Figure:
    """Draw images in rows, one below the other: each column is an example.

    Args:
        strips: What each row is called, and its images (n, height, width, channels), 0..255; or the codes (n, length)
            that stand for images, each drawn as bars.
        most: How many columns at most.
    """
    count = min(most, len(next(iter(strips.values()))))
    figure = Figure(figsize=(0.9 * count + 0.6, 0.25 + 0.95 * len(strips)), layout="constrained")
    panels = figure.subplots(len(strips), count, squeeze=False)
    for row, (name, shown) in zip(panels, strips.items(), strict=True):
        row[0].set_ylabel(name)
        for axes, example in zip(row, shown[:count], strict=True):
            axes.set_xticks([])
            axes.set_yticks([])
            if example.ndim == 1:
                _draw_code(axes, example, float(np.abs(shown[:count]).max()))
                continue
            show_image(axes, example)
    return figure


def _draw_code(axes: Axes, code: np.ndarray, greatest: float) -> None:
    """Draw the numbers of a code (length,) as bars, up or down from the middle."""
    axes.bar(range(len(code)), code, width=1.0, color=np.where(code < 0, "firebrick", "tab:blue"))
    axes.set_xlim(-0.5, len(code) - 0.5)
    axes.set_ylim(-(greatest or 1.0), greatest or 1.0)
    axes.set_box_aspect(1)


def grid_figure(images: np.ndarray, *, side: int = 10) -> Figure:
    """Draw images side by side, `side` in a row.

    Args:
        images: (n, height, width, channels), 0..255; the first of them are shown.
        side: How many in a row, and at most how many rows.
    """
    sheet = sheet_of(images[: side * side], side, gap=1)
    height, width = sheet.shape[:2]
    figure = Figure(figsize=(6, 6 * height / width), layout="constrained")
    axes = figure.subplots()
    axes.axis("off")
    show_sheet(axes, sheet)
    return figure


def filters_figure(weights: np.ndarray, *, side: int = 10) -> Figure:
    """Draw what hidden units look for: light where a pixel speaks for it, dark where against.

    Args:
        weights: From the pixels of an image to each unit, (units, height, width, channels); the first are shown.
        side: How many in a row, and at most how many rows.
    """
    most = np.abs(weights).max(axis=(1, 2, 3), keepdims=True)
    pictures = 127.5 + 127.5 * weights / np.maximum(most, 1e-12)
    return grid_figure(pictures, side=min(side, len(weights)))


def chains_figure(chains: Mapping[str, np.ndarray], turns: Sequence[int]) -> Figure:
    """Draw chains of images, a row each, by how they began.

    Args:
        chains: By what to write over them: (chains, times, height, width, channels), 0..255.
        turns: When each of the images of a chain was seen.
    """
    figure = Figure(figsize=(4.5 * len(chains), 8), layout="constrained")
    panels = figure.subplots(1, len(chains), squeeze=False)[0]
    for axes, (title, images) in zip(panels, chains.items(), strict=True):
        times = len(turns)
        sheet = sheet_of(images.reshape(-1, *images.shape[2:]), times, gap=1)
        show_sheet(axes, sheet)
        axes.set_xticks((np.arange(times) + 0.5) * sheet.shape[1] / times, [str(turn) for turn in turns])
        axes.set_yticks([])
        axes.set_xlabel("times back and forth")
        axes.set_title(title)
    return figure


def sheet_of(images: np.ndarray, side: int, *, gap: int = 0) -> np.ndarray:
    """Put images side by side.

    Args:
        images: (n, height, width, channels), 0..255; black where they do not fill the last row.
        side: How many in a row.
        gap: Pixels of grey below and to the right of each.

    Returns:
        One image, uint8 (rows * (height + gap), side * (width + gap), channels).
    """
    images = np.pad(_pixels(images), ((0, 0), (0, gap), (0, gap), (0, 0)), constant_values=GREY)
    rows = -(-len(images) // side)
    height, width, channels = images.shape[1:]
    sheet = np.zeros((rows * side, height, width, channels), np.uint8)
    sheet[: len(images)] = images
    sheet = sheet.reshape(rows, side, height, width, channels).swapaxes(1, 2)
    return sheet.reshape(rows * height, side * width, channels)


def show_sheet(axes: Axes, sheet: np.ndarray, **options: Any) -> None:
    """Show a sheet of images, each pixel with sharp edges."""
    show_image(axes, sheet, interpolation="nearest", **options)


def show_image(axes: Axes, image: np.ndarray, **options: Any) -> None:
    """Show an image of (height, width, channels), 0..255, grey if it has one channel."""
    pixels = _pixels(image)
    axes.imshow(pixels[..., 0] if pixels.shape[-1] == 1 else pixels, cmap="gray", vmin=0, vmax=255, **options)


def _pixels(image: np.ndarray) -> np.ndarray:
    return np.clip(np.rint(image), 0, 255).astype(np.uint8)
