"""The use of networks that write texts: run the first part once, then one step per token. It needs NumPy alone."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from dltemplates.datasets.source import Arrays
from dltemplates.features.tokens import END, PADDING, START

if TYPE_CHECKING:
    from dltemplates.runtimes import Predictor

DECODE = "decode"  # name of the part for one token
TOKEN, POSITION, LOGITS = "token", "position", "logits"  # names of its inputs and outputs


@dataclass(frozen=True)
class SamplingOptions:
    """How to choose the next token.

    Attributes:
        temperature: Divides the logits; 0 takes the most probable token.
        top_k: Draw among this many most probable tokens; 0 for all.
        top_p: Draw among the most probable tokens whose probabilities reach this sum.
        max_tokens: Number of tokens to write.
        seed: Seed of the draws.

    Raises:
        ValueError: If one is out of range.
    """

    temperature: float = 0.8
    top_k: int = 0
    top_p: float = 1.0
    max_tokens: int = 200
    seed: int = 0

    def __post_init__(self) -> None:
        rules = {
            "temperature": ("a number of at least 0", 0 <= self.temperature < float("inf"), 0.8),
            "top_k": ("a whole number of at least 0", _is_whole(self.top_k) and self.top_k >= 0, 0),
            "top_p": ("greater than 0 and at most 1", 0 < self.top_p <= 1, 0.9),
            "max_tokens": ("a whole number of at least 1", _is_whole(self.max_tokens) and self.max_tokens > 0, 200),
            "seed": ("a whole number of at least 0", _is_whole(self.seed) and self.seed >= 0, 0),
        }
        for name, (rule, holds, example) in rules.items():
            if not holds:
                raise ValueError(f"`{name}` must be {rule}. Received: {getattr(self, name)}. Try {example}.")


def _is_whole(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


class Decoder:
    """A system that writes texts, as a function from tokens to the logits of the next token.

    The parts are `decode`, and perhaps one that runs first. An output of that one with the name of an input of `decode`
    is passed on: for a state as its first value, else for all steps.
    """

    def __init__(self, parts: Mapping[str, Predictor]):
        self._step = parts[DECODE]
        self._first = next((part for name, part in parts.items() if name != DECODE), None)
        contract = self._step.contract
        self._states = contract.state
        self._constants = [
            value.name
            for value in contract.inputs
            if value.name != TOKEN and value.name not in {state.input for state in contract.state}
        ]
        self._shapes = {value.name: value.shape for value in contract.inputs}

    def start(self, count: int, inputs: Arrays | None = None) -> Arrays:
        """Return the inputs of the first step, without the token, for some texts.

        Args:
            count: Number of texts.
            inputs: The inputs of the part that runs first, each (count, ...).
        """
        given = {} if self._first is None else self._first(inputs or {})
        states = {
            state.input: given.get(state.input, np.full((count, *self._shapes[state.input]), state.initial, np.float32))
            for state in self._states
        }
        return states | {name: given[name] for name in self._constants}

    def step(self, states: Arrays, tokens: np.ndarray) -> tuple[np.ndarray, Arrays]:
        """Read one token of each text.

        Args:
            states: From `start` or the last step.
            tokens: Ids, (n,).

        Returns:
            The logits of the next token, (n, vocabulary), and the states after it.
        """
        outputs = self._step({TOKEN: tokens[:, None].astype(np.int32), **states})
        after = {state.input: outputs[state.output] for state in self._states}
        return outputs[LOGITS], states | after

    def steps(self, inputs: Arrays, tokens: np.ndarray) -> Iterator[tuple[Arrays, np.ndarray]]:
        """Read given tokens (n, length), one after the other.

        Yields:
            The inputs of each step, and its logits (n, vocabulary).
        """
        states = self.start(len(tokens), None if self._first is None else self._inputs_of_first(inputs))
        for place in range(tokens.shape[1]):
            given = {TOKEN: tokens[:, place : place + 1].astype(np.int32), **states}
            logits, states = self.step(states, tokens[:, place])
            yield given, logits

    def losses(self, inputs: Arrays, targets: np.ndarray, *, batch_size: int = 50) -> np.ndarray:
        """Return the loss of each token in nats, (n, length); 0 for padding.

        Args:
            inputs: The inputs by name, each (n, ...); `text` holds the tokens to read.
            targets: The token after each position, (n, length).
            batch_size: Texts at a time.
        """
        losses = np.zeros(targets.shape, np.float32)
        for start in range(0, len(targets), batch_size):
            rows = slice(start, start + batch_size)
            part = {name: array[rows] for name, array in inputs.items()}
            for place, (_, logits) in enumerate(self.steps(part, tokens_to_read(part))):
                ids = targets[rows, place]
                losses[rows, place] = np.where(ids == PADDING, 0, -log_probabilities(logits)[np.arange(len(ids)), ids])
        return losses

    def _inputs_of_first(self, inputs: Arrays) -> Arrays:
        assert self._first is not None
        return {value.name: inputs[value.name] for value in self._first.contract.inputs}


def tokens_to_read(inputs: Arrays) -> np.ndarray:
    """Return the tokens that the decoder reads: the text itself."""
    return inputs["text"]


def log_probabilities(logits: np.ndarray) -> np.ndarray:
    """Return the logarithms of the probabilities, float64 (..., vocabulary)."""
    logits = logits.astype(np.float64)
    logits = logits - logits.max(axis=-1, keepdims=True)
    return logits - np.log(np.exp(logits).sum(axis=-1, keepdims=True))


def choose(logits: np.ndarray, options: SamplingOptions, random: np.random.Generator) -> int:
    """Choose the next token from its logits (vocabulary,); padding, unknown and start are never chosen."""
    logits = logits.astype(np.float64)
    logits[[PADDING, START, 1]] = -np.inf
    if options.temperature == 0:
        return int(logits.argmax())
    logits = logits / options.temperature
    order = np.argsort(-logits, kind="stable")
    probabilities = np.exp(log_probabilities(logits))[order]
    before = np.cumsum(probabilities) - probabilities
    kept = before < options.top_p
    if options.top_k:
        kept[options.top_k :] = False
    probabilities = np.where(kept, probabilities, 0)
    return int(order[random.choice(len(order), p=probabilities / probabilities.sum())])


def sample(decoder: Decoder, prompt: np.ndarray, options: SamplingOptions, *, length: int) -> np.ndarray:
    """Continue a text.

    When `length` tokens have been read, the last half of them is read again from the start.

    Args:
        decoder: The network.
        prompt: Ids of the text, (n,), n at least 1.
        options: How to choose the tokens.
        length: Number of tokens that the network can read.

    Returns:
        The ids of the continuation, int32 (max_tokens,), with padding after an end.
    """
    random = np.random.default_rng(options.seed)
    text = prompt.tolist()
    written = np.full(options.max_tokens, PADDING, np.int32)
    states, pending = decoder.start(1), text[-length:]
    read = 0
    for place in range(options.max_tokens):
        if read + len(pending) > length:
            states, pending, read = decoder.start(1), text[-(length // 2 or 1) :], 0
        for token in pending:
            logits, states = decoder.step(states, np.array([token]))
        read += len(pending)
        chosen = choose(logits[0], options, random)
        if chosen == END:
            break
        written[place] = chosen
        text.append(chosen)
        pending = [chosen]
    return written
