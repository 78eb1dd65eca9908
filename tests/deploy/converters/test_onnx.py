"""Conversion to ONNX: the result of tf2onnx, without its copies of the weights."""

from collections import Counter

import keras
import numpy as np
import onnxruntime
import pytest
import tf2onnx
from keras import layers
from onnx import numpy_helper

from dltemplates.deploy.converters.graph import freeze
from dltemplates.deploy.converters.onnx import OPSET, convert_onnx, to_float16
from dltemplates.deploy.converters.saved_model import save_serving, with_float_images

BODIES = {
    "convolutions": lambda: [
        layers.Conv2D(4, 3, padding="same", use_bias=False),
        layers.BatchNormalization(),
        layers.ReLU(),
        layers.Conv2D(6, 3, strides=2, padding="same", use_bias=False),
        layers.BatchNormalization(),
        layers.ReLU(),
        layers.GlobalAveragePooling2D(),
    ],
    "grouped": lambda: [layers.Conv2D(4, 3, activation="gelu"), layers.Conv2D(4, 3, groups=2)],
    "loops": lambda: [
        layers.Reshape((8, 8)),
        layers.Bidirectional(layers.GRU(4, activation="elu")),
    ],  # two loops, with other weights only
}


@pytest.fixture
def frozen(serve, tmp_path):
    """Return a function that freezes a network with random weights: graph, contract, images and Keras's outputs."""

    def make(body):
        keras.utils.set_random_seed(0)
        serving = with_float_images(serve(*body, layers.Flatten(), layers.Dense(10)))
        random = np.random.default_rng(0)
        for weight in serving.model.weights:
            weight.assign(random.uniform(0.2, 0.6, weight.shape) * random.choice([1, -1], weight.shape[-1:]))
            if weight.path.endswith("moving_variance"):
                weight.assign(abs(weight))
        images = random.uniform(0, 255, (5, 8, 8, 1)).astype("float32")
        save_serving(serving, tmp_path / "serving")
        expected = serving.model.predict(images, verbose=0)["probabilities"]
        assert np.ptp(expected, axis=0).max() > 1e-3
        return freeze(tmp_path / "serving"), serving.contract, images, expected

    return make


def by_tf2onnx(frozen):
    """Convert a graph with tf2onnx alone."""
    model, _ = tf2onnx.convert.from_graph_def(
        frozen.graph_def,
        input_names=list(frozen.inputs.values()),
        output_names=list(frozen.outputs.values()),
        tensors_to_rename={tensor: name for name, tensor in {**frozen.inputs, **frozen.outputs}.items()},
        opset=OPSET,
    )
    return model


def operators(model):
    return sorted(node.op_type for node in model.graph.node)  # branches are in any order


def constants(model):
    """Return the values of all constants, sorted; their names contain a counter."""
    arrays = [numpy_helper.to_array(tensor) for tensor in model.graph.initializer]
    return sorted((array.shape, array.dtype.str, array.tobytes()) for array in arrays)


def run(model, images):
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return session.run(["probabilities"], {"image": images})[0]


@pytest.mark.parametrize("body", BODIES)
def test_the_model_equals_that_of_tf2onnx(frozen, body):
    graph, contract, images, expected = frozen(BODIES[body]())
    model, reference = convert_onnx(graph, contract), by_tf2onnx(graph)
    assert operators(model) == operators(reference)
    assert constants(model) == constants(reference)
    np.testing.assert_array_equal(run(model, images), run(reference, images))
    np.testing.assert_allclose(run(model, images), expected, atol=1e-5)


@pytest.mark.parametrize("convert", [lambda model: model, to_float16], ids=["float32", "float16"])
def test_zero_padding_before_max_pooling_stays_zero(frozen, convert):
    body = [layers.Conv2D(4, 1), layers.ZeroPadding2D(1), layers.MaxPooling2D(3, 2)]
    graph, contract, images, expected = frozen(body)
    model = convert(convert_onnx(graph, contract))
    assert operators(model).count("Pad") == 1
    np.testing.assert_allclose(run(model, images), expected, atol=1e-5 if convert is not to_float16 else 1e-2)


def test_batch_normalization_is_folded_and_images_are_transposed_once(frozen):
    graph, contract, _, _ = frozen(BODIES["convolutions"]())
    found = operators(convert_onnx(graph, contract))
    assert found.count("Conv") == 2
    assert found.count("Add") == 2  # one of the preprocessing and one of the last layer
    assert found.count("Mul") == 1
    assert found.count("Transpose") <= 1
    assert "BatchNormalization" not in found


def test_no_pass_copies_the_weights(frozen, monkeypatch):
    written = Counter()
    write = tf2onnx.graph.Node.update_proto

    def counting(node, *args):
        written[node.name] += node.is_const()
        write(node, *args)

    def refuse(*_):
        raise AssertionError("the graph was copied")

    monkeypatch.setattr(tf2onnx.graph.Node, "update_proto", counting)
    monkeypatch.setattr(tf2onnx.graph.Graph, "__deepcopy__", refuse, raising=False)
    graph, contract, _, _ = frozen(BODIES["convolutions"]())
    convert_onnx(graph, contract)
    assert max(written.values()) == 2  # when the graph is translated, and when the model is built


def test_a_failing_pass_is_skipped(frozen, monkeypatch):
    def fail(*_):
        raise KeyError("a pass that does not know this graph")

    monkeypatch.setattr(
        tf2onnx.optimizer.merge_duplicated_nodes_optimizer.MergeDuplicatedNodesOptimizer, "_optimize", fail
    )
    graph, contract, images, expected = frozen(BODIES["convolutions"]())
    model = convert_onnx(graph, contract)
    assert "BatchNormalization" not in operators(model)
    np.testing.assert_allclose(run(model, images), expected, atol=1e-5)
