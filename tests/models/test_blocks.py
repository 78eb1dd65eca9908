import keras
import numpy as np
import pytest

from dltemplates.models import blocks
from dltemplates.training.workers.replicas import for_replicas


def model_of(block, *shapes):
    inputs = [keras.Input(shape) for shape in shapes]
    return keras.Model(inputs if len(inputs) > 1 else inputs[0], block(*inputs))


def numbers(*shape):
    return np.random.default_rng(0).normal(size=shape).astype("float32")


@pytest.mark.parametrize(
    ("filters", "expected"), [(1, 8), (11, 16), (12, 16), (16, 16), (19.2, 24), (20, 24), (33.6, 32), (36, 40)]
)
def test_filters_become_multiples_of_8_not_much_below_what_was_asked(filters, expected):
    assert blocks.make_divisible(filters) == expected


@pytest.mark.parametrize(
    ("activation", "expected"),
    [
        (blocks.relu, [0, 0, 1, 9]),
        (blocks.relu6, [0, 0, 1, 6]),
        (blocks.silu, [-4 / (1 + np.e**4), 0, 1 / (1 + np.e**-1), 9 / (1 + np.e**-9)]),
        (blocks.hard_silu, [0, 0, 4 / 6, 9]),
    ],
)
def test_activations(activation, expected):
    x = np.array([[-4.0, 0.0, 1.0, 9.0]], "float32")
    np.testing.assert_allclose(activation(x)[0], expected, atol=1e-6)


def test_a_separable_convolution_is_a_full_one_in_two_steps():
    model = model_of(lambda x: blocks.separable(x, 5, activation=blocks.relu), (6, 6, 3))
    depthwise, pointwise = (np.asarray(layer.kernel) for layer in model.layers if hasattr(layer, "kernel"))
    full = keras.layers.Conv2D(5, 3, padding="same", use_bias=False)
    full.build((None, 6, 6, 3))
    x = np.abs(numbers(2, 6, 6, 3))
    depthwise_layer = next(layer for layer in model.layers if isinstance(layer, keras.layers.DepthwiseConv2D))
    depthwise_layer.kernel.assign(np.abs(depthwise))  # positive, so that the ReLU between them changes nothing
    full.kernel.assign(np.abs(depthwise) * pointwise)  # (3, 3, 3, 1) * (1, 1, 3, 5)
    by_steps = np.asarray(model(x)) * (1 + 1e-3)  # two normalizations by a variance of 1 and an epsilon of 0.001
    np.testing.assert_allclose(by_steps, np.maximum(full(x), 0), atol=1e-5)
    assert by_steps.max() > 0.1


def test_depthwise_kernels_keep_the_spread_of_their_channel():
    x = keras.Input((8, 8, 512))
    model = keras.Model(x, blocks.depthwise_bn(x, activation=None))
    (kernel,) = [layer.kernel for layer in model.layers if hasattr(layer, "kernel")]
    assert np.std(kernel) == pytest.approx(np.sqrt(2 / 9), rel=0.05)


def test_a_bottleneck_widens_only_where_it_is_told_and_ends_without_activation():
    kernels = {}
    for expanded in (4, 24):
        model = model_of(lambda x, n=expanded: blocks.inverted_bottleneck(x, 8, expanded=n), (8, 8, 4))
        kernels[expanded] = [layer.kernel.shape for layer in model.layers if hasattr(layer, "kernel")]
        assert isinstance(model.layers[-1], keras.layers.BatchNormalization)
    assert kernels == {4: [(3, 3, 4, 1), (1, 1, 4, 8)], 24: [(1, 1, 4, 24), (3, 3, 24, 1), (1, 1, 24, 8)]}


def test_a_shortcut_goes_around_what_keeps_the_shape():
    x, residual = numbers(2, 4, 4, 3), numbers(2, 4, 4, 3) * 5
    model = model_of(lambda a, b: blocks.add_shortcut(a, b, drop_rate=0.5), x.shape[1:], x.shape[1:])
    np.testing.assert_allclose(model([x, residual]), x + residual, atol=1e-6)
    inputs = keras.Input((4, 4, 3)), keras.Input((2, 2, 3))
    assert blocks.add_shortcut(*inputs) is inputs[1]


def test_stochastic_depth_leaves_out_whole_examples_and_makes_up_for_it():
    keras.utils.set_random_seed(0)
    model = model_of(lambda a, b: blocks.add_shortcut(a, b, drop_rate=0.25), (4, 4, 3), (4, 4, 3))
    x, residual = np.zeros((400, 4, 4, 3), "float32"), np.ones((400, 4, 4, 3), "float32")
    y = keras.ops.convert_to_numpy(model([x, residual], training=True)).reshape(400, -1)
    assert (np.ptp(y, axis=1) == 0).all()
    values, counts = np.unique(y[:, 0], return_counts=True)
    np.testing.assert_allclose(values, [0, 1 / 0.75])
    assert 70 < counts[0] < 130


def test_stochastic_depth_is_drawn_for_the_whole_batch_on_several_devices():
    keras.utils.set_random_seed(0)
    inputs = keras.Input((4, 4, 3))
    plain = keras.Model(inputs, blocks.add_shortcut(inputs, blocks.relu(inputs), drop_rate=0.5))
    copy = for_replicas(plain)
    x = numbers(32, 4, 4, 3)
    first, second = (keras.ops.convert_to_numpy(model(x, training=True)) for model in (plain, copy))
    left_out = (first == x).all(axis=(1, 2, 3))
    assert 0 < left_out.sum() < 32
    np.testing.assert_array_equal(first, second)


def test_squeeze_and_excite_weighs_channels_by_what_all_of_them_mean():
    model = model_of(lambda x: blocks.squeeze_and_excite(x, 2, activation=blocks.relu, gate="sigmoid"), (4, 4, 3))
    reduce, expand = [layer for layer in model.layers if isinstance(layer, keras.layers.Conv2D)]
    for layer in (reduce, expand):
        layer.bias.assign(numbers(*layer.bias.shape))
    x = numbers(5, 4, 4, 3)
    hidden = np.maximum(x.mean(axis=(1, 2)) @ np.asarray(reduce.kernel)[0, 0] + np.asarray(reduce.bias), 0)
    weights = 1 / (1 + np.exp(-(hidden @ np.asarray(expand.kernel)[0, 0] + np.asarray(expand.bias))))
    assert hidden.shape == (5, 2)
    np.testing.assert_allclose(model(x), x * weights[:, None, None], atol=1e-5)
