import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

from dltemplates.deploy.converters.graph import fold_scale, freeze, read_frozen, save_graphs
from dltemplates.deploy.converters.saved_model import save_serving, with_float_images
from dltemplates.features import Number
from dltemplates.tasks.serving.contract import Contract, ServingModel

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


@pytest.fixture
def embedded(tmp_path):
    """Return a function that freezes a network of vectors of ids."""

    def make(use):
        ids = keras.Input((4,), dtype="int32", name="ids")
        contract = Contract(
            name="tiny",
            task="parity",
            inputs=(Number(name="ids", dtype="int32", shape=(4,)),),
            outputs=(Number(name="values", dtype="float32", shape=(4, 6)),),
            targets=(),
        )
        model = keras.Model(ids, {"values": use(layers.Embedding(9, 6)(ids))})
        save_serving(ServingModel(model, contract), tmp_path / "serving")
        return freeze(tmp_path / "serving")

    return make


@pytest.mark.parametrize("scale", [lambda x: 11.3 * x, lambda x: x * 11.3, layers.Rescaling(11.3)])
def test_the_scale_of_an_embedding_is_folded_into_its_table(embedded, scale):
    before = embedded(lambda vectors: scale(vectors) - 1)
    after, _ = fold_scale(before)
    assert "Mul" in operations(before)
    assert "Mul" not in operations(after)
    ids = tf.constant(np.random.default_rng(0).integers(0, 9, (3, 4)).astype("int32"))
    outputs = [graph.to_function()(ids=ids)["values"].numpy() for graph in (before, after)]
    np.testing.assert_allclose(*outputs, atol=1e-6)
    assert np.ptp(outputs[0]) > 0.5


@pytest.mark.parametrize("use", [lambda x: 3.0 * x + x, lambda x: x * np.arange(1, 7, dtype="float32")])
def test_another_product_of_an_embedding_stays(embedded, use):
    after, _ = fold_scale(embedded(use))
    assert "Mul" in operations(after)


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
    save_graphs({SIGNATURE: graph}, tmp_path / "frozen")
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
    save_graphs({SIGNATURE: frozen(layers.Conv2D(4, 3, activation="silu"))}, tmp_path / "frozen")
    assert (tmp_path / "frozen" / "saved_model.pb").exists()
