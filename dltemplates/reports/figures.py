"""Pictures of a run."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from dltemplates.runs import atomic_path

BOOKKEEPING = ("epoch", "step", "seconds")


def curves_figure(history: list[dict[str, float]], best_epoch: int) -> Figure:
    """Draw every figure of the history by epoch, training and validation in one panel, the kept epoch marked."""
    names = [name for name in history[0] if name not in BOOKKEEPING and not name.startswith("val_")] if history else []
    figure = Figure(figsize=(4 * max(len(names), 1), 3.2), layout="constrained")
    if not names:
        return figure
    epochs = [row["epoch"] for row in history]
    for axes, name in zip(figure.subplots(1, len(names), squeeze=False)[0], names, strict=True):
        axes.plot(epochs, [row[name] for row in history], label="training", marker="." if len(epochs) == 1 else None)
        if f"val_{name}" in history[0]:
            axes.plot(epochs, [row[f"val_{name}"] for row in history], label="validation")
            axes.axvline(best_epoch, color="grey", linewidth=1, linestyle=":", label=f"kept: epoch {best_epoch}")
            axes.legend(fontsize=8)
        axes.set_title(name.replace("_", " "))
        axes.set_xlabel("epoch")
        axes.xaxis.get_major_locator().set_params(integer=True)
    return figure


def examples_figure(images: np.ndarray, captions: list[str], wrong: np.ndarray) -> Figure:
    """Draw images with what was made of them.

    Args:
        images: uint8 (n, height, width, channels).
        captions: What to write over each.
        wrong: Whether each is to stand out, (n,).
    """
    columns = min(8, len(images))
    rows = -(-len(images) // columns)
    figure = Figure(figsize=(1.3 * columns, 1.75 * rows), layout="constrained")
    for index, axes in enumerate(figure.subplots(rows, columns, squeeze=False).flat):
        axes.axis("off")
        if index < len(images):
            axes.imshow(images[index].squeeze(), cmap="gray", vmin=0, vmax=255)
            axes.set_title(captions[index], fontsize=8, color="firebrick" if wrong[index] else "black")
    return figure


def save_figures(figures: dict[str, Figure], folder: Path) -> None:
    """Write figures as PNG files, by name."""
    for name, figure in figures.items():
        with atomic_path(folder / f"{name}.png") as path, warnings.catch_warnings():
            warnings.filterwarnings("ignore", "Glyph .* missing")  # a class name in a script the font lacks
            figure.savefig(path, dpi=110)
