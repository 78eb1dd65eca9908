"""Figures that tasks draw of a split's results; figures are returned, not displayed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

CAPTIONS = {  # by file name: heading and caption in the report
    "confusion_matrix": (
        "Confusion matrix",
        "Rows are true classes, columns are predicted ones. Correct predictions lie on the diagonal; a cell is darker, "
        "the larger its share of the row.",
    ),
    "confused_pairs": (
        "Most-confused pairs",
        "The most frequent mistakes. Look here first for wrong labels and for classes that need more examples.",
    ),
    "predictions": (
        "Predictions",
        "Each point is an example. The closer it is to the line, the better the prediction.",
    ),
    "reconstructions": (
        "Reconstructions",
        "The input above, the reconstruction of the autoencoder below it, and for a noisy input the clean image. "
        "Details missing in the output did not fit into the latent vector.",
    ),
    "hidden_units": (
        "Hidden units",
        "The weights of each hidden unit: light where a pixel activates it, dark where a pixel inhibits it. Trained on "
        "digits, they look like strokes.",
    ),
    "dreams": (
        "Gibbs chains",
        "Each row is a chain of samples between the visible and the hidden layer. It soon forgets its start, and a "
        "well-trained machine produces images like the examples.",
    ),
    "samples": (
        "Samples",
        "Images generated from noise that was not used in training.",
    ),
    "examples": (
        "Examples",
        "The worst examples first, in red, then others. The mistakes often show what misled the network.",
    ),
}

GREY = 96  # between images


def name_all(axes: Axes, handles: Sequence[Any], names: Iterable[str], **options: Any) -> None:
    """Add a legend that shows the user's names as they are, whatever characters they have.

    Args:
        axes: The axes.
        handles: The bars or points on it.
        names: The name of each: `$` starts no formula, and a leading `_` does not hide it.
        options: Options of the legend.
    """
    # matplotlib hides names that begin with `_`, so put an invisible character in front.
    labels = [f"\u200b{name}" if name.startswith("_") else name for name in names]
    legend = axes.legend(handles, labels, **options)
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


def confused_pairs_figure(matrix: np.ndarray, classes: Sequence[str], *, max_pairs: int = 10) -> Figure | None:
    """Draw the most frequent confusions of a true class with a predicted one, the most frequent on top.

    Args:
        matrix: Counts (classes, classes); a row is a true class, a column a predicted one.
        classes: The class names.
        max_pairs: Maximum number of pairs.

    Returns:
        The figure; None if nothing was confused.
    """
    wrong = matrix - np.diag(matrix.diagonal())
    order = np.argsort(-wrong, axis=None, kind="stable")[:max_pairs]
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
    """Draw predicted against true numbers, both (n, numbers), one panel per number."""
    columns = truth.shape[1]
    figure = Figure(figsize=(4 * columns, 4), layout="constrained")
    for index, axes in enumerate(figure.subplots(1, columns, squeeze=False)[0]):
        axes.scatter(truth[:, index], value[:, index], s=8, alpha=0.5)
        low, high = truth[:, index].min(), truth[:, index].max()
        axes.plot([low, high], [low, high], color="grey", linewidth=1)
        axes.set_xlabel("true")
        axes.set_ylabel("predicted")
    return figure


def strips_figure(strips: Mapping[str, np.ndarray], *, max_columns: int = 16) -> Figure:
    """Draw rows of images, one column per example.

    Args:
        strips: The name of each row, and its images (n, height, width, channels), 0..255, or its latent vectors
            (n, latent_dim), drawn as bars.
        max_columns: Maximum number of columns.
    """
    count = min(max_columns, len(next(iter(strips.values()))))
    figure = Figure(figsize=(0.9 * count + 0.6, 0.25 + 0.95 * len(strips)), layout="constrained")
    panels = figure.subplots(len(strips), count, squeeze=False)
    for row, (name, strip) in zip(panels, strips.items(), strict=True):
        row[0].set_ylabel(name)
        for axes, example in zip(row, strip[:count], strict=True):
            axes.set_xticks([])
            axes.set_yticks([])
            if example.ndim == 1:
                _draw_vector(axes, example, float(np.abs(strip[:count]).max()))
                continue
            show_image(axes, example)
    return figure


def _draw_vector(axes: Axes, vector: np.ndarray, limit: float) -> None:
    """Draw a latent vector (latent_dim,) as bars, up or down from the middle."""
    axes.bar(range(len(vector)), vector, width=1.0, color=np.where(vector < 0, "firebrick", "tab:blue"))
    axes.set_xlim(-0.5, len(vector) - 0.5)
    axes.set_ylim(-(limit or 1.0), limit or 1.0)
    axes.set_box_aspect(1)


def grid_figure(images: np.ndarray, *, side: int = 10) -> Figure:
    """Draw a grid of images.

    Args:
        images: (n, height, width, channels), 0..255; the first `side * side` are drawn.
        side: Images per row, and maximum number of rows.
    """
    sheet = sheet_of(images[: side * side], side, gap=1)
    height, width = sheet.shape[:2]
    figure = Figure(figsize=(6, 6 * height / width), layout="constrained")
    axes = figure.subplots()
    axes.axis("off")
    show_sheet(axes, sheet)
    return figure


def examples_figure(images: np.ndarray, captions: list[str], wrong: np.ndarray) -> Figure:
    """Draw images with their captions.

    Args:
        images: uint8 (n, height, width, channels).
        captions: Text above each image.
        wrong: Whether to write each caption in red, (n,).
    """
    columns = min(8, len(images))
    rows = -(-len(images) // columns)
    figure = Figure(figsize=(1.3 * columns, 1.75 * rows), layout="constrained")
    for index, axes in enumerate(figure.subplots(rows, columns, squeeze=False).flat):
        axes.axis("off")
        if index < len(images):
            show_image(axes, images[index])
            color = "firebrick" if wrong[index] else "black"
            axes.set_title(captions[index], fontsize=8, color=color, parse_math=False)
    return figure


def filters_figure(weights: np.ndarray, *, side: int = 10) -> Figure:
    """Draw the weights of hidden units: positive weights light, negative ones dark.

    Args:
        weights: Weights from pixels to units, (units, height, width, channels); the first units are drawn.
        side: Units per row, and maximum number of rows.
    """
    largest = np.abs(weights).max(axis=(1, 2, 3), keepdims=True)
    pictures = 127.5 + 127.5 * weights / np.maximum(largest, 1e-12)
    return grid_figure(pictures, side=min(side, len(weights)))


def chains_figure(chains: Mapping[str, np.ndarray], steps: Sequence[int]) -> Figure:
    """Draw Gibbs chains of images, one row each, one panel per kind of start.

    Args:
        chains: The title of each panel, and its chains (chains, times, height, width, channels), 0..255.
        steps: The Gibbs step of each image in a chain.
    """
    figure = Figure(figsize=(4.5 * len(chains), 8), layout="constrained")
    panels = figure.subplots(1, len(chains), squeeze=False)[0]
    for axes, (title, images) in zip(panels, chains.items(), strict=True):
        times = len(steps)
        sheet = sheet_of(images.reshape(-1, *images.shape[2:]), times, gap=1)
        show_sheet(axes, sheet)
        axes.set_xticks((np.arange(times) + 0.5) * sheet.shape[1] / times, [str(step) for step in steps])
        axes.set_yticks([])
        axes.set_xlabel("Gibbs steps")
        axes.set_title(title)
    return figure


def sheet_of(images: np.ndarray, side: int, *, gap: int = 0) -> np.ndarray:
    """Join images to one sheet.

    Args:
        images: (n, height, width, channels), 0..255; the rest of the last row is black.
        side: Images per row.
        gap: Grey pixels below and to the right of each image.

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
    """Show a sheet of images with sharp pixels."""
    show_image(axes, sheet, interpolation="nearest", **options)


def show_image(axes: Axes, image: np.ndarray, **options: Any) -> None:
    """Show an image of (height, width, channels), 0..255, grey if it has one channel."""
    pixels = _pixels(image)
    axes.imshow(pixels[..., 0] if pixels.shape[-1] == 1 else pixels, cmap="gray", vmin=0, vmax=255, **options)


def _pixels(image: np.ndarray) -> np.ndarray:
    return np.clip(np.rint(image), 0, 255).astype(np.uint8)
