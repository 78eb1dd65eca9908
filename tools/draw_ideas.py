"""Figures of ideas behind neural networks, with measured numbers.

    python tools/draw_ideas.py [NAME ...] [--output docs/ideas]

`factorized`, `reduction` and `pooling` take seconds: they build layers and count. `hidden_layers` trains two small
networks on points in the plane. `residuals` and `batch_norm` train larger ones on scikit-learn's digits, in minutes on
two cores. All training runs as in `dlt train`. The numbers are also printed.
"""

import argparse
import math
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np
from keras import layers
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from sklearn.datasets import load_digits, load_sample_image

import dltemplates as dlt
from dltemplates.figures.outcomes import show_image
from dltemplates.figures.plane import draw_boundary
from dltemplates.figures.run import save_figures
from dltemplates.models.convolutional.googlenet import MODULES
from dltemplates.models.summary import Summary, summarize, without_weights
from dltemplates.runs import Run
from dltemplates.runtimes import KerasPredictor
from dltemplates.tasks.load_for import load_for
from dltemplates.template import load_template, parse_template

Layer = tuple[tuple[int, int], int]  # a convolution: kernel size, filters

GRID = 7  # pixels per side of the maps that show a receptive field
LAYER_COLORS = ("tab:orange", "tab:green")  # of the first and the second convolution
CHANNELS, MAP = 64, 32  # of the factorized convolutions
REDUCED_CHANNELS, REDUCED_MAP = 192, 28  # input of GoogLeNet's first inception module, 3a, at 224x224
HIDDEN = ((20,), (10, 10))  # units of each hidden layer
EPOCHS = 20
RESIDUAL_RATE = 0.01  # He 2016 section 4.2 begins with it at 110 layers, which hardly learn with 0.1 at first
BATCH_NORM_DEPTH, BATCH_NORM_RATES = 20, (0.01, 0.1)


def factorized() -> Figure:
    """Compare large kernels with smaller ones in a row that see the same pixels."""
    figure = Figure(figsize=(12, 8), layout="constrained")
    grid = figure.subplots(2, 3, width_ratios=(1.2, 1, 1))
    figure.suptitle(
        "Smaller kernels that see as much: in blue, what the output in the middle sees\n"
        f"(counted at {CHANNELS} channels, a map of {MAP}x{MAP}, without bias)"
    )
    comparisons = (
        {"one 5x5": [(5, 5)], "two 3x3": [(3, 3), (3, 3)]},
        {"one 3x3": [(3, 3)], "1x3 and 3x1": [(1, 3), (3, 1)]},
    )
    for (drawn, *bars), ways in zip(grid, comparisons, strict=True):
        draw_fields(drawn, ways)
        costs = {way: cost(MAP, CHANNELS, [(kernel, CHANNELS) for kernel in ways[way]]) for way in ways}
        draw_costs(bars, costs)
    return figure


def reduction() -> Figure:
    """Compare a convolution over many channels with the same after a 1x1 convolution that reduces them."""
    figure = Figure(figsize=(12, 4.6), layout="constrained")
    drawn, *bars = figure.subplots(1, 3, width_ratios=(1.2, 1, 1))
    figure.suptitle(
        "A 1x1 convolution reduces the channels that the 5x5 convolution sees\n"
        f"(GoogLeNet's inception 3a, counted at a map of {REDUCED_MAP}x{REDUCED_MAP}, without bias)"
    )
    ways = reductions()
    draw_channels(drawn, ways)
    draw_costs(bars, {way: cost(REDUCED_MAP, REDUCED_CHANNELS, convolutions) for way, convolutions in ways.items()})
    return figure


def pooling() -> Figure:
    """Show maximum, average and minimum pooling of a digit and a photograph."""
    digit = load_digits().images[0].astype(np.float32)[..., None]
    photo = load_sample_image("china.jpg")[60:252, 210:402].mean(-1, keepdims=True).astype(np.float32)
    figure = Figure(figsize=(12, 6.6), layout="constrained")
    for axes_row, image, window in zip(figure.subplots(2, 4), (digit, photo), (2, 6), strict=True):
        pooled = {f"{name} of {window}x{window}": pool(image, window) for name, pool in POOLINGS.items()}
        for axes, (title, values) in zip(axes_row, ({"image": image} | pooled).items(), strict=True):
            height, width, _ = values.shape
            print(f"{title:16} {height:4} x {width:<4} mean {values.mean():6.1f}")
            axes.axis("off")
            show_image(axes, values / image.max() * 255)
            axes.set_title(f"{title}: {height}x{width} pixels")
            if image is digit:  # frame the second window and its value in red
                side = window if values is image else 1
                axes.add_patch(Rectangle((side - 0.5, -0.5), side, side, fill=False, edgecolor="tab:red", linewidth=2))
                write_values(axes, values[..., 0], middle=image.max() / 2)
    return figure


