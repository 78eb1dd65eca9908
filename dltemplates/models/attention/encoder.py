"""The encoder block of a Transformer.

Vaswani et al.: "Attention Is All You Need", NeurIPS 2017, https://arxiv.org/abs/1706.03762, section 3.1.
"""

from collections.abc import Callable
from typing import Any

from keras import layers


def layer_norm(x):
    """Apply layer normalization with the epsilon of ViT's authors."""
    return layers.LayerNormalization(epsilon=1e-6)(x)


def encoder_block(
    x,
    num_heads: int,
    *,
    hidden: int | None = None,
    dropout_rate: float = 0.0,
    normalize: Callable[[Any], Any] = layer_norm,
    normalize_first: bool = True,
):
    """Apply attention between the tokens, then two dense layers to each token, both with a shortcut.

    Args:
        x: Tokens (batch, length, units), or (batch, groups, length, units) with attention inside each group.
        num_heads: Number of attention heads, each with `units / num_heads` units.
        hidden: Width between the two dense layers; by default 4 units.
        dropout_rate: Share of activations dropped between the two dense layers, and before each shortcut.
        normalize: Function that normalizes a tensor.
        normalize_first: Whether to normalize in front of attention and dense layers, or else after each shortcut.
    """
    units = x.shape[-1]

    def drop(y):
        return layers.Dropout(dropout_rate)(y) if dropout_rate else y

    def attend(y):
        axes = None if len(y.shape) == 3 else len(y.shape) - 2
        return layers.MultiHeadAttention(num_heads, key_dim=units // num_heads, attention_axes=axes)(y, y)

    def transform(y):
        y = layers.Dense(hidden or 4 * units, activation="gelu")(y)
        return layers.Dense(units)(drop(y))

    for sublayer in (attend, transform):
        if normalize_first:
            x = layers.Add()([x, drop(sublayer(normalize(x)))])
        else:
            x = normalize(layers.Add()([x, drop(sublayer(x))]))
    return x


def check_heads(units: int, num_heads: int) -> None:
    """Raise a `ValueError` unless the heads share the units evenly."""
    if units % num_heads:
        raise ValueError(
            f"`units` must be a multiple of `num_heads`. Received: units={units}, num_heads={num_heads}. "
            f"Try units={max(units - units % num_heads, num_heads)}."
        )
