"""Networks split into frozen layers and layers to train."""

import keras
import numpy as np
import pytest
from keras import layers

from dltemplates.models.build import build_network
from dltemplates.models.split import LAST_BLOCKS, layers_before, layers_of

NETWORKS = {
    "efficientnet_lite0": {},
    "mobilenet_v2": {"width": 0.35},
    "resnet50": {"width": 0.125},
    "densenet121": {"blocks": [1, 2, 2, 1]},
    "convnet": {"filters": [8, 16, 16]},
    "vit_tiny": {"patch_size": 8, "units": 12, "depth": 4, "num_heads": 2},
    "cnn_gap": {},
    "mlp": {"units": [8, 8]},
}


def build(name):
    return build_network(name, {"input_shape": (32, 32, 3), "num_outputs": 5}, NETWORKS[name])


def count_kernels(model):
    return sum(len(weight.shape) > 1 for weight in model.trainable_weights)


@pytest.mark.parametrize("part", ["head", "last_blocks"])
@pytest.mark.parametrize("name", NETWORKS)
def test_both_parts_together_compute_the_network(name, part):
    network = build(name)
    before, after = layers_before(network, part), layers_of(network, part)
    x = np.random.default_rng(0).random((2, 32, 32, 3)).astype("float32")
    expected = keras.ops.convert_to_numpy(network(x))
    assert np.ptp(expected) > 0
    np.testing.assert_allclose(after(before(x)), expected, atol=1e-6)
    ids = [{id(weight) for weight in model.weights} for model in (before, after, network)]
    assert not ids[0] & ids[1]
    assert ids[0] | ids[1] == ids[2]
    if part == "head":
        assert count_kernels(after) == 1
    else:
        assert LAST_BLOCKS * count_kernels(network) <= count_kernels(after) < count_kernels(network)


def test_dropout_before_the_head_belongs_to_it():
    assert [type(layer).__name__ for layer in layers_of(build("mobilenet_v2"), "head").layers[1:]] == [
        "Dropout",
        "Dense",
    ]


def test_the_last_blocks_of_efficientnet_lite0_begin_where_its_maps_are_smallest():
    network = build_network("efficientnet_lite0", {"input_shape": (224, 224, 3), "num_outputs": 2}, {})
    assert layers_before(network, "last_blocks").output.shape == (None, 7, 7, 192)
    assert layers_before(network, "head").output.shape == (None, 1280)


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda x: keras.Model(x, [layers.Dense(2)(x), layers.Dense(3)(x)], name="two"), "two with 1 and 2"),
        (lambda x: keras.Model(x, layers.ReLU()(x), name="none"), "must have a kernel. Received: none"),
    ],
)
def test_a_network_that_cannot_be_split_is_refused(build, message):
    with pytest.raises(ValueError, match=message):
        layers_before(build(keras.Input((4,))), "head")
