"""The use of a streaming file: feed it row by row, and pass its states on."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from dltemplates.datasets.source import Arrays
from dltemplates.features import Series
from dltemplates.runtimes import Predictor
from dltemplates.tasks.serving.contract import Contract


def initial_states(contract: Contract, count: int) -> Arrays:
    """Return the states before the first row, by the name of their input, each (count, *shape)."""
    shapes = {value.name: value.shape for value in contract.inputs}
    return {state.input: np.full((count, *shapes[state.input]), state.initial, np.float32) for state in contract.state}


def stream(predictor: Predictor, rows: np.ndarray) -> Iterator[tuple[Arrays, Arrays]]:
    """Feed a streaming file row by row, from its initial states on.

    Args:
        predictor: The file.
        rows: The rows of some sequences, (n, steps, channels).

    Yields:
        The inputs and the outputs of each step, with the states, each (n, ...).
    """
    contract = predictor.contract
    name = series_of(contract).name
    states = initial_states(contract, len(rows))
    for step in range(rows.shape[1]):
        inputs = {name: rows[:, step : step + 1], **states}
        outputs = predictor(inputs)
        states = {state.input: outputs[state.output] for state in contract.state}
        yield inputs, outputs


def series_of(contract: Contract) -> Series:
    """Return the input that holds the rows."""
    return next(value for value in contract.inputs if isinstance(value, Series))


class WindowPredictor(Predictor):
    """A streaming file as a network of whole windows: reset the states, feed the rows, take the last output."""

    def __init__(self, predictor: Predictor):
        super().__init__(predictor.contract.of_system())
        self._predictor = predictor

    def _run(self, encoded: Arrays) -> Arrays:
        rows = encoded[series_of(self.contract).name]
        lengths = next((encoded[value.name] for value in self.contract.inputs if value.kind == "length"), None)
        last = np.full(len(rows), rows.shape[1] - 1) if lengths is None else np.maximum(lengths, 1) - 1
        names = [value.name for value in self.contract.outputs]
        kept: Arrays = {}
        for step, (_, outputs) in enumerate(stream(self._predictor, rows)):
            for name in names:
                array = kept.setdefault(name, np.empty_like(outputs[name]))
                array[last == step] = outputs[name][last == step]
        return kept


def over_windows(predictor: Predictor) -> Predictor:
    """Return a file as a network of whole windows; the file itself unless it is the streaming form of one."""
    contract = predictor.contract
    is_streaming_form = contract.state and contract.system and any(isinstance(x, Series) for x in contract.inputs)
    return WindowPredictor(predictor) if is_streaming_form else predictor
