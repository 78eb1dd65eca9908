"""Figures of a run: learning curves and examples."""

from __future__ import annotations

import re
import textwrap
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from dltemplates.figures.fonts import fit_fonts
from dltemplates.files import atomic_path

CAPTIONS = {  # by file name: heading and caption in the report
    "curves": (
        "Training",
        "Each metric after each epoch. Where the validation loss rises while the training loss still falls, the "
        "network overfits.",
    ),
}

MAX_PANELS = 6  # side by side
BOOKKEEPING = ("epoch", "step", "seconds")


def curves_figure(history: list[dict[str, float]], best_epoch: int) -> Figure:
    """Draw every metric of the history by epoch, training and validation in one panel, and the best epoch.

    Each panel shows the epochs that have its metric, since each stage of a training has its own metrics.
    """
    every = dict.fromkeys(name for row in history for name in row)
    names = list(dict.fromkeys(name.removeprefix("val_") for name in every if name not in BOOKKEEPING))
    columns = min(max(len(names), 1), MAX_PANELS)
    rows = max(1, -(-len(names) // columns))
    figure = Figure(figsize=(4 * columns, 3.2 * rows), layout="constrained")
    if not names:
        return figure
    panels = figure.subplots(rows, columns, squeeze=False).flatten()
    for axes in panels[len(names) :]:
        axes.axis("off")
    for axes, name in zip(panels, names, strict=False):
        rows_with_metric = [row for row in history if name in row or f"val_{name}" in row]
        epochs = [row["epoch"] for row in rows_with_metric]
        marker = "." if len(epochs) == 1 else None
        if name in every:
            axes.plot(epochs, [row.get(name, np.nan) for row in rows_with_metric], label="training", marker=marker)
        if f"val_{name}" in every:
            values = [row.get(f"val_{name}", np.nan) for row in rows_with_metric]
            axes.plot(epochs, values, "--", color="tab:orange", label="validation", marker=marker)
            if best_epoch in epochs:
                axes.axvline(
                    best_epoch, color="grey", linewidth=1, linestyle=":", label=f"saved weights: epoch {best_epoch}"
                )
            axes.legend(fontsize=8)
        axes.set_title(name.replace("_", " "))
        axes.set_xlabel("epoch")
        axes.xaxis.get_major_locator().set_params(integer=True)
    return figure


def attempt(name: str, draw: Callable[[], Figure | None]) -> Figure | None:
    """Draw a figure; if that fails, warn and draw the reason instead, so that a figure's bug does not cost the run.

    Args:
        name: The figure's file name, without suffix.
        draw: Draws it; returns None if there is nothing to draw.
    """
    try:
        return draw()
    except Exception as error:  # an unusual network can fail in any way
        reason = f"{name}.png could not be drawn. {type(error).__name__}: {' '.join(str(error).split())}"
        warnings.warn(reason, RuntimeWarning, stacklevel=2)
        figure = Figure(figsize=(8, 1.2), layout="constrained")
        text = textwrap.shorten(reason, 300)
        figure.text(0.02, 0.5, text, color="firebrick", va="center", wrap=True, parse_math=False)
        return figure


def save_figures(figures: dict[str, Figure], folder: Path) -> str | None:
    """Write figures as PNG files, by name, in fonts that have their characters.

    Returns:
        One line on the characters that no font has; None if there are none.
    """
    lacking = [figure for name, figure in figures.items() if _save(figure, folder / f"{name}.png")]
    note = fit_fonts(lacking)
    for name, figure in figures.items():
        if figure in lacking:
            _save(figure, folder / f"{name}.png")
    return note


def _save(figure: Figure, file: Path) -> bool:
    """Write a figure, and return whether its font lacked a character."""
    with warnings.catch_warnings(record=True) as caught, atomic_path(file) as path:
        warnings.simplefilter("always")
        figure.savefig(path, dpi=110)
    lacks = [warning for warning in caught if re.match("Glyph .* missing", str(warning.message))]
    for warning in caught:
        if warning not in lacks:
            warnings.warn_explicit(warning.message, warning.category, warning.filename, warning.lineno)
    return bool(lacks)
