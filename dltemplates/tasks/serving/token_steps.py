"""Networks that write texts, served as one step per token."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import keras
import numpy as np

from dltemplates.datasets.source import Arrays, Mapped, Source
from dltemplates.datasets.spec import DatasetSpec
from dltemplates.features import AnyFeature, Number, Tokens
from dltemplates.features.tokens import PADDING, START, lengths_of
from dltemplates.runtimes import KerasPredictor
from dltemplates.tasks.assemble import make_contract
from dltemplates.tasks.scoring.decoding import DECODE, POSITION, PREFILL, TOKEN, Decoder, tokens_to_read
from dltemplates.tasks.serving.contract import Contract, Decoding, ServingModel, State, SystemContract
from dltemplates.tasks.serving.streaming import StepSource, calibration_steps
from dltemplates.template import Template

if TYPE_CHECKING:
    from dltemplates.tasks.task import SupervisedTask


def serve_steps(
    parts: Mapping[str, keras.Model], task: SupervisedTask, spec: DatasetSpec, template: Template, *, name: str
) -> dict[str, ServingModel]:
    """Build the serving models of a network that writes texts.

    Args:
        parts: The Keras models of the part that runs first, if there is one, and of `decode`.
        task: The task.
        spec: The spec of its training data.
        template: Its template.
        name: Name of the serving model.
    """
    whole = make_contract(spec, template, (task.output(),), name=name)
    system = SystemContract(
        task=whole.task,
        task_options=whole.task_options,
        inputs=whole.inputs,
        outputs=whole.outputs,
        targets=whole.targets,
        decoding=Decoding(start=None if PREFILL in parts else START, max_tokens=_length(spec)),
    )
    served = {}
    for part, model in parts.items():
        inputs = tuple(_feature(tensor.name, tensor, spec) for tensor in model.inputs)
        outputs = tuple(_feature(key, tensor, spec) for key, tensor in model.output.items())
        names = {value.name for value in inputs}
        states = [value.name for value in outputs if value.name.removesuffix("_next") in names]
        contract = whole.model_copy(
            update={
                "name": f"{name}-{part}",
                "task": "parity",
                "task_options": {},
                "inputs": inputs,
                "outputs": outputs,
                "targets": (),
                "state": tuple(State(input=state.removesuffix("_next"), output=state) for state in states),
                "system": system,
                "signature_name": f"{PREFILL}_{model.inputs[0].shape[1]}" if part == PREFILL else None,
            }
        )
        served[part] = ServingModel(model, contract)
    if PREFILL in served:
        served[PREFILL] = replace(served[PREFILL], examples=_beginnings(served[PREFILL].contract))
    decode = served[DECODE]
    predictors = {part: KerasPredictor(serving.model, serving.contract) for part, serving in served.items()}

    def steps(source: Source) -> TokenStepSource:
        return TokenStepSource(source, decode, Decoder(predictors), length=_length(spec))

    served[DECODE] = replace(
        decode,
        examples=lambda split, source: steps(source),
        calibrate=lambda source, count: calibration_steps(steps(source), count, []),
    )
    return served


def _beginnings(contract: Contract) -> Callable[[str, Source], Source]:
    """Return the `examples` of the part that reads the beginning of a text at once: beginnings of all its lengths."""
    (text,) = contract.inputs
    (length,) = text.shape

    def cut(arrays: Arrays, indices: np.ndarray) -> Arrays:
        is_kept = np.arange(length) < 1 + indices[:, None] % length
        return arrays | {text.name: np.where(is_kept, arrays[text.name][:, :length], PADDING)}

    return lambda split, source: Mapped(source, cut)


def _length(spec: DatasetSpec) -> int:
    """Return the most tokens that the decoder reads: those of the target."""
    return spec.targets[0].shape[0]


def _feature(name: str, tensor: Any, spec: DatasetSpec) -> AnyFeature:
    """Return the feature of an input or output: token ids, or numbers."""
    known = {value.name: value for value in spec.inputs if isinstance(value, Tokens)}
    shape = tuple(tensor.shape[1:])
    if name in known:
        return known[name].model_copy(update={"shape": shape})  # `prefill` reads a beginning
    if name == TOKEN:
        first = spec.targets[0]
        assert isinstance(first, Tokens)
        return first.model_copy(update={"name": TOKEN, "shape": shape, "columns": None})
    limits = (0, _length(spec) - 1) if name == POSITION else None
    return Number(name=name, dtype=tensor.dtype, shape=shape, range=limits)


class TokenStepSource(StepSource):
    """The steps of all texts: a token and the states before it, computed by Keras."""

    def __init__(self, windows: Source, step: ServingModel, decoder: Decoder, *, length: int):
        """Create the source.

        Args:
            windows: The texts.
            step: The network of one step.
            decoder: The system that computes the states.
            length: The most tokens of a text.
        """
        self.windows, self.contract, self.steps = windows, step.contract, length
        self._decoder = decoder

    def lengths(self, windows: np.ndarray) -> np.ndarray:
        """Return the number of tokens of some texts."""
        return np.maximum(lengths_of(tokens_to_read(self.windows.read(windows))), 1)

    def run(self, windows: np.ndarray) -> Iterator[Arrays]:
        """Yield the inputs of each step of some texts, each (n, ...)."""
        arrays = self.windows.read(windows)
        return (inputs for inputs, _ in self._decoder.steps(arrays, tokens_to_read(arrays)))
