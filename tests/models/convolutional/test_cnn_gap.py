import keras
import numpy as np
import pytest

from dltemplates.models.convolutional.cnn_gap import cnn_gap
from dltemplates.models.convolutional.convnet import convnet
from dltemplates.models.summary import summarize


def test_has_24_234_parameters_and_2_8_million_macs_a_twelfth_of_convnet():
    summary = summarize(cnn_gap((32, 32, 3), 10))
    assert summary.parameters == 24_234
    assert summary.macs == 2_842_624
    assert round(summarize(convnet((32, 32, 3), 10)).parameters / summary.parameters) == 12


def test_holds_nothing_but_convolutions_and_pooling():
    kinds = {row.kind for row in summarize(cnn_gap((32, 32, 3), 10)).rows}
    assert kinds == {"Conv2D", "MaxPooling2D", "GlobalAveragePooling2D"}


def test_a_class_is_scored_by_the_average_of_its_map():
    network = cnn_gap((16, 12, 3), 5)
    maps = keras.Model(network.input, network.get_layer("class_maps").output)
    x = np.random.default_rng(0).normal(size=(2, 16, 12, 3)).astype("float32")
    y = keras.ops.convert_to_numpy(maps(x))
    assert y.shape == (2, 4, 3, 5)
    np.testing.assert_allclose(y.mean(axis=(1, 2)), keras.ops.convert_to_numpy(network(x)), rtol=1e-5, atol=1e-6)


def test_maps_show_where_in_the_image_something_is():
    network = cnn_gap((64, 64, 1), 3)
    maps = keras.Model(network.input, network.get_layer("class_maps").output)
    image = np.zeros((1, 64, 64, 1), "float32")
    image[:, 4:10, 44:50] = 1
    lit = np.abs(keras.ops.convert_to_numpy(maps(image) - maps(0 * image))).sum(axis=(0, 3))  # (16, 16)
    row, column = np.unravel_index(lit.argmax(), lit.shape)
    assert lit.max() > 0
    assert row in range(0, 4)
    assert column in range(10, 14)
    assert lit[8:].max() == lit[:, :6].max() == 0


@pytest.mark.parametrize(("filters", "min_size"), [((8,), 1), ((16, 32, 64), 4), ((16, 32, 64, 64, 64), 16)])
def test_min_size_follows_from_the_convolutions(filters, min_size):
    assert cnn_gap((min_size, min_size, 1), 10, filters=filters).output_shape == (None, 10)
    with pytest.raises(ValueError, match=r"`cnn_gap` (needs images of at least|takes images)"):
        cnn_gap((min_size - 1, min_size, 1), 10, filters=filters)
