"""Decoding forms of networks that write text: one part that runs once, and one that runs once per token.

Both are derived from the layers of the trained network. Causal attention keeps the keys and values of earlier tokens (a
cache of a static length). Attention to the source computes the keys and values once, in the first part. Layers that see
each token by itself stay as they are.

The parts fit together by names. `decode` reads `token` (batch, 1), the states and the constants; it gives `logits`
(batch, vocabulary_size) and each state after the token as `<name>_next`. An output of the first part that has the name
of an input of `decode` is passed on: the first value of a state, or a constant. The state `position` (batch, 1) counts
the tokens; at the length of the cache, decoding must end.
"""

from __future__ import annotations

from collections.abc import Callable, Container
from typing import Any

import keras
from keras import layers, ops

from dltemplates.layers import (
    LastStep,
    MaskedAttention,
    PaddingMask,
    PositionEmbedding,
    SinusoidalPositions,
)
from dltemplates.layers.attention import causal_mask
from dltemplates.tasks.serving.streaming import ROW_BY_ROW, Refused, is_network, keeps_rows_apart, run_network

TOKEN, POSITION, LOGITS, SOURCE_MASK = "token", "position", "logits", "source_mask"
TOKEN_BY_TOKEN = ROW_BY_ROW | {"Embedding", "ReversibleEmbedding"}
POSITIONS = (PositionEmbedding, SinusoidalPositions)


def decoder_only(network: keras.Model, length: int, prompt_length: int) -> dict[str, keras.Model]:
    """Return the parts of a network that continues a text.

    Args:
        network: A network from token ids (batch, length) to the logits of the token after each.
        length: Length of the longest text, prompt and answer.
        prompt_length: Length of the longest prompt. A shorter one is padded at its end with the id 0.

    Returns:
        `prefill`: from a prompt (batch, prompt_length) to the `logits` (batch, vocabulary_size) of the token after it,
        and the first states. `decode`: see the module.

    Raises:
        ValueError: If `prompt_length` is greater than `length`, or a layer has no decoding form.
    """
    if not 0 < prompt_length <= length:
        raise ValueError(
            f"A prompt must have 1 to `length` tokens. Received: prompt_length={prompt_length}, length={length}. "
            f"Try {length}."
        )
    (inputs,) = network.inputs
    prompt = keras.Input((prompt_length,), name=inputs.name, dtype="int32")
    steps, prefill = _Steps(length), _Prefill(length)
    decode = steps.model(run_network(network, [steps.token], steps.call))
    (logits,) = keras.tree.flatten(run_network(network, [prompt], prefill.call))
    is_token = PaddingMask(name="prompt_mask")(prompt)
    first = {
        **prefill.states,
        LOGITS: LastStep(dtype="float32", name="last_logits")(logits, mask=is_token),
        POSITION: _apply("prompt_length", lambda mask: ops.sum(ops.cast(mask, "int32"), 1, keepdims=True), is_token),
    }
    return {"prefill": keras.Model(prompt, first, name="prefill"), "decode": decode}


def encoder_decoder(network: keras.Model, length: int, source_length: int | None = None) -> dict[str, keras.Model]:
    """Return the parts of a network that writes a text after reading another.

    Args:
        network: A network from token ids `source` (batch, source length) and `target` (batch, length), by name, to the
            logits of the token after each of the target.
        length: Length of the longest target, with the start token.
        source_length: Length of all sources, padded at their end with the id 0; None for any.

    Returns:
        `encoder`: from `source` to what attention to it needs, the keys and values, and the mask of the padding.
        `decode`: see the module.

    Raises:
        ValueError: If the inputs have other names, or a layer has no decoding form.
    """
    names = [tensor.name for tensor in network.inputs]
    if sorted(names) != ["source", "target"]:
        raise ValueError(
            f"A network that writes a text after another has the inputs `source` and `target`. Received: "
            f"{', '.join(names)}. Name them so."
        )
    source = keras.Input((source_length,), name="source", dtype="int32")
    steps = _Steps(length)
    given = {"source": source, "target": steps.token}
    decode = steps.model(run_network(network, [given[name] for name in names], steps.call))
    return {"encoder": keras.Model(source, steps.constants(), name="encoder"), "decode": decode}


