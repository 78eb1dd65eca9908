"""Pictures of a run."""

from __future__ import annotations

from pathlib import Path

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


def save_figures(figures: dict[str, Figure], folder: Path) -> None:
    """Write figures as PNG files, by name."""
    for name, figure in figures.items():
        with atomic_path(folder / f"{name}.png") as path:
            figure.savefig(path, dpi=110)
