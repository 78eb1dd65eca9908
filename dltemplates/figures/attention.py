"""Figures of the attention of a trained network of texts: which tokens its last block looks at.

The map of a translation: Bahdanau, Cho, Bengio: "Neural Machine Translation by Jointly Learning to Align and
Translate", ICLR 2015, https://arxiv.org/abs/1409.0473, section 5.2.1, figure 3.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Sequence
from typing import Any

import keras
import numpy as np
from keras import layers, ops
from matplotlib import colormaps
from matplotlib.colors import PowerNorm
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from dltemplates.datasets.source import Source
from dltemplates.features import Tokens
from dltemplates.features.subwords import SPACE
from dltemplates.features.tokens import END, FIRST, PADDING, UNKNOWN, lengths_of
from dltemplates.figures.run import attempt
from dltemplates.figures.vision import evenly_spaced
from dltemplates.layers import AttentionGRUCell, MaskedAttention
from dltemplates.tasks.scoring.evaluation import Evaluation, worst_and_others
from dltemplates.tasks.serving.streaming import is_network, run_network
from dltemplates.tasks.task import Task

CAPTIONS = {  # by file name: heading and caption in the report
    "attention_to_source": (
        "Attention to the source",
        "Each row is a token that the network writes, each column a token that it reads. Dark: it looks there to write "
        "the token. Mean of the heads of the last block.",
    ),
    "attention_to_past": (
        "Attention to earlier tokens",
        "The heads of the last block on a test text. Each row is a token, each column one that it sees: itself or an "
        "earlier one. Dark: it looks there to predict the next token.",
    ),
    "attended_tokens": (
        "Attended tokens",
        "The darker a token, the more the others look at it in the last block. The worst examples come first, wrong "
        "classes in red. Attention hints at reasons, but proves none.",
    ),
}

MAX_MAPS = 4  # texts, or heads
MAX_SIDE = 28  # tokens along a side of a map
MAX_TEXTS = 10
MAX_SHADED = 120  # tokens of a text
SIGNS = {" ": "␣", "\n": "↵", "\t": "⇥"}
LINE = 100  # characters
CELL = 0.22, 0.45  # inches of a cell of a map, at least and at most
FONT_SIZE = 9
CHARACTER = 0.602 * FONT_SIZE / 72, 2.1 * FONT_SIZE / 72  # inches of the monospaced font: width, and height of a line


def attention_figures(model: keras.Model, task: Task, source: Source, evaluation: Evaluation) -> dict[str, Figure]:
    """Draw where the attention of a network looks, on a few texts of a split.

    Args:
        model: The trained network, from token ids.
        task: Its task.
        source: The split.
        evaluation: The network's evaluation on the split.

    Returns:
        The figure by its name; empty for other inputs, and for a network without attention between tokens. A drawing
        that fails becomes a warning and a figure with the reason.
    """
    if len(task.inputs) > 1 or not isinstance(task.inputs[0], Tokens):
        return {}
    if task.kind != "tokens":
        name, draw = "attended_tokens", lambda: _attended_tokens(model, task, source, evaluation)
    elif len(model.inputs) > 1:
        name, draw = "attention_to_source", lambda: _attention_to_source(model, task, evaluation)
    else:
        name, draw = "attention_to_past", lambda: _attention_to_past(model, task, source)
    figure = attempt(name, draw)
    return {name: figure} if figure else {}


def _attention_to_source(model: keras.Model, task: Task, evaluation: Evaluation) -> Figure | None:
    read, target = task.inputs[0], task.target
    assert isinstance(read, Tokens)
    assert isinstance(target, Tokens)
    given, (written,) = evaluation.targets[read.name], evaluation.outputs.values()
    chosen = _of_length(np.maximum(lengths_of(given), lengths_of(written)))
    given, written = given[chosen], written[chosen]
    weights = last_attention(model, task.batch({read.name: given, target.name: written}, training=False)[0])
    if weights is None:
        return None
    maps = []
    for row, source_ids, ids in zip(weights.mean(axis=1), given, written, strict=True):  # mean of the heads
        rows, columns = _labels(target, ids), _labels(read, source_ids)
        maps.append((row[: len(rows), : len(columns)], rows, columns, ""))
    return maps_figure(sorted(maps, key=lambda each: len(each[1]) + len(each[2])))


def _attention_to_past(model: keras.Model, task: Task, source: Source) -> Figure | None:
    (text,) = task.inputs
    assert isinstance(text, Tokens)
    (ids,) = source.read(np.array([len(source) // 2]))[text.name]
    labels = _labels(text, ids)
    weights = last_attention(model, ids[None, : len(labels)])
    if weights is None:
        return None
    return maps_figure(
        [(head, labels, labels, f"head {place + 1}") for place, head in enumerate(weights[0, :MAX_MAPS])]
    )


def _attended_tokens(model: keras.Model, task: Task, source: Source, evaluation: Evaluation) -> Figure | None:
    (text,) = task.inputs
    assert isinstance(text, Tokens)
    errors = np.zeros(len(evaluation)) if evaluation.errors is None else evaluation.errors
    chosen = worst_and_others(errors, MAX_TEXTS)
    ids = source.read(chosen)[text.name]
    weights = last_attention(model, ids)
    if weights is None:
        return None
    texts = []
    for row, its_weights in zip(ids, weights, strict=True):
        tokens = [token if token == " " else SIGNS.get(token, token) for token in _tokens(text, row, MAX_SHADED)]
        attention = its_weights[:, : lengths_of(row[None])[0]].mean(axis=(0, 1))  # from all tokens, to each
        texts.append((tokens, attention[: len(tokens)]))
    captions = [(evaluation.captions or [""] * len(errors))[index].replace("\n", ", ") for index in chosen]
    wrong = (errors[chosen] > 0) & evaluation.is_accuracy
    return shaded_texts_figure(texts, captions, wrong, gap=int(text.tokenizer == "words"))


def last_attention(model: keras.Model, inputs: Any) -> np.ndarray | None:
    """Return the weights of the last attention of a network.

    Args:
        model: A functional model.
        inputs: Its inputs: an array, or arrays by name, each (n, ...).

    Returns:
        Weights (n, heads, tokens, tokens that they look at), float32; of attention to another sequence, if there is
        any. None for a network without `MaskedAttention` and `AttentionGRUCell`.
    """
    import tensorflow as tf

    found: dict[str, Any] = {}

    def record(layer: MaskedAttention, query: Any, context: Any = None, key_mask: Any = None, **_: Any) -> None:
        name = "self" if context is None else "cross"
        found[name] = layer.attention_weights(query, context, key_mask)

    def call(operation: Any, *args: Any, **kwargs: Any) -> Any:
        if is_network(operation):
            return run_network(operation, keras.tree.flatten(args), call)
        output = operation(*args, **kwargs)
        if isinstance(operation, MaskedAttention):
            record(operation, *args, **kwargs)
        elif isinstance(operation, layers.RNN) and isinstance(operation.cell, AttentionGRUCell):
            found["cross"] = _weights_of_steps(operation.cell, output, *kwargs["initial_state"])
        return output

    arrays = [inputs[tensor.name] for tensor in model.inputs] if isinstance(inputs, dict) else [inputs]
    with tf.device("CPU"):
        run_network(model, [tf.convert_to_tensor(array) for array in arrays], call)
    weights = found.get("cross", found.get("self"))
    return None if weights is None else ops.convert_to_numpy(weights)


def _weights_of_steps(cell: AttentionGRUCell, outputs: Any, state: Any, memory: Any, keys: Any, mask: Any) -> Any:
    """Return the weights of all steps, (n, 1, steps, length of the memory)."""
    before = ops.concatenate([ops.expand_dims(state, 1), outputs[:, :-1, : cell.units]], axis=1)
    steps = [cell.attention_weights(before[:, step], keys, mask) for step in range(before.shape[1])]
    return ops.expand_dims(ops.stack(steps, axis=1), 1)


def maps_figure(maps: Sequence[tuple[np.ndarray, Sequence[str], Sequence[str], str]]) -> Figure:
    """Draw maps of attention.

    Args:
        maps: For each its weights (rows, columns) in [0, 1], the tokens of the rows and of the columns, and its title.
    """
    across = min(2, len(maps))
    heights = [
        max(len(rows) for _, rows, _, _ in maps[start : start + across]) for start in range(0, len(maps), across)
    ]
    widths = [max(len(columns) for _, _, columns, _ in maps[start::across]) for start in range(across)]
    in_rows, in_columns = (max(_columns(label) for each in maps for label in each[axis]) for axis in (1, 2))
    cell = np.clip(6 / max(*heights, *widths), *CELL)
    figure = Figure(
        figsize=(
            cell * sum(widths) + (CHARACTER[0] * in_rows + 0.3) * across + 1,
            cell * sum(heights) + (CHARACTER[0] * in_columns + 0.4) * len(heights),
        ),
        layout="constrained",
    )
    panels = figure.subplots(len(heights), across, squeeze=False, height_ratios=heights, width_ratios=widths)
    for axes in panels.flat[len(maps) :]:
        axes.axis("off")
    norm = PowerNorm(0.5, vmin=0, vmax=1)  # shows small weights beside large ones
    rotation = 90 if in_columns > 2 else 0
    for place, (weights, rows, columns, title) in enumerate(maps):
        axes = panels.flat[place]
        image = axes.imshow(weights, cmap="Blues", norm=norm)
        axes.set_xlim(-0.5, widths[place % across] - 0.5)  # cells of one size in all maps
        axes.set_ylim(heights[place // across] - 0.5, -0.5)
        axes.set_xticks(range(len(columns)), columns, rotation=rotation, fontsize=FONT_SIZE, parse_math=False)
        axes.set_yticks(range(len(rows)), rows, fontsize=FONT_SIZE, parse_math=False)
        axes.xaxis.tick_top()
        axes.tick_params(length=0)
        axes.spines[:].set_visible(False)
        axes.set_title(title)
    figure.colorbar(image, ax=panels, label="attention", aspect=40, ticks=(0, 0.1, 0.25, 0.5, 1))
    return figure


def shaded_texts_figure(
    texts: Sequence[tuple[Sequence[str], np.ndarray]], captions: Sequence[str], wrong: np.ndarray, *, gap: int
) -> Figure:
    """Draw texts whose tokens are shaded by their attention, each relative to the largest of its text.

    Args:
        texts: The tokens of each, and their attention (tokens,).
        captions: Text above each.
        wrong: Whether to write each caption in red, (n,).
        gap: Characters between tokens.
    """
    figure = Figure()
    axes = figure.add_axes((0, 0, 1, 1))
    axes.axis("off")
    line = 0.0
    colors = colormaps["Blues"]
    for (tokens, attention), caption, is_wrong in zip(texts, captions, wrong, strict=True):
        color = "firebrick" if is_wrong else "black"
        axes.text(1, line + 0.5, caption, color=color, fontsize=FONT_SIZE, va="center", parse_math=False)
        line, column = line + 1, 1
        for token, share in zip(tokens, attention / max(attention.max(), 1e-12), strict=True):
            width = _columns(token)
            if column > 1 and column + width > LINE:
                line, column = line + 1, 1
            shade = 0.8 * float(share)
            axes.add_patch(Rectangle((column, line + 0.06), width, 0.88, facecolor=colors(shade), linewidth=0))
            axes.text(
                column + width / 2,
                line + 0.5,
                token,
                family=["monospace", "sans-serif"],
                fontsize=FONT_SIZE,
                color="white" if shade > 0.55 else "black",
                ha="center",
                va="center",
                parse_math=False,
            )
            column += width + gap
        line += 1.5
    axes.set_xlim(0, LINE + 1)
    axes.set_ylim(line, -0.25)
    figure.set_size_inches(CHARACTER[0] * (LINE + 1), CHARACTER[1] * (line + 0.25))
    return figure


def _of_length(lengths: np.ndarray) -> np.ndarray:
    """Choose texts that fit into a map, evenly spaced; the shortest if there are too few."""
    fitting = np.flatnonzero(lengths <= MAX_SIDE)
    if len(fitting) < MAX_MAPS:
        return np.sort(np.argsort(lengths, kind="stable")[:MAX_MAPS])
    return np.array(evenly_spaced(fitting, MAX_MAPS))


def _tokens(value: Tokens, ids: Iterable[int], most: int) -> list[str]:
    """Return the first tokens of a text, without padding."""
    special = {UNKNOWN: "\N{REPLACEMENT CHARACTER}", END: "<end>"}
    tokens = (special.get(index) or value.vocabulary[index - FIRST] for index in map(int, ids) if index != PADDING)
    first = [token for token, _ in zip(tokens, range(most), strict=False)]
    return [token.replace(SPACE, " ") for token in first] if value.tokenizer == "subwords" else first


def _labels(value: Tokens, ids: Iterable[int]) -> list[str]:
    """Return the names of the first tokens of a text along a side of a map."""
    return [SIGNS.get(token) or token.strip() for token in _tokens(value, ids, MAX_SIDE)]


def _columns(token: str) -> int:
    """Return the width of a token in characters of a monospaced font."""
    wide = sum(unicodedata.east_asian_width(character) in "WF" for character in token)
    return max(1, wide + sum(not unicodedata.combining(character) for character in token))
