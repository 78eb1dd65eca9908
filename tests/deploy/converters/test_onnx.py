"""How ONNX is converted: to what tf2onnx itself makes of a graph, without its copies of the weights."""

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
    "loops": lambda: [layers.Reshape((8, 8)), layers.Bidirectional(layers.GRU(4))],  # two that differ by weights alone
}


@pytest.fixture
def frozen(serve, tmp_path):
    """The frozen graph of a network whose weights are all at random, its contract, and what Keras makes of images."""

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
    """What tf2onnx makes of a graph if it is left to itself."""
    model, _ = tf2onnx.convert.from_graph_def(
        frozen.graph_def,
        input_names=list(frozen.inputs.values()),
        output_names=list(frozen.outputs.values()),
        tensors_to_rename={tensor: name for name, tensor in {**frozen.inputs, **frozen.outputs}.items()},
        opset=OPSET,
    )
    return model


def operators(model):
    return sorted(node.op_type for node in model.graph.node)  # branches come in any order


def constants(model):
    """The values of all constants; their names, by which they are sorted, hold the number of the conversion."""
    arrays = [numpy_helper.to_array(tensor) for tensor in model.graph.initializer]
    return sorted((array.shape, array.dtype.str, array.tobytes()) for array in arrays)


def run(model, images):
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return session.run(["probabilities"], {"image": images})[0]


@pytest.mark.parametrize("body", BODIES)
def test_it_is_what_tf2onnx_makes(frozen, body):
    graph, contract, images, expected = frozen(BODIES[body]())
    made, reference = convert_onnx(graph, contract), by_tf2onnx(graph)
    assert operators(made) == operators(reference)
    assert constants(made) == constants(reference)
    np.testing.assert_array_equal(run(made, images), run(reference, images))
    np.testing.assert_allclose(run(made, images), expected, atol=1e-5)


@pytest.mark.parametrize("convert", [lambda model: model, to_float16], ids=["float32", "float16"])
def test_a_zero_in_front_of_a_pooling_of_negative_values_stays_a_zero(frozen, convert):
    body = [layers.Conv2D(4, 1), layers.ZeroPadding2D(1), layers.MaxPooling2D(3, 2)]
    graph, contract, images, expected = frozen(body)
    made = convert(convert_onnx(graph, contract))
    assert operators(made).count("Pad") == 1
    np.testing.assert_allclose(run(made, images), expected, atol=1e-5 if convert is not to_float16 else 1e-2)


def test_batch_normalization_is_folded_and_images_are_turned_once(frozen):
    graph, contract, _, _ = frozen(BODIES["convolutions"]())
    found = operators(convert_onnx(graph, contract))
    assert found.count("Conv") == 2
    assert found.count("Add") == 2  # of the preprocessing and the last layer
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
    assert max(written.values()) == 2  # when the graph is translated, and when the model is made


def test_a_pass_that_fails_is_left_out(frozen, monkeypatch):
    def fail(*_):
        raise KeyError("a pass that does not know this graph")

    monkeypatch.setattr(
        tf2onnx.optimizer.merge_duplicated_nodes_optimizer.MergeDuplicatedNodesOptimizer, "_optimize", fail
    )
    graph, contract, images, expected = frozen(BODIES["convolutions"]())
    model = convert_onnx(graph, contract)
    assert "BatchNormalization" not in operators(model)
    np.testing.assert_allclose(run(model, images), expected, atol=1e-5)
