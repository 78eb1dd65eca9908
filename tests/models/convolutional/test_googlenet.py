import keras
import numpy as np
import pytest
import tensorflow as tf

from dltemplates.models.convolutional.googlenet import googlenet
from dltemplates.models.summary import summarize

SMALL = {"width": 0.1}


def poolings(layer):
    """Return 1 for a pooling layer, else 0."""
    return "Pooling" in type(layer).__name__


def weighted(layer):
    """Return 1 for a layer with parameters, else 0."""
    return bool(layer.weights)


def longest_path(network, *counts):
    """Return the largest number of counted layers on a path from the input to the output."""
    longest = {}
    for depth in sorted(network._nodes_by_depth, reverse=True):
        for node in network._nodes_by_depth[depth]:
            before = max((longest[parent] for parent in node.parent_nodes), default=0)
            longest[node] = before + sum(count(node.operation) for count in counts)
    return max(longest.values())


@pytest.fixture(scope="module")
def network():
    """Build the paper's network without its auxiliary classifiers."""
    return googlenet((224, 224, 3), 1000, auxiliary=False)


@pytest.fixture(scope="module")
def in_training():
    """Build the paper's network with its auxiliary classifiers."""
    return googlenet((224, 224, 3), 1000)


def test_has_6_998_552_parameters_and_1_58_billion_macs(network):
    summary = summarize(network)
    assert summary.parameters == 6_998_552
    assert summary.macs == 1_582_671_872


def test_has_13_378_280_parameters_in_training_and_serves_6_998_552(in_training):
    assert in_training.count_params() == 13_378_280
    assert keras.Model(in_training.input, in_training.output["logits"]).count_params() == 6_998_552


def test_is_22_layers_with_parameters_and_5_poolings_deep(network):
    assert longest_path(network, weighted) == 22
    assert longest_path(network, weighted, poolings) == 27
    shrinking = [
        layer for layer in network.layers if poolings(layer) and layer.output.shape[1:3] != layer.input.shape[1:3]
    ]
    assert len(shrinking) == 5


def test_nine_modules_have_the_shapes_of_table_1(network):
    modules = [layer.output.shape[1:] for layer in network.layers if isinstance(layer, keras.layers.Concatenate)]
    assert modules == [
        (28, 28, 256), (28, 28, 480),
        (14, 14, 512), (14, 14, 512), (14, 14, 512), (14, 14, 528), (14, 14, 832),
        (7, 7, 832), (7, 7, 1024),
    ]  # fmt: skip


def test_gives_three_float32_logits_by_name_in_training():
    network = googlenet((65, 66, 3), 7, **SMALL)
    assert list(network.output) == ["logits", "auxiliary_1", "auxiliary_2"]
    for name, output in network.output.items():
        assert (output.shape, output.dtype) == ((None, 7), "float32")
        assert network.get_layer(name).output is output
    outputs = network(np.random.default_rng(0).normal(size=(2, 65, 66, 3)).astype("float32"))
    for output in outputs.values():
        assert np.isfinite(output).all()
        assert (np.ptp(output, axis=0) > 0).all()


def test_auxiliary_classifiers_see_4a_and_4d(in_training):
    averages = [layer for layer in in_training.layers if isinstance(layer, keras.layers.AveragePooling2D)]
    assert [layer.input.shape[1:] for layer in averages] == [(14, 14, 512), (14, 14, 528)]
    assert [layer.output.shape[1:] for layer in averages] == [(4, 4, 512), (4, 4, 528)]


def test_width_narrows_the_auxiliary_classifiers_too():
    network = googlenet((65, 65, 3), 3, width=0.125)
    assert [network.get_layer(f"auxiliary_{number}").kernel.shape[0] for number in (1, 2)] == [1024 // 8] * 2
    flat = [layer.output.shape[-1] for layer in network.layers if isinstance(layer, keras.layers.Flatten)]
    assert flat == [128 // 8] * 2  # of one pixel


def test_auxiliary_losses_reach_the_layers_below_and_none_above():
    network = googlenet((65, 65, 3), 3, **SMALL)
    x = np.random.default_rng(0).normal(size=(2, 65, 65, 3)).astype("float32")
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(network(x, training=True)["auxiliary_1"] ** 2)
    gradients = tape.gradient(loss, [weight.value for weight in network.trainable_weights])
    reached = {
        weight.path: gradient is not None and np.any(gradient)
        for weight, gradient in zip(network.trainable_weights, gradients, strict=True)
    }
    first = next(layer for layer in network.layers if isinstance(layer, keras.layers.Conv2D))
    assert reached[first.kernel.path]
    for name, expected in (("auxiliary_1", True), ("auxiliary_2", False), ("logits", False)):
        assert reached[network.get_layer(name).kernel.path] == expected


def test_a_definition_brings_back_all_outputs():
    network = googlenet((65, 65, 3), 3, **SMALL)
    again = keras.models.model_from_json(network.to_json())
    again.set_weights(network.get_weights())
    x = np.random.default_rng(0).normal(size=(2, 65, 65, 3)).astype("float32")
    first, second = network(x), again(x)
    assert list(first) == list(second)
    for name in first:
        np.testing.assert_array_equal(first[name], second[name])


@pytest.mark.parametrize(("options", "min_size"), [({}, 65), ({"auxiliary": False}, 17)])
def test_min_size_builds(options, min_size):
    output = googlenet((min_size, min_size, 1), 10, **options, **SMALL).output
    assert (output["logits"] if isinstance(output, dict) else output).shape == (None, 10)


def test_without_auxiliary_classifiers_it_takes_smaller_images_and_says_so():
    with pytest.raises(
        ValueError, match=r"at least 65x65. Received: .* Try .*\), or `auxiliary=False`, which takes 17x17.$"
    ):
        googlenet((16, 64, 3), 10)
    with pytest.raises(ValueError, match=r"at least 17x17. Received: .* Try a larger image \([^)]*\).$"):
        googlenet((16, 64, 3), 10, auxiliary=False)
