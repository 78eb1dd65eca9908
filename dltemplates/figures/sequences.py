"""A figure of sequences with their predictions."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure

from dltemplates.figures.outcomes import name_all

CAPTIONS = {  # by file name: heading and caption in the report
    "sequences": (
        "Sequences",
        "Test sequences with their predictions, one line per channel. The worst mistakes come first, wrong classes in "
        "red. Compare them with sequences of the predicted class.",
    ),
}
MAX_COLUMNS = 4
MAX_CHANNELS = 6  # more lines are too many to tell apart
DASHES = ("-", "--", ":", "-.")


def sequences_figure(
    sequences: Sequence[np.ndarray], captions: Sequence[str], wrong: np.ndarray, channels: Sequence[str]
) -> Figure:
    """Draw sequences with their captions.

    Args:
        sequences: Each (steps, channels), in the data's own unit.
        captions: Text above each sequence.
        wrong: Whether to write each caption in red, (n,).
        channels: Name of each channel; the first few are drawn.
    """
    columns = min(MAX_COLUMNS, len(sequences))
    rows = -(-len(sequences) // columns)
    figure = Figure(figsize=(3 * columns, 1.9 * rows + 0.3), layout="constrained")
    panels = figure.subplots(rows, columns, squeeze=False, sharex=True, sharey=True)
    for index, axes in enumerate(panels.flat):
        if index >= len(sequences):
            axes.axis("off")
            continue
        drawn = sequences[index][:, :MAX_CHANNELS]
        for place, values in enumerate(drawn.T):
            marker = "." if len(values) == 1 else None
            axes.plot(values, linestyle=DASHES[place % len(DASHES)], linewidth=1, marker=marker)
        color = "firebrick" if wrong[index] else "black"
        axes.set_title(captions[index], fontsize=9, color=color, parse_math=False)
        axes.tick_params(labelsize=7)
    for axes in panels[-1]:
        axes.set_xlabel("step", fontsize=8)
    if len(channels) > 1:
        name_all(panels[0, 0], panels[0, 0].lines, channels[:MAX_CHANNELS], fontsize=7)
    return figure
