"""PatchTST, a Transformer that forecasts a series from patches of it.

Nie, Nguyen, Sinthong, Kalagnanam: "A Time Series is Worth 64 Words: Long-term Forecasting with Transformers", ICLR
2023, https://arxiv.org/abs/2211.14730, section 3.

The network cuts a window into patches of 16 steps, each 8 steps after the one before, and reads them like the words of
a sentence: each patch becomes a token, with a learned vector for its position. 336 steps are only 42 tokens, so that
attention costs little. Each channel is forecast from its own past alone, and all channels share the weights.

Each window of a channel is normalized to mean 0 and deviation 1, and its forecast is scaled back, so that a level in
the future may differ from the levels in training (Kim et al.: "Reversible Instance Normalization", ICLR 2022). The last
step is repeated 8 times at the end of the window, for one more patch. The encoder normalizes with batch normalization
after each shortcut, as in the paper. Left out: the authors' code also adds each block's attention scores to those of
the next.

The defaults are the paper's for small data such as ETTh1: 3 blocks of 16 units and 4 heads, 128 units between the dense
layers, and dropout of 0.3. With 336 steps and a horizon of 96, they have 81,728 parameters. For large data, the paper
takes 128 units, 16 heads, and 256 units between the dense layers.
"""

import keras
from keras import layers, ops

from dltemplates.layers.tokens import PositionEmbedding
from dltemplates.models.attention.encoder import check_heads, encoder_block
from dltemplates.models.blocks import normalize
from dltemplates.models.checks import check_sequence_shape
from dltemplates.models.ranges import Count, Horizon, Share, checked

PATCH_SIZE, STRIDE = 16, 8  # steps
EPSILON = 1e-5  # added to the variance of a window, as in the authors' code


@checked
def patch_tst(
    input_shape: tuple[int, int],
    horizon: Horizon,
    *,
    units: Count = 16,
    depth: Count = 3,
    num_heads: Count = 4,
    dropout_rate: Share = 0.3,
    name: str = "patch_tst",
) -> keras.Model:
    """Build a Transformer over the patches of a window, with a dense layer on all tokens of a channel.

    Args:
        input_shape: (steps, channels) of a window, with at least 16 steps.
        horizon: Number of steps to forecast.
        units: Width of a token; a multiple of `num_heads`. The dense layers of a block are 8 times as wide.
        depth: Number of blocks.
        num_heads: Number of attention heads in a block, each with `units / num_heads` units.
        dropout_rate: Share of the activations dropped in the encoder, in [0, 1).
        name: Name of the model.

    Returns:
        A functional model: `(batch, steps, channels)` float32 to `(batch, horizon, channels)` float32, the forecast
        of each channel.

    Raises:
        ValueError: If `input_shape` is not a sequence of one length of at least 16 steps, a number is not positive,
            `units` is not a multiple of `num_heads`, or `dropout_rate` is out of range.
    """
    check_sequence_shape(name, input_shape, min_steps=PATCH_SIZE)
    check_heads(units, num_heads)
    channels = input_shape[1]
    inputs = keras.Input(input_shape, name="inputs")
    mean = ops.mean(inputs, axis=1, keepdims=True)  # (batch, 1, channels)
    centered = layers.Subtract(dtype="float32")([inputs, mean])
    deviation = ops.sqrt(ops.mean(ops.square(centered), axis=1, keepdims=True) + EPSILON)
    x = patches(ops.divide(centered, deviation), units)  # (batch, channels, patches, units)
    x = PositionEmbedding()(x)
    x = layers.Dropout(dropout_rate)(x)
    for _ in range(depth):
        x = encoder_block(
            x, num_heads, hidden=8 * units, dropout_rate=dropout_rate, normalize=normalize, normalize_first=False
        )
    x = layers.Reshape((channels, x.shape[2] * units))(x)
    x = layers.Dense(horizon, dtype="float32")(x)  # (batch, channels, horizon)
    x = layers.Permute((2, 1), dtype="float32")(x)
    x = layers.Multiply(dtype="float32")([x, deviation])
    values = layers.Add(dtype="float32", name="values")([x, mean])
    return keras.Model(inputs, values, name=name)


def patches(x, units):
    """Cut each channel into patches and project them: `(batch, steps, channels)` to `(..., channels, patches, units)`.

    The projection of a patch is one step of a convolution along the channel.
    """
    steps, channels = x.shape[1:]
    last = layers.Cropping1D((steps - 1, 0))(x)
    x = layers.Concatenate(axis=1)([x, layers.UpSampling1D(STRIDE)(last)])
    x = layers.Permute((2, 1))(x)
    x = layers.Reshape((channels, steps + STRIDE, 1))(x)
    return layers.Conv2D(units, (1, PATCH_SIZE), strides=(1, STRIDE))(x)
