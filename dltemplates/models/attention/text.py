"""Blocks of Transformers that read and write text.

Vaswani et al.: "Attention Is All You Need", NeurIPS 2017, https://arxiv.org/abs/1706.03762, sections 3.1 to 3.5. Layer
normalization comes before attention and dense layers, and once at the end, instead of after each shortcut: such
networks also learn without a warm-up (Xiong et al.: "On Layer Normalization in the Transformer Architecture", ICML
2020, https://arxiv.org/abs/2002.04745).
"""

import math

import keras
from keras import layers

from dltemplates.layers.attention import MaskedAttention
from dltemplates.layers.tokens import SinusoidalPositions
from dltemplates.models.attention.encoder import drop, feed_forward, layer_norm, with_shortcuts


def token_embedding(vocabulary_size: int, units: int, stddev: float) -> layers.ReversibleEmbedding:
    """Return a layer from ids to vectors, whose reverse gives float32 logits with the same weights.

    Args:
        vocabulary_size: Number of ids.
        units: Width of a vector.
        stddev: Standard deviation of the initial numbers.
    """
    initializer = keras.initializers.RandomNormal(stddev=stddev)
    return layers.ReversibleEmbedding(
        vocabulary_size, units, embeddings_initializer=initializer, reverse_dtype="float32", name="embedding"
    )


def scaled_embedding(vocabulary_size: int, units: int):
    """Return a function from ids to vectors, and its embedding layer, as in section 3.4: the vectors have variance 1.

    The weights have variance 1 / units, so that the same weights also give logits of variance 1.
    """
    embedding = token_embedding(vocabulary_size, units, stddev=units**-0.5)
    return lambda ids: layers.Rescaling(math.sqrt(units))(embedding(ids)), embedding


def tied_logits(x, embedding: layers.ReversibleEmbedding):
    """Return the logits of each token, `(batch, length, vocabulary_size)` float32, by the weights of the embedding."""
    return layers.Activation("linear", dtype="float32", name="logits")(embedding(x, reverse=True))


def encoder_stack(x, mask, *, depth: int, num_heads: int, hidden: int, dropout_rate: float):
    """Add positions to tokens, and let all see each other in several blocks.

    Args:
        x: Tokens (batch, length, units).
        mask: Booleans (batch, length), false for padding.
        depth: Number of blocks.
        num_heads: Number of heads.
        hidden: Width between the dense layers of a block.
        dropout_rate: Share of the activations dropped, and of the attention weights.
    """
    x = drop(SinusoidalPositions()(x), dropout_rate)
    for _ in range(depth):
        sublayers = (
            lambda y: MaskedAttention(num_heads, dropout_rate=dropout_rate)(y, key_mask=mask),
            lambda y: feed_forward(y, hidden, activation="relu", dropout_rate=dropout_rate),
        )
        x = with_shortcuts(x, sublayers, dropout_rate=dropout_rate)
    return layer_norm(x)
