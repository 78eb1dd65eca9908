import shutil

import keras
import numpy as np
import pytest
from keras import layers

from conftest import small_template, spec_of
from dltemplates.datasets.source import ArraySource
from dltemplates.datasets.spec import DatasetSpec
from dltemplates.features import ClassId, Image, Labels, Number
from dltemplates.figures import vision
from dltemplates.figures.vision import (
    feature_maps,
    first_convolutions,
    grad_cam,
    kernels,
    last_map,
    trace,
    vision_figures,
)
from dltemplates.models.build import build_network
from dltemplates.models.convolutional.alexnet import alexnet
from dltemplates.runs import Run
from dltemplates.runtimes import KerasPredictor
from dltemplates.tasks.assemble import assemble, serve
from dltemplates.tasks.classification import Classification
from dltemplates.tasks.load_for import load_for
from dltemplates.tasks.multi_label import MultiLabel
from dltemplates.tasks.regression import Regression
from dltemplates.tasks.scoring.evaluation import Evaluation
from dltemplates.training.recording.run_record import score_run

SIDE = 8
CLASSES = ("cat", "dog", "owl")
PAIR = (ClassId(name="label", dtype="int64", shape=(), classes=CLASSES[:2]),)
IMAGE = Image(name="image", dtype="uint8", shape=(SIDE, SIDE, 1), range=(0, 255), resize="stretch")
TASKS = {
    "class": Classification(spec_of(ClassId(name="label", dtype="int64", shape=(), classes=CLASSES))),
    "two_logits": Classification(spec_of(*PAIR)),
    "one_logit": Classification(spec_of(*PAIR), binary=True),
    "labels": MultiLabel(spec_of(Labels(name="label", dtype="uint8", shape=(3,), classes=CLASSES))),
    "number": Regression(spec_of(Number(name="label", dtype="float32", shape=(3,), mean=(0.0,) * 3, std=(1.0,) * 3))),
}


class CountingSource(ArraySource):
    """An array source that counts how many examples are read at a time."""

    def __init__(self, arrays):
        super().__init__(arrays)
        self.read_at_once = []

    def read(self, indices):
        self.read_at_once.append(len(indices))
        return super().read(indices)


@pytest.fixture(autouse=True)
def _seeded():
    keras.utils.set_random_seed(0)


@pytest.fixture
def source():
    random = np.random.default_rng(0)
    images = random.integers(0, 256, (40, *IMAGE.shape)).astype("uint8")
    return CountingSource({"image": images, "label": random.integers(0, 3, 40)})


def network(*body, inputs=None):
    """Return a network of these layers that ends in three logits."""
    x = inputs = inputs if inputs is not None else keras.Input(IMAGE.shape, name="image")
    for layer in body:
        x = layer(x)
    x = x if x.shape[1:] == (3,) else layers.Dense(3, name="logits")(layers.Flatten()(x))
    return keras.Model(inputs, x, name="tiny")


def served(model, kind="class"):
    """Return the network as a task serves it."""
    task = TASKS[kind]
    spec = DatasetSpec(inputs=(IMAGE,), targets=(task.target,), sizes={}, fingerprint="")
    return serve(assemble(model, spec), task, spec, small_template(), name="tiny"), task


def figures_of(model, source, kind="class"):
    """Return the figures of a network."""
    serving, task = served(model, kind)
    evaluation = task.compare(*KerasPredictor(serving.model, serving.contract).predict(source))
    source.read_at_once.clear()
    return vision_figures(serving, task, source, evaluation)


def convolutions():
    return [layers.Conv2D(4, 3, padding="same", activation="relu"), layers.MaxPooling2D(2), layers.Conv2D(6, 1)]


def test_a_run_has_figures(small_run):
    drawn = {path.stem for path in small_run.figures_path.iterdir()}
    assert {"filters", "feature_maps", "grad_cam", "confusion_matrix", "curves", "examples"} <= drawn


