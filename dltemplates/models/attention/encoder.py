"""The encoder block of a Transformer.

Vaswani et al.: "Attention Is All You Need", NeurIPS 2017, https://arxiv.org/abs/1706.03762, section 3.1.
"""

from collections.abc import Callable, Iterable
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

    def attend(y):
        axes = None if len(y.shape) == 3 else len(y.shape) - 2
        return layers.MultiHeadAttention(num_heads, key_dim=y.shape[-1] // num_heads, attention_axes=axes)(y, y)

    def transform(y):
        return feed_forward(y, hidden or 4 * y.shape[-1], dropout_rate=dropout_rate)

    return with_shortcuts(
        x, (attend, transform), dropout_rate=dropout_rate, normalize=normalize, normalize_first=normalize_first
    )


def feed_forward(
    x,
    hidden: int,
    *,
    activation: str = "gelu",
    dropout_rate: float = 0.0,
    kernel_initializer: Any = "glorot_uniform",
    output_initializer: Any = "glorot_uniform",
):
    """Apply two dense layers to each token: to `hidden` units with an activation, and back.

    Args:
        x: Tokens (..., units).
        hidden: Width between the two layers.
        activation: Function behind the first layer.
        dropout_rate: Share of activations dropped between the two layers.
        kernel_initializer: Of the first kernel.
        output_initializer: Of the second kernel.
    """
    units = x.shape[-1]
    x = layers.Dense(hidden, activation=activation, kernel_initializer=kernel_initializer)(x)
    return layers.Dense(units, kernel_initializer=output_initializer)(drop(x, dropout_rate))


def with_shortcuts(
    x,
    sublayers: Iterable[Callable[[Any], Any]],
    *,
    dropout_rate: float = 0.0,
    normalize: Callable[[Any], Any] = layer_norm,
    normalize_first: bool = True,
):
    """Apply functions of tokens one after the other, each with a shortcut and a normalization.

    Args:
        x: Tokens (..., units).
        sublayers: The functions, from (..., units) to (..., units).
        dropout_rate: Share of activations dropped before each shortcut.
        normalize: Function that normalizes a tensor.
        normalize_first: Whether to normalize in front of each function, or else after each shortcut.
    """
    for sublayer in sublayers:
        if normalize_first:
            x = layers.Add()([x, drop(sublayer(normalize(x)), dropout_rate)])
        else:
            x = normalize(layers.Add()([x, drop(sublayer(x), dropout_rate)]))
    return x


def drop(x, rate: float):
    """Drop a share of activations in training; add no layer for 0."""
    return layers.Dropout(rate)(x) if rate else x


def check_heads(units: int, num_heads: int) -> None:
    """Raise a `ValueError` unless the heads share the units evenly."""
    if units % num_heads:
        raise ValueError(
            f"`units` must be a multiple of `num_heads`. Received: units={units}, num_heads={num_heads}. "
            f"Try units={max(units - units % num_heads, num_heads)}."
        )