def hidden_layers(settings: dict[str, Any] | None = None) -> Figure:
    """Draw the decision boundaries of one and two hidden layers with the same total of units."""
    figure = Figure(figsize=(10, 4.8), layout="constrained")
    figure.suptitle("20 hidden units, side by side or one layer behind the other, on two half moons")
    for axes, units in zip(figure.subplots(1, 2, sharex=True, sharey=True), HIDDEN, strict=True):
        template = load_template("mlp_moons", {"model.units": list(units)} | (settings or {}))
        with tempfile.TemporaryDirectory() as folder:
            run = dlt.train(template, output=Path(folder) / "run")
            serving = run.serving()
            record, task = run.record, run.task()
        source = load_for(template)[1].split("test")
        arrays = source.read(np.arange(len(source)))
        predictor = KerasPredictor(serving.model, serving.contract)
        draw_boundary(axes, predictor, task, arrays[serving.contract.inputs[0].name], arrays)
        accuracy, layers_named = record.scores["test"]["accuracy"], " + ".join(map(str, units))
        axes.set_title(f"{layers_named} units: {record.parameters} parameters, {accuracy:.1%} of the test")
        axes.label_outer()
        print(f"{layers_named:8} {record.parameters:4} parameters  test accuracy {accuracy:.4f}", flush=True)
    return figure


def residuals(depths: Sequence[int] = (20, 56, 110), epochs: int = EPOCHS) -> Figure:
    """Plot the training loss of deeper and deeper networks, plain and with residual connections."""
    figure = Figure(figsize=(10, 4.4), layout="constrained")
    panels = figure.subplots(1, 2, sharex=True, sharey=True)
    figure.suptitle(f"Deeper networks, trained on digits of 8x8 pixels (learning rate {RESIDUAL_RATE})")
    for axes, residual in zip(panels, (False, True), strict=True):
        title = "with residual connections" if residual else "plain, without residual connections"
        curves = {
            f"{depth} layers": training_losses({"depth": depth, "residual": residual}, RESIDUAL_RATE, epochs)
            for depth in depths
        }
        draw_losses(axes, title, curves, epochs)
    return figure


def batch_norm(depth: int = BATCH_NORM_DEPTH, epochs: int = EPOCHS) -> Figure:
    """Plot the training loss with and without batch normalization, at a low and a high learning rate."""
    figure = Figure(figsize=(10, 4.4), layout="constrained")
    panels = figure.subplots(1, 2, sharex=True, sharey=True)
    figure.suptitle(f"A plain network of {depth} layers, trained on digits of 8x8 pixels")
    for axes, rate in zip(panels, BATCH_NORM_RATES, strict=True):
        curves = {}
        for normalized in (False, True):
            options = {"depth": depth, "residual": False, "batch_norm": normalized}
            label = f"{'with' if normalized else 'without'} batch normalization"
            curves[label] = training_losses(options, rate, epochs)
        draw_losses(axes, f"learning rate {rate}", curves, epochs)
    return figure


FIGURES = {draw.__name__: draw for draw in (factorized, reduction, pooling, hidden_layers, residuals, batch_norm)}


def cost(size: int, channels: int, convolutions: Sequence[Layer]) -> Summary:
    """Count the cost of convolutions in a row on a map of `size` x `size` with `channels` channels."""

    def build() -> keras.Model:
        x = image = keras.Input((size, size, channels), name="image")
        for kernel, filters in convolutions:
            x = layers.Conv2D(filters, kernel, padding="same", use_bias=False)(x)
        return keras.Model(image, x)

    return summarize(without_weights(build))