@pytest.mark.parametrize(
    ("kind", "names"),
    [
        ("class", {"filters", "feature_maps", "grad_cam"}),
        ("labels", {"filters", "feature_maps"}),
        ("number", {"filters", "feature_maps"}),
    ],
)
def test_only_classifiers_have_grad_cam(source, kind, names):
    shapes = {"class": (), "labels": (3,), "number": (3,)}
    dtype = TASKS[kind].target.dtype
    source.arrays["label"] = np.random.default_rng(0).integers(0, 2, (40, *shapes[kind])).astype(dtype)
    assert set(figures_of(network(*convolutions()), source, kind)) == names
    assert max(source.read_at_once) <= 8


def test_a_network_without_convolutions_has_no_figures(source):
    assert figures_of(network(layers.Flatten(), layers.Dense(5)), source) == {}


def test_a_network_without_image_input_has_no_figures(source):
    serving, task = served(network(*convolutions()))
    inputs = tuple(Number(name=v.name, dtype=v.dtype, shape=v.shape) for v in serving.contract.inputs)
    serving = type(serving)(serving.model, serving.contract.model_copy(update={"inputs": inputs}))
    assert vision_figures(serving, task, source, Evaluation({})) == {}


def test_auxiliary_classifiers_are_left_out(source):
    inputs = keras.Input(IMAGE.shape, name="image")
    x = layers.Conv2D(4, 3, activation="relu", name="shared")(inputs)
    auxiliary = layers.Dense(3)(layers.Flatten()(layers.Conv2D(2, 1, name="aside")(x)))
    logits = layers.Dense(3)(layers.GlobalAveragePooling2D()(x))
    model = keras.Model(inputs, {"logits": logits, "auxiliary_1": auxiliary}, name="tiny")
    assert set(figures_of(model, source)) == {"filters", "feature_maps", "grad_cam"}
    serving, _ = served(model)
    calls = trace(serving.model, source.read(np.arange(1))["image"])
    assert [call.layer.name for call in calls if isinstance(call.layer, layers.Conv2D)] == ["shared"]


def test_layers_of_nested_models_are_traced(source):
    inner = keras.Sequential([keras.Input((6, 6, 4)), layers.Conv2D(5, 3, name="deepest"), layers.ReLU()])
    middle_input = keras.Input(IMAGE.shape)
    middle = keras.Model(middle_input, inner(layers.Conv2D(4, 3, name="deeper")(middle_input)))
    serving, _ = served(network(middle))
    images = source.read(np.arange(5))["image"]
    calls = trace(serving.model, images)
    assert [call.layer.name for call in calls if isinstance(call.layer, layers.Conv2D)] == ["deeper", "deepest"]
    expected = serving.model.predict(images, verbose=0)["probabilities"]
    np.testing.assert_allclose(calls[-1].output.numpy(), expected, atol=1e-6)


def test_a_nested_network_gets_its_input_dtype(source):
    body = network(layers.Conv2D(2, 3, name="first"), layers.Flatten(), layers.Dense(3))  # takes floats
    inputs = keras.Input(IMAGE.shape, name="image", dtype="uint8")
    model = keras.Model(inputs, body(inputs))
    images = source.read(np.arange(2))["image"]
    first, *_ = trace(model, images)
    assert first.layer.name == "first"
    np.testing.assert_allclose(first.output, body.get_layer("first")(images.astype("float32")), rtol=1e-6)


def test_kernels_are_filters_first():
    def built(layer):
        layer.build((None, 8, 8, 3))
        return layer

    layer = built(layers.Conv2D(7, (2, 4)))
    assert kernels(layer).shape == (7, 2, 4, 3)
    np.testing.assert_array_equal(kernels(layer)[5], layer.kernel.numpy()[..., 5])
    layer = built(layers.DepthwiseConv2D(3, depth_multiplier=2))
    assert kernels(layer).shape == (6, 3, 3, 1)
    np.testing.assert_array_equal(kernels(layer)[3, ..., 0], layer.kernel.numpy()[..., 1, 1])
    assert kernels(built(layers.SeparableConv2D(9, 5))).shape == (3, 5, 5, 1)


