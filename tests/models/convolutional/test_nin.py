import keras
import pytest

from dltemplates.models.convolutional.nin import nin, nin_cifar
from dltemplates.models.summary import summarize


def test_has_7_595_176_parameters_and_1_10_billion_macs():
    network = nin((224, 224, 3), 1000)
    summary = summarize(network)
    assert (summary.parameters, summary.macs) == (7_595_176, 1_100_188_800)
    pooled = [layer.output.shape[1] for layer in network.layers if isinstance(layer, keras.layers.MaxPooling2D)]
    assert pooled == [27, 13, 6]


def test_every_convolution_is_followed_by_two_of_1x1():
    convolutions = [layer for layer in nin((39, 39, 3), 10, width=0.1).layers if isinstance(layer, keras.layers.Conv2D)]
    sizes = [layer.kernel_size[0] for layer in convolutions]
    assert sizes == [11, 1, 1, 5, 1, 1, 3, 1, 1, 3, 1, 1]
    assert [layer.activation.__name__ for layer in convolutions] == ["relu"] * 11 + ["linear"]


def test_scores_are_the_means_of_a_map_for_each_class():
    network = nin((99, 67, 1), 7, width=0.1)
    assert [layer for layer in network.layers if isinstance(layer, keras.layers.Dense)] == []
    maps = network.get_layer("logits").input
    assert maps.shape == (None, 2, 1, 7)
    both = keras.Model(network.input, [maps, network.output])
    maps, logits = (keras.ops.convert_to_numpy(part) for part in both(keras.random.normal((2, 99, 67, 1), seed=0)))
    assert abs(maps[:, 0] - maps[:, 1]).max() > 1e-3
    assert logits == pytest.approx(maps.mean(axis=(1, 2)), rel=1e-5, abs=1e-6)


def test_width_scales_the_filters_but_not_the_classes():
    filters = [layer.filters for layer in nin((39, 39, 3), 10, width=0.25).layers if hasattr(layer, "filters")]
    assert filters == [24] * 3 + [64] * 3 + [96] * 3 + [256] * 2 + [10]


def test_min_size_builds():
    assert nin((39, 39, 3), 10, width=0.1).output_shape == (None, 10)


def test_the_network_for_small_images_has_966_986_parameters():
    summary = summarize(nin_cifar((32, 32, 3), 10))
    assert (summary.parameters, summary.macs) == (966_986, 222_486_528)
    convolutions = [layer for layer in nin_cifar((8, 8, 3), 10).layers if isinstance(layer, keras.layers.Conv2D)]
    assert [layer.kernel_size[0] for layer in convolutions] == [5, 1, 1, 5, 1, 1, 3, 1, 1]
    assert [layer.filters for layer in convolutions] == [192, 160, 96, 192, 192, 192, 192, 192, 10]
