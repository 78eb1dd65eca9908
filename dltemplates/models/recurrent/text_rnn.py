"""Recurrent networks that read a text token by token.

Dai, Le: "Semi-supervised Sequence Learning", NeurIPS 2015, https://arxiv.org/abs/1511.01432, section 2; the GRU: Cho et
al.: "Learning Phrase Representations using RNN Encoder-Decoder for Statistical Machine Translation", EMNLP 2014,
https://arxiv.org/abs/1406.1078.

Each token is a learned vector. A recurrent layer reads the vectors in their order, and its state after the last token
describes the text (`dlt show lstm` and `dlt show gru` explain their gates). Unlike `textcnn`, it knows the order of
phrases far apart. The state skips padding.

With v token ids, vectors of m numbers, n units and c classes, `text_lstm` has v m + 4n(m + n + 1) + (n + 1) c
parameters, and `text_gru` has v m + 3n(m + n + 2) + (n + 1) c.
"""

from collections.abc import Callable

import keras
from keras import layers

from dltemplates.models.ranges import Count, Counts, NumOutputs, Share, VocabularySize, checked
from dltemplates.models.recurrent.stack import recurrent_logits


@checked
def text_lstm(
    vocabulary_size: VocabularySize,
    num_outputs: NumOutputs,
    *,
    embedding_dim: Count = 64,
    units: Counts = (64,),
    dropout_rate: Share = 0.2,
    name: str = "text_lstm",
) -> keras.Model:
    """Build LSTM layers over the vectors of the tokens, and a dense layer on the last output.

    Args:
        vocabulary_size: Number of token ids, with the four special ones.
        num_outputs: Number of classes, or of values to predict.
        embedding_dim: Width of a token's vector.
        units: Number of cells in each layer; `[64, 64]` is two layers.
        dropout_rate: Share of activations dropped after each layer, in [0, 1).
        name: Name of the model.

    Returns:
        A functional model: token ids `(batch, length)` int32, 0 for padding at the end, to `(batch, num_outputs)`
        float32 logits.

    Raises:
        ValueError: If a size is not positive, `units` is empty, or `dropout_rate` is out of range.
    """
    return _text_network(name, vocabulary_size, embedding_dim, num_outputs, layers.LSTM, units, dropout_rate)


@checked
def text_gru(
    vocabulary_size: VocabularySize,
    num_outputs: NumOutputs,
    *,
    embedding_dim: Count = 64,
    units: Counts = (64,),
    dropout_rate: Share = 0.2,
    name: str = "text_gru",
) -> keras.Model:
    """Build GRU layers over the vectors of the tokens, and a dense layer on the last output.

    Args:
        vocabulary_size: Number of token ids, with the four special ones.
        num_outputs: Number of classes, or of values to predict.
        embedding_dim: Width of a token's vector.
        units: Number of units in each layer; `[64, 64]` is two layers.
        dropout_rate: Share of activations dropped after each layer, in [0, 1).
        name: Name of the model.

    Returns:
        A functional model: token ids `(batch, length)` int32, 0 for padding at the end, to `(batch, num_outputs)`
        float32 logits.

    Raises:
        ValueError: If a size is not positive, `units` is empty, or `dropout_rate` is out of range.
    """
    return _text_network(name, vocabulary_size, embedding_dim, num_outputs, layers.GRU, units, dropout_rate)


def _text_network(
    name: str,
    vocabulary_size: int,
    embedding_dim: int,
    num_outputs: int,
    layer: Callable[..., keras.Layer],
    units: Counts,
    dropout_rate: float,
) -> keras.Model:
    ids = keras.Input((None,), dtype="int32", name="tokens")
    x = layers.Embedding(vocabulary_size, embedding_dim, mask_zero=True)(ids)  # (batch, length, embedding_dim)
    return keras.Model(ids, recurrent_logits(x, num_outputs, layer, units=units, dropout_rate=dropout_rate), name=name)
