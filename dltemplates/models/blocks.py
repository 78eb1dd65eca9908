"""Blocks that several networks share: convolutions, inverted residuals, squeeze and excite.

A depthwise convolution filters each channel on its own. A 1x1 convolution then mixes the channels (Howard et al.:
"MobileNets", 2017, https://arxiv.org/abs/1704.04861, section 3.1). With k x k kernels and n filters, the two take
1/n + 1/k^2 of the multiply-accumulates of a full convolution.
"""

import keras
from keras import layers

from dltemplates.layers.masked import MaskedConv1D


def relu(x):
    """Apply max(x, 0)."""
    return layers.ReLU()(x)


def relu6(x):
    """Apply min(max(x, 0), 6), whose range is known to 8-bit files."""
    return layers.ReLU(max_value=6.0)(x)


def silu(x):
    """Apply x * sigmoid(x), also called swish."""
    return layers.Activation("silu")(x)


def hard_silu(x):
    """Apply x * relu6(x + 3) / 6, also called hard-swish."""
    return layers.Activation("hard_silu")(x)


def make_divisible(filters, divisor=8):
    """Return the nearest multiple of `divisor` that is at least `divisor` and at least 90% of `filters`."""
    rounded = max(divisor, int(filters + divisor / 2) // divisor * divisor)
    return rounded + divisor if rounded < 0.9 * filters else rounded


def conv(x, filters, kernel_size, strides=1, *, use_bias=False):
    """Apply a convolution with the same zero padding on every side.

    With strides, Keras's "same" pads more at the bottom and the right, so that the kernel sees other pixels than in
    the authors' code.
    """
    padding = "same"
    if strides > 1 and kernel_size > 1:
        x = layers.ZeroPadding2D(kernel_size // 2)(x)
        padding = "valid"
    return layers.Conv2D(
        filters, kernel_size, strides, padding=padding, use_bias=use_bias, kernel_initializer="he_normal"
    )(x)


def conv_relu(x, filters, kernel_size=1, strides=1, *, padding="same"):
    """Apply a convolution with a bias and ReLU, for networks without batch normalization."""
    return layers.Conv2D(
        filters, kernel_size, strides, padding=padding, activation="relu", kernel_initializer="he_normal"
    )(x)


def conv_bn(x, filters, kernel_size=1, strides=1, *, activation=None, use_bias=False):
    """Apply a convolution, batch normalization and the activation."""
    x = layers.Conv2D(filters, kernel_size, strides, padding="same", use_bias=use_bias, kernel_initializer="he_normal")(
        x
    )
    return normalize(x, activation)


def sequence_conv(x, filters, kernel_size=1, *, dilation=1, padding="same", use_bias=True):
    """Apply a convolution along the steps of a sequence; one of any length may be padded and carry a mask."""
    layer = MaskedConv1D if x.shape[1] is None else layers.Conv1D
    return layer(
        filters,
        kernel_size,
        dilation_rate=dilation,
        padding=padding,
        use_bias=use_bias,
        kernel_initializer="he_normal",
    )(x)


def depthwise_bn(x, kernel_size=3, strides=1, *, activation, use_bias=False):
    """Apply a depthwise convolution, batch normalization and the activation."""
    # Keras counts every channel of a depthwise kernel into the fan-in. The fan-out is of one channel, so its variance
    # 2 / k^2 is right.
    initializer = keras.initializers.VarianceScaling(2.0, mode="fan_out")
    x = layers.DepthwiseConv2D(
        kernel_size, strides, padding="same", use_bias=use_bias, depthwise_initializer=initializer
    )(x)
    return normalize(x, activation)


def normalize(x, activation=None, *, epsilon=1e-3):
    """Apply batch normalization, then the activation if there is one."""
    # Keras's momentum of 0.99 needs hundreds of steps to follow, so a short training would validate on old statistics.
    x = layers.BatchNormalization(momentum=0.9, epsilon=epsilon)(x)
    return activation(x) if activation else x


def separable(x, filters, strides=1, *, activation, use_bias=False):
    """Apply a depthwise separable convolution: 3x3 in each channel, then 1x1 across the channels."""
    x = depthwise_bn(x, strides=strides, activation=activation, use_bias=use_bias)
    return conv_bn(x, filters, activation=activation, use_bias=use_bias)


def inverted_bottleneck(x, filters, *, expanded, kernel_size=3, strides=1, activation=relu6, excite=None):
    """Widen to `expanded` channels, filter each, weight them by `excite` if given, and narrow to `filters`.

    The last convolution has no activation, which would lose too much of its few channels.
    """
    if expanded != x.shape[-1]:
        x = conv_bn(x, expanded, activation=activation)
    x = depthwise_bn(x, kernel_size, strides, activation=activation)
    if excite:
        x = excite(x)
    return conv_bn(x, filters)


def add_shortcut(x, residual, *, drop_rate=0.0):
    """Add a block's input to its output if the shapes are equal, else return the output.

    In training each example skips the block with probability `drop_rate` (stochastic depth).
    """
    if x.shape != residual.shape:
        return residual
    if drop_rate > 0:
        residual = layers.Dropout(drop_rate, noise_shape=(None, 1, 1, 1))(residual)
    return layers.Add()([x, residual])


def squeeze_and_excite(x, filters, *, activation, gate):
    """Weight each channel by 0 to 1: an MLP with `filters` hidden units computes the weights from the channel means."""
    weights = layers.GlobalAveragePooling2D(keepdims=True)(x)  # (batch, 1, 1, channels)
    weights = activation(layers.Conv2D(filters, 1, kernel_initializer="he_normal")(weights))
    weights = layers.Conv2D(x.shape[-1], 1, activation=gate)(weights)
    return layers.Multiply()([x, weights])
