"""Blocks that several networks share: convolutions, inverted residuals, squeeze and excite.

A depthwise convolution filters each channel for itself, and a 1x1 convolution then mixes the channels (Howard et al.:
"MobileNets", 2017, https://arxiv.org/abs/1704.04861, section 3.1). With k x k kernels and n filters that is 1/n + 1/k^2
of the multiply-accumulates of a full convolution.
"""

import keras
from keras import layers


def relu(x):
    """Negative values cut off."""
    return layers.ReLU()(x)


def relu6(x):
    """The same, and what is over 6: the range that 8 bits must hold is then known."""
    return layers.ReLU(max_value=6.0)(x)


def silu(x):
    """x * sigmoid(x), also called swish."""
    return layers.Activation("silu")(x)


def hard_silu(x):
    """The same with a sigmoid of three straight lines, relu6(x + 3) / 6; also called hard-swish."""
    return layers.Activation("hard_silu")(x)


def make_divisible(filters, divisor=8):
    """The nearest multiple of `divisor`, but no less than it and no less than 90% of `filters`."""
    rounded = max(divisor, int(filters + divisor / 2) // divisor * divisor)
    return rounded + divisor if rounded < 0.9 * filters else rounded


def conv(x, filters, kernel_size, strides=1, *, use_bias=False):
    """A convolution with as many zeros around an image on every side.

    With strides, Keras's "same" would put more of them at the bottom and the right, and see other pixels than the
    reference does.
    """
    padding = "same"
    if strides > 1 and kernel_size > 1:
        x = layers.ZeroPadding2D(kernel_size // 2)(x)
        padding = "valid"
    return layers.Conv2D(
        filters, kernel_size, strides, padding=padding, use_bias=use_bias, kernel_initializer="he_normal"
    )(x)


def conv_relu(x, filters, kernel_size=1, strides=1, *, padding="same"):
    """A rectified convolution with a bias, as networks before batch normalization have it."""
    return layers.Conv2D(
        filters, kernel_size, strides, padding=padding, activation="relu", kernel_initializer="he_normal"
    )(x)


def conv_bn(x, filters, kernel_size=1, strides=1, *, activation=None, use_bias=False):
    """A convolution, normalized and activated."""
    x = layers.Conv2D(filters, kernel_size, strides, padding="same", use_bias=use_bias, kernel_initializer="he_normal")(
        x
    )
    return normalize(x, activation)


def depthwise_bn(x, kernel_size=3, strides=1, *, activation, use_bias=False):
    """A depthwise convolution, normalized and activated."""
    # To the initializers that count what a value is made of, every channel of a depthwise kernel adds to each output.
    # What goes out of one channel is right: 2 / k^2.
    initializer = keras.initializers.VarianceScaling(2.0, mode="fan_out")
    x = layers.DepthwiseConv2D(
        kernel_size, strides, padding="same", use_bias=use_bias, depthwise_initializer=initializer
    )(x)
    return normalize(x, activation)


def normalize(x, activation=None, *, epsilon=1e-3):
    """Batch normalization, then the activation if there is one."""
    # Keras's momentum of 0.99 needs hundreds of steps to follow; a short training would be validated on old statistics.
    x = layers.BatchNormalization(momentum=0.9, epsilon=epsilon)(x)
    return activation(x) if activation else x


def separable(x, filters, strides=1, *, activation, use_bias=False):
    """A depthwise separable convolution: 3x3 in each channel, then 1x1 across them."""
    x = depthwise_bn(x, strides=strides, activation=activation, use_bias=use_bias)
    return conv_bn(x, filters, activation=activation, use_bias=use_bias)


def inverted_bottleneck(x, filters, *, expanded, kernel_size=3, strides=1, activation=relu6, excite=None):
    """Widen to `expanded` channels, filter each, weigh them by `excite` if given, and narrow to `filters`.

    The last convolution has no activation: few channels would lose too much to it.
    """
    if expanded != x.shape[-1]:
        x = conv_bn(x, expanded, activation=activation)
    x = depthwise_bn(x, kernel_size, strides, activation=activation)
    if excite:
        x = excite(x)
    return conv_bn(x, filters)


def add_shortcut(x, residual, *, drop_rate=0.0):
    """What goes around a block added to what comes out of it, where both have one shape.

    In training each example loses the block's part, all of it, at `drop_rate` (stochastic depth).
    """
    if x.shape != residual.shape:
        return residual
    if drop_rate > 0:
        residual = layers.Dropout(drop_rate, noise_shape=(None, 1, 1, 1))(residual)
    return layers.Add()([x, residual])


def squeeze_and_excite(x, filters, *, activation, gate):
    """Weigh each channel by 0 to 1, as a perceptron of `filters` hidden units says that reads all channels' means."""
    weights = layers.GlobalAveragePooling2D(keepdims=True)(x)  # (batch, 1, 1, channels)
    weights = activation(layers.Conv2D(filters, 1, kernel_initializer="he_normal")(weights))
    weights = layers.Conv2D(x.shape[-1], 1, activation=gate)(weights)
    return layers.Multiply()([x, weights])
