"""The TCN: its size, the steps that it reads, its formula in NumPy, and padding."""

import numpy as np
import pytest
import tensorflow as tf

from dltemplates import catalog
from dltemplates.models.convolutional.tcn import tcn


def test_it_has_the_sizes_of_its_page():
    network = tcn(**catalog.MODELS["tcn"].sizes)
    first = (7 * 1 * 25 + 25) + (7 * 25 * 25 + 25) + (1 * 25 + 25)  # with the convolution of its shortcut
    assert network.count_params() == first + 7 * 2 * (7 * 25 * 25 + 25) + 26 * 10 == 66_510


@pytest.mark.parametrize(("blocks", "kernel_size"), [(1, 2), (2, 3), (3, 2), (3, 4)])
def test_the_last_output_reads_the_steps_of_its_receptive_field(blocks, kernel_size):
    field = 1 + 2 * (kernel_size - 1) * (2**blocks - 1)  # as the page says
    steps = field + 5
    network = tcn((steps, 1), 1, filters=(3,) * blocks, kernel_size=kernel_size)
    network.set_weights([np.full(weight.shape, 0.1) for weight in network.get_weights()])  # every ReLU is active
    x = tf.ones((1, steps, 1))
    with tf.GradientTape() as tape:
        tape.watch(x)
        y = network(x)
    read = tape.gradient(y, x).numpy()[0, :, 0] > 0
    assert read.tolist() == [False] * 5 + [True] * field


def causal(x, kernel, bias, dilation):
    """Return the causal convolution of x (steps, channels) with a kernel (size, channels, filters)."""
    steps, size = len(x), len(kernel)
    before = np.concatenate([np.zeros(((size - 1) * dilation, x.shape[1])), x])
    return bias + sum(before[tap * dilation : tap * dilation + steps] @ kernel[tap] for tap in range(size))


def test_it_computes_the_formula_of_its_blocks():
    network = tcn((11, 2), 3, filters=(4, 4), kernel_size=3, dropout_rate=0.5)
    rng = np.random.default_rng(0)
    network.set_weights([rng.normal(0, 0.5, weight.shape) for weight in network.get_weights()])
    weights = {layer.name: layer.get_weights() for layer in network.layers if layer.weights}
    convolutions = [layer for layer in network.layers if "conv" in layer.name]
    dilated = [weights[layer.name] for layer in convolutions if layer.kernel_size == (3,)]
    (shortcut,) = [weights[layer.name] for layer in convolutions if layer.kernel_size == (1,)]
    x = rng.normal(size=(11, 2))
    values = x
    for number in range(2):
        y = values
        for kernel, bias in dilated[2 * number : 2 * number + 2]:
            y = np.maximum(causal(y, kernel, bias, 2**number), 0)
        values = np.maximum(y + (values @ shortcut[0][0] + shortcut[1] if number == 0 else values), 0)
    kernel, bias = weights["logits"]
    np.testing.assert_allclose(network(x[None].astype(np.float32))[0], values[-1] @ kernel + bias, atol=1e-4)


def test_padding_does_not_change_the_output():
    network = tcn((None, 2), 3, filters=(4, 4), kernel_size=2)
    rng = np.random.default_rng(0)
    network.set_weights([rng.normal(0, 0.5, weight.shape) for weight in network.get_weights()])
    x = rng.normal(size=(3, 9, 2)).astype(np.float32)
    padded = np.concatenate([x, np.zeros((3, 4, 2), np.float32)], axis=1)
    lengths = np.array([9, 5, 13])
    padded[2, 9:] = 1
    output = np.asarray(network(padded, mask=np.arange(13) < lengths[:, None]))
    for row, length in enumerate(lengths):
        alone = np.asarray(network(padded[row : row + 1, :length]))
        np.testing.assert_allclose(output[row : row + 1], alone, atol=1e-5)
