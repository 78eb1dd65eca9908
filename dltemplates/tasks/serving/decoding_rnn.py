"""The two parts of a served `seq2seq`: one reads the source, the other writes one token per call."""

from __future__ import annotations

from typing import Any

import keras

from dltemplates.compat import flatten_layers
from dltemplates.layers import AttentionGRUCell
from dltemplates.tasks.serving.streaming import CellStep, is_network, run_network


def has_attention_gru(network: keras.Model) -> bool:
    """Return whether `seq2seq_parts` is for a network."""
    return any(map(_is_attention, flatten_layers(network)))


def seq2seq_parts(network: keras.Model, source_length: int | None = None) -> dict[str, keras.Model]:
    """Split a network into a part that runs once and a part that runs once per token, with the same weights.

    Args:
        network: A network from token ids `source` and `target` to logits, with a submodel that reads the target by an
            `AttentionGRUCell`, such as `seq2seq`. The inputs of the submodel are by name: `tokens`, the vectors of the
            target, and what the encoder computes.
        source_length: Length of all sources, padded at their end with the id 0; None for any.

    Returns:
        `encoder`, from `source` (batch, source length) to the first `state` and the constants of the decoder, `memory`,
        `keys` and `mask`; and `decode`, from these and `token` (batch, 1) to `logits` (batch, vocabulary_size) and
        `state_next`.

    Raises:
        ValueError: If the network has no such submodel.
    """
    source = keras.Input((source_length,), dtype="int32", name="source")
    token = keras.Input((1,), dtype="int32", name="token")
    from_source: dict[str, Any] = {}
    inputs: dict[str, Any] = {}
    outputs: dict[str, Any] = {}

    def call(operation: Any, *args: Any, **kwargs: Any) -> Any:
        if _is_attention(operation):
            output, outputs["state_next"], *_ = CellStep(operation)(args[0], *kwargs["initial_state"])
            return output
        if not is_network(operation) or not any(map(_is_attention, flatten_layers(operation))):
            return operation(*args, **kwargs)
        given = keras.tree.flatten(args)
        if any(map(_is_attention, operation.layers)):
            names = [tensor.name for tensor in operation.inputs]
            from_source.update(zip(names, given, strict=True))
            tokens = from_source.pop("tokens", None)
            if tokens is None:
                raise _refused(network)
            inputs.update({name: keras.Input(tensor.shape[1:], name=name) for name, tensor in from_source.items()})
            given = [inputs.get(name, tokens) for name in names]
        return run_network(operation, given, call)

    ids = {"source": source, "target": token}
    logits = run_network(network, [ids[tensor.name] for tensor in network.inputs], call)
    if not inputs:
        raise _refused(network)
    outputs["logits"] = logits[:, 0]
    return {
        "encoder": keras.Model(source, from_source, name="encoder"),
        "decode": keras.Model({"token": token, **inputs}, outputs, name="decode"),
    }


def _refused(network: keras.Model) -> ValueError:
    return ValueError(
        "A network that writes text token by token must have a submodel with an `AttentionGRUCell` and an input "
        f"`tokens`. Received: {network.name}, without it. Build it as `seq2seq` is."
    )


def _is_attention(operation: Any) -> bool:
    return isinstance(operation, keras.layers.RNN) and isinstance(operation.cell, AttentionGRUCell)
