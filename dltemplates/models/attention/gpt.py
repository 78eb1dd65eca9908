"""GPT, a Transformer that continues a text.

Radford, Narasimhan, Salimans, Sutskever: "Improving Language Understanding by Generative Pre-Training", OpenAI 2018,
https://cdn.openai.com/research-covers/language-unsupervised/language_understanding_paper.pdf, section 3; Radford et
al.: "Language Models are Unsupervised Multitask Learners" (GPT-2), OpenAI 2019,
https://cdn.openai.com/better-language-models/language_models_are_unsupervised_multitask_learners.pdf, section 2.3.

The network predicts each token from those before it. So one text of n tokens gives n examples at once: a mask lets each
token see only itself and the past. To write, it predicts a token, adds it to the text, and goes on.

The parts are those of GPT-2: learned positions, layer normalization in front of attention and dense layers and once at
the end, GELU, and one matrix for embedding and logits. The weights start with deviation 0.02, those in front of a
shortcut with 0.02 / sqrt(2 depth), so that the sum over all shortcuts does not grow with the depth. GPT-2 approximates
the GELU by a tanh; here it is exact.

The defaults suit characters: with 65 tokens and sequences of 128, they have 818,048 parameters. GPT-2's smallest
network has 124,439,808: 768 units, 12 blocks, 12 heads, 50,257 tokens, sequences of 1,024.
"""

import math

import keras

from dltemplates.layers.attention import MaskedAttention
from dltemplates.layers.tokens import PositionEmbedding
from dltemplates.models.attention.encoder import check_heads, drop, feed_forward, layer_norm, with_shortcuts
from dltemplates.models.attention.text import tied_logits, token_embedding
from dltemplates.models.ranges import Count, SequenceLength, Share, VocabularySize, checked

STDDEV = 0.02  # of initial weights


@checked
def gpt(
    sequence_length: SequenceLength,
    vocabulary_size: VocabularySize,
    *,
    units: Count = 128,
    depth: Count = 4,
    num_heads: Count = 4,
    dropout_rate: Share = 0.0,
    name: str = "gpt",
) -> keras.Model:
    """Build a Transformer that predicts the next token at each position of a text.

    Args:
        sequence_length: Number of tokens of the longest text.
        vocabulary_size: Number of token ids, with the four special ones.
        units: Width of a token; a multiple of `num_heads`. The dense layers of a block are 4 times as wide.
        depth: Number of blocks.
        num_heads: Number of attention heads in a block, each with `units / num_heads` units.
        dropout_rate: Share of the activations and attention weights dropped in training, in [0, 1).
        name: Name of the model.

    Returns:
        A functional model: token ids `(batch, length)` int32, at most `sequence_length`, to
        `(batch, length, vocabulary_size)` float32 logits of the token after each.

    Raises:
        ValueError: If a size is not positive, `units` is not a multiple of `num_heads`, or `dropout_rate` is out of
            range.
    """
    check_heads(units, num_heads)
    normal = keras.initializers.RandomNormal(stddev=STDDEV)
    residual = keras.initializers.RandomNormal(stddev=STDDEV / math.sqrt(2 * depth))
    initializers = {"kernel_initializer": normal.clone(), "output_initializer": residual.clone()}
    embedding = token_embedding(vocabulary_size, units, stddev=STDDEV)
    tokens = keras.Input((None,), dtype="int32", name="tokens")
    x = embedding(tokens)  # (batch, length, units)
    x = drop(PositionEmbedding(sequence_length)(x), dropout_rate)
    for _ in range(depth):
        sublayers = (
            lambda y: MaskedAttention(num_heads, causal=True, dropout_rate=dropout_rate, **initializers)(y),
            lambda y: feed_forward(y, 4 * units, dropout_rate=dropout_rate, **initializers),
        )
        x = with_shortcuts(x, sublayers, dropout_rate=dropout_rate)
    return keras.Model(tokens, tied_logits(layer_norm(x), embedding), name=name)
