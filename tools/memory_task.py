"""How long recurrent networks remember: the table and the figure of docs/memory.md.

    python tools/memory_task.py                      # about a quarter of an hour on two busy cores
    python tools/memory_task.py --lengths 10 --seeds 1 --steps 100 --output /tmp/memory

A sequence begins with one of four symbols. For 10, 50 or 200 steps, random symbols of another alphabet follow. Then the
network names the first symbol; guessing is right in a quarter of the cases. All networks have the same number of units
and train on the same sequences, until the loss is below 0.01 or the budget of steps is used up.
"""

from __future__ import annotations

import argparse
import re
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf
from matplotlib.figure import Figure

from dltemplates.figures.run import save_figures
from dltemplates.models.recurrent.gru import gru
from dltemplates.models.recurrent.lstm import lstm
from dltemplates.models.recurrent.simple_rnn import simple_rnn

DOCS = Path(__file__).resolve().parents[1] / "docs"
SYMBOLS = 4  # to recall; as many others follow
UNITS, BATCH_SIZE, LEARNING_RATE, CLIP_NORM = 32, 64, 0.01, 1.0
STEPS = 600  # the budget of a training
STEPS_PER_CALL = 25
SOLVED = 0.01  # loss
TEST_SIZE, GRADIENT_SIZE = 2000, 64  # sequences
COLORS = {"simple_rnn": "tab:red", "lstm": "tab:blue", "gru": "tab:green"}
LEAST_NORM = 1e-12  # in the figure
TABLE = re.compile(r"(?<=<!-- memory task -->\n).*?(?=\n<!-- end -->)", re.DOTALL)

Build = Callable[[int], keras.Model]


def networks(units: int = UNITS) -> dict[str, Build]:
    """Return functions that build each network for a number of steps, by name."""

    def build(builder: Callable[..., keras.Model], length: int, *, with_memory: bool = False) -> keras.Model:
        options = {"memory": length} if with_memory else {}
        return builder((length + 1, 2 * SYMBOLS), SYMBOLS, units=(units,), **options)

    return {
        "simple_rnn": partial(build, simple_rnn),
        "lstm": partial(build, lstm),
        "gru": partial(build, gru),
        "lstm, gates open": partial(build, lstm, with_memory=True),
        "gru, gates open": partial(build, gru, with_memory=True),
    }


def sequences(seed: tf.Tensor | int, count: int, length: int) -> tuple[tf.Tensor, tf.Tensor]:
    """Draw sequences.

    Returns:
        Symbols as one-hot rows (count, length + 1, 2 * SYMBOLS), and the first symbols (count,).
    """
    first = tf.random.stateless_uniform((count, 1), [seed, 0], 0, SYMBOLS, tf.int32)
    others = tf.random.stateless_uniform((count, length), [seed, 1], SYMBOLS, 2 * SYMBOLS, tf.int32)
    return tf.one_hot(tf.concat([first, others], axis=1), 2 * SYMBOLS), first[:, 0]


def train(network: keras.Model, length: int, *, seed: int, steps: int = STEPS) -> int:
    """Train a network until it is done or its budget is used up; return the number of steps."""
    optimizer = keras.optimizers.Adam(LEARNING_RATE, clipnorm=CLIP_NORM)
    optimizer.build(network.trainable_variables)
    loss_of = keras.losses.SparseCategoricalCrossentropy(from_logits=True)

    @tf.function
    def train_steps(start):
        mean = 0.0
        for step in tf.range(start, start + STEPS_PER_CALL):
            x, y = sequences(1_000_000 * (seed + 1) + step, BATCH_SIZE, length)
            with tf.GradientTape() as tape:
                loss = loss_of(y, network(x, training=True))
            gradients = tape.gradient(loss, network.trainable_variables)
            optimizer.apply_gradients(zip(gradients, network.trainable_variables, strict=True))
            mean += loss / STEPS_PER_CALL
        return mean

    for start in range(0, steps, STEPS_PER_CALL):
        if train_steps(tf.constant(start)) < SOLVED:
            return start + STEPS_PER_CALL
    return steps


def accuracy(network: keras.Model, length: int) -> float:
    """Return the share of fresh sequences whose first symbol a network names."""
    x, y = sequences(0, TEST_SIZE, length)
    return float(np.mean(np.argmax(network.predict(x, verbose=0), axis=1) == y))