class PromptAttention(layers.Layer):
    """Causal attention between the tokens of a prompt, and its keys and values as the first state of the cache."""

    def __init__(self, layer: MaskedAttention, length: int):
        super().__init__()
        self.layer, self.length = layer, length

    def call(self, prompt):
        tokens = prompt.shape[1]
        keys, values = self.layer.keys_and_values(prompt)
        output = self.layer.attend(prompt, keys, values, causal_mask(tokens, tokens))
        unused = ((0, 0), (0, 0), (0, self.length - tokens), (0, 0))
        return output, ops.pad(keys, unused), ops.pad(values, unused)


class AttentionStep(layers.Layer):
    """Causal attention of one token (batch, 1, units), given the position and the cache, and the new cache."""

    def __init__(self, layer: MaskedAttention, length: int):
        super().__init__()
        self.layer, self.length = layer, length

    def call(self, token, index, *cache):
        positions = ops.expand_dims(ops.arange(self.length), 0)
        is_here = ops.expand_dims(ops.equal(positions, index), (1, 3))  # (batch, 1, length, 1)
        keys, values = (
            ops.where(is_here, new, kept) for new, kept in zip(self.layer.keys_and_values(token), cache, strict=True)
        )
        seen = ops.expand_dims(positions <= index, (1, 2))  # (batch, 1, 1, length)
        return self.layer.attend(token, keys, values, seen), keys, values


class SourceKeys(layers.Layer):
    """The keys and values of the source, for attention to it."""

    def __init__(self, layer: MaskedAttention):
        super().__init__()
        self.layer = layer

    def call(self, memory):
        return self.layer.keys_and_values(memory)


class SourceStep(layers.Layer):
    """Attention of one token (batch, 1, units) to the source, given keys, values and the mask (1 for tokens, or 0)."""

    def __init__(self, layer: MaskedAttention):
        super().__init__()
        self.layer = layer

    def call(self, token, keys, values, mask=None):
        seen = None if mask is None else ops.expand_dims(mask > 0.5, (1, 2))
        return self.layer.attend(token, keys, values, seen)


class PositionStep(layers.Layer):
    """Add the vector of its position to one token (batch, 1, units)."""

    def __init__(self, layer: keras.Layer, length: int):
        super().__init__()
        if isinstance(layer, PositionEmbedding):
            layer.check_length(length)
        self.layer, self.length = layer, length

    def call(self, token, index):
        return token + ops.cast(ops.take(self.layer.vectors(self.length), index, axis=0), token.dtype)


class _Prefill:
    """Calls of a network's layers on a prompt.

    Attributes:
        states: The first caches, by name.
    """

    def __init__(self, length: int):
        self.length = length
        self.states: dict[str, Any] = {}

    def call(self, operation: Any, *args: Any, **kwargs: Any) -> Any:
        if is_network(operation):
            return run_network(operation, keras.tree.flatten(args), self.call)
        if isinstance(operation, MaskedAttention):
            output, *cache = PromptAttention(operation, self.length)(args[0])
            self.states |= zip(_cache_names(operation, self.states), cache, strict=True)
            return output
        return operation(*args, **kwargs)


