"""The use of networks that write texts: run the first part once, then one step per token. It needs NumPy alone."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from dltemplates.datasets.source import Arrays
from dltemplates.features.tokens import END, PADDING, START, UNKNOWN

if TYPE_CHECKING:
    from dltemplates.runtimes import Predictor

DECODE, ENCODER, PREFILL = "decode", "encoder", "prefill"  # names of the parts
PROMPT = 16  # tokens that `prefill` reads at once
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
            "temperature": ("a number of at least 0", _is_number(self.temperature) and self.temperature >= 0, 0.8),
            "top_k": ("a whole number of at least 0", _is_whole(self.top_k) and self.top_k >= 0, 0),
            "top_p": ("greater than 0 and at most 1", _is_number(self.top_p) and 0 < self.top_p <= 1, 0.9),
            "max_tokens": ("a whole number of at least 1", _is_whole(self.max_tokens) and self.max_tokens > 0, 200),
            "seed": ("a whole number of at least 0", _is_whole(self.seed) and self.seed >= 0, 0),
        }
        for name, (rule, holds, example) in rules.items():
            if not holds:
                raise ValueError(f"`{name}` must be {rule}. Received: {getattr(self, name)!r}. Try {example}.")


def _is_whole(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


class Decoder:
    """A system that writes texts, as a function from tokens to the logits of the next token.

    The part `decode` reads one token. A part `encoder` reads the source once, before; a part `prefill` reads the first
    tokens of a prompt at once. An output of these with the name of an input of `decode` is passed on: for a state as
    its first value, else for all steps.
    """

    def __init__(self, parts: Mapping[str, Predictor]):
        self._step, self._encoder, self._prefill = parts[DECODE], parts.get(ENCODER), parts.get(PREFILL)
        contract = self._step.contract
        self._states = contract.state
        self._constants = [
            value.name
            for value in contract.inputs
            if value.name != TOKEN and value.name not in {state.input for state in contract.state}
        ]
        self._inputs = {value.name: value for value in contract.inputs}

    def start(self, count: int, inputs: Arrays | None = None) -> Arrays:
        """Return the inputs of the first step, without the token, for some texts.

        Args:
            count: Number of texts.
            inputs: The inputs of the encoder, each (count, ...).
        """
        given: Arrays = {}
        if self._encoder is not None:
            given = self._encoder({value.name: (inputs or {})[value.name] for value in self._encoder.contract.inputs})
        states = {
            state.input: given.get(state.input, np.full((count, *value.shape), state.initial, value.dtype))
            for state, value in ((state, self._inputs[state.input]) for state in self._states)
        }
        return states | {name: given[name] for name in self._constants}

    def read(self, tokens: Sequence[int]) -> tuple[np.ndarray, Arrays]:
        """Read the beginning of one text: the first tokens at once, if there is a part for that.

        Returns:
            The logits of the next token, (1, vocabulary), and the states after it.
        """
        states, rest = self.start(1), list(tokens)
        logits = np.empty(0)
        if self._prefill is not None:
            (value,) = self._prefill.contract.inputs
            first, rest = rest[: value.shape[0]], rest[value.shape[0] :]
            padded = np.full((1, *value.shape), PADDING, np.int32)
            padded[0, : len(first)] = first
            given = self._prefill({value.name: padded})
            logits, states = given[LOGITS], states | {name: given[name] for name in states if name in given}
        for token in rest:
            logits, states = self.step(states, np.array([token]))
        return logits, states

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
        states = self.start(len(tokens), inputs)
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


def tokens_to_read(inputs: Arrays) -> np.ndarray:
    """Return the tokens that the decoder reads, (n, length): the text itself, or the start and then the target."""
    if "target" not in inputs:
        return inputs["text"]
    target = inputs["target"]
    return np.concatenate([np.full((len(target), 1), START, target.dtype), target[:, :-1]], axis=1)


def log_probabilities(logits: np.ndarray) -> np.ndarray:
    """Return the logarithms of the probabilities, float64 (..., vocabulary)."""
    logits = logits.astype(np.float64)
    logits = logits - logits.max(axis=-1, keepdims=True)
    return logits - np.log(np.exp(logits).sum(axis=-1, keepdims=True))


def choose(logits: np.ndarray, options: SamplingOptions, random: np.random.Generator) -> int:
    """Choose the next token from its logits (vocabulary,); padding, unknown and start are never chosen."""
    logits = _allowed(logits[None])[0]
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

    When `length` tokens have been read, the last half of them is read again, as a new beginning.

    Args:
        decoder: The network.
        prompt: Ids of the text, (n,), n at least 1.
        options: How to choose the tokens.
        length: Number of tokens that the network can read.

    Returns:
        The ids of the continuation, int32 (max_tokens,), with padding after an end.
    """
    random = np.random.default_rng(options.seed)
    text = prompt.tolist()[-length:]
    written = np.full(options.max_tokens, PADDING, np.int32)
    logits, states = decoder.read(text)
    read = len(text)
    for place in range(options.max_tokens):
        chosen = choose(logits[0], options, random)
        if chosen == END:
            break
        written[place] = chosen
        text.append(chosen)
        if read == length:
            text = text[-(length // 2 or 1) :]
            logits, states = decoder.read(text)
            read = len(text)
        else:
            logits, states = decoder.step(states, np.array([chosen]))
            read += 1
    return written


def greedy(decoder: Decoder, inputs: Arrays, count: int, *, max_tokens: int) -> np.ndarray:
    """Write the most probable token at each step.

    Args:
        decoder: The network.
        inputs: The inputs of its encoder, each (count, ...).
        count: Number of texts.
        max_tokens: Number of steps.

    Returns:
        Ids, int32 (count, max_tokens), with the end and padding after it.
    """
    written = np.full((count, max_tokens), PADDING, np.int32)
    states, tokens = decoder.start(count, inputs), np.full(count, START, np.int32)
    is_done = np.zeros(count, bool)
    for place in range(max_tokens):
        logits, states = decoder.step(states, tokens)
        tokens = _allowed(logits).argmax(axis=1).astype(np.int32)
        written[:, place] = np.where(is_done, PADDING, tokens)
        is_done |= tokens == END
        if is_done.all():
            break
    return written


def beam_search(decoder: Decoder, inputs: Arrays, *, beam: int, max_tokens: int) -> np.ndarray:
    """Write one text by beam search: keep the `beam` most probable beginnings at each step.

    Texts with an end, and those of `max_tokens` without one, are compared by the mean of their log-probabilities (Wu et
    al.: "Google's Neural Machine Translation System", 2016, https://arxiv.org/abs/1609.08144, section 7, with a length
    penalty of 1).

    Args:
        decoder: The network.
        inputs: The inputs of its encoder, each (1, ...).
        beam: Number of beginnings.
        max_tokens: Number of steps.

    Returns:
        Ids, int32 (max_tokens,), with the end and padding after it.
    """
    states = decoder.start(1, inputs)
    texts, scores = np.full((1, 1), START, np.int32), np.zeros(1)
    best, best_score = texts[0, 1:], -np.inf
    for place in range(max_tokens):
        logits, states = decoder.step(states, texts[:, -1])
        totals = scores[:, None] + log_probabilities(_allowed(logits))  # (beginnings, vocabulary)
        order = np.argsort(-totals, axis=None, kind="stable")[: 2 * beam]
        rows, tokens = np.unravel_index(order, totals.shape)
        is_end = tokens == END
        for row, total in zip(rows[is_end], totals.flat[order[is_end]], strict=True):
            if total / (place + 1) > best_score:
                best, best_score = np.append(texts[row, 1:], np.int32(END)), total / (place + 1)
        kept = np.flatnonzero(~is_end)[:beam]
        rows, scores = rows[kept], totals.flat[order[kept]]
        if scores[0] / max_tokens < best_score:  # no longer text can be better
            break
        texts = np.concatenate([texts[rows], tokens[kept, None].astype(np.int32)], axis=1)
        states = {name: array[rows] for name, array in states.items()}
    if scores[0] / max_tokens > best_score:
        best = texts[0, 1:]
    written = np.full(max_tokens, PADDING, np.int32)
    written[: len(best)] = best
    return written


def _allowed(logits: np.ndarray) -> np.ndarray:
    """Return logits (n, vocabulary) with which padding, unknown and start are never chosen."""
    logits = logits.astype(np.float64)
    logits[:, [PADDING, UNKNOWN, START]] = -np.inf
    return logits
