"""Transformer encoder, a classifier of texts.

Vaswani et al.: "Attention Is All You Need", NeurIPS 2017, https://arxiv.org/abs/1706.03762, sections 3.1 to 3.5.

The network reads all tokens of a text at once. Attention lets each token take information from all others, near or far,
in one step. It does not know the order of the tokens, so each gets a vector of sines and cosines of its position. After
the last block, the average of the tokens describes the text. Padding is never seen: it changes no output.

The blocks are the paper's, with layer normalization in front of each part instead of after it (Xiong et al.: "On Layer
Normalization in the Transformer Architecture", ICML 2020). With 20,000 tokens and 2 outputs, the defaults have
2,957,058 parameters, of which 2,560,000 are the vectors of the tokens.
"""

import keras
from keras import layers

from dltemplates.layers.tokens import PaddingMask, TokenMean
from dltemplates.models.attention.encoder import check_heads
from dltemplates.models.attention.text import encoder_stack, scaled_embedding
from dltemplates.models.ranges import Count, NumOutputs, Share, VocabularySize, checked


@checked
def transformer_encoder(
    vocabulary_size: VocabularySize,
    num_outputs: NumOutputs,
    *,
    units: Count = 128,
    depth: Count = 2,
    num_heads: Count = 4,
    dropout_rate: Share = 0.1,
    name: str = "transformer_encoder",
) -> keras.Model:
    """Build a Transformer encoder with a dense layer on the average of the tokens.

    Args:
        vocabulary_size: Number of token ids, with the four special ones.
        num_outputs: Number of classes, or of values to predict.
        units: Width of a token; even, and a multiple of `num_heads`. The dense layers of a block are 4 times as wide.
        depth: Number of blocks.
        num_heads: Number of attention heads in a block, each with `units / num_heads` units.
        dropout_rate: Share of the activations and attention weights dropped in training, in [0, 1).
        name: Name of the model.

    Returns:
        A functional model: token ids `(batch, length)` int32 of any length, 0 for padding at the end, to
        `(batch, num_outputs)` float32 logits.

    Raises:
        ValueError: If a size is not positive, `units` is odd or not a multiple of `num_heads`, or `dropout_rate` is out
            of range.
    """
    check_heads(units, num_heads)
    embed, _ = scaled_embedding(vocabulary_size, units)
    tokens = keras.Input((None,), dtype="int32", name="tokens")
    mask = PaddingMask()(tokens)
    x = encoder_stack(
        embed(tokens), mask, depth=depth, num_heads=num_heads, hidden=4 * units, dropout_rate=dropout_rate
    )
    x = TokenMean()(x, mask)  # (batch, units)
    logits = layers.Dense(num_outputs, dtype="float32", name="logits")(x)
    return keras.Model(tokens, logits, name=name)