def gradient_norms(network: keras.Model, x: tf.Tensor) -> np.ndarray:
    """Return the mean norm of the gradient of the outputs with respect to each step of the input, (steps,)."""
    squares = 0.0
    for output in range(network.output_shape[-1]):
        with tf.GradientTape() as tape:
            tape.watch(x)
            total = tf.reduce_sum(network(x)[:, output])
        squares += tf.reduce_sum(tf.square(tape.gradient(total, x)), axis=2)
    return tf.reduce_mean(tf.sqrt(squares), axis=0).numpy()


def draw(norms: dict[str, tuple[np.ndarray, np.ndarray]]) -> Figure:
    """Draw the gradient that reaches each step, before and after training.

    Args:
        norms: By network, the norms before and after training, each (steps,).
    """
    figure = Figure(figsize=(11, 4.5), layout="constrained")
    axes = figure.subplots(1, 2, sharey=True)
    length = len(next(iter(norms.values()))[0]) - 1
    figure.suptitle(f"Gradient of the outputs with respect to each step of the input, {length} steps to remember")
    for axis, title, index in zip(axes, ("before training", "after training"), (0, 1), strict=True):
        for name, both in norms.items():
            color = COLORS[name.partition(",")[0]]
            style = "--" if "open" in name else "-"
            steps, norm = np.arange(length + 1) - length, np.maximum(both[index], LEAST_NORM)
            axis.semilogy(steps, norm, style, color=color, label=name)
        axis.set(title=title, xlabel="step (0 is the last; the symbol to recall comes first)")
        axis.grid(alpha=0.3)
    axes[0].set_ylabel(f"norm of the gradient (at least {LEAST_NORM:g})")
    axes[0].legend(fontsize="small")
    return figure


def table(results: dict[tuple[str, int], list[tuple[float, int]]], lengths: list[int]) -> str:
    """Return the table of accuracies in Markdown: the mean of the seeds, their range, and the steps of training."""
    head = ["network", *(f"{length} steps" for length in lengths)]
    lines = [head, ["---"] * len(head)]
    for name in dict.fromkeys(name for name, _ in results):
        cells = [f"`{name.partition(',')[0]}`{''.join(name.partition(',')[1:])}"]
        for length in lengths:
            scores, steps = zip(*results[name, length], strict=True)
            trained = f"{min(steps)}" if min(steps) == max(steps) else f"{min(steps)}-{max(steps)}"
            cells.append(f"{np.mean(scores):.2f} ({min(scores):.2f}-{max(scores):.2f}), {trained}")
        lines.append(cells)
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--lengths", type=int, nargs="+", default=[10, 50, 200], help="steps to remember")
    parser.add_argument("--drawn", type=int, default=50, help="length of the figure")
    parser.add_argument("--seeds", type=int, default=3, help="number of seeds")
    parser.add_argument("--steps", type=int, default=STEPS, help="budget of a training")
    parser.add_argument("--units", type=int, default=UNITS)
    parser.add_argument("--output", type=Path, default=DOCS, help="folder of the figure, and of memory.md")
    options = parser.parse_args(arguments)
    started = time.monotonic()
    results: dict[tuple[str, int], list[tuple[float, int]]] = {}
    norms = {}
    for name, build in networks(options.units).items():
        for length in options.lengths:
            for seed in range(options.seeds):
                keras.utils.set_random_seed(seed)
                network = build(length)
                x, _ = sequences(1, GRADIENT_SIZE, length)
                before = gradient_norms(network, x)
                steps = train(network, length, seed=seed, steps=options.steps)
                results.setdefault((name, length), []).append((accuracy(network, length), steps))
                if length == options.drawn and seed == 0:
                    norms[name] = (before, gradient_norms(network, x))
                print(f"{name}, {length} steps, seed {seed}: {results[name, length][-1]}", flush=True)
    text = table(results, options.lengths)
    print(f"{text}\n\n{(time.monotonic() - started) / 60:.0f} minutes")
    if norms:
        save_figures({"memory_gradient": draw(norms)}, options.output)
    page = options.output / "memory.md"
    if page.exists():
        page.write_text(TABLE.sub(lambda _: text, page.read_text(encoding="utf-8")), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
