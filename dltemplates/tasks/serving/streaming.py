"""Streaming forms of served sequence networks: one row in, the states in and out.

The form is derived from the layers of the trained network. A recurrent layer keeps its state. A causal convolution
keeps the last `(kernel_size - 1) * dilation_rate` rows that it read. Layers that see each row by itself stay as they
are.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import keras
import numpy as np
from keras import layers, ops

from dltemplates.compat import graph_nodes, run_through_graph
from dltemplates.datasets.source import Arrays, Source
from dltemplates.features import Number, Series
from dltemplates.runtimes import KerasPredictor
from dltemplates.tasks.serving.contract import ServingModel, State, SystemContract
from dltemplates.tasks.serving.stream import series_of, stream

MAX_STEPS = 10_000  # of calibration
MAX_BYTES = 2**28  # of their states
SCALE_WINDOWS = 1_000  # whose cell states set the scale
TANH_RANGE = (-1.0, 127 / 128)  # of an int8 tensor behind a tanh, whose scale TFLite fixes

# Class names of layers and operations, in two groups.
ROW_BY_ROW = {  # each row by itself
    *("Activation", "ReLU", "LeakyReLU", "ELU", "Dropout", "SpatialDropout1D", "GaussianDropout", "GaussianNoise"),
    *("Dense", "Rescaling", "Identity", "BatchNormalization", "LayerNormalization", "RMSNormalization"),
    *("Add", "Subtract", "Multiply", "Average", "Maximum", "Minimum", "Concatenate"),
    *("Relu", "Sigmoid", "Tanh", "Gelu", "Silu"),
}
LAST_ROW = {"LastStep"}
MASKS = {"SequenceMask"}  # of padding, which a stream has not
RECURRENT = (layers.LSTM, layers.GRU, layers.SimpleRNN)


def is_network(operation: Any) -> bool:
    """Return whether a layer is a network of layers that can be called one by one."""
    return isinstance(operation, keras.Sequential) or bool(graph_nodes(operation))


def run_network(network: keras.Model, inputs: list[Any], call: Callable[..., Any]) -> Any:
    """Return the outputs of a network whose layers and operations are called by `call(operation, *args, **kwargs)`."""
    if isinstance(network, keras.Sequential):
        return functools.reduce(lambda x, layer: call(layer, x), network.layers, inputs[0])
    return run_through_graph(network, inputs, call)


class CellStep(layers.Layer):
    """One step of a recurrent layer: a row (batch, 1, channels) and the states (batch, units) to output and states."""

    def __init__(self, layer: keras.Layer):
        super().__init__(name=f"{layer.name}_step")
        self.cell = layer.cell
        self.return_sequences = layer.return_sequences

    def step(self, row, states):
        """Return the output (batch, units) and the new states for a row (batch, channels)."""
        return self.cell(row, states, training=False)

    def call(self, row, *states):
        output, states = self.step(row[:, 0], list(states))
        return (ops.expand_dims(output, 1) if self.return_sequences else output), *states


class ScaledLSTMStep(CellStep):
    """One step of an LSTM whose cell state is divided by the largest value of each unit.

    An int8 state has one scale for all units. Without the division, a unit of range 1 beside one of range 12 would have
    a twelfth of the 256 levels, and the cell adds up the rounding errors of all steps.
    """

    def __init__(self, layer: layers.LSTM, largest: np.ndarray):
        super().__init__(layer)
        self.largest = largest

    def step(self, row, states):
        cell = self.cell
        hidden, scaled = states
        gates = ops.matmul(row, cell.kernel) + ops.matmul(hidden, cell.recurrent_kernel)
        if cell.use_bias:
            gates = gates + cell.bias
        input_gate, forget_gate, candidate, output_gate = ops.split(gates, 4, axis=1)
        candidate = cell.activation(candidate) * (1 / self.largest)
        scaled = cell.recurrent_activation(forget_gate) * scaled + cell.recurrent_activation(input_gate) * candidate
        hidden = cell.recurrent_activation(output_gate) * cell.activation(scaled * self.largest)
        return hidden, [hidden, scaled]


class ConvStep(layers.Layer):
    """One step of a causal convolution: a row (batch, 1, channels) and the rows before it to output and last rows."""

    def __init__(self, layer: layers.Conv1D):
        super().__init__(name=f"{layer.name}_step")
        self.layer = layer

    def call(self, row, rows):
        layer = self.layer
        rows = ops.concatenate([rows, row], axis=1)  # (batch, (kernel_size - 1) * dilation_rate + 1, channels)
        output = ops.conv(rows, layer.kernel, padding="valid", dilation_rate=layer.dilation_rate)
        if layer.use_bias:
            output = output + layer.bias
        return layer.activation(output), rows[:, 1:]


@dataclass(frozen=True)
class _Kept:
    """A state: its name, and the Keras tensors that go into a step and come out."""

    name: str
    before: Any
    after: Any


@dataclass(frozen=True)
class Refused:
    """The output of a layer without a streaming form; it matters unless only a mask of padding needs it."""

    reason: str


class _Steps:
    """Calls of a network's layers on one row.

    Attributes:
        largest: The largest value of each unit of an LSTM's cell state, by name; the state is divided by it.
        states: The states.
        cells: Names of the cell states of LSTM layers.
        tanh_states: Names of the states behind a tanh.
    """

    def __init__(self, largest: Arrays):
        self.largest = largest
        self.states: list[_Kept] = []
        self.cells: list[str] = []
        self.tanh_states: list[str] = []
        self._rows: dict[int, Any] = {}  # tensors with a time axis of one row, by id

    def run(self, network: keras.Model, inputs: list[Any]) -> Any:
        """Return the outputs of a network for one row."""
        return run_network(network, inputs, self.call)

    def row(self, tensor: Any) -> Any:
        """Mark a tensor as a row, and return it."""
        self._rows[id(tensor)] = tensor
        return tensor

    def call(self, operation: Any, *args: Any, **kwargs: Any) -> Any:
        kwargs.pop("mask", None)  # a stream has no padding
        for each in keras.tree.flatten((args, kwargs)):
            if isinstance(each, Refused):
                return each
        tensors = [each for each in keras.tree.flatten((args, kwargs)) if isinstance(each, keras.KerasTensor)]
        kind = type(operation).__name__
        if not any(id(tensor) in self._rows for tensor in tensors):
            return operation(*args, **kwargs)
        if is_network(operation):
            return self.run(operation, tensors)
        if kind in MASKS:
            return tensors[0]
        if isinstance(operation, RECURRENT) and not (operation.go_backwards or operation.return_state):
            return self._cell(operation, tensors[0])
        if isinstance(operation, layers.Conv1D) and _is_causal(operation):
            return self._conv(operation, tensors[0])
        if kind in LAST_ROW or (kind == "GetItem" and _is_last(args[1:])):
            return operation(*args, **kwargs)
        if kind in ROW_BY_ROW and keeps_rows_apart(operation):
            return self.row(operation(*args, **kwargs))
        return Refused(
            "A streaming form needs layers that read row by row: LSTM, GRU, SimpleRNN, causal Conv1D, Dense, "
            f"normalization, the last step. Received: layer `{operation.name}` ({kind}). Leave `--stateful` out."
        )

    def _cell(self, layer: Any, row: Any) -> Any:
        names = ("h", "c") if isinstance(layer, layers.LSTM) else ("h",)
        states = [self._input(f"{layer.name}_{name}", (layer.units,)) for name in names]
        self.cells += [state.name for state in states[1:]]
        if isinstance(layer, layers.SimpleRNN) and layer.activation is keras.activations.tanh:
            self.tanh_states.append(states[0].name)
        largest = self.largest.get(states[-1].name)
        step = CellStep(layer) if largest is None else ScaledLSTMStep(layer, largest)
        output, *after = step(row, *states)
        self._keep(states, after)
        return self.row(output) if layer.return_sequences else output

    def _conv(self, layer: layers.Conv1D, row: Any) -> Any:
        length = (layer.kernel_size[0] - 1) * layer.dilation_rate[0]
        if not length:
            return self.row(layer(row))
        rows = self._input(f"{layer.name}_rows", (length, row.shape[-1]))
        output, after = ConvStep(layer)(row, rows)
        self._keep([rows], [after])
        return self.row(output)

    def _input(self, name: str, shape: tuple[int, ...]) -> Any:
        taken = {state.name for state in self.states}
        while name in taken:  # two nested networks may use a name twice
            name += "_"
        return keras.Input(shape, name=name)

    def _keep(self, before: list[Any], after: list[Any]) -> None:
        self.states += [_Kept(b.name, b, a) for b, a in zip(before, after, strict=True)]


def _is_causal(layer: layers.Conv1D) -> bool:
    is_one_row = layer.kernel_size == (1,)
    return layer.strides == (1,) and layer.groups == 1 and (layer.padding == "causal" or is_one_row)


def _is_last(keys: tuple[Any, ...]) -> bool:
    """Return whether the keys of `tensor[:, -1]` select the last row."""
    key = keys[0] if keys else None
    whole = slice(None)
    return isinstance(key, tuple) and key[:2] == (whole, -1) and all(part in (whole, Ellipsis) for part in key[2:])


def keeps_rows_apart(layer: Any) -> bool:
    """Return whether a layer works along the channels only, not along the steps."""
    axes = keras.tree.flatten(getattr(layer, "axis", -1))
    return all(axis in (-1, 2) for axis in axes)


def with_state(serving: ServingModel, windows: Source | None = None) -> ServingModel:
    """Return the streaming form of a served sequence network.

    Args:
        serving: A network from windows (batch, steps, channels) to presented outputs.
        windows: Training windows. They set the scale of the cell states of LSTM layers; None leaves these as they are.

    Returns:
        The network from one row (batch, 1, channels) and the states to the outputs and the new states, with a contract
        that lists the states and describes the whole network as its system.

    Raises:
        ValueError: If the network takes no sequence, has no state, or has a layer that does not read row by row.
    """
    steps, step = _one_step(serving, {})
    if steps.cells and windows is not None:
        steps, step = _one_step(serving, _largest(StepSource(windows, step), steps.cells))
    return replace(
        step,
        examples=lambda split, source: StepSource(source, step),
        calibrate=lambda source, count: calibration_steps(StepSource(source, step), count, steps.tanh_states),
        any_length=any_length(serving),
    )


def _one_step(serving: ServingModel, largest: Arrays) -> tuple[_Steps, ServingModel]:
    """Return the network of one row, and its states; `largest` as in `_Steps`."""
    contract = serving.contract
    series = next((value for value in contract.inputs if isinstance(value, Series)), None)
    others = [value for value in contract.inputs if value is not series and value.kind != "length"]
    if series is None or others:
        kinds = ", ".join(value.kind for value in contract.inputs)
        raise ValueError(
            f"`stateful` is for networks with one series as input. Received: {contract.name}, with inputs of kind "
            f"{kinds}. Leave it out."
        )
    row_feature = series.model_copy(update={"shape": (1, *series.shape[1:])})
    inputs = {
        value.name: keras.Input(
            row_feature.shape if value is series else value.shape, name=value.name, dtype=value.dtype
        )
        for value in contract.inputs
    }
    steps = _Steps(largest)
    steps.row(inputs[series.name])
    outputs = steps.run(serving.model, [inputs[tensor.name] for tensor in serving.model.inputs])
    for output in keras.tree.flatten(outputs):
        if isinstance(output, Refused):
            raise ValueError(output.reason)
    if not steps.states:
        raise ValueError(
            f"`stateful` is for networks with states, such as LSTM, GRU, SimpleRNN or causal Conv1D layers. Received: "
            f"{contract.name} without one. Leave it out."
        )
    states = [Number(name=kept.name, dtype="float32", shape=tuple(kept.before.shape[1:])) for kept in steps.states]
    after = {f"{kept.name}_next": kept.after for kept in steps.states}
    model = keras.Model(
        {series.name: inputs[series.name], **{kept.name: kept.before for kept in steps.states}},
        {**outputs, **after},
        name=serving.model.name,
    )
    step_contract = contract.model_copy(
        update={
            "name": f"{contract.name}-stateful",
            "task": "parity",
            "task_options": {},
            "inputs": (row_feature, *states),
            "outputs": (
                *contract.outputs,
                *(value.model_copy(update={"name": f"{value.name}_next"}) for value in states),
            ),
            "targets": (),
            "state": tuple(State(input=value.name, output=f"{value.name}_next") for value in states),
            "system": SystemContract(
                task=contract.task,
                task_options=contract.task_options,
                inputs=contract.inputs,
                outputs=contract.outputs,
                targets=contract.targets,
            ),
        }
    )
    return steps, ServingModel(model, step_contract)


def _largest(source: StepSource, states: list[str]) -> Arrays:
    """Return the largest absolute value of each unit of some states, at least 1, by name."""
    windows = np.linspace(0, len(source.windows) - 1, min(len(source.windows), SCALE_WINDOWS)).round().astype(np.int64)
    largest: Arrays = dict.fromkeys(states, np.ones(1, np.float32))
    for step in source.run(windows):
        largest = {name: np.maximum(value, np.abs(step[name]).max(axis=0)) for name, value in largest.items()}
    return largest


def any_length(serving: ServingModel) -> keras.Model:
    """Return a served sequence network for sequences of any length without padding, with the same layers."""
    series = series_of(serving.contract)
    rows = keras.Input((None, *series.shape[1:]), name=series.name, dtype=series.dtype)

    def call(operation: Any, *args: Any, **kwargs: Any) -> Any:
        kwargs.pop("mask", None)
        tensors = [each for each in keras.tree.flatten((args, kwargs)) if isinstance(each, keras.KerasTensor)]
        if is_network(operation):
            return run_network(operation, tensors, call)
        return tensors[0] if type(operation).__name__ in MASKS else operation(*args, **kwargs)

    inputs = [rows if tensor.name == series.name else tensor for tensor in serving.model.inputs]
    return keras.Model(rows, run_network(serving.model, inputs, call), name=serving.model.name)


class StepSource:
    """The steps of all windows: a row and the states before it, computed by Keras from the window's first row on."""

    def __init__(self, windows: Source, step: ServingModel):
        """Create the source.

        Args:
            windows: The windows, with their lengths if these differ.
            step: The streaming form.
        """
        assert step.contract.system is not None
        self.windows, self.contract = windows, step.contract
        self._inputs = step.contract.system.inputs
        self._predictor = KerasPredictor(step.model, step.contract)
        self.steps = series_of(step.contract.of_system()).shape[0]

    def __len__(self) -> int:
        return len(self.windows) * self.steps

    def read(self, indices: np.ndarray) -> Arrays:
        """Read the steps at `indices` (n,): step s of window w has the index `w * steps + s`."""
        windows, steps = np.divmod(indices, self.steps)
        unique, positions = np.unique(windows, return_inverse=True)
        steps = steps % self.lengths(unique)[positions]  # padding has no steps
        arrays: Arrays = {}
        for step, inputs in enumerate(self.run(unique)):
            chosen = steps == step
            for name, array in inputs.items():
                kept = arrays.setdefault(name, np.empty((len(indices), *array.shape[1:]), array.dtype))
                kept[chosen] = array[positions[chosen]]
            if step == steps.max():
                break
        return arrays

    def lengths(self, windows: np.ndarray) -> np.ndarray:
        """Return the number of rows of some windows."""
        name = next((value.name for value in self._inputs if value.kind == "length"), None)
        if name is None:
            return np.full(len(windows), self.steps)
        return np.maximum(self.windows.read(windows)[name].astype(np.int64), 1)

    def run(self, windows: np.ndarray) -> Iterator[Arrays]:
        """Yield the inputs of each step of some windows, each (n, ...)."""
        rows = self.windows.read(windows)[series_of(self.contract).name].astype(np.float32)
        return (inputs for inputs, _ in stream(self._predictor, rows))


