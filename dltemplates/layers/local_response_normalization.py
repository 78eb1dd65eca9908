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
    """Weaken each value where those of its neighbouring channels, at the same place of the image, are large.

    `y_i = x_i / (k + alpha * sum of x_j^2)^beta`, the sum over the `n` channels whose middle is i; channels beyond the
    first and the last count as zero. `(batch, height, width, channels)` to the same shape.

    The neighbours are summed by a 1x1 convolution with a constant band of ones, and the power is `exp(-beta * log)`.
    Every converter knows these, in 8 bits too, where the runtimes' own operator stays in float; and they were measured
    to be faster than it, in LiteRT as in ONNX Runtime.
    """

    def __init__(self, *, n: int = 5, k: float = 2.0, alpha: float = 1e-4, beta: float = 0.75, **options):
        """Make the layer, by default with the paper's constants.

        Args:
            n: Number of channels summed over; odd.
            k: Positive, so that the power of nothing is finite.
            alpha: Positive.
            beta: The power; positive.
            options: Keras's own, such as `name`.

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
        # No sum is negative, but so `k` cannot become the bias of the convolution: two layers with one bias share its
        # scale in TFLite's 16x8 bits, where it then is wrong for one of them.
        total = ops.relu(total)
        return inputs * ops.exp(-self.beta * ops.log(self.k + total))

    def get_config(self):
        return {**super().get_config(), "n": self.n, "k": self.k, "alpha": self.alpha, "beta": self.beta}


def _band(channels, n):
    """The 1x1 kernel that sums each channel and its neighbours, (1, 1, channels, channels)."""
    places = np.arange(channels)
    near = abs(places[:, None] - places) <= n // 2
    return near[None, None].astype("float32")