class _Steps:
    """Calls of a network's layers on one token of the target, and on the whole source.

    Attributes:
        token: The input of the token.
    """

    def __init__(self, length: int):
        self.length = length
        self.token = keras.Input((1,), name=TOKEN, dtype="int32")
        self._index = keras.Input((1,), name=POSITION, dtype="int32")  # which an integer file does not round
        later = _apply("next_position", lambda position: position + 1, self._index)
        self._states: dict[str, tuple[Any, Any]] = {POSITION: (self._index, later)}
        self._constants: dict[str, tuple[Any, Any]] = {}  # in the first part, and in `decode`
        self._masks: dict[int, tuple[Any, Any]] = {}  # of the source, and their constants
        self._rows = {id(self.token): self.token}  # tensors of the one token

    def model(self, logits: Any) -> keras.Model:
        """Return the network of one token, with these logits (batch, 1, vocabulary_size)."""
        (logits,) = keras.tree.flatten(logits)
        if isinstance(logits, Refused):
            raise ValueError(logits.reason)
        if id(logits) not in self._rows:
            raise ValueError(
                f"A decoding form is for networks with logits of each token. Received: an output of shape "
                f"{tuple(logits.shape)} that does not depend on them."
            )
        before = {name: before for name, (before, _) in self._states.items()}
        after = {f"{name}_next": after for name, (_, after) in self._states.items()}
        constants = {name: constant for name, (_, constant) in self._constants.items()}
        logits = _apply("token_logits", lambda row: row[:, 0], logits)
        return keras.Model({TOKEN: self.token, **before, **constants}, {LOGITS: logits, **after}, name="decode")

    def constants(self) -> dict[str, Any]:
        """Return the outputs of the first part, by name."""
        return {name: given for name, (given, _) in self._constants.items()}

    def call(self, operation: Any, *args: Any, **kwargs: Any) -> Any:
        given = [each for each in keras.tree.flatten((args, kwargs)) if isinstance(each, (keras.KerasTensor, Refused))]
        if not any(id(each) in self._rows or isinstance(each, Refused) for each in given):
            return operation(*args, **kwargs)
        if is_network(operation):
            return run_network(operation, given, self.call)
        if isinstance(operation, MaskedAttention):
            return self._attention(operation, *args, **kwargs)
        refused = next((each for each in given if isinstance(each, Refused)), None)
        if refused:
            return refused
        if isinstance(operation, POSITIONS):
            return self._row(PositionStep(operation, self.length)(given[0], self._index))
        is_by_token = type(operation).__name__ in TOKEN_BY_TOKEN and keeps_rows_apart(operation)
        if is_by_token and all(id(each) in self._rows for each in given):
            return self._row(operation(*args, **kwargs))
        return _refused(operation)

    def _attention(
        self, layer: MaskedAttention, query: Any, context: Any = None, key_mask: Any = None, **_: Any
    ) -> Any:
        if isinstance(query, Refused):
            return query
        names = _cache_names(layer, self._states | self._constants)
        if context is None and layer.causal:  # needs no mask: padding at the end of the target is after all tokens
            shape = (layer.num_heads, self.length, layer.key_dim)
            cache = [keras.Input(shape, name=name) for name in names]
            output, *after = AttentionStep(layer, self.length)(query, self._index, *cache)
            self._states |= zip(names, zip(cache, after, strict=True), strict=True)
            return self._row(output)
        is_of_target = id(context) in self._rows or isinstance(context, Refused) or isinstance(key_mask, Refused)
        if context is None or layer.causal or is_of_target:
            return _refused(layer)
        constants = [self._constant(*pair) for pair in zip(names, SourceKeys(layer)(context), strict=True)]
        if key_mask is not None:
            constants.append(self._mask(key_mask))
        return self._row(SourceStep(layer)(query, *constants))

    def _row(self, tensor: Any) -> Any:
        self._rows[id(tensor)] = tensor
        return tensor

    def _constant(self, name: str, value: Any) -> Any:
        constant = keras.Input(value.shape[1:], name=name)
        self._constants[name] = (value, constant)
        return constant

    def _mask(self, mask: Any) -> Any:
        """Return the constant of a mask; one mask serves many layers."""
        if id(mask) not in self._masks:
            name = _unused(SOURCE_MASK, self._constants)
            number = _apply(f"{name}_number", lambda mask: ops.cast(mask, "float32"), mask)
            self._masks[id(mask)] = (mask, self._constant(name, number))
        return self._masks[id(mask)][1]


class _Function(layers.Layer):
    """A function as a layer, with a name of its own: the trained network may hold the names that Keras would give."""

    def __init__(self, name: str, function: Callable[[Any], Any]):
        super().__init__(name=f"decoding_{name}")
        self.function = function

    def call(self, tensor):
        return self.function(tensor)


def _apply(name: str, function: Callable[[Any], Any], tensor: Any) -> Any:
    return _Function(name, function)(tensor)


def _refused(operation: Any) -> Refused:
    return Refused(
        "A decoding form needs layers that see one token and those before it: embeddings, positions, causal "
        "MaskedAttention, MaskedAttention to the source, Dense, normalization. Received: layer "
        f"`{operation.name}` ({type(operation).__name__}). Replace it."
    )


def _cache_names(layer: MaskedAttention, taken: Container[str]) -> list[str]:
    return [_unused(f"{layer.name}_{part}", taken) for part in ("keys", "values")]


def _unused(name: str, taken: Container[str]) -> str:
    while name in taken:  # a network may call a layer twice
        name += "_"
    return name
