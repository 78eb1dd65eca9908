"""The two parts of a served `seq2seq`: one reads the source, the other writes one token at a time."""

from __future__ import annotations

from typing import Any

import keras
from keras import layers

from dltemplates.compat import run_through_graph

STATE = "state"


def seq2seq_parts(network: keras.Model) -> dict[str, keras.Model]:
    """Split a network into a part that runs once and a part that runs once per token, with the same weights.

    Args:
        network: A network from `source` and `target` to logits, with a submodel `decoder` as that of `seq2seq`.

    Returns:
        `encoder`, from `source` (batch, source length) to the decoder's inputs `memory`, `keys`, `mask` and `state`;
        and `decode`, from these and `token` (batch, 1) to `logits` (batch, vocabulary_size) and `state_next`.

    Raises:
        ValueError: If the network has no such submodel, or it has another recurrent layer.
    """
    decoder, given = _decoder_and_inputs(network)
    source, token = _inputs(network)["source"], keras.Input((1,), dtype="int32", name="token")
    encoder = keras.Model(source, {name: tensor for name, tensor in given.items() if name != "tokens"}, name="encoder")
    inputs = {name: keras.Input(tensor.shape[1:], name=name) for name, tensor in encoder.output.items()}
    after: dict[str, Any] = {}

    def step(operation: Any, *args: Any, **kwargs: Any) -> Any:
        if not isinstance(operation, layers.RNN):
            return operation(*args, **kwargs)
        output, after[f"{STATE}_next"], *_ = AttentionStep(operation)(args[0], *kwargs["initial_state"])
        return output

    def call(operation: Any, *args: Any, **kwargs: Any) -> Any:
        if operation is not decoder:
            return operation(*args, **kwargs)
        (vectors,) = (vector for name, vector in args[0].items() if name == "tokens")
        return run_through_graph(
            decoder, [{"tokens": vectors, **inputs}[tensor.name] for tensor in decoder.inputs], step
        )

    tensors = [token if tensor.name == "target" else tensor for tensor in network.inputs]
    logits = run_through_graph(network, tensors, call)[:, 0]
    decode = keras.Model({"token": token, **inputs}, {"logits": logits, **after}, name="decode")
    return {"encoder": encoder, "decode": decode}
