"""Transformer, the encoder and decoder that translate a text.

Vaswani et al.: "Attention Is All You Need", NeurIPS 2017, https://arxiv.org/abs/1706.03762, section 3.

The encoder reads the source: each of its tokens sees all others. The decoder writes the target: each token sees those
before it, and the whole source through attention to the encoder's output (cross-attention). In training, the decoder
gets the true target, which begins with the start token, and predicts at each position the token after it. To translate,
it predicts a token, adds it to the target, and goes on until the end token.

Source and target share one vocabulary, and one matrix embeds the source, embeds the target and gives the logits
(section 3.4). The paper normalizes after each shortcut. Here layer normalization comes before each part, and once
at the end of encoder and decoder (Xiong et al.: "On Layer Normalization in the Transformer Architecture", ICML 2020,
https://arxiv.org/abs/2002.04745): such a network also learns without a careful warm-up.

The defaults are the paper's base network. With its 37,000 tokens it has 63,084,544 parameters: 18,944,000 of the
embedding, 18,915,328 of the encoder and 25,225,216 of the decoder (the paper rounds to 65 million).
"""

from typing import Any

import keras

from dltemplates.layers.attention import MaskedAttention
from dltemplates.layers.tokens import PaddingMask, SinusoidalPositions
from dltemplates.models.attention.encoder import check_heads, drop, feed_forward, layer_norm, with_shortcuts
from dltemplates.models.attention.text import encoder_stack, scaled_embedding, tied_logits
from dltemplates.models.ranges import Count, Share, VocabularySize, checked


@checked
def transformer(
    vocabulary_size: VocabularySize,
    *,
    units: Count = 512,
    depth: Count = 6,
    num_heads: Count = 8,
    hidden: Count = 2048,
    dropout_rate: Share = 0.1,
    name: str = "transformer",
) -> keras.Model:
    """Build a Transformer of encoder and decoder, with layer normalization in front of each part (not the paper's).

    Args:
        vocabulary_size: Number of token ids of source and target, with the four special ones.
        units: Width of a token; even, and a multiple of `num_heads`.
        depth: Number of blocks of the encoder, and of the decoder.
        num_heads: Number of attention heads in a block, each with `units / num_heads` units.
        hidden: Width between the two dense layers of a block.
        dropout_rate: Share of the activations and attention weights dropped in training, in [0, 1).
        name: Name of the model.

    Returns:
        A functional model with the submodels `encoder` and `decoder`: token ids `source` `(batch, source length)` and
        `target` `(batch, length)`, int32, by name, 0 for padding at the end, to `(batch, length, vocabulary_size)`
        float32 logits of the token after each of the target.

    Raises:
        ValueError: If a size is not positive, `units` is odd or not a multiple of `num_heads`, or `dropout_rate` is out
            of range.
    """
    check_heads(units, num_heads)
    sizes: dict[str, Any] = {"depth": depth, "num_heads": num_heads, "hidden": hidden, "dropout_rate": dropout_rate}
    embed, embedding = scaled_embedding(vocabulary_size, units)
    source = keras.Input((None,), dtype="int32", name="source")
    target = keras.Input((None,), dtype="int32", name="target")
    mask = PaddingMask()(source)
    memory = encoder_of(units, **sizes)([embed(source), mask])  # (batch, source length, units)
    x = decoder_of(units, **sizes)([embed(target), memory, mask])  # (batch, length, units)
    return keras.Model({"source": source, "target": target}, tied_logits(x, embedding), name=name)


def encoder_of(units: int, **sizes: Any) -> keras.Model:
    """Build the encoder: vectors (batch, source length, units) and the mask of the padding to the memory, alike."""
    tokens = keras.Input((None, units), name="tokens")
    mask = keras.Input((None,), dtype="bool", name="mask")
    return keras.Model([tokens, mask], encoder_stack(tokens, mask, **sizes), name="encoder")


def decoder_of(units: int, *, depth: int, num_heads: int, hidden: int, dropout_rate: float) -> keras.Model:
    """Build the decoder: vectors of the target (batch, length, units), memory and its mask to vectors like the first.

    Padding at the end of the target needs no mask, since no token sees those after it.
    """
    tokens = keras.Input((None, units), name="tokens")
    memory = keras.Input((None, units), name="memory")
    mask = keras.Input((None,), dtype="bool", name="mask")
    x = drop(SinusoidalPositions()(tokens), dropout_rate)
    for _ in range(depth):
        sublayers = (
            lambda y: MaskedAttention(num_heads, causal=True, dropout_rate=dropout_rate)(y),
            lambda y: MaskedAttention(num_heads, dropout_rate=dropout_rate)(y, memory, key_mask=mask),
            lambda y: feed_forward(y, hidden, activation="relu", dropout_rate=dropout_rate),
        )
        x = with_shortcuts(x, sublayers, dropout_rate=dropout_rate)
    return keras.Model([tokens, memory, mask], layer_norm(x), name="decoder")
