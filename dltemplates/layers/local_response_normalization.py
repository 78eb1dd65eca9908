"""Local response normalization.

Krizhevsky, Sutskever, Hinton: "ImageNet Classification with Deep Convolutional Neural Networks", NIPS 2012,
https://papers.nips.cc/paper/4824-imagenet-classification-with-deep-convolutional-neural-networks, section 3.3.
"""

import math

import keras
import numpy as np
from keras import layers, ops


@keras.saving.register_keras_serializable("dltemplates")
class LocalResponseNormalization(layers.Layer):
    """Divide each value by a function of its neighbouring channels at the same position.

    `y_i = x_i / (k + alpha * sum of x_j^2)^beta`, with the sum over `n` channels centred on i. Channels beyond
    the first and the last count as zero. `(batch, height, width, channels)` to the same shape.

    A 1x1 convolution with a constant band of ones computes the sum, and `exp(-beta * log)` the power. Every converter
    supports both, in 8 bits too, where the runtimes' own operator stays in float. They were also measured to be faster
    than this operator, in LiteRT and in ONNX Runtime.
    """

    def __init__(self, *, n: int = 5, k: float = 2.0, alpha: float = 1e-4, beta: float = 0.75, **options):
        """Create the layer, by default with the paper's constants.

        Args:
            n: Number of channels in the sum; odd.
            k: Constant in the base; positive, so that the result is finite for zeros.
            alpha: Factor of the sum; positive.
            beta: Exponent; positive.
            options: Options of every Keras layer, such as `name`.

        Raises:
            ValueError: If a constant is out of range.
        """
        super().__init__(**options)
        if not (isinstance(n, int) and n > 0 and n % 2):
            raise ValueError(f"`n` must be a positive odd number of channels. Received: n={n!r}. Try `n=5`.")
        if not all(constant > 0 for constant in (k, alpha, beta)):
            raise ValueError(
                f"`k`, `alpha` and `beta` must be positive. Received: k={k}, alpha={alpha}, beta={beta}. "
                "Try `k=2.0, alpha=1e-4, beta=0.75`."
            )
        self.n = n
        self.k = k
        self.alpha = alpha
        self.beta = beta
        self.input_spec = layers.InputSpec(ndim=4)

    def call(self, inputs):
        scaled = inputs * math.sqrt(self.alpha)  # before squaring: in float16 the square of 256 is infinite
        band = ops.convert_to_tensor(_band(inputs.shape[-1], self.n), dtype=inputs.dtype)
        total = ops.conv(scaled * scaled, band, padding="valid", data_format="channels_last")
        # No sum is negative, but the ReLU keeps `k` from becoming the bias of the convolution. Two layers with the same
        # bias share its scale in TFLite's int16x8, which is then wrong for one of them.
        total = ops.relu(total)
        return inputs * ops.exp(-self.beta * ops.log(self.k + total))

    def get_config(self):
        return {**super().get_config(), "n": self.n, "k": self.k, "alpha": self.alpha, "beta": self.beta}


def _band(channels, n):
    """Return the 1x1 kernel that sums each channel and its neighbours: (1, 1, channels, channels)."""
    numbers = np.arange(channels)
    near = abs(numbers[:, None] - numbers) <= n // 2
    return near[None, None].astype("float32")