def calibration_steps(source: StepSource, count: int, tanh_states: list[str]) -> Arrays:
    """Return steps that give a state the same range before a step and after it, so that its int8 scales are equal.

    All steps of some windows do so, unless a state is largest or smallest after the last step, where no step reads it.
    Then that step is left out.

    Args:
        source: The steps of the training windows.
        count: Number of windows, evenly spaced; fewer where their steps are too many.
        tanh_states: The states behind a tanh, whose int8 scale is fixed; two more steps span its range.

    Returns:
        The inputs by name, each (steps, ...).
    """
    contract, names = source.contract, [state.input for state in source.contract.state]
    size = 4 * sum(int(np.prod(value.shape)) for value in contract.inputs)
    most = max(1, min(MAX_STEPS, MAX_BYTES // size) // source.steps)
    total = len(source.windows)
    windows = np.linspace(0, total - 1, min(count, total, most)).round().astype(np.int64)
    steps = list(source.run(windows))
    arrays = {name: np.stack([step[name] for step in steps], axis=1) for name in steps[0]}  # (windows, steps, ...)
    lengths = np.minimum(source.lengths(windows), source.steps) - 1  # after the last step, the state is unknown
    lengths = _closed_lengths([arrays[name] for name in names], np.maximum(lengths, 1))
    taken = np.arange(source.steps) < lengths[:, None]
    result = {name: array[taken] for name, array in arrays.items()}
    if not tanh_states:
        return result
    for name, array in result.items():
        spanned = np.concatenate([array, array[[0, 0]]])
        if name in tanh_states:
            spanned = np.clip(spanned, *TANH_RANGE)
            spanned[-2], spanned[-1] = TANH_RANGE
        result[name] = spanned
    return result


def _closed_lengths(states: list[np.ndarray], lengths: np.ndarray) -> np.ndarray:
    """Shorten windows until no state after a step is out of the range of the states before all steps.

    Args:
        states: The states before each step, each (windows, steps, ...); the one before step s comes after step s - 1.
        lengths: Steps of each window whose state after the step is known, (windows,).
    """
    flat = [array.reshape(*array.shape[:2], -1) for array in states]
    low, high = [array.min(axis=2) for array in flat], [array.max(axis=2) for array in flat]
    positions = np.arange(states[0].shape[1])
    while True:
        is_before = positions < lengths[:, None]
        last = np.minimum(lengths, len(positions) - 1)[:, None]
        is_out = np.zeros(len(lengths), bool)
        for lows, highs in zip(low, high, strict=True):
            is_out |= np.take_along_axis(lows, last, 1)[:, 0] < lows[is_before].min()
            is_out |= np.take_along_axis(highs, last, 1)[:, 0] > highs[is_before].max()
        is_out &= lengths > 1
        if not is_out.any():
            return lengths
        lengths = lengths - is_out
