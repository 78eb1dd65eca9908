import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

from dltemplates.deploy.converters.graph import fold_scale, freeze, read_frozen
from dltemplates.deploy.converters.saved_model import save_serving, with_float_images

SIGNATURE = "serving_default"


@pytest.fixture
def frozen(serve, tmp_path):
    def make(*network, preprocessing=None):
        keras.utils.set_random_seed(0)
        serving = with_float_images(serve(*network, layers.Flatten(), layers.Dense(10), preprocessing=preprocessing))
        save_serving(serving, tmp_path / "serving")
        return freeze(tmp_path / "serving")

    return make


@pytest.fixture
def image():
    return np.random.default_rng(0).uniform(0, 255, (5, 8, 8, 1)).astype("float32")


def call(graph, image):
    return graph.to_function()(image=tf.constant(image))["probabilities"].numpy()


def operations(graph):
    return [node.op for node in graph.graph_def.node]


@pytest.mark.parametrize(
    "network",
    [
        lambda: [layers.Conv2D(4, 3, padding="same", activation="relu")],
        lambda: [layers.ZeroPadding2D(2), layers.Conv2D(4, 3), layers.BatchNormalization()],
        lambda: [layers.Reshape((64, 1)), layers.Flatten(), layers.Dense(8)],
        lambda: [layers.MaxPooling2D(2), layers.DepthwiseConv2D(3)],
    ],
)
def test_folding_keeps_the_outputs(frozen, image, network):
    before = frozen(*network())
    after, reasons = fold_scale(before)
    assert reasons == {}
    np.testing.assert_allclose(call(after, image), call(before, image), atol=1e-6)
    assert np.ptp(call(before, image), axis=0).max() > 1e-3
    assert after.graph_def.ByteSize() < before.graph_def.ByteSize() + 500  # the original kernels are gone
    inputs = {after.inputs["image"].partition(":")[0]}
    first = [node.op for node in after.graph_def.node if inputs & {name.partition(":")[0] for name in node.input}]
    assert not {"Mul", "AddV2"} & set(first)


@pytest.mark.parametrize(
    ("preprocessing", "network", "reason"),
    [
        (lambda: layers.Rescaling(1 / 127.5, offset=-1), (), "AddV2 of the input by -1"),
        (lambda: layers.Rescaling(-1.0), (), "Mul of the input by -1"),
        (None, (layers.UnitNormalization(),), "before the first layer"),
        (None, (layers.Softmax(),), "Softmax before the first layer"),
    ],
)
def test_arithmetic_that_cannot_be_folded_stays_and_is_named(frozen, image, preprocessing, network, reason):
    before = frozen(*network, preprocessing=preprocessing and preprocessing())
    after, reasons = fold_scale(before)
    assert reason in reasons["image"]
    np.testing.assert_array_equal(call(after, image), call(before, image))


def test_a_scale_before_a_branch_is_not_folded(tmp_path, serve, image):
    serving = serve(layers.Flatten(), layers.Dense(10))
    inputs = keras.Input((8, 8, 1), name="image")
    x = layers.Rescaling(1 / 255)(inputs)
    x = layers.Add()([layers.Conv2D(1, 3, padding="same")(x), x])
    model = keras.Model(inputs, {"probabilities": layers.Dense(10)(layers.Flatten()(x))})
    save_serving(type(serving)(model, with_float_images(serving).contract), tmp_path / "serving")
    before = freeze(tmp_path / "serving")
    after, reasons = fold_scale(before)
    assert "AddV2 before the first layer" in reasons["image"]
    np.testing.assert_array_equal(call(after, image), call(before, image))


def test_a_graph_is_read_as_written(frozen, tmp_path):
    graph = frozen(layers.Conv2D(4, 3))
    graph.write(tmp_path / "graph")
    assert read_frozen(tmp_path / "graph") == graph


def test_flattening_leaves_no_shape_arithmetic(frozen, tmp_path, image):
    graph = frozen(layers.Conv2D(4, 3))
    graph.save(tmp_path / "frozen", SIGNATURE)
    loaded = tf.saved_model.load(str(tmp_path / "frozen")).signatures[SIGNATURE]
    np.testing.assert_array_equal(loaded(image=tf.constant(image))["probabilities"].numpy(), call(graph, image))
    (reshape,) = (node for node in graph.graph_def.node if node.op == "Reshape" and "flatten" in node.name)
    assert reshape.input[1].endswith("constant_shape")


def test_compiled_functions_of_keras_are_inlined(frozen, image):
    graph = frozen(layers.Conv2D(4, 3), layers.Conv2D(4, 3, groups=2))
    assert "StatefulPartitionedCall" not in operations(graph)
    assert operations(graph).count("Conv2D") == 2
    assert np.isfinite(call(graph, image)).all()


def test_an_activation_with_a_custom_gradient_is_saved(frozen, tmp_path):
    frozen(layers.Conv2D(4, 3, activation="silu")).save(tmp_path / "frozen", SIGNATURE)
    assert (tmp_path / "frozen" / "saved_model.pb").exists()