def test_first_filters_come_from_both_towers():
    """Both halves of AlexNet see the same image."""
    calls = trace(alexnet((67, 67, 3), 10, width=0.1), np.zeros((1, 67, 67, 3), "float32"))
    first = first_convolutions(calls)
    assert [(layer.kernel_size, layer.filters) for layer in first] == [((11, 11), 8), ((11, 11), 8)]


def stages(model, source):
    serving, _ = served(model)
    return feature_maps(trace(serving.model, source.read(np.arange(2))["image"]))


def test_stages_run_from_shallow_to_deep(source):
    body = [layers.Conv2D(4 + i, 3, padding="same", activation="relu", name=f"c{i}") for i in range(9)]
    found = stages(network(*body[:5], layers.MaxPooling2D(2), *body[5:]), source)
    assert [stage.name for stage in found] == [
        "c0: 8x8, 4 of 4 maps",
        "c2: 8x8, 6 of 6 maps",
        "c4: 8x8, 8 of 8 maps",
        "c6: 4x4, 8 of 10 maps",
        "c8: 4x4, 8 of 12 maps",
    ]
    assert [stage.maps.shape for stage in found] == [(2, 8, 8, n) for n in (4, 6, 8)] + [(2, 4, 4, 8)] * 2


def test_a_stage_includes_normalization_and_activation(source):
    inputs = keras.Input(IMAGE.shape, name="image")
    x = layers.ReLU(name="r0")(layers.BatchNormalization()(layers.Conv2D(4, 3, padding="same", name="c0")(inputs)))
    y = layers.BatchNormalization()(layers.Conv2D(4, 3, padding="same", name="c1")(x))
    shortcut = layers.Conv2D(4, 1, name="c2")(x)
    z = layers.ReLU(name="r1")(layers.Add()([shortcut, y]))
    z = layers.Conv2D(5, SIDE, name="whole")(z)  # 1x1: no feature map
    found = stages(keras.Model(inputs, layers.Dense(3)(layers.Flatten()(z)), name="tiny"), source)
    names = [stage.name.partition(":")[0] for stage in found]
    assert names[0] == "c0 to r0"
    assert names[1] in ("c1 to r1", "c2 to r1")  # both are added before any activation
    assert len(names) == 2
    assert all((stage.maps >= 0).all() and stage.maps.max() > 0 for stage in found)


def test_the_maps_with_the_largest_variance_are_shown(source):
    convolution = layers.Conv2D(20, 1, use_bias=False)
    model = network(convolution)
    scales = np.random.default_rng(0).permutation(20).astype("float32")
    convolution.kernel.assign(scales.reshape(1, 1, 1, 20))
    (stage,) = stages(model, source)
    images = source.read(np.arange(2))["image"] / 255
    np.testing.assert_allclose(stage.maps, images * scales[scales >= 12], rtol=1e-5)


@pytest.fixture
def spots():
    """Return a network whose logits are 2, -1 and 0 times the mean of the image, and images with a bright spot."""
    dense = layers.Dense(3, use_bias=False, name="logits")
    convolution = layers.Conv2D(1, 1, use_bias=False, name="copy")
    model = network(convolution, layers.GlobalAveragePooling2D(), dense)
    convolution.kernel.assign(np.ones((1, 1, 1, 1)))
    dense.kernel.assign([[2.0, -1.0, 0.0]])
    images = np.zeros((3, *IMAGE.shape), np.uint8)
    images[:, 2, 5] = 255
    return served(model)[0].model, images