def reach(kernels: Sequence[tuple[int, int]]) -> np.ndarray:
    """Return the receptive field of the middle output of convolutions, bool (GRID, GRID).

    A kernel of ones is symmetric, so the pixels that one pixel spreads to are the pixels that one output sees.
    """
    x = np.zeros((1, GRID, GRID, 1), np.float32)
    x[0, GRID // 2, GRID // 2] = 1
    for kernel in reversed(kernels):
        x = layers.Conv2D(1, kernel, padding="same", use_bias=False, kernel_initializer="ones")(x)
    return keras.ops.convert_to_numpy(x)[0, ..., 0] > 0


def reductions() -> dict[str, list[Layer]]:
    """Return the 5x5 branch of GoogLeNet's inception 3a, without and with its reduction."""
    _, _, _, reduced, filters, _ = MODULES["3a"]
    return {"5x5 directly": [((5, 5), filters)], "1x1, then 5x5": [((1, 1), reduced), ((5, 5), filters)]}


def max_pool(image: np.ndarray, window: int) -> np.ndarray:
    """Return the maximum of each window of an image (height, width, channels)."""
    return keras.ops.convert_to_numpy(layers.MaxPooling2D(window)(image[None]))[0]


def average_pool(image: np.ndarray, window: int) -> np.ndarray:
    """Return the mean of each window of an image (height, width, channels)."""
    return keras.ops.convert_to_numpy(layers.AveragePooling2D(window)(image[None]))[0]


def min_pool(image: np.ndarray, window: int) -> np.ndarray:
    """Return the minimum of each window. Keras has no layer for it: -max(-x)."""
    return -max_pool(-image, window)


POOLINGS: dict[str, Callable[[np.ndarray, int], np.ndarray]] = {
    "maximum": max_pool,
    "average": average_pool,
    "minimum": min_pool,
}


def training_losses(options: dict[str, Any], rate: float, epochs: int) -> list[float]:
    """Train `resnet_cifar` on the digits, and return the training loss of each epoch; fewer if it diverges.

    Optimizer and batch size follow He 2016 section 4.2. There is no weight decay, so the loss has no penalty.
    """
    template = parse_template(
        {
            "task": "classification",
            "dataset": {"name": "digits"},
            "model": {"name": "resnet_cifar"} | options,
            "train": {
                "epochs": epochs,
                "batch_size": 128,
                "optimizer": {"name": "sgd", "momentum": 0.9},
                "learning_rate": rate,
            },
        }
    )
    started = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        run = Run(Path(folder) / "run")
        try:
            dlt.train(template, output=run.path)
        except FloatingPointError as error:
            print(error)
        losses = [row["loss"] for row in run.history_rows()]
    keras.backend.clear_session()
    label = ", ".join(f"{name}={value}" for name, value in options.items())
    by_epoch = " ".join(f"{loss:.4g}" for loss in losses)
    print(f"{label}, rate {rate}: {time.monotonic() - started:.0f} s, loss by epoch {by_epoch}", flush=True)
    return losses


def draw_fields(axes: Axes, ways: dict[str, list[tuple[int, int]]]) -> None:
    """Draw the receptive field of the middle output on every map, one row for each way."""
    between = 4
    for row, (way, kernels) in enumerate(ways.items()):
        bottom = -row * (GRID + 4)
        for place in range(len(kernels) + 1):
            left = place * (GRID + between)
            draw_grid(axes, left, bottom, reach(kernels[place:]))
            name = "input" if place == 0 else "output" if place == len(kernels) else "in between"
            axes.text(left + GRID / 2, bottom - 0.3, name, ha="center", va="top", fontsize=9)
            if place < len(kernels):
                draw_arrow(axes, left + GRID, left + GRID + between, bottom + GRID / 2, place, kernels[place])
        axes.text(0, bottom + GRID + 0.4, way, fontsize=11, fontweight="bold")
    axes.set_aspect("equal")
    axes.autoscale_view()
    axes.axis("off")


def draw_grid(axes: Axes, left: float, bottom: float, seen: np.ndarray) -> None:
    """Draw a map as squares, with the receptive field in colour."""
    for (row, column), is_seen in np.ndenumerate(seen):
        place = (left + column, bottom + GRID - 1 - row)
        axes.add_patch(Rectangle(place, 1, 1, facecolor="tab:blue" if is_seen else "white", edgecolor="grey"))


def draw_arrow(axes: Axes, start: float, end: float, middle: float, place: int, kernel: tuple[int, int]) -> None:
    """Draw a convolution as an arrow to the right, with its kernel size above."""
    color = LAYER_COLORS[place]
    arrow = {"arrowstyle": "->", "color": color, "linewidth": 2, "shrinkA": 4, "shrinkB": 4}
    axes.annotate("", (end, middle), (start, middle), arrowprops=arrow)
    at = ((start + end) / 2, middle)
    label = "x".join(map(str, kernel))
    axes.annotate(label, at, (0, 5), textcoords="offset points", ha="center", fontsize=10, color=color)


def draw_channels(axes: Axes, ways: dict[str, list[Layer]]) -> None:
    """Draw the maps as bars whose height is the number of channels, one row for each way."""
    for row, (way, convolutions) in enumerate(ways.items()):
        middle = -row * 1.5 * REDUCED_CHANNELS
        channels = [REDUCED_CHANNELS, *(filters for _, filters in convolutions)]
        for place, count in enumerate(channels):
            left = place * 200
            axes.add_patch(Rectangle((left, middle - count / 2), 30, count, facecolor="tab:blue"))
            axes.text(left + 15, middle - count / 2 - 6, f"{count} channels", ha="center", va="top", fontsize=9)
            if place < len(convolutions):
                kernel, _ = convolutions[place]
                draw_arrow(axes, left + 30, left + 200, middle, place, kernel)
        axes.text(-15, middle + REDUCED_CHANNELS / 2 + 10, way, fontsize=11, fontweight="bold")
    axes.autoscale_view()
    axes.axis("off")


def draw_costs(panels: Sequence[Axes], costs: dict[str, Summary]) -> None:
    """Draw parameters and multiply-accumulates of each way as bars, one piece per layer; print them."""
    for axes, figure, title in zip(panels, ("parameters", "macs"), ("parameters", "multiply-accumulates"), strict=True):
        whole = max(getattr(summary, figure) for summary in costs.values())
        for place, (way, summary) in enumerate(costs.items()):
            total, pieces = getattr(summary, figure), [getattr(row, figure) for row in summary.rows]
            starts = np.cumsum([0, *pieces[:-1]])
            axes.barh([-place] * len(pieces), pieces, 0.3, starts, color=LAYER_COLORS[: len(pieces)])
            parts = " = " + " + ".join(f"{piece:,}" for piece in pieces) if len(pieces) > 1 else ""
            axes.text(0, 0.2 - place, f"{way}: {total / whole:.0%}\n{total:,}{parts}", fontsize=9)
            print(f"{way:16} {title:22} {total:>13,} {total / whole:7.1%}{parts}")
        axes.set_title(title)
        axes.set_ylim(0.6 - len(costs), 0.5)
        axes.set_xlim(-0.04 * whole, 1.02 * whole)
        axes.axis("off")


def write_values(axes: Axes, values: np.ndarray, middle: float) -> None:
    """Write its value on each pixel, in black on pixels brighter than `middle`."""
    for (row, column), value in np.ndenumerate(values):
        color = "black" if value > middle else "white"
        axes.text(column, row, f"{value:g}", ha="center", va="center", color=color, fontsize=8)


def draw_losses(axes: Axes, title: str, curves: dict[str, list[float]], epochs: int) -> None:
    """Plot training losses by epoch; a curve that ends early ends in a cross."""
    for label, losses in curves.items():
        diverged = len(losses) < epochs
        (line,) = axes.plot(range(1, len(losses) + 1), losses, label=f"{label} (diverged)" if diverged else label)
        if diverged:
            axes.plot(len(losses), losses[-1] if losses else np.nan, "x", color=line.get_color())
    axes.axhline(math.log(10), color="grey", linewidth=1, linestyle=":", label="guessing one of ten")
    axes.set_yscale("log")
    axes.yaxis.set_major_formatter("{x:g}")
    axes.set_title(title)
    axes.set_xlabel("epoch")
    axes.set_ylabel("training loss")
    axes.label_outer()
    axes.xaxis.get_major_locator().set_params(integer=True)
    axes.legend(fontsize=8)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"one of {', '.join(FIGURES)}; default: all")
    parser.add_argument("--output", type=Path, default=Path("docs/ideas"), help="folder of the PNG files")
    options = parser.parse_args()
    unknown = [name for name in options.names if name not in FIGURES]
    if unknown:
        parser.error(f"A figure must be one of {', '.join(FIGURES)}. Received: {', '.join(unknown)}.")
    for name in options.names or FIGURES:
        print(f"\n{name}")
        save_figures({name: FIGURES[name]()}, options.output)


if __name__ == "__main__":
    main()
