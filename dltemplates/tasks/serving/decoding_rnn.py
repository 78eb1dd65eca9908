"""The two parts of a served `seq2seq`: one reads the source, the other writes one token per call."""

from __future__ import annotations

from typing import Any

import keras

from dltemplates.compat import graph_nodes, run_through_graph
from dltemplates.layers import AttentionGRUCell
from dltemplates.tasks.serving.streaming import CellStep


def seq2seq_parts(network: keras.Model) -> dict[str, keras.Model]:
    """Split a network into a part that runs once and a part that runs once per token, with the same weights.

    Args:
        network: A network from token ids `source` and `target` to logits, whose submodel `decoder` reads the target
            with an `AttentionGRUCell`, such as `seq2seq`.

    Returns:
        `encoder`, from `source` (batch, source length) to the first `state` and the constants of the decoder, `memory`,
        `keys` and `mask`; and `decode`, from these and `token` (batch, 1) to `logits` (batch, vocabulary_size) and
        `state_next`.

    Raises:
        ValueError: If the network has no such submodel.
    """
    nodes = {operation.name: (operation, tensors) for operation, tensors, _ in graph_nodes(network)}
    decoder, given = nodes.get("decoder", (None, []))
    if not any(map(_is_attention, getattr(decoder, "layers", ()))):
        raise ValueError(
            "A network that writes text token by token must have a submodel `decoder` with an `AttentionGRUCell`. "
            f"Received: {network.name}, with {', '.join(nodes)}. Build it as `seq2seq` is."
        )
    ids = {tensor.name: tensor for tensor in network.inputs}
    from_source = {inner.name: outer for inner, outer in zip(decoder.inputs, given, strict=True)}
    del from_source["tokens"]
    encoder = keras.Model(ids["source"], from_source, name="encoder")

    token = keras.Input((1,), dtype="int32", name="token")
    inputs = {name: keras.Input(tensor.shape[1:], name=name) for name, tensor in from_source.items()}
    outputs: dict[str, Any] = {}

    def call(operation: Any, *args: Any, **kwargs: Any) -> Any:
        if operation is decoder:
            tensors = inputs | {"tokens": args[0]["tokens"]}
            return run_through_graph(decoder, [tensors[tensor.name] for tensor in decoder.inputs], call)
        if not _is_attention(operation):
            return operation(*args, **kwargs)
        output, outputs["state_next"], *_ = CellStep(operation)(args[0], *kwargs["initial_state"])
        return output

    ids["target"] = token
    outputs["logits"] = run_through_graph(network, [ids[tensor.name] for tensor in network.inputs], call)[:, 0]
    return {"encoder": encoder, "decode": keras.Model({"token": token, **inputs}, outputs, name="decode")}


def _is_attention(operation: Any) -> bool:
    return isinstance(operation, keras.layers.RNN) and isinstance(operation.cell, AttentionGRUCell)