def test_grad_cam_matches_the_paper(spots):
    model, images = spots
    place = last_map(trace(model, images))
    heat = grad_cam(model, images, np.array([0, 1, 2]), place)
    expected = np.zeros((3, SIDE, SIDE, 1), np.float32)
    expected[0, 2, 5] = 2 / SIDE**2  # the mean gradient times the map; negative values are clipped
    np.testing.assert_allclose(heat, expected, atol=1e-7)


@pytest.mark.parametrize(("kind", "kernel"), [("one_logit", [[2], [-2]]), ("two_logits", [[-1, 1], [1, -1]])])
def test_grad_cam_of_two_classes_shows_evidence_for_each(kind, kernel):
    bright_and_dark = layers.Conv2D(2, 1)
    logits = layers.Dense(len(kernel[0]), use_bias=False)
    inputs = keras.Input(IMAGE.shape, name="image")
    model = keras.Model(inputs, logits(layers.GlobalAveragePooling2D()(bright_and_dark(inputs))), name="tiny")
    bright_and_dark.set_weights([np.reshape([1, -1], (1, 1, 1, 2)), np.array([0, 1])])
    logits.set_weights([np.array(kernel)])
    images = np.zeros((2, *IMAGE.shape), np.uint8)
    images[:, 2, 5] = 255
    model = served(model, kind)[0].model
    heat = grad_cam(model, images, np.array([0, 1]), last_map(trace(model, images)))
    second = images[0] / 255 * 2 / SIDE**2
    np.testing.assert_allclose(heat, [2 / SIDE**2 - second, second], atol=1e-7)


def test_the_last_map_is_the_last_one_of_fine_resolution(source):
    def name(*body):
        serving, _ = served(network(*body))
        calls = trace(serving.model, source.read(np.arange(1))["image"])
        place = last_map(calls)
        return None if place is None else calls[place].layer.name

    fine, coarse = layers.MaxPooling2D(2, name="fine"), layers.MaxPooling2D(4, name="coarse")
    assert name(layers.Conv2D(2, 1), fine) == "fine"
    assert name(layers.Conv2D(2, 1), fine, layers.MaxPooling2D(2)) == "fine"
    assert name(layers.Conv2D(2, 4, strides=4), layers.ZeroPadding2D(1), layers.ReLU(name="padded")) == "padded"
    assert name(layers.Conv2D(2, 4, strides=4), layers.ReLU(name="coarse"), layers.ZeroPadding2D(3)) == "coarse"
    assert name(coarse, layers.Conv2D(2, 2)) is None  # 1x1, and before it only the image
    assert name(layers.Reshape((8, 8))) is None


class GateAndHalve(layers.Layer):
    def call(self, x, by):
        return (x * by)[:, ::2, ::2]


def halved(x):
    return layers.Conv2D(2, 3, strides=2, padding="same")(x)


def whole(x):
    return layers.Conv2D(2, 2, strides=2, name="whole")(x)


def past_a_branch(x):
    x = whole(x)
    return layers.Add()([halved(layers.Conv2D(2, 1)(x)), halved(x)])


def past_a_branch_by_dropout(x):  # in inference, dropout returns its input tensor
    x = whole(x)
    return layers.Add()([halved(layers.Conv2D(2, 1)(layers.Conv2D(2, 1)(x))), halved(layers.Dropout(0.5)(x))])


def past_a_branch_by_keyword(x):
    x = whole(x)
    return GateAndHalve()(layers.Conv2D(2, 1)(x), by=x)


def in_towers_that_join_where_it_is_coarse(x):
    return layers.Concatenate(name="whole")([halved(layers.Conv2D(2, 2, strides=2)(x)) for _ in range(2)])


def in_towers_that_join_as_vectors(x):
    return layers.Concatenate()([layers.Flatten()(halved(x)) for _ in range(2)])


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (past_a_branch, "whole"),
        (past_a_branch_by_dropout, "whole"),
        (past_a_branch_by_keyword, "whole"),
        (in_towers_that_join_where_it_is_coarse, "whole"),
        (in_towers_that_join_as_vectors, None),
    ],
)
def test_all_paths_pass_through_the_last_map(body, expected, source):
    serving, _ = served(network(body))
    calls = trace(serving.model, source.read(np.arange(1))["image"])
    place = last_map(calls)
    assert (None if place is None else calls[place].layer.name) == expected


