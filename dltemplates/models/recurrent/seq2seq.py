"""Sequence to sequence with attention, which translates a text.

Bahdanau, Cho, Bengio: "Neural Machine Translation by Jointly Learning to Align and Translate", ICLR 2015,
https://arxiv.org/abs/1409.0473, section 3 and appendix A.

The encoder is a GRU in both directions (`dlt show gru` explains its gates). Its outputs side by side are the memory:
a row for each token of the source, which knows the text before and after it. The decoder is a GRU that writes the
target. Before each token it weighs the rows of the memory by its state and sums them up, so that it looks at the words
that it is about to translate. Without attention, one vector would have to hold the whole source.

The decoder starts from the backward state at the first token, through a dense layer with tanh. In training, it gets the
true target, which begins with the start token, and predicts at each position the token after it. A maxout layer joins
its state, its context and the last token, and a dense layer gives the logits.

The paper has 1,000 units and vectors of 620 numbers for each language. Here both are smaller, source and target share
one vocabulary and its vectors, and there is dropout. With v token ids, vectors of e numbers and n units there are
v e + 6n(e + n + 2) + n(n + 1) + 2n^2 in the embedding and the encoder, 3n(e + 3n + 2) + n^2 + n + 2e(3n + e + 1) in the
decoder, and v(e + 1) for the logits: 17,756,980 parameters with the paper's 30,000 words.
"""

from typing import Any

import keras
from keras import layers, ops

from dltemplates.layers.attention_gru import AttentionGRUCell
from dltemplates.models.ranges import Count, Share, VocabularySize, checked


@checked
def seq2seq(
    vocabulary_size: VocabularySize,
    *,
    embedding_dim: Count = 256,
    units: Count = 256,
    dropout_rate: Share = 0.2,
    name: str = "seq2seq",
) -> keras.Model:
    """Build an encoder of two GRUs, and a decoder of one with attention.

    Args:
        vocabulary_size: Number of token ids of source and target, with the four special ones.
        embedding_dim: Width of a token's vector.
        units: Number of units of each GRU, and of the attention.
        dropout_rate: Share of the vectors, and of the maxout layer's outputs, dropped in training, in [0, 1).
        name: Name of the model.

    Returns:
        A functional model with the submodels `encoder` and `decoder`: token ids `source` `(batch, source length)` and
        `target` `(batch, length)`, int32, by name, 0 for padding at the end, to `(batch, length, vocabulary_size)`
        float32 logits of the token after each of the target.

    Raises:
        ValueError: If a size is not positive, or `dropout_rate` is out of range.
    """
    source = keras.Input((None,), dtype="int32", name="source")
    target = keras.Input((None,), dtype="int32", name="target")
    embedding = layers.Embedding(vocabulary_size, embedding_dim, name="embedding")
    is_token = ops.not_equal(source, 0)
    memory = encoder_of(embedding_dim, units, dropout_rate)([embedding(source), is_token])
    decoder = decoder_of(embedding_dim, units, dropout_rate)
    x = decoder({"tokens": embedding(target), **memory, "mask": ops.cast(is_token, "float32")})
    logits = layers.Dense(vocabulary_size, dtype="float32", name="logits")(x)
    return keras.Model({"source": source, "target": target}, logits, name=name)


def encoder_of(embedding_dim: int, units: int, dropout_rate: float) -> keras.Model:
    """Build the encoder.

    Returns:
        A model from vectors (batch, length, embedding_dim) and booleans (batch, length), false for padding, to a dict:
        `memory` (batch, length, 2 * units), its `keys` (batch, length, units), and the decoder's first `state` (batch,
        units).
    """
    tokens = keras.Input((None, embedding_dim), name="tokens")
    is_token = keras.Input((None,), dtype="bool", name="is_token")
    x = layers.Dropout(dropout_rate)(tokens)
    memory = layers.Bidirectional(layers.GRU(units, return_sequences=True), name="memory")(x, mask=is_token)
    keys = layers.Dense(units, use_bias=False, name="keys")(memory)
    state = layers.Dense(units, activation="tanh", name="state")(memory[:, 0, units:])
    outputs: dict[str, Any] = {"memory": memory, "keys": keys, "state": state}
    return keras.Model([tokens, is_token], outputs, name="encoder")


def decoder_of(embedding_dim: int, units: int, dropout_rate: float) -> keras.Model:
    """Build the decoder.

    Padding at the end of the target needs no mask, since no token sees those after it.

    Returns:
        A model from a dict, with the vectors of the target `tokens` (batch, length, embedding_dim), the outputs of the
        encoder, and the `mask` of the memory (batch, source length), 0 for padding, to the outputs of the maxout layer
        (batch, length, embedding_dim).
    """
    shapes = {
        "tokens": (None, embedding_dim),
        "memory": (None, 2 * units),
        "keys": (None, units),
        "mask": (None,),
        "state": (units,),
    }
    inputs = {name: keras.Input(shape, name=name) for name, shape in shapes.items()}
    tokens = layers.Dropout(dropout_rate)(inputs["tokens"])
    cell = AttentionGRUCell(units, 2 * units)
    states = [inputs[name] for name in ("state", "memory", "keys", "mask")]
    x = layers.RNN(cell, return_sequences=True, name="attention_gru")(tokens, initial_state=states)
    x = layers.Concatenate()([x, tokens])  # (batch, length, 3 * units + embedding_dim)
    halves = layers.Dense(2 * embedding_dim, name="maxout")(x)
    x = layers.Maximum()([halves[..., :embedding_dim], halves[..., embedding_dim:]])
    return keras.Model(inputs, layers.Dropout(dropout_rate)(x), name="decoder")