@pytest.mark.parametrize(
    ("name", "side", "options", "places"),
    [
        ("alexnet", 67, {"width": 0.1}, 3),
        ("alexnet", 96, {"width": 0.1}, 4),
        ("resnet18", 64, {"width": 0.1}, 4),
        ("resnet50", 64, {"width": 0.1}, 4),
        ("resnet50", 64, {"width": 0.1, "stride_on_3x3": True}, 4),
        ("preact_resnet50", 64, {"width": 0.1}, 4),
        ("googlenet", 65, {"width": 0.1, "auxiliary": False}, 5),
        ("mobilenet_v2", 64, {"width": 0.35}, 4),
        ("densenet121", 64, {"growth_rate": 4, "blocks": [2, 2, 2]}, 4),
    ],
)
def test_the_output_of_a_branched_network_depends_only_on_its_last_map(name, side, options, places):
    model = build_network(name, {"input_shape": (side, side, 3), "num_outputs": 3}, options)
    calls = trace(model, np.zeros((1, side, side, 3), np.float32))
    place = last_map(calls)
    assert calls[place].output.shape[1:3] == (places, places)
    keras.Model(calls[place].layer.output, model.output)  # raises if another tensor is needed
    for call in calls[place + 1 :]:
        if call.output.shape[1:3] == (places, places):
            with pytest.raises(ValueError, match="not connected"):
                keras.Model(call.layer.output, model.output)


def test_a_network_with_attention_has_no_grad_cam(source):
    inputs = keras.Input(IMAGE.shape, name="image")
    x = layers.Reshape((16, 4))(layers.Conv2D(4, 2, strides=2)(inputs))
    x = layers.MultiHeadAttention(2, 2)(x, x)
    model = keras.Model(inputs, layers.Dense(3)(layers.GlobalAveragePooling1D()(x)), name="tiny")
    assert set(figures_of(model, source)) == {"filters", "feature_maps"}


def test_grad_cam_shows_right_and_wrong_predictions(source, monkeypatch):
    drawn = {}
    monkeypatch.setattr(vision, "grad_cam_figure", lambda *arguments: drawn.update(arguments=arguments))
    figures_of(network(*convolutions()), source)
    images, heat, titles, wrong, name = drawn["arguments"]
    assert len(images) == len(heat) == len(titles) == 8
    assert list(wrong) == [False] * 4 + [True] * 4
    captions = [dict(line.split(": ") for line in title.splitlines()) for title in titles]
    assert all(title.keys() == {"true", "predicted"} and set(title.values()) <= set(CLASSES) for title in captions)
    assert [title["true"] != title["predicted"] for title in captions] == list(wrong)
    assert name.startswith("conv2d")


def test_a_failed_figure_leaves_the_run_complete_and_gives_the_reason(small_run, tmp_path, monkeypatch):
    def fail(layer):
        raise LookupError("a layer like no other")

    shutil.copytree(small_run.path, tmp_path / "run")
    run = Run(tmp_path / "run")
    (run.figures_path / "grad_cam.png").unlink()
    before = (run.figures_path / "filters.png").read_bytes()
    run.save_record(run.record.model_copy(update={"state": "interrupted", "scores": {}}))
    monkeypatch.setattr(vision, "kernels", fail)
    with pytest.warns(RuntimeWarning, match=r"filters\.png could not be drawn\. LookupError: a layer like no other"):
        score_run(run, run.task(), load_for(run)[1])
    assert run.record.state == "done"
    assert run.record.scores == small_run.record.scores
    assert (run.figures_path / "filters.png").read_bytes() != before  # the figure holds the error instead
    assert (run.figures_path / "grad_cam.png").exists()
